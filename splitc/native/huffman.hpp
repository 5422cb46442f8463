// Canonical Huffman coding with lengths of at most 15 bits. FORMAT.md, "huffman payload".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bits.hpp"
#include "bytes.hpp"
#include "crc32c.hpp"
#include "span.hpp"

namespace splitc {

constexpr unsigned kLongestCode = 15;
constexpr unsigned kMostHuffmanBits = 8;
using CodeLengths = std::vector<std::uint8_t>;  // one a symbol; 0: no code

/// Lengths of least total size for `counts`, none above 15 (package-merge: Larmore and Hirschberg 1990).
///
/// A level is the sorted list of all used symbols and of the pairs of the level below it; the first 2n - 2 items of the
/// last level, followed down, say how often each symbol is taken: that is its length. Symbols come before pairs of the
/// same count, and smaller symbols before larger ones.
inline CodeLengths code_lengths(const std::vector<std::uint64_t>& counts) {
  std::vector<std::size_t> used;
  for (std::size_t s = 0; s < counts.size(); ++s)
    if (counts[s] != 0) used.push_back(s);
  std::stable_sort(used.begin(), used.end(), [&](auto a, auto b) { return counts[a] < counts[b]; });
  CodeLengths lengths(counts.size());
  if (used.size() == 1) lengths[used[0]] = 1;
  if (used.size() < 2) return lengths;

  std::vector<std::vector<bool>> is_symbol(kLongestCode);
  std::vector<std::uint64_t> below;
  for (auto& level : is_symbol) {
    std::vector<std::uint64_t> items;
    for (std::size_t s = 0, pair = 0; s < used.size() || pair + 1 < below.size();) {
      const bool has_pair = pair + 1 < below.size();
      const std::uint64_t sum = has_pair ? below[pair] + below[pair + 1] : 0;
      level.push_back(s < used.size() && (!has_pair || counts[used[s]] <= sum));
      items.push_back(level.back() ? counts[used[s]] : sum);
      if (level.back()) ++s;
      else pair += 2;
    }
    below = std::move(items);
  }
  std::size_t taken = 2 * used.size() - 2;
  for (unsigned level = kLongestCode; level-- > 0;) {
    const auto end = is_symbol[level].begin() + static_cast<std::ptrdiff_t>(std::min(taken, is_symbol[level].size()));
    const auto symbols = static_cast<std::size_t>(std::count(is_symbol[level].begin(), end, true));
    for (std::size_t i = 0; i < symbols; ++i) ++lengths[used[i]];
    taken = 2 * (taken - symbols);
  }
  return lengths;
}

/// Codes of given lengths: shorter ones first, equally long ones by symbol, counting upwards.
class HuffmanCode {
 public:
  /// Refuses lengths that leave codes over or share them. One symbol alone has length 1 and takes no bits.
  explicit HuffmanCode(CodeLengths lengths) : lengths_(std::move(lengths)), codes_(lengths_.size()) {
    std::uint32_t next = 0;
    for (unsigned length = 1; length <= kLongestCode; ++length, next <<= 1)
      for (std::size_t s = 0; s < lengths_.size(); ++s)
        if (lengths_[s] == length) codes_[s] = next++, ++used_, only_ = s;
    const bool is_complete = next == 2u << kLongestCode;
    if (used_ == 1 ? lengths_[only_] != 1 : !is_complete)
      refuse_payload("huffman: the code lengths do not make a complete code.");
  }

  const CodeLengths& lengths() const { return lengths_; }

  template <typename Symbol>
  void encode(Span<const Symbol> symbols, BitWriter& out) const {
    for (std::size_t i = 0; i < symbols.size; ++i) {
      if (symbols[i] >= lengths_.size() || lengths_[symbols[i]] == 0)
        refuse_argument("huffman: symbol " + std::to_string(symbols[i]) + " has no code.");
      if (used_ > 1) out.put(codes_[symbols[i]], lengths_[symbols[i]]);
    }
  }

  template <typename Symbol>
  void decode(BitReader& in, Span<Symbol> symbols) const {
    if (used_ == 1) {
      std::fill_n(symbols.data, symbols.size, static_cast<Symbol>(only_));
      return;
    }
    const auto table = lookup();
    for (std::size_t i = 0; i < symbols.size && !in.overrun(); ++i) {
      const std::size_t symbol = table[in.peek(kLongestCode)];
      in.skip(lengths_[symbol]);
      symbols[i] = static_cast<Symbol>(symbol);
    }
  }

 private:
  /// Symbol by the next 15 bits.
  std::vector<std::uint8_t> lookup() const {
    std::vector<std::uint8_t> table(std::size_t{1} << kLongestCode);
    for (std::size_t s = 0; s < lengths_.size(); ++s)
      if (lengths_[s] != 0)
        std::fill_n(table.begin() + (static_cast<std::ptrdiff_t>(codes_[s]) << (kLongestCode - lengths_[s])),
                    std::size_t{1} << (kLongestCode - lengths_[s]), static_cast<std::uint8_t>(s));
    return table;
  }

