// CRC-32C (Castagnoli), the checksum of FORMAT.md section 3: reflected polynomial 0x82F63B78, initial and final XOR 0xFFFFFFFF.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "span.hpp"

namespace splitc {

namespace detail {

using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;

/// Slicing-by-8: table k gives the effect of one byte followed by k zero bytes.
inline CrcTables make_crc_tables() {
  CrcTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82F63B78u : 0u);
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xFFu];
    }
  return tables;
}

inline const CrcTables& crc_tables() {
  static const CrcTables tables = make_crc_tables();
  return tables;
}

}  // namespace detail

/// Checksum of `data` continued from `crc`, the checksum of what came before (0 at the start).
inline std::uint32_t crc32c(ByteSpan data, std::uint32_t crc = 0) {
  const auto& t = detail::crc_tables();
  std::uint32_t state = ~crc;
  std::size_t i = 0;
  for (; i + 8 <= data.size; i += 8) {
    const std::uint8_t* p = data.data + i;
    const std::uint32_t low = state ^ (static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
                                       static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24);
    state = t[7][low & 0xFFu] ^ t[6][(low >> 8) & 0xFFu] ^ t[5][(low >> 16) & 0xFFu] ^ t[4][low >> 24] ^
            t[3][p[4]] ^ t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
  }
  for (; i < data.size; ++i) state = (state >> 8) ^ t[0][(state ^ data.data[i]) & 0xFFu];
  return ~state;
}

}  // namespace splitc
