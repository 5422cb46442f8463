// Fields of any number of bits back to back in bytes, least significant bit first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
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

  /// All fields of `other`.
  void append(const LowBitWriter& other) {
    for (const std::uint8_t byte : other.bytes_) put(byte, 8);
    put(static_cast<std::uint32_t>(other.pending_), other.filled_);
  }

  std::size_t bits() const { return 8 * bytes_.size() + filled_; }

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

  /// Bits left in the last byte that was touched.
  unsigned bits_to_byte() const { return filled_; }
  /// Bytes touched so far.
  std::size_t bytes() const { return next_; }

 private:
  ByteSpan bytes_;
  const char* what_;
  std::size_t next_ = 0;
  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

/// Reads fields from bytes, and zeros past their end; the reader looks afterwards how far it went.
class ZeroExtendedBits {
 public:
  explicit ZeroExtendedBits(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)), size_(bytes_.size()) {
    bytes_.resize(size_ + kPadding, 0);
  }

  /// The next `bits` (0..32).
  std::uint32_t take(unsigned bits) {
    const auto value = static_cast<std::uint32_t>(window() & ((std::uint64_t{1} << bits) - 1));
    at_ += bits;
    return value;
  }
  void go_to(std::size_t bit) { at_ = bit; }

  std::size_t position() const { return at_; }
  /// Bits from the position to the end of the bytes, none past it.
  std::size_t left() const { return 8 * size_ - std::min(at_, 8 * size_); }

 private:
  static constexpr std::size_t kPadding = 8;

  std::uint64_t window() const {
    std::uint64_t value = 0;
    if (at_ / 8 < size_) std::memcpy(&value, bytes_.data() + at_ / 8, sizeof value);
    return value >> at_ % 8;
  }

  std::vector<std::uint8_t> bytes_;
  std::size_t size_, at_ = 0;
};

}  // namespace splitc
