// Static logistic mixing: binary decisions, their probabilities from six rows of trained logits. FORMAT.md, "mix".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mix_model.hpp"
#include "mix_planes.hpp"
#include "range_coder.hpp"
#include "span.hpp"

namespace splitc {

/// Magnitudes less one in buckets: 0, 1 .. 5, then two each of 2, 4 and 8, then 16, 32 .. 32768.
struct MixBuckets {
  static constexpr unsigned kCount = 24, kLastSplit = 12;
  static constexpr std::uint8_t kLog2[kCount] = {0, 0, 0, 0, 0, 0, 1, 1, 2,  2,  3,  3,
                                                 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
};
constexpr unsigned kNodeNonzero = 0, kNodeSign = 1, kNodeMore = 2, kNodeSplit = 19;

/// Which values a channel's symbols can have.
enum class MixSides { kBoth, kPositive, kNegative };

/// A magnitude of 1 and more; `wanted` is one less.
template <typename Decisions>
SPLITC_INLINE int mix_magnitude(Decisions& decisions, unsigned wanted) {
  unsigned bucket = 0, first = 0;
  while (bucket + 1 < MixBuckets::kCount) {
    const unsigned next = first + (1u << MixBuckets::kLog2[bucket]);
    if (decisions.bit(wanted >= next, kNodeMore + bucket) == 0) break;
    first = next;
    ++bucket;
  }
  const unsigned bits = MixBuckets::kLog2[bucket];
  unsigned offset = 0;
  for (unsigned left = bits; left-- > 0;) {
    const unsigned bit = (wanted - first) >> left & 1u;
    const bool is_split = left + 1 == bits && bucket <= MixBuckets::kLastSplit;
    offset = 2 * offset + (is_split ? decisions.bit(bit, kNodeSplit + bucket) : decisions.raw(bit));
  }
  return static_cast<int>(first + offset) + 1;
}

/// Decisions of a symbol through `Decisions`, which has `open(rows)`, `bit(bit, node)` and `raw(bit)`.
template <typename Decisions>
SPLITC_INLINE int mix_symbol(Decisions& decisions, const MixContext& context, MixSides sides, int value) {
  decisions.open(context.rows());
  if (decisions.bit(value != 0, kNodeNonzero) == 0) return 0;
  const bool is_negative =
      sides == MixSides::kBoth ? decisions.bit(value < 0, kNodeSign) != 0 : sides == MixSides::kNegative;
  if (is_negative) decisions.open(context.mirrored());
  const int magnitude = mix_magnitude(decisions, static_cast<unsigned>(value < 0 ? -value : value) - 1);
  return is_negative ? -magnitude : magnitude;
}

/// Decisions through a `BitEncoder` or `BitDecoder`.
template <typename Coder>
class MixedBits {
 public:
  MixedBits(Coder coder, const MixModel& model)
      : coder_(std::move(coder)), logits_(model.logits()), probabilities_(Logistic::shared().by_sum()) {}

  SPLITC_INLINE void open(const MixRows& rows) {
    const std::int16_t* row[kMixRows];
    for (unsigned k = 0; k < kMixRows; ++k) row[k] = logits_ + std::size_t{rows[k]} * kMixNodes;
    for (unsigned n = 0; n < kMixNodes; ++n) {
      const auto sum = static_cast<std::int16_t>(row[0][n] + row[1][n] + row[2][n] + row[3][n] + row[4][n] + row[5][n]);
      sums_[n] = std::min<std::int16_t>(std::max<std::int16_t>(sum, -Logistic::kHalfSize), Logistic::kHalfSize - 1);
    }
  }
  SPLITC_INLINE unsigned bit(unsigned bit, unsigned node) { return coder_.code(bit, probabilities_[sums_[node]]); }
  SPLITC_INLINE unsigned raw(unsigned bit) { return coder_.code(bit, kHalf); }
  Coder& coder() { return coder_; }

 private:
  Coder coder_;
  const std::int16_t* logits_;
  const std::uint16_t* probabilities_;
  alignas(64) std::array<std::int16_t, kMixNodes> sums_{};
};

/// Goes through a chunk; `kReads`: the symbols are there, otherwise they come from the decisions.
template <typename Decisions, typename Symbol, bool kReads>
class MixScan {
 public:
  MixScan(Decisions& decisions, const MixModel& model, const ChunkShape& shape, std::size_t first_plane)
      : decisions_(decisions),
        model_(model),
        shape_(shape),
        first_plane_(first_plane),
        levels_(MixLevels::shared()),
        bases_(model.channels()),
        planes_(std::min(model.channels(), shape.planes), shape.height, shape.width),
        past_(model.has_previous_view() ? 1 : 0, shape.height, shape.width),
        expected_(shape.height * planes_.stride()),
        magnitude_(expected_.size()),
        errors_(shape.width + 2),
        errors_above_(errors_.size()) {}

