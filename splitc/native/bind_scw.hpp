// Bindings of the weight container's level coder.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bind_arrays.hpp"
#include "scw_levels.hpp"

namespace splitc_bind {

template <typename T>
using Line = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using NewLine = nb::ndarray<nb::numpy, T, nb::ndim<1>>;
template <typename T>
using Grid = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <typename T>
splitc::Span<const T> span_of_line(const Line<T>& line) {
  return {line.data(), line.size()};
}

/// Classes, and proof that `first .. first + count` lies in the tensor they describe.
inline splitc::ScwClasses scw_classes(const Line<std::uint8_t>& outer, const Line<std::uint8_t>& middle,
                                      const Line<std::uint8_t>& inner, std::size_t first, std::size_t count) {
  const splitc::ScwClasses classes{span_of_line(outer), span_of_line(middle), span_of_line(inner)};
  std::size_t room = kMostElements;
  for (const std::size_t side : {outer.size(), middle.size(), inner.size()}) {
    if (side == 0) splitc::refuse_argument("levels: an axis without classes.");
    room /= side;
  }
  if (room == 0) splitc::refuse_argument("levels: a tensor holds at most 268435456 of them.");
  if (first > classes.size() || count > classes.size() - first || count == 0)
    splitc::refuse_argument("levels: a chunk of " + std::to_string(count) + " at " + std::to_string(first) +
                            " does not lie in the tensor.");
  return classes;
}

/// Runs `fill(Span<T>)` without the GIL on new memory and hands that memory to numpy.
template <typename T, typename Fill>
NewLine<T> new_line(std::size_t count, const Fill& fill) {
  std::unique_ptr<T[]> memory(new T[count]);  // not cleared: `fill` writes every value or throws
  {
    nb::gil_scoped_release release;
    fill(splitc::Span<T>{memory.get(), count});
  }
  T* const data = memory.release();
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return NewLine<T>(data, {count}, owner);
}

using Classes8 = Line<std::uint8_t>;

inline NewLine<std::uint32_t> scw_count(const Line<std::int32_t>& levels, const Classes8& outer,
                                        const Classes8& middle, const Classes8& inner, std::size_t first,
                                        unsigned contexts) {
  const auto classes = scw_classes(outer, middle, inner, first, levels.size());
  if (contexts < 1 || contexts > splitc::kScwMostContexts) splitc::refuse_argument("levels: 1..64 contexts.");
  const std::size_t size = std::size_t{contexts} * splitc::kScwTokens;
  return new_line<std::uint32_t>(size, [&](splitc::Span<std::uint32_t> counts) {
    std::fill_n(counts.data, size, 0u);
    splitc::scw_count(span_of_line(levels), classes, first, contexts, counts.data);
  });
}

inline nb::bytes scw_encode(const splitc::ScwTables& tables, const Line<std::int32_t>& levels, const Classes8& outer,
                            const Classes8& middle, const Classes8& inner, std::size_t first) {
  const auto classes = scw_classes(outer, middle, inner, first, levels.size());
  return coded([&] { return splitc::scw_encode(tables, span_of_line(levels), classes, first); });
}

inline NewLine<std::int32_t> scw_decode_levels(const splitc::ScwTables& tables, const Bytes& payload,
                                               const Classes8& outer, const Classes8& middle, const Classes8& inner,
                                               std::size_t first, std::size_t count) {
  const auto classes = scw_classes(outer, middle, inner, first, count);
  return new_line<std::int32_t>(count, [&](splitc::Span<std::int32_t> levels) {
    splitc::scw_decode_levels(tables, span_of(payload), classes, first, levels);
  });
}

using Values = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// Writes the chunk's values into `values`, the chunk's part of the tensor.
inline void scw_decode_values(const splitc::ScwTables& tables, const Bytes& payload, const Classes8& outer,
                              const Classes8& middle, const Classes8& inner, std::size_t first,
                              const Line<float>& steps, const Values& values) {
  const auto classes = scw_classes(outer, middle, inner, first, values.size());
  if (steps.size() != outer.size()) splitc::refuse_argument("levels: must have one step for each row.");
  const auto span = span_of(payload);
  const splitc::Span<float> out{values.data(), values.size()};
  nb::gil_scoped_release release;
  splitc::scw_decode_values(tables, span, classes, first, steps.data(), out);
}

inline void bind_scw(nb::module_& m) {
  m.def("scw_count", &scw_count, "levels"_a.noconvert(), "outer"_a.noconvert(), "middle"_a.noconvert(),
        "inner"_a.noconvert(), "first"_a, "contexts"_a);
  nb::class_<splitc::ScwTables>(m, "ScwTables")
      .def("__init__",
           [](splitc::ScwTables* self, const Grid<std::uint16_t>& frequencies) {
             if (frequencies.shape(1) != splitc::kScwTokens) splitc::refuse_argument("level tables: 256 tokens a row.");
             new (self) splitc::ScwTables(splitc::Span<const std::uint16_t>{frequencies.data(), frequencies.size()});
           },
           "frequencies"_a.noconvert())
      .def_prop_ro("contexts", &splitc::ScwTables::contexts)
      .def("encode", &scw_encode, "levels"_a.noconvert(), "outer"_a.noconvert(), "middle"_a.noconvert(),
           "inner"_a.noconvert(), "first"_a)
      .def("decode_levels", &scw_decode_levels, "payload"_a, "outer"_a.noconvert(), "middle"_a.noconvert(),
           "inner"_a.noconvert(), "first"_a, "count"_a)
      .def("decode_values", &scw_decode_values, "payload"_a, "outer"_a.noconvert(), "middle"_a.noconvert(),
           "inner"_a.noconvert(), "first"_a, "steps"_a.noconvert(), "values"_a.noconvert());
}

}  // namespace splitc_bind
