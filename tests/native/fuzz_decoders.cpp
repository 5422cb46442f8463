// libFuzzer target: any payload, of any shape, through every native decoder. Refusals are fine; what decodes must encode.
//
// Input: decoder, bits, planes, height, width (one byte each), then the payload; see `read_input`.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "cohen.hpp"
#include "fuzz_tables.hpp"
#include "huffman.hpp"
#include "mix_coder.hpp"
#include "nrle.hpp"
#include "packing.hpp"
#include "range_coder.hpp"
#include "rans_symbols.hpp"

namespace {

using splitc::ByteSpan;
using splitc::ChunkShape;
using splitc::Span;

struct Input {
  unsigned decoder, bits;
  ChunkShape shape;
  ByteSpan payload;
};

/// Shapes of up to 1024 symbols, or 40 times as many where the first byte's highest bit is set.
Input read_input(const std::uint8_t* data, std::size_t size) {
  Input in{data[0] % 128u, 1 + data[1] % 16u, {}, {data + 5, size - 5}};
  const std::size_t more = data[0] >= 128 ? 40 : 1;
  in.shape = {(1 + data[2] % 16u) * more, 1 + data[3] % 8u, 1 + data[4] % 8u};
  return in;
}

template <typename Symbol>
void rans(const Input& in, bool has_previous) {
  const auto tables = fuzz::plain_tables(in.bits);
  const splitc::RansModel model({tables.data(), tables.size()});
  std::vector<Symbol> symbols(in.shape.size());
  const std::vector<Symbol> past(in.shape.size(), Symbol{1});
  const splitc::SymbolChunk<Symbol> chunk{symbols.data(), has_previous ? past.data() : nullptr, in.shape, 1};
  splitc::rans_decode(model, chunk, in.payload, symbols.data());
  const auto again = splitc::rans_encode(model, chunk);
  std::vector<Symbol> twice(symbols.size());
  splitc::rans_decode(model, {twice.data(), chunk.previous, in.shape, 1}, {again.data(), again.size()}, twice.data());
  if (twice != symbols) std::abort();
}

template <typename Symbol>
void rans_alone(const Input& in) {
  std::vector<Symbol> symbols(in.shape.size());
  const splitc::SymbolChunk<Symbol> chunk{symbols.data(), nullptr, in.shape, 0};
  splitc::rans_decode_alone(chunk, in.bits, in.payload, symbols.data());
  const auto again = splitc::rans_encode_alone(chunk, in.bits);
  std::vector<Symbol> twice(symbols.size());
  splitc::rans_decode_alone<Symbol>({twice.data(), nullptr, in.shape, 0}, in.bits, {again.data(), again.size()}, twice.data());
  if (twice != symbols) std::abort();
}

/// Made once each: they are large.
const splitc::MixModel& mix_model(unsigned bits, bool is_residual) {
  static std::map<std::pair<unsigned, bool>, splitc::MixModel> models;
  const std::pair<unsigned, bool> key{bits, is_residual};
  if (models.count(key) == 0) {
    const auto tables = fuzz::mix_tables(bits, is_residual);
    models.emplace(key, splitc::MixModel({tables.data(), tables.size()}));
  }
  return models.at(key);
}

template <typename Symbol>
void mix(const Input& in) {
  const bool is_residual = in.decoder % 2 != 0;
  const splitc::MixModel& model = mix_model(in.bits, is_residual);
  std::vector<Symbol> symbols(in.shape.size()), twice(symbols.size());
  const std::vector<Symbol> past(in.shape.size(), Symbol{1});
  const Symbol* const previous = is_residual ? past.data() : nullptr;
  splitc::mix_decode<Symbol>(model, in.payload, previous, in.shape, 1, {symbols.data(), symbols.size()});
  const auto again = splitc::mix_encode<Symbol>(model, {symbols.data(), symbols.size()}, previous, in.shape, 1);
  splitc::mix_decode<Symbol>(model, {again.data(), again.size()}, previous, in.shape, 1, {twice.data(), twice.size()});
  if (twice != symbols) std::abort();
}

template <typename Symbol>
void others(const Input& in) {
  std::vector<Symbol> symbols(in.shape.size());
  const Span<Symbol> out{symbols.data(), symbols.size()};
  const Span<const Symbol> got{symbols.data(), symbols.size()};
  if (in.decoder % 8 == 3) {
    splitc::range_decode<Symbol>(in.payload, in.shape, in.bits, out);
    const auto again = splitc::range_encode<Symbol>(got, in.shape, in.bits);
    std::vector<Symbol> twice(symbols.size());
    splitc::range_decode<Symbol>({again.data(), again.size()}, in.shape, in.bits, {twice.data(), twice.size()});
    if (twice != symbols) std::abort();
  } else if (in.decoder % 8 == 4) {
    splitc::unpack_bits<Symbol>(in.payload, in.bits, out);
    const auto again = splitc::pack_bits<Symbol>(got, in.bits);
    if (!std::equal(again.begin(), again.end(), in.payload.data, in.payload.data + in.payload.size)) std::abort();
  } else {
    splitc::nrle_decode<Symbol>(in.payload, in.bits, out);
  }
}

void narrow(const Input& in) {
  std::vector<std::uint8_t> symbols(in.shape.size());
  const Span<std::uint8_t> out{symbols.data(), symbols.size()};
  const unsigned bits = (in.bits - 1) % 8 + 1;
  in.decoder % 8 == 6 ? splitc::huffman_decode(in.payload, bits, out) : splitc::cohen_decode(in.payload, bits, out);
}

void decode(const Input& in) {
  const bool is_wide = in.bits > 8;
  if (in.decoder >= 120) return is_wide ? mix<std::uint16_t>(in) : mix<std::uint8_t>(in);
  switch (in.decoder % 8) {
    case 0:
    case 1: return is_wide ? rans<std::uint16_t>(in, in.decoder % 8 == 1) : rans<std::uint8_t>(in, in.decoder % 8 == 1);
    case 2: return is_wide ? rans_alone<std::uint16_t>(in) : rans_alone<std::uint8_t>(in);
    case 6:
    case 7: return narrow(in);
    default: return is_wide ? others<std::uint16_t>(in) : others<std::uint8_t>(in);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 5) return 0;
  const std::vector<std::uint8_t> exact(data, data + size);  // no spare capacity: reading past the end is seen
  try {
    decode(read_input(exact.data(), exact.size()));
  } catch (const splitc::Error&) {
  }
  return 0;
}