  /// `symbols` and, if there is one, `previous` hold the chunk's planes.
  void scan(std::conditional_t<kReads, const Symbol*, Symbol*> symbols, const Symbol* previous) {
    for (std::size_t p = 0; p < shape_.planes; ++p) {
      const std::size_t at = p * shape_.plane_size();
      scan_plane(p, symbols + at, previous == nullptr ? nullptr : previous + at);
    }
  }

 private:
  using SymbolPointer = std::conditional_t<kReads, const Symbol*, Symbol*>;

  void scan_plane(std::size_t p, SymbolPointer symbols, const Symbol* previous) {
    channel_index_ = (first_plane_ + p) % model_.channels();
    channel_ = &model_.channel(channel_index_);
    scale_level_ = levels_.magnitude(channel_->scale);
    run_ = 16 * channel_->scale;
    sides_ = sides();
    look_at_references(p, previous);
    outside_ = static_cast<std::uint16_t>(channel_->scale);
    std::fill(errors_.begin(), errors_.end(), outside_);
    std::int16_t* const values = planes_.plane(slot(p));
    for (std::size_t y = 0; y < shape_.height; ++y)
      dispatch(ScanRow{*this, y, values + y * planes_.stride(), symbols + y * shape_.width});
  }

  struct ScanRow {
    MixScan& scan;
    std::size_t y;
    std::int16_t* row;
    SymbolPointer symbols;

    /// The decisions are a local variable here, so that their state can stay in registers.
    SPLITC_INLINE void operator()() const {
      Decisions decisions(std::move(scan.decisions_));
      scan.scan_row(decisions, y, row, symbols);
      scan.decisions_ = std::move(decisions);
    }
  };

  MixSides sides() const {
    if (model_.is_residual()) return MixSides::kBoth;
    if (channel_->centre == 0) return MixSides::kPositive;
    return channel_->centre + 1 == 1 << model_.bits() ? MixSides::kNegative : MixSides::kBoth;
  }

  /// Planes of one sample have places of their own; the next sample's take them over.
  std::size_t slot(std::size_t p) const {
    return shape_.planes < model_.channels() ? p : (first_plane_ + p) % model_.channels();
  }

  void look_at_references(std::size_t p, const Symbol* previous) {
    std::fill(expected_.begin(), expected_.end(), 0);
    std::fill(magnitude_.begin(), magnitude_.end(), std::uint16_t{0});
    unsigned seen = 0;
    for (unsigned k = 0; k < channel_->count; ++k) {
      const std::size_t back = channel_index_ - channel_->reference[k];
      if (back > p || (back == 0 && previous == nullptr)) continue;
      if (back == 0) load_past(previous);
      const std::int16_t* const plane = back == 0 ? past_.plane(0) : planes_.plane(slot(p - back));
      dispatch(AddReference{plane, channel_->of_reference(k), static_cast<std::ptrdiff_t>(planes_.stride()),
                            expected_.size(), expected_.data(), magnitude_.data()});
      ++seen;
    }
    per_reference_ = seen == 0 ? 0 : 2048 / static_cast<int>(seen);
  }

  void load_past(const Symbol* previous) {
    for (std::size_t y = 0; y < shape_.height; ++y)
      for (std::size_t x = 0; x < shape_.width; ++x)
        past_.plane(0)[y * past_.stride() + x] = limited(model_.value(previous[y * shape_.width + x], *channel_));
  }

  static std::int16_t limited(int value) {
    return static_cast<std::int16_t>(std::clamp(value, -kMostValue, kMostValue));
  }

