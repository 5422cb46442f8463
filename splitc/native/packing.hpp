// Symbols of `bits` bits back to back in bytes, least significant bit first (FORMAT.md, "zstd payload").
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "span.hpp"

namespace splitc {

inline std::size_t packed_size(std::size_t count, unsigned bits) { return (count * bits + 7) / 8; }

template <typename Symbol>
std::vector<std::uint8_t> pack_bits(Span<const Symbol> symbols, unsigned bits) {
  std::vector<std::uint8_t> packed;
  packed.reserve(packed_size(symbols.size, bits));
  std::uint32_t pending = 0;
  unsigned filled = 0;
  for (std::size_t i = 0; i < symbols.size; ++i) {
    const std::uint32_t symbol = symbols[i];
    if (symbol >> bits != 0)
      refuse_argument("symbol " + std::to_string(symbol) + " does not fit " + std::to_string(bits) + " bits.");
    pending |= symbol << filled;
    for (filled += bits; filled >= 8; filled -= 8, pending >>= 8) packed.push_back(static_cast<std::uint8_t>(pending));
  }
  if (filled != 0) packed.push_back(static_cast<std::uint8_t>(pending));
  return packed;
}

/// Inverse of `pack_bits`; `symbols` says how many there are.
template <typename Symbol>
void unpack_bits(ByteSpan packed, unsigned bits, Span<Symbol> symbols) {
  if (packed.size != packed_size(symbols.size, bits))
    refuse_payload("packed symbols: " + std::to_string(packed.size) + " bytes, needs " +
                   std::to_string(packed_size(symbols.size, bits)) + ".");
  const std::uint32_t mask = (1u << bits) - 1;
  std::uint32_t pending = 0;
  unsigned filled = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < symbols.size; ++i) {
    for (; filled < bits; filled += 8) pending |= static_cast<std::uint32_t>(packed[next++]) << filled;
    symbols[i] = static_cast<Symbol>(pending & mask);
    pending >>= bits;
    filled -= bits;
  }
  if (pending != 0) refuse_payload("packed symbols: unused bits of the last byte are not zero.");
}

}  // namespace splitc
