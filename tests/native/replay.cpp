// Decodes stored chunks and codes them again: the same bytes with every build and instruction set, or exit status 1.
// Prints how many, and a checksum of their symbols and of quantized fixed values.
//
//     replay CHUNKS
//
// CHUNKS is a run of cases: nine 32-bit integers (kind, bits, planes, height, width, first plane, and the sizes of the
// tables, the previous frame and the payload), then those three. Kinds: 1 rans, 2 range, 3 packed, 4 rans without tables,
// 5 levels of weights: the sides are outer, middle and inner, the chunk goes from the first level to the tensor's end,
// the tables are frequencies of 16 bits, and the classes stand in for the previous frame; 6 mix.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "crc32c.hpp"
#include "mix_coder.hpp"
#include "packing.hpp"
#include "quantize.hpp"
#include "range_coder.hpp"
#include "rans_symbols.hpp"
#include "scw_levels.hpp"

namespace {

using splitc::ByteSpan;
using Bytes = std::vector<std::uint8_t>;

struct Case {
  std::uint32_t kind, bits;
  splitc::ChunkShape shape;
  std::size_t first_plane;
  ByteSpan tables, previous, payload;
};

Case read_case(splitc::FieldReader& in) {
  Case c{};
  c.kind = in.u32("kind");
  c.bits = in.u32("bits");
  for (std::size_t* side : {&c.shape.planes, &c.shape.height, &c.shape.width, &c.first_plane}) *side = in.u32("size");
  const std::uint32_t tables = in.u32("tables"), previous = in.u32("previous"), payload = in.u32("payload");
  c.tables = in.take("tables", tables);
  c.previous = in.take("previous", previous);
  c.payload = in.take("payload", payload);
  return c;
}

template <typename Symbol>
std::vector<Symbol> symbols_from(ByteSpan bytes) {
  std::vector<Symbol> symbols(bytes.size / sizeof(Symbol));
  for (std::size_t i = 0; i < symbols.size(); ++i)
    symbols[i] = static_cast<Symbol>(sizeof(Symbol) == 1 ? bytes[i] : splitc::load_u16(bytes.data + 2 * i));
  return symbols;
}

/// Decodes into `symbols`; returns the payload that they give.
template <typename Symbol>
Bytes again(const Case& c, std::vector<Symbol>& symbols) {
  const splitc::Span<Symbol> out{symbols.data(), symbols.size()};
  const splitc::Span<const Symbol> in{symbols.data(), symbols.size()};
  const std::vector<Symbol> past = symbols_from<Symbol>(c.previous);
  const splitc::SymbolChunk<Symbol> chunk{symbols.data(), past.empty() ? nullptr : past.data(), c.shape, c.first_plane};
  if (c.kind == 1) {
    const splitc::RansModel model(c.tables);
    splitc::rans_decode(model, chunk, c.payload, symbols.data());
    return splitc::rans_encode(model, chunk);
  }
  if (c.kind == 2) {
    splitc::range_decode<Symbol>(c.payload, c.shape, c.bits, out);
    return splitc::range_encode<Symbol>(in, c.shape, c.bits);
  }
  if (c.kind == 6) {
    const splitc::MixModel model(c.tables);
    splitc::mix_decode<Symbol>(model, c.payload, chunk.previous, c.shape, c.first_plane, out);
    return splitc::mix_encode<Symbol>(model, in, chunk.previous, c.shape, c.first_plane);
  }
  if (c.kind == 3) {
    splitc::unpack_bits<Symbol>(c.payload, c.bits, out);
    return splitc::pack_bits<Symbol>(in, c.bits);
  }
  splitc::rans_decode_alone(chunk, c.bits, c.payload, symbols.data());
  return splitc::rans_encode_alone(chunk, c.bits);
}

/// Checksum of the symbols continued from `crc`.
template <typename Symbol>
std::uint32_t replay(const Case& c, std::uint32_t crc) {
  std::vector<Symbol> symbols(c.shape.size());
  const Bytes payload = again(c, symbols);
  const bool is_same = payload.size() == c.payload.size && std::equal(payload.begin(), payload.end(), c.payload.data);
  if (!is_same) throw std::runtime_error("the symbols of a chunk give other bytes");
  for (const Symbol s : symbols) {
    const std::uint8_t bytes[] = {static_cast<std::uint8_t>(s), static_cast<std::uint8_t>(s >> 8)};
    crc = splitc::crc32c({bytes, 2}, crc);
  }
  return crc;
}

template <typename T>
std::uint32_t checksum_of(const std::vector<T>& values, std::uint32_t crc) {
  return splitc::crc32c({reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(T)}, crc);
}

/// The same of a chunk of levels, and of their values.
std::uint32_t replay_levels(const Case& c, std::uint32_t crc) {
  const auto frequencies = symbols_from<std::uint16_t>(c.tables);
  const splitc::ScwTables tables({frequencies.data(), frequencies.size()});
  const std::uint8_t* const classes = c.previous.data;
  const splitc::ScwClasses sides{{classes, c.shape.planes},
                                 {classes + c.shape.planes, c.shape.height},
                                 {classes + c.shape.planes + c.shape.height, c.shape.width}};
  std::vector<std::int32_t> levels(c.shape.size() - c.first_plane);
  splitc::scw_decode_levels(tables, c.payload, sides, c.first_plane, {levels.data(), levels.size()});
  const Bytes payload = splitc::scw_encode(tables, {levels.data(), levels.size()}, sides, c.first_plane);
  const bool is_same = payload.size() == c.payload.size && std::equal(payload.begin(), payload.end(), c.payload.data);
  if (!is_same) throw std::runtime_error("the levels of a chunk give other bytes");
  const std::vector<float> steps(c.shape.planes, 0.3f);
  std::vector<float> values(levels.size());
  splitc::scw_decode_values(tables, c.payload, sides, c.first_plane, steps.data(), {values.data(), values.size()});
  return checksum_of(values, checksum_of(levels, crc));
}

/// Checksum of what the quantizers make of fixed values, ties and infinities among them.
std::uint32_t quantized(std::uint32_t crc) {
  const splitc::RowShape shape{6, 333, 3};
  std::vector<float> x(shape.planes * shape.size), edges(3 * 255), restored(x.size());
  std::uint32_t random = 1;
  for (float& value : x) {
    random = random * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<std::int32_t>(random) >> 8) / ((random & 1u) != 0 ? 1048576.0f : 3e5f);
  }
  x[5] = std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < edges.size(); ++i) edges[i] = static_cast<float>(i % 255) / 7.0f - 18.0f;
  const std::vector<float> lo{-3.1f, 0.0f, 0.3f}, scale{2.5f, 7.77f, 0.1f};
  std::vector<std::uint8_t> narrow(x.size());
  std::vector<std::uint16_t> wide(x.size());
  for (const unsigned top : {1u, 15u, 255u}) {
    splitc::quantize_linear(x.data(), shape, lo.data(), scale.data(), top, narrow.data());
    crc = checksum_of(narrow, crc);
    splitc::lookup_levels(narrow.data(), {6, 333, 1}, edges.data(), top + 1, restored.data());
    crc = checksum_of(restored, crc);
  }
  splitc::quantize_linear(x.data(), shape, lo.data(), scale.data(), 4095, wide.data());
  crc = checksum_of(wide, crc);
  for (const std::size_t count : {15, 255}) {
    splitc::quantize_thresholds(x.data(), {6, 333, 1}, edges.data(), count, narrow.data());
    crc = checksum_of(narrow, crc);
  }
  return crc;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  std::ifstream file(arguments[1], std::ios::binary);
  const Bytes bytes{std::istreambuf_iterator<char>(file), {}};
  int cases = 0;
  std::uint32_t crc = 0;
  try {
    splitc::FieldReader in({bytes.data(), bytes.size()}, arguments[1]);
    for (; !in.done(); ++cases) {
      const Case c = read_case(in);
      if (c.kind == 5) crc = replay_levels(c, crc);
      else crc = c.bits <= 8 ? replay<std::uint8_t>(c, crc) : replay<std::uint16_t>(c, crc);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "case %d: %s\n", cases, error.what());
    return 1;
  }
  std::printf("%d cases, symbols %08x\n", cases, quantized(crc));
  return 0;
}
