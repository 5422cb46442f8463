// What the mixing coder expects at a position, and the contexts that follow from it. FORMAT.md, "Expectation".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "mix_model.hpp"
#include "simd.hpp"
#include "span.hpp"

namespace splitc {

constexpr int kMostValue = 2047, kMostError = 1023;

/// Levels of magnitudes, 0..15, and of expected values in quarters, 0..62 with 31 for zero.
class MixLevels {
 public:
  MixLevels() {
    static constexpr int kMagnitudes[] = {1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 29, 41, 57, 81, 121};
    static constexpr int kExpected[] = {1,  2,  3,  4,  5,  6,  7,  8,  10,  12,  14,  16,  20,  24,  28, 32,
                                        40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512, 768};
    for (int m = 0; m < kMagnitudeSize; ++m) magnitude_[static_cast<std::size_t>(m)] = count_up_to(kMagnitudes, m);
    for (int q = 0; q < kExpectedSize; ++q) expected_[static_cast<std::size_t>(q)] = count_up_to(kExpected, q);
  }

  /// The one table of a process.
  static const MixLevels& shared() {
    static const MixLevels levels;
    return levels;
  }
  unsigned magnitude(int m) const { return magnitude_[static_cast<std::size_t>(std::min(m, kMagnitudeSize - 1))]; }
  unsigned of_value(int v) const { return v < 0 ? 15 - magnitude(-v) : 15 + magnitude(v); }
  unsigned expected(int quarters) const {
    const unsigned level = expected_[static_cast<std::size_t>(std::min(std::abs(quarters), kExpectedSize - 1))];
    return quarters < 0 ? 31 - level : 31 + level;
  }

 private:
  static constexpr int kMagnitudeSize = 128, kExpectedSize = 1024;

  template <std::size_t kCount>
  static std::uint8_t count_up_to(const int (&ascending)[kCount], int value) {
    return static_cast<std::uint8_t>(std::upper_bound(ascending, ascending + kCount, value) - ascending);
  }

  std::array<std::uint8_t, kMagnitudeSize> magnitude_{};
  std::array<std::uint8_t, kExpectedSize> expected_{};
};

/// Values of the planes of one sample, limited to `kMostValue`, with zeros around each plane:
///
///   0 0 0 0      a row of zeros above each plane (and below the last), a column behind each row that also stands
///   a b c 0      before the next one
///   d e f 0
class ValuePlanes {
 public:
  ValuePlanes(std::size_t planes, std::size_t height, std::size_t width)
      : stride_(width + 1), step_((height + 1) * stride_), values_(planes * step_ + stride_ + 2) {}

  std::size_t stride() const { return stride_; }
  /// First value of a plane; `stride()` apart from row to row.
  std::int16_t* plane(std::size_t index) { return values_.data() + 1 + index * step_ + stride_; }
  const std::int16_t* plane(std::size_t index) const { return values_.data() + 1 + index * step_ + stride_; }

 private:
  std::size_t stride_, step_;
  std::vector<std::int16_t> values_;
};

/// Adds what a reference plane says of each position: five of its values, weighted, and how large it is there.
struct AddReference {
  const std::int16_t* plane;
  const std::int16_t* weights;
  std::ptrdiff_t stride;
  std::size_t size;
  std::int32_t* expected;
  std::uint16_t* magnitude;  // of 32 planes, each at most 2047

  SPLITC_INLINE void operator()() const {
    const std::int32_t at = weights[0], west = weights[1], north = weights[2], east = weights[3], south = weights[4];
    const std::int16_t* const above = plane - stride;
    const std::int16_t* const below = plane + stride;
    const std::int16_t* const left = plane - 1;
    const std::int16_t* const right = plane + 1;
    for (std::size_t i = 0; i < size; ++i) {
      expected[i] += at * plane[i] + west * left[i] + north * above[i] + east * right[i] + south * below[i];
      magnitude[i] = static_cast<std::uint16_t>(magnitude[i] + (plane[i] < 0 ? -plane[i] : plane[i]));
    }
  }
};

/// Adds what the row above says, in a plane: its values to the north, north-west and north-east, and two rows up.
struct AddAbove {
  const std::int16_t* row;
  const std::int16_t* weights;
  std::ptrdiff_t stride;
  std::size_t width;
  bool has_two;
  std::int32_t* expected;

  SPLITC_INLINE void operator()() const {
    const std::int32_t north = weights[1], north_west = weights[2], north_east = weights[3], two = weights[5];
    const std::int16_t* const above = row - stride;
    for (std::size_t x = 0; x < width; ++x)
      expected[x] += north * above[x] + north_west * (above - 1)[x] + north_east * (above + 1)[x];
    if (!has_two) return;
    for (std::size_t x = 0; x < width; ++x) expected[x] += two * (above - stride)[x];
  }
};

using MixRows = std::array<std::uint32_t, kMixRows>;

/// First rows of the contexts behind those of the channels.
struct MixRowBases {
  std::uint32_t near, spread, run, reference, pair;

  explicit MixRowBases(std::size_t channels)
      : near(static_cast<std::uint32_t>(channels)),
        spread(near + kNearRows),
        run(spread + kSpreadRows),
        reference(run + kRunRows),
        pair(reference + kReferenceRows) {}
};

/// What decides the rows of logits of a position.
struct MixContext {
  std::uint32_t own, run, reference;  // rows
  unsigned near, error, scale;        // levels: of the expected value, of its error and of the plane
  unsigned west, north;               // levels of the values there; 31: there is none
  const MixRowBases* bases;

  SPLITC_INLINE MixRows rows() const { return of(near, west, north); }
  /// Those of values of the opposite sign.
  SPLITC_INLINE MixRows mirrored() const { return of(62 - near, opposite(west), opposite(north)); }

 private:
  static unsigned opposite(unsigned level) { return level == 31 ? 31 : 30 - level; }
  SPLITC_INLINE MixRows of(unsigned expected, unsigned w, unsigned n) const {
    const std::uint32_t by_error = bases->near + 16 * expected + error;
    const std::uint32_t by_scale = bases->spread + 16 * expected + scale;
    return {own, by_error, by_scale, run, reference, bases->pair + 32 * w + n};
  }
};

}  // namespace splitc
