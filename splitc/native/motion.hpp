// Motion of maps from frame to frame (FORMAT.md, section 11a): one vector a block of 2 x 2 places, for all channels.
//
// What is predicted are whole symbols, so that both ends hold equal states. The search is the encoder's own business;
// it counts in integers, so that every build finds the same field.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "quantize.hpp"
#include "simd.hpp"
#include "span.hpp"
#include "temporal.hpp"

namespace splitc {

constexpr std::size_t kBlock = 2;
constexpr int kFarthest = 15;  // half places along an axis
constexpr std::uint8_t kFlat = 31;  // instead of a vector: every channel is predicted to be its symbol for zero
constexpr std::size_t kFieldPlanes = 2;  // of a sample: vertical, horizontal

/// Blocks of a sample, row by row; those at the lower and right border may be cut off.
struct BlockShape {
  std::size_t rows, columns;
  explicit BlockShape(const SampleShape& sample)
      : rows((sample.height + kBlock - 1) / kBlock), columns((sample.width + kBlock - 1) / kBlock) {}
  std::size_t count() const { return rows * columns; }
};

/// Where a block is predicted from: `y` and `x` half places away, or from nothing.
struct Vector {
  int y = 0, x = 0;
  bool is_flat = false;
  bool is_still() const { return y == 0 && x == 0 && !is_flat; }
};

/// 0, 1, -1, 2, -2 ... to 0, 1, 2, 3, 4 ..., and back.
inline std::uint8_t fold_component(int v) { return static_cast<std::uint8_t>(v > 0 ? 2 * v - 1 : -2 * v); }
inline int unfold_component(int s) { return (s & 1) != 0 ? (s + 1) / 2 : -(s / 2); }

/// A block's two symbols as a vector; refuses symbols that no encoder writes.
inline Vector vector_from(std::uint8_t vertical, std::uint8_t horizontal) {
  if (vertical == kFlat && horizontal == 0) return {0, 0, true};
  if (vertical > 2 * kFarthest || horizontal > 2 * kFarthest)
    refuse_argument("a motion field holds " + std::to_string(vertical) + " and " + std::to_string(horizontal) +
                    ", which is no vector.");
  return {unfold_component(vertical), unfold_component(horizontal), false};
}

/// The places of a map that one position is predicted from: a at its corner, b right of it, c below, d both.
struct Corners {
  std::size_t a, b, c, d;
  int kind;  // 0: a alone; 1: a and b; 2: a and c; 3: all
};

inline std::size_t limited(int at, std::size_t size) {
  return static_cast<std::size_t>(std::min(std::max(at, 0), static_cast<int>(size) - 1));
}

inline Corners corners_of(const SampleShape& shape, std::size_t y, std::size_t x, const Vector& vector) {
  const int down = 2 * static_cast<int>(y) + vector.y, right = 2 * static_cast<int>(x) + vector.x;
  const std::size_t top = limited(down >> 1, shape.height), bottom = limited((down >> 1) + 1, shape.height);
  const std::size_t left = limited(right >> 1, shape.width), beside = limited((right >> 1) + 1, shape.width);
  const int kind = ((down & 1) << 1) | (right & 1);
  return {top * shape.width + left, top * shape.width + beside, bottom * shape.width + left,
          bottom * shape.width + beside, kind};
}

/// Rounded mean of what a position is predicted from. Halves go up at every other place, so that nothing drifts.
SPLITC_INLINE std::int32_t mean_of(std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d, int kind,
                                   std::int32_t up) {
  if (kind == 0) return a;
  if (kind == 3) return (a + b + c + d + 1 + up) >> 2;
  return (a + (kind == 1 ? b : c) + up) >> 1;
}

/// Calls `visit(y, x)` for every place of block `block` that the map has.
template <typename Visit>
void each_place(const SampleShape& shape, const BlockShape& blocks, std::size_t block, const Visit& visit) {
  const std::size_t top = block / blocks.columns * kBlock, left = block % blocks.columns * kBlock;
  for (std::size_t y = top; y < std::min(top + kBlock, shape.height); ++y)
    for (std::size_t x = left; x < std::min(left + kBlock, shape.width); ++x) visit(y, x);
}

/// What a frame's symbols are predicted to be, for one sample.
///
/// `field` holds `kFieldPlanes` planes of one symbol a block, `flat` one symbol a channel.
template <typename Symbol>
void predict_moved(const Symbol* previous, const SampleShape& shape, const std::uint8_t* field,
                   const std::int32_t* flat, Symbol* predicted) {
  const BlockShape blocks(shape);
  const std::size_t plane = shape.plane();
  std::copy(previous, previous + shape.size(), predicted);
  for (std::size_t block = 0; block < blocks.count(); ++block) {
    const Vector vector = vector_from(field[block], field[blocks.count() + block]);
    if (vector.is_still()) continue;
    each_place(shape, blocks, block, [&](std::size_t y, std::size_t x) {
      const Corners at = corners_of(shape, y, x, vector);
      const auto up = static_cast<std::int32_t>((y + x) & 1);
      const Symbol* from = previous;
      Symbol* to = predicted + y * shape.width + x;
      for (std::size_t c = 0; c < shape.channels; ++c, from += plane, to += plane)
        *to = static_cast<Symbol>(
            vector.is_flat ? flat[c] : mean_of(from[at.a], from[at.b], from[at.c], from[at.d], at.kind, up));
    });
  }
}

/// How far a place is from what it would be predicted to be, over all channels, in eighths of a step. What the dead
/// zone swallows costs nothing, and a change costs bits that grow slower than it.
struct PlaceCost {
  static constexpr std::int32_t kUnit = 8, kFree = 3, kMost = 32;
  const std::int32_t *now, *a, *b, *c, *d;
  std::size_t channels;
  int kind;
  std::int32_t up;

