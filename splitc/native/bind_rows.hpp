// Rows of values in and out of numpy, as quantizers take them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <memory>
#include <string>

#include "quantize.hpp"
#include "span.hpp"

namespace splitc_bind {

namespace nb = nanobind;

template <typename T>
using Rows = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename T>
using NewRows = nb::ndarray<nb::numpy, T, nb::ndim<2>>;
using PerChannel = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// Rows and their channels; refuses channels that do not divide the rows.
inline splitc::RowShape row_shape(std::size_t planes, std::size_t size, std::size_t channels) {
  if (channels == 0 || planes % channels != 0)
    splitc::refuse_argument(std::to_string(planes) + " planes are not a multiple of " + std::to_string(channels) +
                            " channels.");
  return {planes, size, channels};
}

/// Runs `fill(T*)` without the GIL on new memory and hands that memory to numpy.
template <typename T, typename Fill>
nb::object new_rows(const splitc::RowShape& shape, const Fill& fill) {
  std::unique_ptr<T[]> memory(new T[shape.planes * shape.size]);
  {
    nb::gil_scoped_release release;
    fill(memory.get());
  }
  T* const data = memory.release();
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::cast(NewRows<T>(data, {shape.planes, shape.size}, owner));
}

/// Refuses two arrays of symbols that differ in shape.
template <typename T>
void check_alike(const Rows<T>& one, std::size_t planes, std::size_t size) {
  if (one.shape(0) != planes || one.shape(1) != size)
    splitc::refuse_argument("the previous frame's symbols have another shape.");
}

}  // namespace splitc_bind
