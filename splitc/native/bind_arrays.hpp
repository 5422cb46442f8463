// Arrays between Python and the coders: checked on the way in, owned by numpy on the way out.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "span.hpp"

namespace splitc_bind {

namespace nb = nanobind;
using namespace nb::literals;

using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Chunk = nb::ndarray<const T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
template <typename T>
using NewChunk = nb::ndarray<nb::numpy, T, nb::ndim<3>>;

inline splitc::ByteSpan span_of(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

template <typename T>
splitc::Span<const T> span_of(const Chunk<T>& chunk) {
  return {chunk.data(), chunk.size()};
}

template <typename T>
splitc::ChunkShape shape_of(const Chunk<T>& chunk) {
  return {chunk.shape(0), chunk.shape(1), chunk.shape(2)};
}

/// FORMAT.md, "Limits": no tensor is larger, so sizes multiply without overflow after this.
constexpr std::size_t kMostElements = std::size_t{1} << 28;

inline void check_shape(const splitc::ChunkShape& shape) {
  std::size_t room = kMostElements;
  for (const std::size_t side : {shape.planes, shape.height, shape.width}) {
    if (side == 0) splitc::refuse_argument("an empty chunk cannot be coded.");
    room /= side;
  }
  if (room == 0) splitc::refuse_argument("a chunk holds at most 268435456 symbols.");
}

template <typename T>
void check_bits(unsigned bits) {
  const unsigned most = 8 * sizeof(T);
  if (bits < 1 || bits > most)
    splitc::refuse_argument(std::to_string(bits) + " bits per symbol, must be 1.." + std::to_string(most) + ".");
}

inline nb::bytes bytes_from(const std::vector<std::uint8_t>& data) { return nb::bytes(data.data(), data.size()); }

/// Runs `fill(Span<T>)` without the GIL on new memory and hands that memory to numpy.
template <typename T, typename Fill>
NewChunk<T> new_chunk(const splitc::ChunkShape& shape, const Fill& fill) {
  check_shape(shape);
  std::unique_ptr<T[]> memory(new T[shape.size()]);  // not cleared: `fill` writes every value or throws
  {
    nb::gil_scoped_release release;
    fill(splitc::Span<T>{memory.get(), shape.size()});
  }
  T* const data = memory.release();
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return NewChunk<T>(data, {shape.planes, shape.height, shape.width}, owner);
}

/// `code()` without the GIL, its bytes to Python.
template <typename Code>
nb::bytes coded(const Code& code) {
  std::vector<std::uint8_t> payload;
  {
    nb::gil_scoped_release release;
    payload = code();
  }
  return bytes_from(payload);
}

}  // namespace splitc_bind