  SPLITC_INLINE void scan_row(Decisions& decisions, std::size_t y, std::int16_t* row, SymbolPointer symbols) {
    std::int32_t* const expected = expected_.data() + y * planes_.stride();
    const auto stride = static_cast<std::ptrdiff_t>(planes_.stride());
    AddAbove{row, channel_->weights.data(), stride, shape_.width, y > 1, expected}();
    std::swap(errors_, errors_above_);
    errors_[0] = outside_;
    for (std::size_t x = 0; x < shape_.width; ++x) {
      const int two_back = x > 1 ? row[static_cast<std::ptrdiff_t>(x) - 2] : 0;
      const int west = row[static_cast<std::ptrdiff_t>(x) - 1], north = (row - stride)[x];
      const int sum = expected[x] + channel_->weights[0] * west + channel_->weights[4] * two_back;
      const int quarters = (sum + 128) >> 8;
      const unsigned w = x > 0 ? levels_.of_value(west) : 31, n = y > 0 ? levels_.of_value(north) : 31;
      const int value = code(decisions, context_at(y, x, quarters, w, n), symbols[x]);
      const int small = limited(value);
      row[x] = static_cast<std::int16_t>(small);
      errors_[x + 1] = static_cast<std::uint16_t>(std::min(std::abs(4 * small - quarters), kMostError));
      run_ += 4 * std::abs(small) - (run_ >> 4);
    }
    errors_[shape_.width + 1] = outside_;
  }

  SPLITC_INLINE MixContext context_at(std::size_t y, std::size_t x, int quarters, unsigned w, unsigned n) const {
    const int error = (2 * errors_[x] + 2 * errors_above_[x + 1] + errors_above_[x] + errors_above_[x + 2]) >> 2;
    const int around = magnitude_[y * planes_.stride() + x] * per_reference_ >> 8;
    return {static_cast<std::uint32_t>(channel_index_),
            bases_.run + 16 * levels_.magnitude(run_ >> 4) + scale_level_,
            bases_.reference + 16 * levels_.magnitude(around) + scale_level_,
            levels_.expected(quarters),
            levels_.magnitude(error),
            scale_level_,
            w,
            n,
            &bases_};
  }

  template <typename Place>
  SPLITC_INLINE int code(Decisions& decisions, const MixContext& context, Place& symbol) const {
    if constexpr (kReads) {
      return mix_symbol(decisions, context, sides_, model_.value(symbol, *channel_));
    } else {
      const int value = mix_symbol(decisions, context, sides_, 0);
      const long decoded = model_.symbol(value, *channel_);
      if (decoded < 0 || decoded >> model_.bits() != 0)
        refuse_payload("mix: symbol " + std::to_string(decoded) + " does not fit " + std::to_string(model_.bits()) +
                       " bits.");
      symbol = static_cast<Symbol>(decoded);
      return value;
    }
  }

  Decisions& decisions_;
  const MixModel& model_;
  ChunkShape shape_;
  std::size_t first_plane_;
  const MixLevels& levels_;
  MixRowBases bases_;
  ValuePlanes planes_, past_;
  std::vector<std::int32_t> expected_;
  std::vector<std::uint16_t> magnitude_;
  std::vector<std::uint16_t> errors_, errors_above_;  // of the row and the one above; a place before and one behind

  const MixChannel* channel_ = nullptr;
  std::size_t channel_index_ = 0;
  unsigned scale_level_ = 0;
  std::uint16_t outside_ = 0;  // error of a position that there is not
  MixSides sides_ = MixSides::kBoth;
  int run_ = 0, per_reference_ = 0;
};

/// Payload of a chunk; `previous` is its planes of the frame before, or null.
template <typename Symbol>
std::vector<std::uint8_t> mix_encode(const MixModel& model, Span<const Symbol> symbols, const Symbol* previous,
                                     const ChunkShape& shape, std::size_t first_plane) {
  const unsigned largest = *std::max_element(symbols.data, symbols.data + symbols.size);
  if (largest >> model.bits() != 0)
    refuse_argument("mix: symbol " + std::to_string(largest) + " does not fit " + std::to_string(model.bits()) +
                    " bits.");
  MixedBits<BitEncoder> decisions(BitEncoder(), model);
  MixScan<MixedBits<BitEncoder>, Symbol, true>(decisions, model, shape, first_plane).scan(symbols.data, previous);
  return decisions.coder().finish();
}

/// Fills `symbols`, whose size is the chunk's.
template <typename Symbol>
void mix_decode(const MixModel& model, ByteSpan payload, const Symbol* previous, const ChunkShape& shape,
                std::size_t first_plane, Span<Symbol> symbols) {
  MixedBits<BitDecoder> decisions(BitDecoder(payload), model);
  MixScan<MixedBits<BitDecoder>, Symbol, false>(decisions, model, shape, first_plane).scan(symbols.data, previous);
  decisions.coder().finish();
}

}  // namespace splitc
