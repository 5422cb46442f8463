// Symbols of 1 to 16 bits through the rANS coder: tokens, escapes, and tables in the payload (FORMAT.md, "rans").
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "low_bits.hpp"
#include "rans.hpp"
#include "rans_model.hpp"
#include "span.hpp"

namespace splitc {

/// Symbols of a chunk and, with a previous frame, that frame's (null without one).
template <typename Symbol>
struct SymbolChunk {
  const Symbol* symbols;
  const Symbol* previous;
  ChunkShape shape;
  std::size_t first_plane;
};

template <typename Symbol>
void check_symbols(Span<const Symbol> symbols, unsigned bits) {
  const unsigned largest = *std::max_element(symbols.data, symbols.data + symbols.size);
  if (largest >> bits != 0)
    refuse_argument("rans: symbol " + std::to_string(largest) + " does not fit " + std::to_string(bits) + " bits.");
}

inline unsigned token_of(unsigned symbol, const TokenRule& rule) {
  const unsigned above = (symbol >> rule.shift) - rule.base;  // wraps to a large number below the base
  return std::min(above, kEscape);
}

/// Bits of a symbol that stand beside its token.
inline unsigned extra_bits(unsigned token, const TokenRule& rule) { return token == kEscape ? rule.bits : rule.shift; }

/// The tokens of `count` symbols; narrow ones are their own.
class Tokens {
 public:
  Tokens(const std::uint8_t* symbols, std::size_t, const TokenRule&) : data_(symbols) {}
  Tokens(const std::uint16_t* symbols, std::size_t count, const TokenRule& rule) {
    if (symbols == nullptr) return;
    memory_.reset(new std::uint8_t[count]);
    for (std::size_t i = 0; i < count; ++i) memory_[i] = static_cast<std::uint8_t>(token_of(symbols[i], rule));
    data_ = memory_.get();
  }
  const std::uint8_t* data() const { return data_; }

 private:
  std::unique_ptr<std::uint8_t[]> memory_;
  const std::uint8_t* data_ = nullptr;
};

// -- low bits of wide symbols ------------------------------------------------------------------------------------

inline LowBitWriter low_bits_of(const std::uint8_t*, const std::uint8_t*, std::size_t, const TokenRule&) { return {}; }

inline LowBitWriter low_bits_of(const std::uint16_t* symbols, const std::uint8_t* tokens, std::size_t count,
                                const TokenRule& rule) {
  LowBitWriter bits;
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned extra = extra_bits(tokens[i], rule);
    bits.put(symbols[i] & ((1u << extra) - 1), extra);
  }
  return bits;
}

/// Symbols from tokens and low bits. An escape must be one: nothing has two codes.
inline void read_low_bits(InnerBits& bits, const std::uint8_t* tokens, std::size_t count, const TokenRule& rule,
                          std::uint16_t* symbols) {
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned extra = bits.take(extra_bits(tokens[i], rule));
    const unsigned symbol = tokens[i] == kEscape ? extra : (tokens[i] + rule.base) << rule.shift | extra;
    if (symbol >> rule.bits != 0 || token_of(symbol, rule) != tokens[i])
      refuse_payload("rans: an escaped symbol needs no escape, or a token stands for no symbol.");
    symbols[i] = static_cast<std::uint16_t>(symbol);
  }
}

// -- with given tables ---------------------------------------------------------------------------------------------

template <typename Symbol>
std::vector<std::uint8_t> rans_encode_with(const RansModel& model, const SymbolChunk<Symbol>& chunk,
                                           const LowBitWriter& head) {
  const std::size_t count = chunk.shape.size();
  const Tokens tokens(chunk.symbols, count, model.rule()), previous(chunk.previous, count, model.rule());
  return rans_encode_tokens(model, {tokens.data(), previous.data(), chunk.shape, chunk.first_plane}, head,
                            low_bits_of(chunk.symbols, tokens.data(), count, model.rule()));
}

template <typename Symbol>
std::vector<std::uint8_t> rans_encode(const RansModel& model, const SymbolChunk<Symbol>& chunk) {
  check_symbols(Span<const Symbol>{chunk.symbols, chunk.shape.size()}, model.bits());
  return rans_encode_with(model, chunk, LowBitWriter());
}

inline void rans_decode_with(const RansModel& model, const SymbolChunk<std::uint8_t>& chunk, const LowBitReader& bits,
                             ByteSpan payload, std::uint8_t* symbols) {
  rans_decode_tokens(model, {symbols, chunk.previous, chunk.shape, chunk.first_plane}, bits, payload).finish();
}

inline void rans_decode_with(const RansModel& model, const SymbolChunk<std::uint16_t>& chunk, const LowBitReader& bits,
                             ByteSpan payload, std::uint16_t* symbols) {
  const std::size_t count = chunk.shape.size();
  const Tokens previous(chunk.previous, count, model.rule());
  const std::unique_ptr<std::uint8_t[]> tokens(new std::uint8_t[count]);
  InnerBits low_bits = rans_decode_tokens(model, {tokens.get(), previous.data(), chunk.shape, chunk.first_plane}, bits,
                                          payload);
  read_low_bits(low_bits, tokens.get(), count, model.rule(), symbols);
  low_bits.finish();
}

/// Fills `symbols`, whose size is the chunk's.
template <typename Symbol>
void rans_decode(const RansModel& model, const SymbolChunk<Symbol>& chunk, ByteSpan payload, Symbol* symbols) {
  rans_decode_with(model, chunk, LowBitReader(payload, "rans: the states"), payload, symbols);
}

// -- with tables in the payload ------------------------------------------------------------------------------------

