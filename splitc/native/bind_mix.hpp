// Bindings of the mixing coder.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "bind_arrays.hpp"
#include "mix_coder.hpp"
#include "mix_training.hpp"

namespace splitc_bind {

template <typename T>
using PastChunk = std::optional<Chunk<T>>;
using NewLogits = nb::ndarray<nb::numpy, std::int16_t, nb::ndim<2>>;

/// Refuses a chunk of the wrong width, and a previous frame of another shape or with symbols that do not fit.
template <typename T>
const T* checked_past(const splitc::MixModel& model, const splitc::ChunkShape& shape, const PastChunk<T>& previous) {
  check_shape(shape);
  if ((model.bits() > 8) != (sizeof(T) == 2))
    splitc::refuse_argument("symbols of " + std::to_string(8 * sizeof(T)) + " bits given for a coder of " +
                            std::to_string(model.bits()) + ".");
  if (!previous) return nullptr;
  const auto theirs = shape_of(*previous);
  if (theirs.planes != shape.planes || theirs.height != shape.height || theirs.width != shape.width)
    splitc::refuse_argument("the previous frame's chunk has another shape.");
  return previous->data();
}

template <typename T>
nb::bytes mix_encode(const splitc::MixModel& model, const Chunk<T>& symbols, std::size_t first_plane,
                     const PastChunk<T>& previous) {
  const auto shape = shape_of(symbols);
  const T* const past = checked_past<T>(model, shape, previous);
  return coded([&] { return splitc::mix_encode<T>(model, span_of(symbols), past, shape, first_plane); });
}

template <typename T>
NewChunk<T> mix_decode(const splitc::MixModel& model, const Bytes& payload, std::size_t planes, std::size_t height,
                       std::size_t width, std::size_t first_plane, const PastChunk<T>& previous) {
  const splitc::ChunkShape shape{planes, height, width};
  const T* const past = checked_past<T>(model, shape, previous);
  return new_chunk<T>(shape, [&](splitc::Span<T> symbols) {
    splitc::mix_decode<T>(model, span_of(payload), past, shape, first_plane, symbols);
  });
}

template <typename T>
void mix_learn(splitc::MixLearner& learner, const splitc::MixModel& model, const Chunk<T>& symbols,
               const PastChunk<T>& previous) {
  const auto shape = shape_of(symbols);
  const T* const past = checked_past<T>(model, shape, previous);
  nb::gil_scoped_release release;
  splitc::mix_learn<T>(learner, model, symbols.data(), past, shape);
}

inline nb::object mix_result(const splitc::MixLearner& learner) {
  const auto logits = learner.result();
  auto* const data = new std::int16_t[logits.size()];
  std::copy(logits.begin(), logits.end(), data);
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<std::int16_t*>(p); });
  return nb::cast(NewLogits(data, {logits.size() / splitc::kMixNodes, splitc::kMixNodes}, owner));
}

template <typename T>
void bind_mix_symbols(nb::class_<splitc::MixModel>& model, nb::class_<splitc::MixLearner>& learner,
                      const char* decode) {
  model
      .def("encode", &mix_encode<T>, "symbols"_a.noconvert(), "first_plane"_a,
           "previous"_a.noconvert().none() = nb::none())
      .def(decode, &mix_decode<T>, "payload"_a, "planes"_a, "height"_a, "width"_a, "first_plane"_a,
           "previous"_a.noconvert().none() = nb::none());
  learner.def("learn", &mix_learn<T>, "model"_a, "symbols"_a.noconvert(), "previous"_a.noconvert().none() = nb::none());
}

inline void bind_mix(nb::module_& m) {
  m.attr("MIX_NODES") = splitc::kMixNodes;
  m.attr("MIX_SHARED_ROWS") = splitc::kSharedRows;
  auto model = nb::class_<splitc::MixModel>(m, "MixModel");
  model
      .def("__init__",
           [](splitc::MixModel* self, const Bytes& tables) { new (self) splitc::MixModel(span_of(tables)); },
           "tables"_a)
      .def_prop_ro("bits", &splitc::MixModel::bits)
      .def_prop_ro("channels", &splitc::MixModel::channels)
      .def_prop_ro("has_previous_view", &splitc::MixModel::has_previous_view);
  auto learner = nb::class_<splitc::MixLearner>(m, "MixLearner");
  learner.def(nb::init<std::size_t>(), "rows"_a)
      .def("set_rate", &splitc::MixLearner::set_rate, "rate"_a)
      .def("result", &mix_result);
  bind_mix_symbols<std::uint8_t>(model, learner, "decode_u8");
  bind_mix_symbols<std::uint16_t>(model, learner, "decode_u16");
}

}  // namespace splitc_bind
