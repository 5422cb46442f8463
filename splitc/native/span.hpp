// Views of memory that know their length, and the one error type of the native core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace splitc {

template <typename T>
struct Span {
  T* data = nullptr;
  std::size_t size = 0;

  T& operator[](std::size_t i) const { return data[i]; }
};

using ByteSpan = Span<const std::uint8_t>;

/// A chunk of symbols: `planes` planes of `height` rows of `width` symbols, contiguous.
struct ChunkShape {
  std::size_t planes = 0, height = 0, width = 0;

  std::size_t plane_size() const { return height * width; }
  std::size_t size() const { return planes * plane_size(); }
};

/// Refusal of an argument or of bytes. `Kind` picks the exception on the Python side.
class Error : public std::runtime_error {
 public:
  enum class Kind { kCodec, kBitstream };

  Error(Kind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

[[noreturn]] inline void refuse_argument(const std::string& what) { throw Error(Error::Kind::kCodec, what); }
[[noreturn]] inline void refuse_payload(const std::string& what) { throw Error(Error::Kind::kBitstream, what); }

}  // namespace splitc