constexpr unsigned kShiftFieldBits = 4, kBaseFieldBits = 16;

/// Shift and base for the symbols at hand: the finest shift whose 255 tokens hold all but 1/64 of them.
inline TokenRule rule_for(const std::uint16_t* symbols, std::size_t count, unsigned bits) {
  std::vector<std::uint32_t> seen(std::size_t{1} << bits, 0);
  for (std::size_t i = 0; i < count; ++i) ++seen[symbols[i]];
  TokenRule rule{bits, 0, 0};
  for (rule.shift = 0; rule.shift < bits - kMaxTokenBits; ++rule.shift) {
    const std::size_t cells = seen.size(), last = cells - kEscape - 1;
    std::size_t inside = 0;
    for (std::size_t s = 0; s < kEscape; ++s) inside += seen[s];
    std::size_t best = inside;
    rule.base = 0;
    for (std::size_t base = 1; base <= last; ++base) {
      inside += seen[base + kEscape - 1];
      inside -= seen[base - 1];
      if (inside <= best) continue;
      best = inside;
      rule.base = static_cast<unsigned>(base);
    }
    if ((count - best) * 64 <= count) return rule;
    for (std::size_t s = 0; s < cells / 2; ++s) seen[s] = seen[2 * s] + seen[2 * s + 1];
    seen.resize(cells / 2);
  }
  rule.base = 0;
  return rule;
}
inline TokenRule rule_for(const std::uint8_t*, std::size_t, unsigned bits) { return {bits, 0, 0}; }

/// Frequencies of `count` tokens: about proportional, at least 1 where a token occurs, at most 4095, summing to 4096.
inline std::vector<std::uint32_t> frequencies_of(const std::uint8_t* tokens, std::size_t count, unsigned bits) {
  std::vector<std::uint32_t> frequencies(std::size_t{1} << bits, 0);
  for (std::size_t i = 0; i < count; ++i) ++frequencies[tokens[i]];
  std::uint32_t total = 0;
  for (auto& f : frequencies) {
    if (f != 0) f = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(std::uint64_t{f} * kProbabilityOne / count));
    f = std::min(f, kProbabilityOne - 1);
    total += f;
  }
  while (total != kProbabilityOne) {  // the largest takes the rest; where it would end at 4096, its neighbour gets one
    const auto largest = std::max_element(frequencies.begin(), frequencies.end());
    if (total > kProbabilityOne) {
      const std::uint32_t less = std::min(total - kProbabilityOne, *largest / 2);
      *largest -= less;
      total -= less;
    } else if (*largest + (kProbabilityOne - total) < kProbabilityOne) {
      *largest += kProbabilityOne - total;
      total = kProbabilityOne;
    } else {
      auto& other = frequencies[largest == frequencies.begin() ? 1 : 0];
      ++other;
      ++total;
    }
  }
  return frequencies;
}

inline void write_frequencies(LowBitWriter& bits, const std::vector<std::uint32_t>& frequencies) {
  for (const std::uint32_t f : frequencies) {
    unsigned length = 0;
    while (f >> length != 0) ++length;
    bits.put(length, kLengthFieldBits);
    if (length > 1) bits.put(f & ((1u << (length - 1)) - 1), length - 1);
  }
}

inline std::vector<std::uint32_t> read_frequencies(LowBitReader& bits, unsigned token_bits) {
  std::vector<std::uint32_t> frequencies(std::size_t{1} << token_bits, 0);
  std::uint32_t total = 0;
  for (auto& f : frequencies) {
    const unsigned length = bits.take(kLengthFieldBits);
    if (length > kProbabilityBits) refuse_payload("rans: a frequency has " + std::to_string(length) + " bits.");
    if (length != 0) f = 1u << (length - 1) | bits.take(length - 1);
    total += f;
  }
  if (total != kProbabilityOne)
    refuse_payload("rans: the payload's frequencies sum to " + std::to_string(total) + ", must be 4096.");
  return frequencies;
}

/// Codes a chunk with one table that travels before it; for streams without calibration.
template <typename Symbol>
std::vector<std::uint8_t> rans_encode_alone(const SymbolChunk<Symbol>& chunk, unsigned bits) {
  const std::size_t count = chunk.shape.size();
  check_symbols(Span<const Symbol>{chunk.symbols, count}, bits);
  const TokenRule rule = rule_for(chunk.symbols, count, bits);
  const Tokens tokens(chunk.symbols, count, rule);
  const auto frequencies = frequencies_of(tokens.data(), count, rule.token_bits());
  LowBitWriter head;
  if (rule.is_wide()) {
    head.put(rule.shift, kShiftFieldBits);
    head.put(rule.base, kBaseFieldBits);
  }
  write_frequencies(head, frequencies);
  return rans_encode_with(RansModel(rule, frequencies), chunk, head);
}

template <typename Symbol>
void rans_decode_alone(const SymbolChunk<Symbol>& chunk, unsigned bits, ByteSpan payload, Symbol* symbols) {
  LowBitReader in(payload, "rans: the frequencies and states");
  TokenRule rule{bits, 0, 0};
  if (rule.is_wide()) {
    rule.shift = in.take(kShiftFieldBits);
    rule.base = in.take(kBaseFieldBits);
    if (rule.shift > bits - kMaxTokenBits || rule.base > (1u << (bits - rule.shift)) - (1u << kMaxTokenBits))
      refuse_payload("rans: Shift or Base is out of range.");
  }
  const auto frequencies = read_frequencies(in, rule.token_bits());
  rans_decode_with(RansModel(rule, frequencies), chunk, in, payload, symbols);
}

}  // namespace splitc
