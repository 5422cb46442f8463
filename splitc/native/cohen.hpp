// Truncated unary binarization and adaptive binary coding, a context for every bin (Cohen et al. 2021).
// FORMAT.md, "cohen payload".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "range_coder.hpp"
#include "span.hpp"

namespace splitc {

constexpr unsigned kMostUnaryBits = 8;

/// Codes symbols through `Coder`, a `BitEncoder` or a `BitDecoder`.
template <typename Coder>
class UnaryScan {
 public:
  UnaryScan(Coder& coder, unsigned bits) : coder_(coder), bins_((std::size_t{1} << bits) - 1) {}

  /// Bin j says whether the symbol is above j; the last bin's one needs no zero after it.
  std::uint8_t code(std::uint8_t symbol) {
    std::size_t bin = 0;
    while (bin < bins_.size() && code_bin(symbol > bin ? 1 : 0, bins_[bin]) != 0) ++bin;
    return static_cast<std::uint8_t>(bin);
  }

 private:
  unsigned code_bin(unsigned bit, BitModel& model) {
    const std::uint32_t average = model.sum() / 2;
    bit = coder_.code(bit, std::min(std::max(average, kLeastProbability), 65536 - kLeastProbability));
    model.update(bit, rates_);
    return bit;
  }

  Coder& coder_;
  std::vector<BitModel> bins_;
  Rates rates_;
};

inline std::vector<std::uint8_t> cohen_encode(Span<const std::uint8_t> symbols, unsigned bits) {
  const unsigned largest = *std::max_element(symbols.data, symbols.data + symbols.size);
  if (largest >> bits != 0)
    refuse_argument("cohen: symbol " + std::to_string(largest) + " does not fit " + std::to_string(bits) + " bits.");
  BitEncoder coder;
  UnaryScan<BitEncoder> scan(coder, bits);
  for (std::size_t i = 0; i < symbols.size; ++i) scan.code(symbols[i]);
  return coder.finish();
}

inline void cohen_decode(ByteSpan payload, unsigned bits, Span<std::uint8_t> symbols) {
  BitDecoder coder(payload);
  UnaryScan<BitDecoder> scan(coder, bits);
  for (std::size_t i = 0; i < symbols.size; ++i) symbols[i] = scan.code(0);
  coder.finish();
}

}  // namespace splitc
