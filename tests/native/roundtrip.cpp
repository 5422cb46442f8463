// Round trips and garbage through the native coders, for the sanitizers. Prints the number of cases.
#include <algorithm>
#include <cstdio>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "cohen.hpp"
#include "fuzz_tables.hpp"
#include "huffman.hpp"
#include "mix_coder.hpp"
#include "motion.hpp"
#include "nrle.hpp"
#include "packing.hpp"
#include "range_coder.hpp"
#include "quantize.hpp"
#include "rans_model.hpp"
#include "rans_symbols.hpp"
#include "scw_levels.hpp"

namespace {

using splitc::ByteSpan;
using splitc::ChunkShape;
using splitc::Span;

std::uint32_t random_state = 1;
std::uint32_t random_below(std::uint32_t bound) {
  random_state = random_state * 1664525u + 1013904223u;
  return (random_state >> 8) % bound;
}

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

using fuzz::mix_tables;
using fuzz::plain_tables;

template <typename Symbol>
std::vector<Symbol> random_symbols(const ChunkShape& shape, unsigned bits) {
  std::vector<Symbol> x(shape.size());
  for (auto& v : x) v = static_cast<Symbol>(random_below(4) != 0 ? 0 : random_below(1u << bits));
  return x;
}

void damage(std::vector<std::uint8_t>& payload) {
  if (random_below(3) == 0) payload.resize(random_below(static_cast<std::uint32_t>(payload.size()) + 1));
  if (random_below(3) == 0) payload.push_back(static_cast<std::uint8_t>(random_below(256)));
  for (auto& byte : payload)
    if (random_below(16) == 0) byte = static_cast<std::uint8_t>(random_below(256));
}

/// `decode(payload, out)` must return the symbols from the payload and survive damaged ones.
template <typename Symbol, typename Decode>
void check(const std::vector<Symbol>& x, std::vector<std::uint8_t> payload, const Decode& decode) {
  std::vector<Symbol> out(x.size());
  decode(ByteSpan{payload.data(), payload.size()}, Span<Symbol>{out.data(), out.size()});
  expect(out == x, "round trip");
  for (int i = 0; i < 20; ++i) {
    damage(payload);
    const std::vector<std::uint8_t> exact(payload);  // no spare capacity: reading past the end is seen
    try {
      decode(ByteSpan{exact.data(), exact.size()}, Span<Symbol>{out.data(), out.size()});
    } catch (const splitc::Error&) {
    }
  }
}

template <typename Symbol>
void check_rans(const ChunkShape& shape, unsigned bits) {
  const auto tables = plain_tables(bits);
  const splitc::RansModel model({tables.data(), tables.size()});
  const auto x = random_symbols<Symbol>(shape, bits), past = random_symbols<Symbol>(shape, bits);
  for (const Symbol* previous : {static_cast<const Symbol*>(nullptr), past.data()})
    check(x, splitc::rans_encode(model, splitc::SymbolChunk<Symbol>{x.data(), previous, shape, 1}),
          [&](ByteSpan bytes, Span<Symbol> out) {
            splitc::rans_decode(model, splitc::SymbolChunk<Symbol>{nullptr, previous, shape, 1}, bytes, out.data);
          });
  const splitc::SymbolChunk<Symbol> alone{x.data(), nullptr, shape, 0};
  check(x, splitc::rans_encode_alone(alone, bits), [&](ByteSpan bytes, Span<Symbol> out) {
    splitc::rans_decode_alone(splitc::SymbolChunk<Symbol>{nullptr, nullptr, shape, 0}, bits, bytes, out.data);
  });
}

template <typename Symbol>
void check_mix(const ChunkShape& shape, unsigned bits) {
  const auto x = random_symbols<Symbol>(shape, bits), past = random_symbols<Symbol>(shape, bits);
  for (const bool is_residual : {false, true}) {
    const auto tables = mix_tables(bits, is_residual);
    const splitc::MixModel model({tables.data(), tables.size()});
    const Symbol* const previous = is_residual ? past.data() : nullptr;
    check(x, splitc::mix_encode<Symbol>(model, {x.data(), x.size()}, previous, shape, 1),
          [&](ByteSpan bytes, Span<Symbol> out) {
            splitc::mix_decode<Symbol>(model, bytes, previous, shape, 1, out);
          });
  }
}

template <typename Symbol>
void check_range_and_packing(const ChunkShape& shape, unsigned bits) {
  const auto x = random_symbols<Symbol>(shape, bits);
  const Span<const Symbol> span{x.data(), x.size()};
  check(x, splitc::range_encode<Symbol>(span, shape, bits),
        [&](ByteSpan bytes, Span<Symbol> out) { splitc::range_decode<Symbol>(bytes, shape, bits, out); });
  check(x, splitc::pack_bits<Symbol>(span, bits),
        [&](ByteSpan bytes, Span<Symbol> out) { splitc::unpack_bits<Symbol>(bytes, bits, out); });
}

template <typename Symbol>
void check_nrle(const ChunkShape& shape, unsigned bits) {
  const auto x = random_symbols<Symbol>(shape, bits);
  check(x, splitc::nrle_encode<Symbol>({x.data(), x.size()}, bits),
        [&](ByteSpan bytes, Span<Symbol> out) { splitc::nrle_decode<Symbol>(bytes, bits, out); });
}

/// Tables of equally long codes.
std::vector<std::uint8_t> flat_huffman_tables(unsigned bits) {
  std::vector<std::uint8_t> t = {'S', 'H', 'U', 'F', 1, static_cast<std::uint8_t>(bits)};
  t.insert(t.end(), std::size_t{1} << bits, static_cast<std::uint8_t>(bits));
  const std::uint32_t crc = splitc::crc32c({t.data(), t.size()});
  for (int k = 0; k < 4; ++k) t.push_back(static_cast<std::uint8_t>(crc >> 8 * k));
  return t;
}

void check_huffman_and_cohen(const ChunkShape& shape, unsigned bits) {
  const auto x = random_symbols<std::uint8_t>(shape, bits);
  const Span<const std::uint8_t> span{x.data(), x.size()};
  const auto tables = flat_huffman_tables(bits);
  const splitc::HuffmanModel model({tables.data(), tables.size()});
  using Out = Span<std::uint8_t>;
  check(x, model.encode(span), [&](ByteSpan bytes, Out out) { model.decode(bytes, out); });
  check(x, splitc::huffman_encode(span, bits),
        [&](ByteSpan bytes, Out out) { splitc::huffman_decode(bytes, bits, out); });
  check(x, splitc::cohen_encode(span, bits), [&](ByteSpan bytes, Out out) { splitc::cohen_decode(bytes, bits, out); });
}

void check_tables(unsigned bits) {
  const auto good = plain_tables(bits), huffman = flat_huffman_tables(bits), mix = mix_tables(bits, false);
  for (int i = 0; i < 300; ++i) {
    auto tables = i % 3 == 0 ? good : i % 3 == 1 ? huffman : mix;
    damage(tables);
    const std::vector<std::uint8_t> exact(tables);
    try {
      if (i % 3 == 0) splitc::RansModel model({exact.data(), exact.size()});
      else if (i % 3 == 2) splitc::MixModel model({exact.data(), exact.size()});
      else splitc::HuffmanModel model({exact.data(), exact.size()});
    } catch (const splitc::Error&) {
    }
  }
}

/// Frequencies of three contexts: flat, steep, and for small levels alone.
std::vector<std::uint16_t> level_frequencies() {
  std::vector<std::uint16_t> f(3 * splitc::kScwTokens, 16);
  for (std::size_t token = 0; token < splitc::kScwTokens; ++token) {
    f[splitc::kScwTokens + token] = token == splitc::kScwZero ? 4096 - 255 : 1;
    f[2 * splitc::kScwTokens + token] = token >= 112 && token < 144 ? 128 : 0;
  }
  return f;
}

std::vector<std::uint8_t> random_classes(std::size_t size, std::uint32_t middle) {
  std::vector<std::uint8_t> classes(size);
  for (auto& one : classes) one = static_cast<std::uint8_t>(middle + random_below(3) - 1);
  return classes;
}

/// A chunk that begins within a tensor; levels beyond the tokens are escapes. Values come by another way than levels.
void check_levels(std::size_t outer, std::size_t middle, std::size_t inner) {
  const auto frequencies = level_frequencies();
  const splitc::ScwTables tables({frequencies.data(), frequencies.size()});
  const auto a = random_classes(outer, 1), b = random_classes(middle, 32), c = random_classes(inner, 32);
  const splitc::ScwClasses classes{{a.data(), a.size()}, {b.data(), b.size()}, {c.data(), c.size()}};
  const std::size_t first = random_below(static_cast<std::uint32_t>(classes.size()));
  std::vector<std::int32_t> x(classes.size() - first);
  std::vector<std::uint8_t> context(x.size());
  splitc::scw_contexts(classes, tables.contexts(), first, x.size(), context.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<std::int32_t>(random_below(32)) - 16;
    if (context[i] != 2 && random_below(50) == 0) x[i] *= 1 << 20;
  }
  const auto payload = splitc::scw_encode(tables, {x.data(), x.size()}, classes, first);
  check(x, payload, [&](ByteSpan bytes, Span<std::int32_t> out) {
    splitc::scw_decode_levels(tables, bytes, classes, first, out);
  });
  std::vector<float> expected(x.size());
  const std::vector<float> steps(outer, 0.5f);
  for (std::size_t i = 0; i < x.size(); ++i) expected[i] = static_cast<float>(x[i]) * 0.5f;
  check(expected, payload, [&](ByteSpan bytes, Span<float> out) {
    splitc::scw_decode_values(tables, bytes, classes, first, steps.data(), out);
  });
}

void check_quantizers() {
  for (std::size_t size : {1, 17, 64, 200}) {
    const std::vector<float> x(6 * size, 1.25f), lo{0, -1}, scale{2, 3}, edges(2 * 255, 1.0f);
    const splitc::RowShape shape{6, size, 2};
    std::vector<std::uint8_t> symbols(x.size());
    std::vector<float> restored(x.size());
    splitc::quantize_linear(x.data(), shape, lo.data(), scale.data(), 255, symbols.data());
    expect(symbols[0] == 2 && symbols[size] == 7, "linear");
    for (std::size_t count : {0, 15, 32, 255}) {
      splitc::quantize_thresholds(x.data(), shape, edges.data(), count, symbols.data());
      expect(symbols.back() == count, "thresholds");
    }
    splitc::lookup_levels(symbols.data(), {6, size, 1}, edges.data(), 256, restored.data());
    expect(restored.back() == 1.0f, "levels");
  }
}

/// Any bytes as a field: refused, or a prediction within the map; what the search finds is never refused.
void check_motion(const splitc::SampleShape& shape) {
  const splitc::BlockShape blocks(shape);
  const std::vector<std::int32_t> flat(shape.channels, 7);
  const std::vector<float> lo{-3.0f}, scale{2.0f};
  std::vector<float> x(shape.size());
  std::vector<std::uint8_t> before(shape.size()), predicted(shape.size());
  std::vector<std::uint8_t> field(splitc::kFieldPlanes * blocks.count()), found(field.size());
  for (int i = 0; i < 20; ++i) {
    for (auto& value : x) value = static_cast<float>(random_below(1000)) * 0.01f;
    for (auto& symbol : before) symbol = static_cast<std::uint8_t>(random_below(32));
    for (auto& component : field) component = static_cast<std::uint8_t>(random_below(i < 10 ? 31 : 33));
    try {
      splitc::predict_moved(before.data(), shape, field.data(), flat.data(), predicted.data());
    } catch (const splitc::Error&) {
      std::fill(field.begin(), field.end(), std::uint8_t{30});
    }
    splitc::MotionSearch search(shape, true);
    search(x.data(), before.data(), lo.data(), scale.data(), 1, flat.data(), field.data(), found.data());
    splitc::predict_moved(before.data(), shape, found.data(), flat.data(), predicted.data());
  }
}

}  // namespace

