// Bindings of the papers' coders: N-run-length, Huffman, and truncated unary with adaptive bits.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <cstdint>

#include "bind_arrays.hpp"
#include "cohen.hpp"
#include "huffman.hpp"
#include "nrle.hpp"

namespace splitc_bind {

using Symbols8 = Chunk<std::uint8_t>;
using NewSymbols8 = NewChunk<std::uint8_t>;

template <typename T>
nb::bytes nrle_encode(const Chunk<T>& symbols, unsigned bits) {
  check_shape(shape_of(symbols));
  check_bits<T>(bits);
  return coded([&] { return splitc::nrle_encode<T>(span_of(symbols), bits); });
}

template <typename T>
NewChunk<T> nrle_decode(const Bytes& payload, unsigned bits, std::size_t planes, std::size_t height,
                        std::size_t width) {
  check_bits<T>(bits);
  return new_chunk<T>({planes, height, width},
                      [&](splitc::Span<T> out) { splitc::nrle_decode<T>(span_of(payload), bits, out); });
}

/// Binds a coder of up to 8 bits that needs nothing but the width of a symbol.
template <auto Encode>
nb::bytes encode8(const Symbols8& symbols, unsigned bits) {
  check_shape(shape_of(symbols));
  check_bits<std::uint8_t>(bits);
  return coded([&] { return Encode(span_of(symbols), bits); });
}

template <auto Decode>
NewSymbols8 decode8(const Bytes& payload, unsigned bits, std::size_t planes, std::size_t height, std::size_t width) {
  check_bits<std::uint8_t>(bits);
  return new_chunk<std::uint8_t>(
      {planes, height, width}, [&](splitc::Span<std::uint8_t> out) { Decode(span_of(payload), bits, out); });
}

inline nb::bytes huffman_model_encode(const splitc::HuffmanModel& model, const Symbols8& symbols) {
  check_shape(shape_of(symbols));
  return coded([&] { return model.encode(span_of(symbols)); });
}

inline NewSymbols8 huffman_model_decode(const splitc::HuffmanModel& model, const Bytes& payload, std::size_t planes,
                                        std::size_t height, std::size_t width) {
  return new_chunk<std::uint8_t>(
      {planes, height, width}, [&](splitc::Span<std::uint8_t> out) { model.decode(span_of(payload), out); });
}

inline nb::bytes huffman_lengths(const std::vector<std::uint64_t>& counts) {
  if (counts.size() > 256) splitc::refuse_argument("huffman: more than 256 symbols have no code lengths.");
  return bytes_from(splitc::code_lengths(counts));
}

inline void bind_baselines(nb::module_& m) {
  m.def("nrle_encode", &nrle_encode<std::uint8_t>, "symbols"_a.noconvert(), "bits"_a);
  m.def("nrle_encode", &nrle_encode<std::uint16_t>, "symbols"_a.noconvert(), "bits"_a);
  m.def("nrle_decode_u8", &nrle_decode<std::uint8_t>, "payload"_a, "bits"_a, "planes"_a, "height"_a, "width"_a);
  m.def("nrle_decode_u16", &nrle_decode<std::uint16_t>, "payload"_a, "bits"_a, "planes"_a, "height"_a, "width"_a);

  m.def("huffman_encode", &encode8<&splitc::huffman_encode>, "symbols"_a.noconvert(), "bits"_a);
  m.def("huffman_decode", &decode8<&splitc::huffman_decode>, "payload"_a, "bits"_a, "planes"_a, "height"_a, "width"_a);
  m.def("huffman_lengths", &huffman_lengths, "counts"_a);
  nb::class_<splitc::HuffmanModel>(m, "HuffmanModel")
      .def("__init__",
           [](splitc::HuffmanModel* self, const Bytes& tables) { new (self) splitc::HuffmanModel(span_of(tables)); },
           "tables"_a)
      .def_prop_ro("bits", &splitc::HuffmanModel::bits)
      .def("encode", &huffman_model_encode, "symbols"_a.noconvert())
      .def("decode", &huffman_model_decode, "payload"_a, "planes"_a, "height"_a, "width"_a);

  m.def("cohen_encode", &encode8<&splitc::cohen_encode>, "symbols"_a.noconvert(), "bits"_a);
  m.def("cohen_decode", &decode8<&splitc::cohen_decode>, "payload"_a, "bits"_a, "planes"_a, "height"_a, "width"_a);
}

}  // namespace splitc_bind
