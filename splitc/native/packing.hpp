// Symbols of `bits` bits back to back in bytes, least significant bit first (FORMAT.md, "zstd payload").
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "span.hpp"

namespace splitc {

inline std::size_t packed_size(std::size_t count, unsigned bits) { return (count * bits + 7) / 8; }

/// Whole bytes of symbols whose width divides 8: no state from byte to byte, so compilers vectorize it.
/// Returns the number of symbols packed.
template <unsigned kBits, typename Symbol>
std::size_t pack_whole_bytes(Span<const Symbol> symbols, std::uint8_t* packed) {
  constexpr std::size_t kEach = 8 / kBits;
  const std::size_t bytes = symbols.size / kEach;
  for (std::size_t i = 0; i < bytes; ++i) {
    unsigned byte = 0;
    for (std::size_t k = 0; k < kEach; ++k) byte |= static_cast<unsigned>(symbols[i * kEach + k]) << k * kBits;
    packed[i] = static_cast<std::uint8_t>(byte);
  }
  return bytes * kEach;
}

/// Inverse of `pack_whole_bytes`.
template <unsigned kBits, typename Symbol>
std::size_t unpack_whole_bytes(const std::uint8_t* packed, Span<Symbol> symbols) {
  constexpr std::size_t kEach = 8 / kBits;
  const std::size_t bytes = symbols.size / kEach;
  for (std::size_t i = 0; i < bytes; ++i)
    for (std::size_t k = 0; k < kEach; ++k)
      symbols[i * kEach + k] = static_cast<Symbol>((packed[i] >> k * kBits) & ((1u << kBits) - 1));
  return bytes * kEach;
}

template <typename Symbol>
std::vector<std::uint8_t> pack_bits(Span<const Symbol> symbols, unsigned bits) {
  const unsigned largest = symbols.size == 0 ? 0 : *std::max_element(symbols.data, symbols.data + symbols.size);
  if (largest >> bits != 0)
    refuse_argument("symbol " + std::to_string(largest) + " does not fit " + std::to_string(bits) + " bits.");
  std::vector<std::uint8_t> packed(packed_size(symbols.size, bits));
  std::size_t done = 0;
  if (bits == 1) done = pack_whole_bytes<1>(symbols, packed.data());
  if (bits == 2) done = pack_whole_bytes<2>(symbols, packed.data());
  if (bits == 4) done = pack_whole_bytes<4>(symbols, packed.data());
  if (bits == 8) done = pack_whole_bytes<8>(symbols, packed.data());
  std::uint32_t pending = 0;
  unsigned filled = 0;
  std::size_t next = done * bits / 8;
  for (std::size_t i = done; i < symbols.size; ++i) {
    pending |= static_cast<std::uint32_t>(symbols[i]) << filled;
    for (filled += bits; filled >= 8; filled -= 8, pending >>= 8) packed[next++] = static_cast<std::uint8_t>(pending);
  }
  if (filled != 0) packed[next] = static_cast<std::uint8_t>(pending);
  return packed;
}

/// Inverse of `pack_bits`; `symbols` says how many there are.
template <typename Symbol>
void unpack_bits(ByteSpan packed, unsigned bits, Span<Symbol> symbols) {
  if (packed.size != packed_size(symbols.size, bits))
    refuse_payload("packed symbols: " + std::to_string(packed.size) + " bytes, needs " +
                   std::to_string(packed_size(symbols.size, bits)) + ".");
  std::size_t done = 0;
  if (bits == 1) done = unpack_whole_bytes<1>(packed.data, symbols);
  if (bits == 2) done = unpack_whole_bytes<2>(packed.data, symbols);
  if (bits == 4) done = unpack_whole_bytes<4>(packed.data, symbols);
  if (bits == 8) done = unpack_whole_bytes<8>(packed.data, symbols);
  const std::uint32_t mask = (1u << bits) - 1;
  std::uint32_t pending = 0;
  unsigned filled = 0;
  std::size_t next = done * bits / 8;
  for (std::size_t i = done; i < symbols.size; ++i) {
    for (; filled < bits; filled += 8) pending |= static_cast<std::uint32_t>(packed[next++]) << filled;
    symbols[i] = static_cast<Symbol>(pending & mask);
    pending >>= bits;
    filled -= bits;
  }
  if (pending != 0) refuse_payload("packed symbols: unused bits of the last byte are not zero.");
}

}  // namespace splitc