  CodeLengths lengths_;
  std::vector<std::uint32_t> codes_;
  std::size_t used_ = 0, only_ = 0;
};

/// Lengths in 4 bits each; after a zero, Elias gamma of how many zeros stand in a row.
inline void put_lengths(const CodeLengths& lengths, BitWriter& out) {
  for (std::size_t s = 0; s < lengths.size();) {
    const std::size_t start = s;
    out.put(lengths[s++], 4);
    if (lengths[start] != 0) continue;
    while (s < lengths.size() && lengths[s] == 0) ++s;
    out.put_gamma(static_cast<std::uint32_t>(s - start));
  }
}

inline CodeLengths take_lengths(unsigned bits, BitReader& in) {
  CodeLengths lengths(std::size_t{1} << bits);
  bool after_zeros = false;
  for (std::size_t s = 0; s < lengths.size();) {
    lengths[s] = static_cast<std::uint8_t>(in.take(4));
    const bool is_zero = lengths[s] == 0;
    if (is_zero && after_zeros) in.refuse("Length", "goes on with a run of zeros that has ended");
    s += is_zero ? in.take_gamma("Zeros", static_cast<std::uint32_t>(lengths.size() - s)) : 1;
    after_zeros = is_zero;
  }
  return lengths;
}

inline std::vector<std::uint64_t> symbol_counts(Span<const std::uint8_t> symbols, unsigned bits) {
  std::vector<std::uint64_t> counts(256);
  for (std::size_t i = 0; i < symbols.size; ++i) ++counts[symbols[i]];
  for (std::size_t s = 256; s-- > std::size_t{1} << bits;)
    if (counts[s] != 0)
      refuse_argument("huffman: symbol " + std::to_string(s) + " does not fit " + std::to_string(bits) + " bits.");
  counts.resize(std::size_t{1} << bits);
  return counts;
}

/// Lengths of this chunk, then its codes.
inline std::vector<std::uint8_t> huffman_encode(Span<const std::uint8_t> symbols, unsigned bits) {
  const HuffmanCode code(code_lengths(symbol_counts(symbols, bits)));
  BitWriter out;
  put_lengths(code.lengths(), out);
  code.encode(symbols, out);
  return out.finish();
}

inline void huffman_decode(ByteSpan payload, unsigned bits, Span<std::uint8_t> symbols) {
  BitReader in(payload, "huffman");
  HuffmanCode(take_lengths(bits, in)).decode(in, symbols);
  in.finish();
}

/// A code that calibration fixed. Tables: FORMAT.md, "Huffman tables".
class HuffmanModel {
 public:
  explicit HuffmanModel(ByteSpan tables) : code_(read(tables)) {}

  unsigned bits() const {
    unsigned bits = 0;
    while (code_.lengths().size() >> (bits + 1) != 0) ++bits;
    return bits;
  }

  std::vector<std::uint8_t> encode(Span<const std::uint8_t> symbols) const {
    symbol_counts(symbols, bits());  // refuses symbols that do not fit
    BitWriter out;
    code_.encode(symbols, out);
    return out.finish();
  }

  void decode(ByteSpan payload, Span<std::uint8_t> symbols) const {
    BitReader in(payload, "huffman");
    code_.decode(in, symbols);
    in.finish();
  }

 private:
  static HuffmanCode read(ByteSpan tables) {
    FieldReader in(tables, "huffman tables");
    const ByteSpan magic = in.take("Magic", 4);
    if (!std::equal(magic.data, magic.data + 4, "SHUF")) in.fail("Magic", "is not 'SHUF'.");
    in.u8_in("Version", 1, 1);
    const unsigned bits = in.u8_in("Bits", 1, kMostHuffmanBits);
    const ByteSpan lengths = in.take("Lengths", std::size_t{1} << bits);
    std::uint32_t sum = 0;
    for (std::size_t s = 0; s < lengths.size; ++s) {
      if (lengths[s] < 1 || lengths[s] > kLongestCode) in.fail("Lengths", "has a value outside 1..15.");
      sum += 1u << (kLongestCode - lengths[s]);
    }
    if (sum != 1u << kLongestCode) in.fail("Lengths", "does not make a complete code.");
    const std::size_t end = in.offset();
    if (in.u32("Checksum") != crc32c({tables.data, end})) in.fail("Checksum", "does not match.");
    if (!in.done()) in.fail("Checksum", "is followed by extra bytes.");
    return HuffmanCode(CodeLengths(lengths.data, lengths.data + lengths.size));
  }

  HuffmanCode code_;
};

}  // namespace splitc
