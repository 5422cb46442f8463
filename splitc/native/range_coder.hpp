// Adaptive binary range coder (Martin 1979; carry handling by propagation). FORMAT.md, "range payload".
//
// A symbol's top 8 bits (or all, when it has fewer) go through a binary tree, most significant bit first. Every node has
// two adaptive probabilities, each with a fast and a slow estimate, chosen by different views of the causal neighbours;
// their average codes the bit. Lower bits are coded raw. State starts afresh in every chunk.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "scan.hpp"
#include "span.hpp"

namespace splitc {

constexpr unsigned kTreeBits = 8;
constexpr std::uint32_t kRangeLow = 1u << 24;
constexpr std::uint32_t kHalf = 1u << 15;
constexpr std::uint32_t kLeastProbability = 32;

/// Bytes out of (bit, probability of a one in 1/65536).
class BitEncoder {
 public:
  unsigned code(unsigned bit, std::uint32_t probability) {
    const std::uint32_t bound = (range_ >> 16) * probability;
    if (bit != 0) {
      range_ = bound;
    } else {
      add(bound);
      range_ -= bound;
    }
    for (; range_ < kRangeLow; range_ <<= 8) shift_out();
    return bit;
  }

  /// Ends with the fewest bytes whose extension by zeros lies in the final interval.
  std::vector<std::uint8_t> finish() {
    for (unsigned bytes = 0; bytes <= 4; ++bytes) {
      const std::uint64_t mask = (std::uint64_t{1} << (32 - 8 * bytes)) - 1;
      const std::uint64_t value = (low_ + mask) & ~mask;
      if (value - low_ >= range_) continue;
      add(static_cast<std::uint32_t>(value - low_));
      break;
    }
    for (int i = 0; i < 4; ++i) shift_out();
    while (!bytes_.empty() && bytes_.back() == 0) bytes_.pop_back();
    return std::move(bytes_);
  }

 private:
  void add(std::uint32_t amount) {
    low_ += amount;
    if (low_ >= amount) return;
    std::size_t i = bytes_.size();  // carry: amortized constant, as in counting
    while (++bytes_[--i] == 0) {
    }
  }

  void shift_out() {
    bytes_.push_back(static_cast<std::uint8_t>(low_ >> 24));
    low_ <<= 8;
  }

  std::uint32_t low_ = 0, range_ = ~0u;
  std::vector<std::uint8_t> bytes_;
};

/// Inverse of `BitEncoder`. Past the end the payload goes on with zeros.
class BitDecoder {
 public:
  explicit BitDecoder(ByteSpan payload) : payload_(payload) {
    for (int i = 0; i < 4; ++i) shift_in();
  }

  unsigned code(unsigned /*bit*/, std::uint32_t probability) {
    const std::uint32_t bound = (range_ >> 16) * probability;
    const bool is_one = offset_ < bound;
    if (is_one) {
      range_ = bound;
    } else {
      offset_ -= bound;
      range_ -= bound;
    }
    for (; range_ < kRangeLow; range_ <<= 8) shift_in();
    return is_one ? 1 : 0;
  }

  void finish() const {
    if (next_ < payload_.size)
      refuse_payload("range: " + std::to_string(payload_.size - next_) + " bytes left over after the last symbol.");
    if (payload_.size != 0 && payload_[payload_.size - 1] == 0)
      refuse_payload("range: the payload ends in a zero byte, which an encoder leaves out.");
  }

 private:
  void shift_in() {
    offset_ = offset_ << 8 | (next_ < payload_.size ? payload_[next_] : 0u);
    ++next_;
  }

  ByteSpan payload_;
  std::size_t next_ = 0;
  std::uint32_t offset_ = 0, range_ = ~0u;
};

/// Adaptation rates in 1/65536 by the number of bits already seen: averaging first, exponential forgetting later.
class Rates {
 public:
  static constexpr std::uint8_t kFastLimit = 20, kSlowLimit = 250;

  Rates() {
    for (unsigned n = 0; n <= kSlowLimit; ++n) {
      slow_[n] = 655360u / (10 * n + 16);
      fast_[n] = 655360u / (10 * std::min<unsigned>(n, kFastLimit) + 16);
    }
  }
  std::uint32_t fast(std::uint8_t seen) const { return fast_[seen]; }
  std::uint32_t slow(std::uint8_t seen) const { return slow_[seen]; }

 private:
  std::array<std::uint32_t, kSlowLimit + 1> fast_{}, slow_{};
};

/// Probability of a one, estimated at two speeds.
struct BitModel {
  std::uint16_t fast = kHalf, slow = kHalf;
  std::uint8_t seen = 0;

  std::uint32_t sum() const { return std::uint32_t{fast} + slow; }

  void update(unsigned bit, const Rates& rates) {
    fast = moved(fast, bit, rates.fast(seen));
    slow = moved(slow, bit, rates.slow(seen));
    if (seen < Rates::kSlowLimit) ++seen;
  }

