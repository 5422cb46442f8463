// Python bindings of motion between frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "bind_rows.hpp"
#include "motion.hpp"
#include "span.hpp"

namespace splitc_bind {

using Field = Rows<std::uint8_t>;
using FlatSymbols = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// Samples of `flat.size()` planes, whose rows are `width` long.
inline splitc::SampleShape sample_shape(std::size_t planes, std::size_t size, std::size_t channels, std::size_t width) {
  if (channels == 0 || planes % channels != 0 || width == 0 || size == 0 || size % width != 0)
    splitc::refuse_argument("channels and width must divide the planes and their values.");
  return {channels, size / width, width};
}

inline void check_field(const Field& field, std::size_t samples, const splitc::SampleShape& shape) {
  if (field.shape(0) != samples * splitc::kFieldPlanes || field.shape(1) != splitc::BlockShape(shape).count())
    splitc::refuse_argument("the motion field has another shape than the frame's blocks.");
}

template <typename T>
void check_flat(const FlatSymbols& flat) {
  for (std::size_t c = 0; c < flat.size(); ++c)
    if (flat.data()[c] < 0 || flat.data()[c] > std::numeric_limits<T>::max())
      splitc::refuse_argument("a symbol for zero does not fit the alphabet.");
}

template <typename T>
nb::object predict_moved(const Rows<T>& previous, const Field& field, const FlatSymbols& flat, std::size_t width) {
  const std::size_t planes = previous.shape(0), size = previous.shape(1);
  const auto shape = sample_shape(planes, size, flat.size(), width);
  check_field(field, planes / shape.channels, shape);
  check_flat<T>(flat);
  return new_rows<T>(splitc::RowShape{planes, size, 1}, [&](T* predicted) {
    const std::size_t blocks = splitc::kFieldPlanes * field.shape(1);
    for (std::size_t i = 0; i < planes / shape.channels; ++i)
      splitc::predict_moved(previous.data() + i * shape.size(), shape, field.data() + i * blocks, flat.data(),
                            predicted + i * shape.size());
  });
}

template <typename T>
nb::object search_motion(const Rows<float>& x, const Rows<T>& previous, const PerChannel& lo, const PerChannel& scale,
                         const FlatSymbols& flat, const Field& last, std::size_t width,
                         bool may_be_flat) {
  const std::size_t planes = x.shape(0), size = x.shape(1);
  const auto shape = sample_shape(planes, size, flat.size(), width);
  if (scale.size() != lo.size()) splitc::refuse_argument("lo and scale differ in length.");
  if (lo.size() != 1 && lo.size() != shape.channels)
    splitc::refuse_argument("lo has neither one value nor one a channel.");
  check_alike(previous, planes, size);
  const std::size_t samples = planes / shape.channels, blocks = splitc::BlockShape(shape).count();
  check_field(last, samples, shape);
  return new_rows<std::uint8_t>(splitc::RowShape{samples * splitc::kFieldPlanes, blocks, 1}, [&](auto* field) {
    splitc::MotionSearch search(shape, may_be_flat);
    for (std::size_t i = 0; i < samples; ++i) {
      const std::size_t at = i * shape.size(), block = i * splitc::kFieldPlanes * blocks;
      search(x.data() + at, previous.data() + at, lo.data(), scale.data(), lo.size(), flat.data(),
             last.data() + block, field + block);
    }
  });
}

inline void bind_motion(nb::module_& m) {
  using namespace nb::literals;
  m.def("predict_moved", &predict_moved<std::uint8_t>, "previous"_a.noconvert(), "field"_a.noconvert(),
        "flat"_a.noconvert(), "width"_a);
  m.def("predict_moved", &predict_moved<std::uint16_t>, "previous"_a.noconvert(), "field"_a.noconvert(),
        "flat"_a.noconvert(), "width"_a);
  m.def("search_motion", &search_motion<std::uint8_t>, "x"_a.noconvert(), "previous"_a.noconvert(),
        "lo"_a.noconvert(), "scale"_a.noconvert(), "flat"_a.noconvert(), "last"_a.noconvert(), "width"_a, "may_be_flat"_a);
  m.def("search_motion", &search_motion<std::uint16_t>, "x"_a.noconvert(), "previous"_a.noconvert(),
        "lo"_a.noconvert(), "scale"_a.noconvert(), "flat"_a.noconvert(), "last"_a.noconvert(), "width"_a, "may_be_flat"_a);
}

}  // namespace splitc_bind