  SPLITC_INLINE std::int32_t operator()() const {
    if (kind == 0) return sum([&](std::size_t i) { return a[i]; });
    if (kind == 3) return sum([&](std::size_t i) { return (a[i] + b[i] + c[i] + d[i] + 1 + up) >> 2; });
    const std::int32_t* const other = kind == 1 ? b : c;
    return sum([&](std::size_t i) { return (a[i] + other[i] + up) >> 1; });
  }

 private:
  template <typename Predicted>
  SPLITC_INLINE std::int32_t sum(const Predicted& predicted) const {
    std::int32_t total = 0;
    const std::int32_t* const at = now;
    for (std::size_t i = 0, n = channels; i < n; ++i) {
      const std::int32_t error = at[i] - kUnit * predicted(i);
      const std::int32_t distance = (error < 0 ? -error : error) - kFree;
      total += std::min(std::max(distance, 0), kMost);
    }
    return total;
  }
};

/// Looks for the vectors of one sample: from those of the blocks beside and above and of the frame before downhill,
/// by whole places and then by halves.
class MotionSearch {
 public:
  MotionSearch(const SampleShape& shape, bool may_be_flat)
      : shape_(shape), blocks_(shape), now_(shape.size()), before_(shape.size()), flat_(shape.channels),
        vectors_(blocks_.count()), may_be_flat_(may_be_flat) {}

  /// `last` is the field of the frame before.
  template <typename Symbol>
  void operator()(const float* x, const Symbol* previous, const float* lo, const float* scale, std::size_t rows,
                  const std::int32_t* flat, const std::uint8_t* last, std::uint8_t* field) {
    measure(x, lo, scale, rows);
    for (std::size_t c = 0; c < shape_.channels; ++c)
      for (std::size_t k = 0; k < shape_.plane(); ++k) before_[k * shape_.channels + c] = *previous++;
    std::copy(flat, flat + shape_.channels, flat_.begin());
    for (std::size_t block = 0; block < blocks_.count(); ++block) {
      vectors_[block] = best_of(block, last);
      field[block] = vectors_[block].is_flat ? kFlat : fold_component(vectors_[block].y);
      field[blocks_.count() + block] = fold_component(vectors_[block].x);
    }
  }

 private:
  static constexpr std::int32_t kVectorCost = 6 * PlaceCost::kUnit;  // about the bits of a vector
  static constexpr std::int32_t kKnownCost = 3 * PlaceCost::kUnit;   // one that a block beside it has
  static constexpr int kRounds = 8;