 private:
  static std::uint16_t moved(std::uint32_t p, unsigned bit, std::uint32_t rate) {
    return static_cast<std::uint16_t>(bit != 0 ? p + (((65535 - p) * rate) >> 16) : p - ((p * rate) >> 16));
  }
};

/// The two views of the neighbours, as offsets of their trees.
class TreeContexts {
 public:
  explicit TreeContexts(unsigned tree_bits) : tree_bits_(tree_bits) {
    const unsigned symbols = 1u << tree_bits, top = symbols - 1;
    const unsigned levels = std::min(32u, 2 * symbols);
    const unsigned sum_levels = std::min(12u, 2 * symbols), mean_levels = std::min(12u, symbols);
    for (unsigned sum = 0; sum <= 2 * top; ++sum) {
      fine_.push_back(sum * levels / (2 * top + 1));
      coarse_.push_back(sum * sum_levels / (2 * top + 1));
    }
    for (unsigned quarter = 0; quarter <= 4 * top; ++quarter)
      mean_.push_back(quarter * mean_levels / (4 * top + 1) * sum_levels);
    no_fine_ = levels;
    no_coarse_ = mean_levels * sum_levels;
  }

  std::size_t fine_size() const { return std::size_t{no_fine_ + 1} << tree_bits_; }
  std::size_t coarse_size() const { return std::size_t{no_coarse_ + 1} << tree_bits_; }
  std::size_t fine(unsigned sum) const { return std::size_t{fine_[sum]} << tree_bits_; }
  std::size_t coarse(unsigned sum, unsigned mean16) const {
    return std::size_t{mean_[mean16 / 4] + coarse_[sum]} << tree_bits_;
  }
  std::size_t fine_none() const { return std::size_t{no_fine_} << tree_bits_; }
  std::size_t coarse_none() const { return std::size_t{no_coarse_} << tree_bits_; }

 private:
  unsigned tree_bits_, no_fine_ = 0, no_coarse_ = 0;
  std::vector<unsigned> fine_, coarse_, mean_;
};

/// Codes the symbols of a chunk through `Coder`, a `BitEncoder` or a `BitDecoder`.
template <typename Coder, typename Symbol>
class RangeScan {
 public:
  RangeScan(Coder& coder, unsigned bits)
      : coder_(coder),
        tree_bits_(std::min(bits, kTreeBits)),
        raw_bits_(bits - tree_bits_),
        contexts_(tree_bits_),
        fine_(contexts_.fine_size()),
        coarse_(contexts_.coarse_size()) {}

  /// Reads (encoder) or writes (decoder) every symbol of `symbols`.
  void scan(Symbol* symbols, const ChunkShape& shape) {
    const PlaneRuns runs(shape.height, shape.width);
    for (std::size_t p = 0; p < shape.planes; ++p, symbols += shape.plane_size())
      for (std::size_t r = 0; r < runs.count(); ++r) scan_run(symbols, runs.at(r));
  }

 private:
  void scan_run(Symbol* plane, const Run& run) {
    for (std::size_t i = run.begin; i < run.end; ++i) {
      Symbol& symbol = plane[i];
      if (run.west == 0) {
        code(symbol, contexts_.fine_none(), contexts_.coarse_none());
        mean16_ = 16u * top(symbol);
        continue;
      }
      const unsigned sum = top(plane[i - run.west]) + top(plane[i - run.north]);
      code(symbol, contexts_.fine(sum), contexts_.coarse(sum, mean16_));
      mean16_ += top(symbol) - mean16_ / 16;
    }
  }

  unsigned top(Symbol symbol) const { return static_cast<unsigned>(symbol) >> raw_bits_; }

  void code(Symbol& symbol, std::size_t fine, std::size_t coarse) {
    const unsigned value = symbol;
    unsigned node = 1;
    for (unsigned left = tree_bits_; left-- > 0;)
      node = 2 * node + code_bit((value >> (raw_bits_ + left)) & 1u, fine_[fine + node], coarse_[coarse + node]);
    unsigned coded = node - (1u << tree_bits_);
    for (unsigned left = raw_bits_; left-- > 0;) coded = 2 * coded + coder_.code((value >> left) & 1u, kHalf);
    symbol = static_cast<Symbol>(coded);
  }

  unsigned code_bit(unsigned bit, BitModel& a, BitModel& b) {
    const std::uint32_t average = (a.sum() + b.sum()) / 4;
    bit = coder_.code(bit, std::min(std::max(average, kLeastProbability), 65536 - kLeastProbability));
    a.update(bit, rates_);
    b.update(bit, rates_);
    return bit;
  }

  Coder& coder_;
  unsigned tree_bits_, raw_bits_;
  TreeContexts contexts_;
  std::vector<BitModel> fine_, coarse_;
  Rates rates_;
  unsigned mean16_ = 0;  // 16 times the running mean of the plane's symbols
};

template <typename Symbol>
std::vector<std::uint8_t> range_encode(Span<const Symbol> symbols, const ChunkShape& shape, unsigned bits) {
  const unsigned largest = *std::max_element(symbols.data, symbols.data + symbols.size);
  if (largest >> bits != 0)
    refuse_argument("range: symbol " + std::to_string(largest) + " does not fit " + std::to_string(bits) + " bits.");
  BitEncoder coder;
  RangeScan<BitEncoder, Symbol> scan(coder, bits);
  std::vector<Symbol> copy(symbols.data, symbols.data + symbols.size);  // the scan writes back what it codes
  scan.scan(copy.data(), shape);
  return coder.finish();
}

/// Fills `symbols`, whose size is the chunk's.
template <typename Symbol>
void range_decode(ByteSpan payload, const ChunkShape& shape, unsigned bits, Span<Symbol> symbols) {
  BitDecoder coder(payload);
  RangeScan<BitDecoder, Symbol> scan(coder, bits);
  scan.scan(symbols.data, shape);
  coder.finish();
}

}  // namespace splitc
