// Tables for fuzz targets: flat and steep ones by turns, 3 channels in 2 classes, two views of 4 contexts.
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

}  // namespace fuzz
