// Little-endian integers in and out of memory, one byte at a time: the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "span.hpp"

namespace splitc {

inline std::uint16_t load_u16(const std::uint8_t* p) { return static_cast<std::uint16_t>(p[0] | p[1] << 8); }

inline std::uint32_t load_u32(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(load_u16(p)) | static_cast<std::uint32_t>(load_u16(p + 2)) << 16;
}

inline void store_u16(std::uint8_t* p, std::uint16_t value) {
  p[0] = static_cast<std::uint8_t>(value);
  p[1] = static_cast<std::uint8_t>(value >> 8);
}

inline void store_u32(std::uint8_t* p, std::uint32_t value) {
  store_u16(p, static_cast<std::uint16_t>(value));
  store_u16(p + 2, static_cast<std::uint16_t>(value >> 16));
}

/// Reads fields in order and refuses to run past the end, naming the field and its offset.
class FieldReader {
 public:
  FieldReader(ByteSpan bytes, const char* what) : bytes_(bytes), what_(what) {}

  /// The next `count` bytes.
  ByteSpan take(const char* field, std::size_t count) {
    const std::size_t left = bytes_.size - offset_;
    if (count > left)
      fail_at(offset_, field, "needs " + std::to_string(count) + " bytes, " + std::to_string(left) + " left (truncated).");
    const ByteSpan span{bytes_.data + offset_, count};
    field_offset_ = offset_;
    offset_ += count;
    return span;
  }

  unsigned u8(const char* field) { return take(field, 1)[0]; }
  unsigned u16(const char* field) { return load_u16(take(field, 2).data); }
  std::uint32_t u32(const char* field) { return load_u32(take(field, 4).data); }

  /// `u8` within `[low, high]`.
  unsigned u8_in(const char* field, unsigned low, unsigned high) { return check(field, u8(field), low, high); }
  unsigned u16_in(const char* field, unsigned low, unsigned high) { return check(field, u16(field), low, high); }

  std::size_t offset() const { return offset_; }
  bool done() const { return offset_ == bytes_.size; }

  /// Refuses the field that was taken last.
  [[noreturn]] void fail(const char* field, const std::string& complaint) const {
    fail_at(field_offset_, field, complaint);
  }

 private:
  [[noreturn]] void fail_at(std::size_t offset, const char* field, const std::string& complaint) const {
    refuse_argument(std::string(what_) + ": " + field + " at offset " + std::to_string(offset) + " " + complaint);
  }

  unsigned check(const char* field, unsigned value, unsigned low, unsigned high) const {
    if (value < low || value > high)
      fail(field, "is " + std::to_string(value) + ", must be " + std::to_string(low) + ".." + std::to_string(high) + ".");
    return value;
  }

  ByteSpan bytes_;
  const char* what_;
  std::size_t offset_ = 0, field_offset_ = 0;
};

}  // namespace splitc
