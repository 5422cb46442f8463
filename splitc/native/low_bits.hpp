// Fields of any number of bits back to back in bytes, least significant bit first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "span.hpp"

namespace splitc {

class LowBitWriter {
 public:
  /// The low `bits` (0..32) of `value`, which has none above them.
  void put(std::uint32_t value, unsigned bits) {
    pending_ |= std::uint64_t{value} << filled_;
    for (filled_ += bits; filled_ >= 8; filled_ -= 8, pending_ >>= 8)
      bytes_.push_back(static_cast<std::uint8_t>(pending_));
  }

  /// The bytes, the last one filled with zeros.
  std::vector<std::uint8_t> finish() {
    if (filled_ != 0) bytes_.push_back(static_cast<std::uint8_t>(pending_));
    return std::move(bytes_);
  }

 private:
  std::vector<std::uint8_t> bytes_;
  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

/// Inverse of `LowBitWriter`; refuses to run past the end.
class LowBitReader {
 public:
  LowBitReader(ByteSpan bytes, const char* what) : bytes_(bytes), what_(what) {}

  std::uint32_t take(unsigned bits) {
    for (; filled_ < bits; filled_ += 8) {
      if (next_ == bytes_.size) refuse_payload(std::string(what_) + " end too early (truncated).");
      pending_ |= std::uint64_t{bytes_[next_++]} << filled_;
    }
    const auto value = static_cast<std::uint32_t>(pending_ & ((std::uint64_t{1} << bits) - 1));
    pending_ >>= bits;
    filled_ -= bits;
    return value;
  }

  /// Ends the fields; returns the number of bytes they took.
  std::size_t finish() const {
    if (pending_ != 0) refuse_payload(std::string(what_) + ": unused bits of the last byte are not zero.");
    return next_;
  }

 private:
  ByteSpan bytes_;
  const char* what_;
  std::size_t next_ = 0;
  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

}  // namespace splitc
