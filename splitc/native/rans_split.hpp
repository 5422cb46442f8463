// Which rows of a chunk the rANS coder's lanes take and which are left to the tail (FORMAT.md, "rans payload"; why
// there are lanes and a tail: rans.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "low_bits.hpp"
#include "rans_lanes.hpp"
#include "span.hpp"

namespace splitc {

/// The fields Lanes, Whole_Planes and Tail of a payload.
struct SplitFields {
  static constexpr unsigned kLanesBits = 2, kTailBits = 4, kLargestTail = 15;

  unsigned lanes_field = 0, whole_planes = 0, tail_field = 0;

  unsigned lanes() const { return lanes_field == 0 ? 0 : 4u << lanes_field; }
  /// Symbols that every lane leaves to the tail: 0, 6, 8, 12, 16, 24 ... 768.
  std::size_t left() const {
    return tail_field == 0 ? 0 : std::size_t{2 + tail_field % 2} << (tail_field / 2 + 1);
  }
  /// Raises Tail to the largest value that leaves fewer symbols, if there is one.
  void leave_just_below(std::size_t symbols) {
    for (SplitFields next = *this; ++next.tail_field <= kLargestTail && next.left() < symbols;) *this = next;
  }
  /// Rows from the beginning of one lane to the next one's; 0 without lanes.
  std::size_t spacing(const ChunkShape& shape) const {
    if (lanes() == 0) return 0;
    return whole_planes ? shape.planes / lanes() * shape.height : shape.planes * shape.height / lanes();
  }
  /// Whether every lane has a symbol.
  bool fits(const ChunkShape& shape) const { return lanes() == 0 || spacing(shape) * shape.width > left(); }

  LanePlan plan(const ChunkShape& shape) const {
    return {shape.height, shape.width, spacing(shape), lanes() == 0 ? 0 : left(), lanes()};
  }

  void write(LowBitWriter& out) const {
    out.put(lanes_field, kLanesBits);
    if (lanes_field == 0) return;
    out.put(whole_planes, 1);
    out.put(tail_field, kTailBits);
  }
  static SplitFields read(LowBitReader& in) {
    SplitFields fields;
    fields.lanes_field = in.take(kLanesBits);
    if (fields.lanes_field == 0) return fields;
    fields.whole_planes = in.take(1);
    fields.tail_field = in.take(kTailBits);
    return fields;
  }
};

/// Columns `[begin, end)` of one row.
struct TailRun {
  std::size_t row, begin, end;
};

/// Runs that belong to no lane, in scan order.
inline std::vector<TailRun> tail_runs(const ChunkShape& shape, const LanePlan& plan) {
  std::vector<TailRun> runs;
  for (unsigned l = 0; l < plan.lanes; ++l) {
    std::size_t begin = plan.length() % plan.width;
    for (std::size_t row = plan.length() / plan.width; row < plan.spacing; ++row, begin = 0)
      runs.push_back({plan.first_row(l) + row, begin, plan.width});
  }
  for (std::size_t row = plan.lanes * plan.spacing; row < shape.planes * shape.height; ++row)
    runs.push_back({row, 0, shape.width});
  return runs;
}

// -- the encoder's choice ------------------------------------------------------------------------------------------

/// Chunks below this many symbols may lose a byte by their lanes, larger ones 1/512 of their bits.
constexpr std::size_t kSmallChunk = 16384;
/// The tail, coded a symbol at a time, is at most this share of the symbols.
constexpr std::size_t kTailShare = 4;

/// Estimates of what a split costs: bits, since lanes that begin inside a plane do not see the row above, and time.
class SplitCost {
 public:
  SplitCost(const ChunkShape& shape, const SplitFields& fields) : shape_(shape), fields_(fields) {}

  /// A quarter of a bit for every symbol that has lost its northern neighbour.
  std::size_t bits_lost() const {
    const std::size_t spacing = fields_.spacing(shape_);
    std::size_t lanes_inside = 0;
    for (unsigned l = 0; l < fields_.lanes(); ++l) lanes_inside += l * spacing % shape_.height != 0 ? 1 : 0;
    return lanes_inside * shape_.width / 4;
  }
  bool is_affordable(unsigned bits) const {
    return bits_lost() <= (shape_.size() < kSmallChunk ? 8 : shape_.size() * bits / 512);
  }
  /// Roughly nanoseconds, from measured steps of 8, 16 and 32 lanes and symbols of the tail.
  std::size_t time() const {
    const LanePlan plan = fields_.plan(shape_);
    const std::size_t step = 16 + fields_.lanes() / 2;
    return plan.length() * step + (shape_.size() - plan.size()) * 9;
  }

 private:
  ChunkShape shape_;
  SplitFields fields_;
};

/// Affordable splits with lanes, the fastest first; their tails are first guesses.
inline std::vector<SplitFields> splits_to_try(const ChunkShape& shape, unsigned bits) {
  constexpr std::size_t kSymbolsThatFillAState = 8;
  std::vector<SplitFields> out;
  for (unsigned lanes_field = 1; lanes_field <= 3; ++lanes_field)
    for (unsigned whole_planes = 0; whole_planes < 2; ++whole_planes) {
      SplitFields fields{lanes_field, whole_planes, 0};
      fields.leave_just_below(kSymbolsThatFillAState);
      if (fields.fits(shape) && SplitCost(shape, fields).is_affordable(bits)) out.push_back(fields);
    }
  std::stable_sort(out.begin(), out.end(), [&](const SplitFields& a, const SplitFields& b) {
    return SplitCost(shape, a).time() < SplitCost(shape, b).time();
  });
  return out;
}

}  // namespace splitc
