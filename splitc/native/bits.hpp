// Bits in and out of bytes, most significant first: codes of any length can be compared as numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "span.hpp"

namespace splitc {

class BitWriter {
 public:
  /// The low `count` bits of `value`; `count` is 0..32.
  void put(std::uint32_t value, unsigned count) {
    pending_ = pending_ << count | value;
    for (filled_ += count; filled_ >= 8; filled_ -= 8) bytes_.push_back(static_cast<std::uint8_t>(pending_ >> (filled_ - 8)));
    pending_ &= (std::uint64_t{1} << filled_) - 1;
  }

  /// Elias gamma: as many zeros as `value` has bits after its first, then `value`. `value` is 1 or more.
  void put_gamma(std::uint32_t value) {
    unsigned extra = 0;
    while (value >> (extra + 1) != 0) ++extra;
    put(0, extra);
    put(value, extra + 1);
  }

  std::vector<std::uint8_t> finish() {
    if (filled_ != 0) put(0, 8 - filled_);
    return std::move(bytes_);
  }

 private:
  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;
  std::vector<std::uint8_t> bytes_;
};

/// Inverse of `BitWriter`. Past the end there are zeros; `finish` refuses a reader that took any.
class BitReader {
 public:
  BitReader(ByteSpan bytes, const char* what) : bytes_(bytes), what_(what) {}

  /// The next `count` bits, not taken yet; `count` is 0..32.
  std::uint32_t peek(unsigned count) {
    for (; filled_ < count; filled_ += 8) pending_ = pending_ << 8 | (next_ < bytes_.size ? bytes_[next_] : 0u), ++next_;
    return static_cast<std::uint32_t>(pending_ >> (filled_ - count) & ((std::uint64_t{1} << count) - 1));
  }

  void skip(unsigned count) { filled_ -= count; }

  std::uint32_t take(unsigned count) {
    const std::uint32_t value = peek(count);
    skip(count);
    return value;
  }

  /// Elias gamma of 1..`most`; anything else is refused.
  std::uint32_t take_gamma(const char* field, std::uint32_t most) {
    unsigned extra = 0;
    for (; extra < 31 && take(1) == 0; ++extra) {
    }
    const std::uint32_t value = 1u << extra | take(extra);
    if (extra == 31 || value > most)
      refuse(field, "is larger than the " + std::to_string(most) + " that are left");
    return value;
  }

  /// Nothing may be left but less than a byte of zeros.
  void finish() const {
    const std::size_t taken = 8 * next_ - filled_;
    if (taken > 8 * bytes_.size) refuse_payload(std::string(what_) + ": the payload ends before its last symbol.");
    if (8 * bytes_.size - taken >= 8) refuse_payload(std::string(what_) + ": bytes left over after the last symbol.");
    if ((pending_ & ((std::uint64_t{1} << filled_) - 1)) != 0)
      refuse_payload(std::string(what_) + ": unused bits of the last byte are not zero.");
  }

  /// True once bits past the end were taken: time to stop.
  bool overrun() const { return next_ * 8 - filled_ > 8 * bytes_.size; }

  [[noreturn]] void refuse(const char* field, const std::string& complaint) const {
    refuse_payload(std::string(what_) + ": " + field + " before bit " + std::to_string(8 * next_ - filled_) + " " +
                   complaint + ".");
  }

 private:
  ByteSpan bytes_;
  const char* what_;
  std::size_t next_ = 0;
  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

}  // namespace splitc