  struct Found {
    Vector vector;
    std::int32_t cost;
  };

  /// Features in eighths of a step, channels last.
  void measure(const float* x, const float* lo, const float* scale, std::size_t rows) {
    constexpr float kLimit = 1048576.0f, kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds, halves to even
    std::uint32_t has_nan = 0;
    for (std::size_t c = 0; c < shape_.channels; ++c) {
      const float base = lo[c % rows], factor = scale[c % rows] * static_cast<float>(PlaceCost::kUnit);
      for (std::size_t k = 0; k < shape_.plane(); ++k) {
        const float value = *x++;
        has_nan |= value != value ? 1u : 0u;
        const float place = std::min(kLimit, std::max(-kLimit, (value - base) * factor));
        now_[k * shape_.channels + c] = static_cast<std::int32_t>((place + kRounder) - kRounder);
      }
    }
    if (has_nan != 0) refuse_nan();
  }

  Vector best_of(std::size_t block, const std::uint8_t* last) const {
    Found best{Vector{}, cost_of(block, Vector{})};
    if (best.cost <= kKnownCost) return best.vector;
    if (block % blocks_.columns > 0) consider(block, vectors_[block - 1], kKnownCost, best);
    if (block >= blocks_.columns) consider(block, vectors_[block - blocks_.columns], kKnownCost, best);
    consider(block, vector_from(last[block], last[blocks_.count() + block]), kVectorCost, best);
    if (best.vector.is_flat) best = {Vector{}, cost_of(block, Vector{})};
    descend(block, 2, best);
    descend(block, 1, best);
    if (may_be_flat_) consider_flat(block, best);
    return best.vector;
  }

  void consider(std::size_t block, const Vector& vector, std::int32_t price, Found& best) const {
    if (vector.is_still() || vector.is_flat) return;
    const std::int32_t cost = cost_of(block, vector) + price;
    if (cost < best.cost) best = {vector, cost};
  }

  /// The best of the eight vectors `stride` away, for as long as there is a better one.
  void descend(std::size_t block, int stride, Found& best) const {
    for (int round = 0; round < kRounds; ++round) {
      const Vector from = best.vector;
      for (int y = -stride; y <= stride; y += stride)
        for (int x = -stride; x <= stride; x += stride)
          if (std::abs(from.y + y) <= kFarthest && std::abs(from.x + x) <= kFarthest && (y != 0 || x != 0))
            consider(block, {from.y + y, from.x + x, false}, kVectorCost, best);
      if (best.vector.y == from.y && best.vector.x == from.x) return;
    }
  }

  void consider_flat(std::size_t block, Found& best) const {
    std::int32_t cost = kVectorCost;
    const std::int32_t* const flat = flat_.data();
    each_place(shape_, blocks_, block, [&](std::size_t y, std::size_t x) {
      const std::int32_t* const now = now_.data() + (y * shape_.width + x) * shape_.channels;
      cost += dispatch(PlaceCost{now, flat, flat, flat, flat, shape_.channels, 0, 0});
    });
    if (cost < best.cost) best = {{0, 0, true}, cost};
  }

  std::int32_t cost_of(std::size_t block, const Vector& vector) const {
    std::int32_t cost = 0;
    const std::int32_t* const before = before_.data();
    const std::size_t channels = shape_.channels;
    each_place(shape_, blocks_, block, [&](std::size_t y, std::size_t x) {
      const Corners at = corners_of(shape_, y, x, vector);
      const std::int32_t* const now = now_.data() + (y * shape_.width + x) * channels;
      const auto up = static_cast<std::int32_t>((y + x) & 1);
      cost += dispatch(PlaceCost{now, before + at.a * channels, before + at.b * channels, before + at.c * channels,
                                 before + at.d * channels, channels, at.kind, up});
    });
    return cost;
  }

  SampleShape shape_;
  BlockShape blocks_;
  std::vector<std::int32_t> now_, before_, flat_;
  std::vector<Vector> vectors_;
  bool may_be_flat_;
};

}  // namespace splitc
