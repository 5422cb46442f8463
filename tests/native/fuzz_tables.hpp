// Tables for fuzz targets. rANS: flat and steep ones by turns, 3 channels in 2 classes, two views of 4 contexts.
// Mix: 3 channels, of which one is expected from another, and with residual symbols each from the frame before.
#pragma once

#include <cstdint>
#include <vector>

#include "crc32c.hpp"

namespace fuzz {

inline void put_u16(std::vector<std::uint8_t>& bytes, unsigned value) {
  bytes.push_back(static_cast<std::uint8_t>(value));
  bytes.push_back(static_cast<std::uint8_t>(value >> 8));
}

/// Appends the checksum that makes tables out of `bytes`.
inline std::vector<std::uint8_t> checked(std::vector<std::uint8_t> bytes) {
  const std::uint32_t crc = splitc::crc32c({bytes.data(), bytes.size()});
  for (int k = 0; k < 4; ++k) bytes.push_back(static_cast<std::uint8_t>(crc >> 8 * k));
  return bytes;
}

inline std::vector<std::uint8_t> plain_tables(unsigned bits) {
  const unsigned token_bits = bits < 8 ? bits : 8, shift = (bits - token_bits) / 2;
  std::vector<std::uint8_t> t = {'S', 'R', 'N', 'S', 1, static_cast<std::uint8_t>(bits),
                                 static_cast<std::uint8_t>(shift)};
  put_u16(t, bits > 8 ? 1 : 0);
  for (const unsigned byte : {2, 2, 3, 0, 0, 1, 0}) t.push_back(static_cast<std::uint8_t>(byte));
  for (int view = 0; view < 2; ++view) {
    for (const unsigned byte : {4, 0, 0, 1, 0, 1, 1, 2, 1, 0}) t.push_back(static_cast<std::uint8_t>(byte));
    const unsigned tokens = 1u << token_bits;
    for (unsigned table = 0; table < 2u * 5u; ++table)
      for (unsigned token = 0; token < tokens; ++token)
        put_u16(t, table % 2 == 0 ? 4096u / tokens : token == 0 ? 4097u - tokens : 1u);
  }
  return checked(t);
}

inline std::vector<std::uint8_t> mix_tables(unsigned bits, bool is_residual) {
  constexpr unsigned kChannels = 3, kRows = kChannels + 3584;
  std::vector<std::uint8_t> t = {'S', 'M', 'I', 'X', 1, static_cast<std::uint8_t>(bits), is_residual, 2, kChannels, 0};
  for (unsigned channel = 0; channel < kChannels; ++channel) {
    const unsigned references = (is_residual ? 1 : 0) + (channel == 2 ? 1 : 0);
    put_u16(t, is_residual ? 0 : channel * ((1u << bits) - 1) / 2);
    put_u16(t, 7 * channel);
    t.push_back(static_cast<std::uint8_t>(references));
    if (is_residual) put_u16(t, channel);
    if (channel == 2) put_u16(t, 1);
    for (unsigned weight = 0; weight < 6 + 5 * references; ++weight) put_u16(t, weight % 2 == 0 ? 700 : 0x10000 - 300);
  }
  for (unsigned row = 0; row < kRows; ++row) t.push_back(static_cast<std::uint8_t>(row % 5 == 0 ? 32 : row % 3));
  for (unsigned row = 0; row < kRows; ++row)
    for (unsigned node = 0; node < (row % 5 == 0 ? 32 : row % 3); ++node)
      put_u16(t, node % 2 == 0 ? 200 + row % 99 : 0x10000 - 90);
  return checked(t);
}

}  // namespace fuzz
