// N-run-length coding (IFMDC): the dominant symbol in runs, the others as they are. FORMAT.md, "nrle payload".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bits.hpp"
#include "packing.hpp"
#include "span.hpp"

namespace splitc {

/// The most frequent symbol, the smallest of several.
template <typename Symbol>
Symbol dominant_symbol(Span<const Symbol> symbols, unsigned bits) {
  std::vector<std::uint32_t> counts(std::size_t{1} << bits);
  for (std::size_t i = 0; i < symbols.size; ++i) ++counts[symbols[i]];
  return static_cast<Symbol>(std::max_element(counts.begin(), counts.end()) - counts.begin());
}

/// Packed symbols unless runs are shorter.
template <typename Symbol>
std::vector<std::uint8_t> nrle_encode(Span<const Symbol> symbols, unsigned bits) {
  auto packed = pack_bits<Symbol>(symbols, bits);  // refuses symbols that do not fit
  const Symbol dominant = dominant_symbol(symbols, bits);
  BitWriter out;
  out.put(dominant, bits);
  for (std::size_t i = 0; i < symbols.size;) {
    const std::size_t start = i;
    const Symbol symbol = symbols[i++];
    out.put(symbol, bits);
    if (symbol != dominant) continue;
    while (i < symbols.size && symbols[i] == dominant) ++i;
    out.put_gamma(static_cast<std::uint32_t>(i - start));
  }
  auto runs = out.finish();
  return runs.size() < packed.size() ? runs : packed;
}

template <typename Symbol>
void nrle_decode(ByteSpan payload, unsigned bits, Span<Symbol> symbols) {
  if (payload.size >= packed_size(symbols.size, bits)) return unpack_bits<Symbol>(payload, bits, symbols);
  BitReader in(payload, "nrle");
  const auto dominant = static_cast<Symbol>(in.take(bits));
  bool after_run = false;
  for (std::size_t i = 0; i < symbols.size && !in.overrun();) {
    const auto symbol = static_cast<Symbol>(in.take(bits));
    if (symbol != dominant) {
      symbols[i++] = symbol;
      after_run = false;
      continue;
    }
    if (after_run) in.refuse("Symbol", "goes on with a run that has ended");
    const std::size_t run = in.take_gamma("Run", static_cast<std::uint32_t>(symbols.size - i));
    std::fill_n(symbols.data + i, run, dominant);
    i += run;
    after_run = true;
  }
  in.finish();
}

}  // namespace splitc
