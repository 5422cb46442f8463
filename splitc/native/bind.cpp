// Python bindings: convert, release the GIL, map the one error type. No logic lives here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bind_arrays.hpp"
#include "bind_baselines.hpp"
#include "bind_mix.hpp"
#include "bind_motion.hpp"
#include "bind_rows.hpp"
#include "bind_scw.hpp"
#include "crc32c.hpp"
#include "packing.hpp"
#include "quantize.hpp"
#include "range_coder.hpp"
#include "rans_model.hpp"
#include "rans_symbols.hpp"
#include "simd.hpp"
#include "span.hpp"
#include "temporal.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace splitc_bind;

namespace {

std::uint32_t crc32c(const Bytes& data, std::uint32_t crc) {
  const auto span = span_of(data);
  nb::gil_scoped_release release;
  return splitc::crc32c(span, crc);
}

template <typename T>
using Previous = std::optional<Chunk<T>>;

/// Refuses symbols of the wrong width for `bits`, and a previous frame of another shape.
template <typename T>
splitc::SymbolChunk<T> symbol_chunk(unsigned bits, const T* symbols, const splitc::ChunkShape& shape,
                                    std::size_t first_plane, const Previous<T>& previous) {
  check_shape(shape);
  if (bits > 16 || (bits > 8) != (sizeof(T) == 2))
    splitc::refuse_argument("symbols of " + std::to_string(8 * sizeof(T)) + " bits given for a coder of " +
                            std::to_string(bits) + ".");
  if (!previous) return {symbols, nullptr, shape, first_plane};
  const auto theirs = shape_of(*previous);
  if (theirs.planes != shape.planes || theirs.height != shape.height || theirs.width != shape.width)
    splitc::refuse_argument("the previous frame's chunk has another shape.");
  splitc::check_symbols(span_of(*previous), bits);
  return {symbols, previous->data(), shape, first_plane};
}

template <typename T>
nb::bytes rans_encode(const splitc::RansModel& model, const Chunk<T>& symbols, std::size_t first_plane,
                      const Previous<T>& previous) {
  const auto chunk = symbol_chunk<T>(model.bits(), symbols.data(), shape_of(symbols), first_plane, previous);
  std::vector<std::uint8_t> payload;
  {
    nb::gil_scoped_release release;
    payload = splitc::rans_encode(model, chunk);
  }
  return bytes_from(payload);
}

template <typename T>
NewChunk<T> rans_decode(const splitc::RansModel& model, const Bytes& payload, std::size_t planes, std::size_t height,
                        std::size_t width, std::size_t first_plane, const Previous<T>& previous) {
  const auto chunk = symbol_chunk<T>(model.bits(), nullptr, {planes, height, width}, first_plane, previous);
  const auto span = span_of(payload);
  return new_chunk<T>(chunk.shape, [&](splitc::Span<T> symbols) {
    splitc::rans_decode(model, chunk, span, symbols.data);
  });
}

template <typename T>
nb::bytes rans_encode_alone(const Chunk<T>& symbols, unsigned bits) {
  check_bits<T>(bits);
  const auto chunk = symbol_chunk<T>(bits, symbols.data(), shape_of(symbols), 0, std::nullopt);
  std::vector<std::uint8_t> payload;
  {
    nb::gil_scoped_release release;
    payload = splitc::rans_encode_alone(chunk, bits);
  }
  return bytes_from(payload);
}

template <typename T>
NewChunk<T> rans_decode_alone(const Bytes& payload, unsigned bits, std::size_t planes, std::size_t height,
                              std::size_t width) {
  check_bits<T>(bits);
  const auto chunk = symbol_chunk<T>(bits, nullptr, {planes, height, width}, 0, std::nullopt);
  const auto span = span_of(payload);
  return new_chunk<T>(chunk.shape, [&](splitc::Span<T> symbols) {
    splitc::rans_decode_alone(chunk, bits, span, symbols.data);
  });
}

template <typename T>
nb::bytes range_encode(const Chunk<T>& symbols, unsigned bits) {
  const auto shape = shape_of(symbols);
  check_shape(shape);
  check_bits<T>(bits);
  const auto span = span_of(symbols);
  std::vector<std::uint8_t> payload;
  {
    nb::gil_scoped_release release;
    payload = splitc::range_encode<T>(span, shape, bits);
  }
  return bytes_from(payload);
}

template <typename T>
NewChunk<T> range_decode(const Bytes& payload, unsigned bits, std::size_t planes, std::size_t height,
                         std::size_t width) {
  const splitc::ChunkShape shape{planes, height, width};
  const auto span = span_of(payload);
  check_bits<T>(bits);
  return new_chunk<T>(shape, [&](splitc::Span<T> symbols) { splitc::range_decode<T>(span, shape, bits, symbols); });
}

template <typename T>
nb::bytes pack_bits(const Chunk<T>& symbols, unsigned bits) {
  check_shape(shape_of(symbols));
  check_bits<T>(bits);
  const auto span = span_of(symbols);
  std::vector<std::uint8_t> packed;
  {
    nb::gil_scoped_release release;
    packed = splitc::pack_bits<T>(span, bits);
  }
  return bytes_from(packed);
}

template <typename T>
NewChunk<T> unpack_bits(const Bytes& packed, unsigned bits, std::size_t planes, std::size_t height,
                        std::size_t width) {
  check_bits<T>(bits);
  const auto span = span_of(packed);
  return new_chunk<T>({planes, height, width},
                      [&](splitc::Span<T> symbols) { splitc::unpack_bits<T>(span, bits, symbols); });
}

constexpr unsigned kMostSymbol = 65535;

nb::object quantize_linear(const Rows<float>& x, const PerChannel& lo, const PerChannel& scale, unsigned top) {
  const auto shape = row_shape(x.shape(0), x.shape(1), lo.size());
  if (scale.size() != lo.size()) splitc::refuse_argument("lo and scale differ in length.");
  if (top > kMostSymbol) splitc::refuse_argument("top is " + std::to_string(top) + ", must be at most 65535.");
  const auto run = [&](auto* symbols) {
    splitc::quantize_linear(x.data(), shape, lo.data(), scale.data(), top, symbols);
  };
  return top <= 255 ? new_rows<std::uint8_t>(shape, run) : new_rows<std::uint16_t>(shape, run);
}

nb::object quantize_thresholds(const Rows<float>& x, const Rows<float>& thresholds) {
  const auto shape = row_shape(x.shape(0), x.shape(1), thresholds.shape(0));
  const std::size_t count = thresholds.shape(1);
  if (count > kMostSymbol) splitc::refuse_argument(std::to_string(count) + " thresholds, must be at most 65535.");
  const auto run = [&](auto* symbols) {
    splitc::quantize_thresholds(x.data(), shape, thresholds.data(), count, symbols);
  };
  return count <= 255 ? new_rows<std::uint8_t>(shape, run) : new_rows<std::uint16_t>(shape, run);
}

/// Refuses an alphabet that symbols of type T cannot have.
template <typename T>
void check_count(std::size_t count) {
  const std::size_t most = std::size_t{1} << (8 * sizeof(T));
  if (count < 1 || count > most)
    splitc::refuse_argument(std::to_string(count) + " symbols, must be 1.." + std::to_string(most) + ".");
}

template <typename T>
nb::object quantize_near(const Rows<float>& x, const Rows<T>& previous, const PerChannel& lo, const PerChannel& scale,
                         unsigned top, float rounding) {
  const auto shape = row_shape(x.shape(0), x.shape(1), lo.size());
  if (scale.size() != lo.size()) splitc::refuse_argument("lo and scale differ in length.");
  check_count<T>(std::size_t{top} + 1);
  check_alike(previous, shape.planes, shape.size);
  return new_rows<T>(shape, [&](T* symbols) {
    splitc::quantize_near(x.data(), previous.data(), shape, lo.data(), scale.data(), top, rounding, symbols);
  });
}

template <typename T>
nb::object quantize_adaptive(const Rows<float>& x, const Rows<T>& previous, const PerChannel& lo,
                             const PerChannel& scale, unsigned top, std::size_t channels, std::size_t width) {
  const std::size_t planes = x.shape(0), size = x.shape(1);
  if (scale.size() != lo.size()) splitc::refuse_argument("lo and scale differ in length.");
  if (channels == 0 || planes % channels != 0 || width == 0 || size % width != 0)
    splitc::refuse_argument("channels and width must divide the planes and their values.");
  if (lo.size() != 1 && lo.size() != channels) splitc::refuse_argument("lo has neither one value nor one a channel.");
  check_count<T>(std::size_t{top} + 1);
  check_alike(previous, planes, size);
  const splitc::SampleShape shape{channels, size / width, width};
  return new_rows<T>(splitc::RowShape{planes, size, 1}, [&](T* symbols) {
    splitc::AdaptiveZone zone(shape);
    for (std::size_t at = 0; at < planes * size; at += shape.size())
      zone(x.data() + at, previous.data() + at, lo.data(), scale.data(), lo.size(), static_cast<std::int32_t>(top),
           symbols + at);
  });
}

/// `Row` over all symbols at once: folding knows no channels.
template <template <typename> class Row, typename T>
nb::object against_previous(const Rows<T>& symbols, const Rows<T>& previous, std::size_t count) {
  const splitc::RowShape shape{symbols.shape(0), symbols.shape(1), 1};
  check_count<T>(count);
  check_alike(previous, shape.planes, shape.size);
  return new_rows<T>(shape, [&](T* to) {
    splitc::dispatch(Row<T>{symbols.data(), previous.data(), shape.planes * shape.size,
                            static_cast<std::int32_t>(count), to});
  });
}

template <typename T>
nb::object lookup_levels(const Rows<T>& symbols, const Rows<float>& levels) {
  const auto shape = row_shape(symbols.shape(0), symbols.shape(1), levels.shape(0));
  return new_rows<float>(shape, [&](float* x) {
    splitc::lookup_levels(symbols.data(), shape, levels.data(), levels.shape(1), x);
  });
}

template <typename T>
nb::object restore_affine(const Rows<T>& symbols, const PerChannel& gain, const PerChannel& bias) {
  const auto shape = row_shape(symbols.shape(0), symbols.shape(1), gain.size());
  if (gain.size() != bias.size()) splitc::refuse_argument("gain and bias differ in length.");
  return new_rows<float>(shape, [&](float* x) {
    splitc::restore_affine(symbols.data(), shape, gain.data(), bias.data(), x);
  });
}

const char* simd_name() {
  for (const splitc::NamedLevel& each : splitc::kNamedLevels)
    if (each.level == splitc::simd_level()) return each.name;
  return "scalar";
}

void raise_splitc_error(const std::exception_ptr& pointer, void*) {
  try {
    std::rethrow_exception(pointer);
  } catch (const splitc::Error& error) {
    const char* name = error.kind() == splitc::Error::Kind::kBitstream ? "BitstreamError" : "CodecError";
    PyErr_SetString(nb::module_::import_("splitc.errors").attr(name).ptr(), error.what());
  }
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "Native coders of splitc; splitc.codec.entropy is their public face.";
  nb::register_exception_translator(raise_splitc_error);

  m.def("crc32c", &crc32c, "data"_a, "crc"_a = 0);

  m.def("simd_name", &simd_name);
  m.def("quantize_linear", &quantize_linear, "x"_a.noconvert(), "lo"_a.noconvert(), "scale"_a.noconvert(), "top"_a);
  m.def("quantize_thresholds", &quantize_thresholds, "x"_a.noconvert(), "thresholds"_a.noconvert());
  m.def("quantize_near", &quantize_near<std::uint8_t>, "x"_a.noconvert(), "previous"_a.noconvert(),
        "lo"_a.noconvert(), "scale"_a.noconvert(), "top"_a, "rounding"_a);
  m.def("quantize_near", &quantize_near<std::uint16_t>, "x"_a.noconvert(), "previous"_a.noconvert(),
        "lo"_a.noconvert(), "scale"_a.noconvert(), "top"_a, "rounding"_a);
  m.def("fold_symbols", &against_previous<splitc::FoldRow, std::uint8_t>, "symbols"_a.noconvert(),
        "previous"_a.noconvert(), "count"_a);
  m.def("fold_symbols", &against_previous<splitc::FoldRow, std::uint16_t>, "symbols"_a.noconvert(),
        "previous"_a.noconvert(), "count"_a);
  m.def("unfold_symbols", &against_previous<splitc::UnfoldRow, std::uint8_t>, "residual"_a.noconvert(),
        "previous"_a.noconvert(), "count"_a);
  m.def("unfold_symbols", &against_previous<splitc::UnfoldRow, std::uint16_t>, "residual"_a.noconvert(),
        "previous"_a.noconvert(), "count"_a);
  m.def("quantize_adaptive", &quantize_adaptive<std::uint8_t>, "x"_a.noconvert(), "previous"_a.noconvert(),
        "lo"_a.noconvert(), "scale"_a.noconvert(), "top"_a, "channels"_a, "width"_a);
  m.def("quantize_adaptive", &quantize_adaptive<std::uint16_t>, "x"_a.noconvert(), "previous"_a.noconvert(),
        "lo"_a.noconvert(), "scale"_a.noconvert(), "top"_a, "channels"_a, "width"_a);
  m.def("lookup_levels", &lookup_levels<std::uint8_t>, "symbols"_a.noconvert(), "levels"_a.noconvert());
  m.def("lookup_levels", &lookup_levels<std::uint16_t>, "symbols"_a.noconvert(), "levels"_a.noconvert());
  m.def("restore_affine", &restore_affine<std::uint8_t>, "symbols"_a.noconvert(), "gain"_a.noconvert(),
        "bias"_a.noconvert());
  m.def("restore_affine", &restore_affine<std::uint16_t>, "symbols"_a.noconvert(), "gain"_a.noconvert(),
        "bias"_a.noconvert());

  nb::class_<splitc::RansModel>(m, "RansModel")
      .def("__init__",
           [](splitc::RansModel* self, const Bytes& tables) { new (self) splitc::RansModel(span_of(tables)); },
           "tables"_a)
      .def_prop_ro("bits", &splitc::RansModel::bits)
      .def_prop_ro("channels", &splitc::RansModel::channels)
      .def_prop_ro("has_previous_view", &splitc::RansModel::has_previous_view)
      .def("encode", &rans_encode<std::uint8_t>, "symbols"_a.noconvert(), "first_plane"_a,
           "previous"_a.noconvert().none() = nb::none())
      .def("encode", &rans_encode<std::uint16_t>, "symbols"_a.noconvert(), "first_plane"_a,
           "previous"_a.noconvert().none() = nb::none())
      .def("decode_u8", &rans_decode<std::uint8_t>, "payload"_a, "planes"_a, "height"_a, "width"_a, "first_plane"_a,
           "previous"_a.noconvert().none() = nb::none())
      .def("decode_u16", &rans_decode<std::uint16_t>, "payload"_a, "planes"_a, "height"_a, "width"_a,
           "first_plane"_a, "previous"_a.noconvert().none() = nb::none());

  bind_baselines(m);
  bind_mix(m);
  bind_motion(m);
  bind_scw(m);
  m.def("rans_encode_alone", &rans_encode_alone<std::uint8_t>, "symbols"_a.noconvert(), "bits"_a);
  m.def("rans_encode_alone", &rans_encode_alone<std::uint16_t>, "symbols"_a.noconvert(), "bits"_a);
  m.def("rans_decode_alone_u8", &rans_decode_alone<std::uint8_t>, "payload"_a, "bits"_a, "planes"_a, "height"_a,
        "width"_a);
  m.def("rans_decode_alone_u16", &rans_decode_alone<std::uint16_t>, "payload"_a, "bits"_a, "planes"_a, "height"_a,
        "width"_a);
  m.def("range_encode", &range_encode<std::uint8_t>, "symbols"_a.noconvert(), "bits"_a);
  m.def("range_encode", &range_encode<std::uint16_t>, "symbols"_a.noconvert(), "bits"_a);
  m.def("range_decode_u8", &range_decode<std::uint8_t>, "payload"_a, "bits"_a, "planes"_a, "height"_a, "width"_a);
  m.def("range_decode_u16", &range_decode<std::uint16_t>, "payload"_a, "bits"_a, "planes"_a, "height"_a, "width"_a);
  m.def("pack_bits", &pack_bits<std::uint8_t>, "symbols"_a.noconvert(), "bits"_a);
  m.def("pack_bits", &pack_bits<std::uint16_t>, "symbols"_a.noconvert(), "bits"_a);
  m.def("unpack_bits_u8", &unpack_bits<std::uint8_t>, "packed"_a, "bits"_a, "planes"_a, "height"_a, "width"_a);
  m.def("unpack_bits_u16", &unpack_bits<std::uint16_t>, "packed"_a, "bits"_a, "planes"_a, "height"_a, "width"_a);
}