int main() {
  const ChunkShape shapes[] = {{1, 1, 1}, {5, 1, 1}, {2, 9, 1}, {2, 1, 9}, {7, 5, 6}, {33, 25, 24}, {16500, 1, 1}, {3, 80, 80}, {40, 33, 31}};
  int cases = 0;
  for (const auto& shape : shapes)
    for (unsigned bits = 1; bits <= 16; ++bits, ++cases) {
      bits <= 8 ? check_rans<std::uint8_t>(shape, bits) : check_rans<std::uint16_t>(shape, bits);
      if (shape.size() < 3000) bits <= 8 ? check_mix<std::uint8_t>(shape, bits) : check_mix<std::uint16_t>(shape, bits);
      if (bits <= 8) check_range_and_packing<std::uint8_t>(shape, bits);
      if (bits <= 8) check_huffman_and_cohen(shape, bits);
      if (bits <= 8) check_nrle<std::uint8_t>(shape, bits);
      check_nrle<std::uint16_t>(shape, bits);
      check_range_and_packing<std::uint16_t>(shape, bits);
    }
  for (unsigned bits = 1; bits <= 16; ++bits) check_tables(bits);
  const std::size_t sides[][3] = {{1, 1, 1}, {3, 5, 9}, {64, 1, 9}, {40, 31, 9}, {200, 96, 1}, {2, 300, 49}};
  for (const auto& side : sides)
    for (int i = 0; i < 10; ++i, ++cases) check_levels(side[0], side[1], side[2]);
  check_quantizers();
  for (const splitc::SampleShape& shape : {splitc::SampleShape{1, 1, 1}, {3, 5, 7}, {40, 2, 9}, {2, 12, 1}})
    check_motion(shape);
  std::printf("%d cases\n", cases);
  return 0;
}
