// Symbols of predicted frames (FORMAT.md, section 11): chosen near those of the frame before, and folded against them.
//
// Kernels copy their members to locals first: a byte store may alias a member, and then nothing is vectorized.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "quantize.hpp"
#include "simd.hpp"
#include "span.hpp"

namespace splitc {

/// One row of closed-loop symbols: `previous + sign(e) * floor(|e| + rounding)`, limited to 0..top, with
/// `e = (x - lo) * scale - previous`. True where a value is NaN.
template <typename Symbol>
struct NearRow {
  const float* x;
  const Symbol* previous;
  std::size_t size;
  float lo, scale, rounding;
  std::int32_t top;
  Symbol* symbols;

  SPLITC_INLINE bool operator()() const {
    constexpr float kFar = 131072.0f;  // beyond both ends of any alphabet, and exact as an integer
    const float* const from = x;
    const Symbol* const before = previous;
    Symbol* __restrict const to = symbols;
    const float base = lo, factor = scale, offset = rounding;
    const std::int32_t most = top;
    std::uint32_t has_nan = 0;
    for (std::size_t i = 0, n = size; i < n; ++i) {
      const float value = from[i];
      has_nan |= value != value ? 1u : 0u;
      const auto was = static_cast<std::int32_t>(before[i]);
      const float error = (value - base) * factor - static_cast<float>(was);
      float distance = std::fabs(error) + offset;
      distance = distance < kFar ? distance : kFar;
      const auto steps = static_cast<std::int32_t>(distance);  // never negative, so truncation is floor
      std::int32_t symbol = error < 0.0f ? was - steps : was + steps;
      symbol = symbol > 0 ? symbol : 0;
      to[i] = static_cast<Symbol>(symbol < most ? symbol : most);
    }
    return has_nan != 0;
  }
};

/// Residual symbols of temporal "difference" in an alphabet of `count`.
template <typename Symbol>
struct FoldRow {
  const Symbol* symbols;
  const Symbol* previous;
  std::size_t size;
  std::int32_t count;
  Symbol* residual;

  SPLITC_INLINE bool operator()() const {
    const Symbol* const now = symbols;
    const Symbol* const before = previous;
    Symbol* __restrict const to = residual;
    const std::int32_t top = count - 1;
    for (std::size_t i = 0, n = size; i < n; ++i) {
      const std::int32_t p = before[i], difference = static_cast<std::int32_t>(now[i]) - p;
      const std::int32_t both = p < top - p ? p : top - p;  // distances that both signs can have
      const std::int32_t distance = difference < 0 ? -difference : difference;
      const std::int32_t near = 2 * distance - (difference > 0 ? 1 : 0);
      to[i] = static_cast<Symbol>(distance <= both ? near : distance + both);
    }
    return false;
  }
};

/// Inverse of `FoldRow`.
template <typename Symbol>
struct UnfoldRow {
  const Symbol* residual;
  const Symbol* previous;
  std::size_t size;
  std::int32_t count;
  Symbol* symbols;

  SPLITC_INLINE bool operator()() const {
    const Symbol* const folded = residual;
    const Symbol* const before = previous;
    Symbol* __restrict const to = symbols;
    const std::int32_t top = count - 1;
    for (std::size_t i = 0, n = size; i < n; ++i) {
      const std::int32_t r = folded[i], p = before[i], room = top - p;
      const std::int32_t both = p < room ? p : room;
      const std::int32_t half = (r + 1) / 2;
      const std::int32_t near = (r & 1) != 0 ? half : -half;
      const std::int32_t far = p <= room ? r - both : both - r;
      to[i] = static_cast<Symbol>(p + (r <= 2 * both ? near : far));
    }
    return false;
  }
};

/// `lo` and `scale` hold one value a channel; `previous` and `symbols` are alike, `top` fits a `Symbol`.
template <typename Symbol>
void quantize_near(const float* x, const Symbol* previous, const RowShape& shape, const float* lo, const float* scale,
                   unsigned top, float rounding, Symbol* symbols) {
  for (std::size_t p = 0; p < shape.planes; ++p, x += shape.size, previous += shape.size, symbols += shape.size) {
    const std::size_t c = p % shape.channels;
    const auto most = static_cast<std::int32_t>(top);
    if (dispatch(NearRow<Symbol>{x, previous, shape.size, lo[c], scale[c], rounding, most, symbols})) refuse_nan();
  }
}

/// Planes of one sample: `channels` of them, `height` rows of `width`.
struct SampleShape {
  std::size_t channels, height, width;
  std::size_t plane() const { return height * width; }
  std::size_t size() const { return channels * plane(); }
};

/// Residuals up to here stay where they are, by the share of residuals around that do not: what a lone change costs in
/// bits, weighed against the square error that it saves.
class ZoneTable {
 public:
  ZoneTable() {
    constexpr float kWeight = 0.15f, kOther = 1.5f;  // lambda, and bits of a sign and a size
    for (std::size_t i = 0; i < kSteps; ++i) {
      const float share = std::max(kLeast, (static_cast<float>(i) + 0.5f) * (kMost / kSteps));
      const float zone = 0.5f + 0.5f * kWeight * (std::log2((1.0f - share) / share) + kOther);
      zones_[i] = std::min(3.0f, std::max(0.5f, zone));
    }
  }
  float at(float share) const {
    const auto step = static_cast<std::int32_t>(share * (kSteps / kMost));
    return zones_[static_cast<std::size_t>(step < kSteps - 1 ? step : kSteps - 1)];
  }

 private:
  static constexpr std::int32_t kSteps = 4096;
  static constexpr float kLeast = 1e-4f, kMost = 0.6f;
  std::array<float, kSteps> zones_{};
};

/// Changed neighbours of every position of a row, 0..8: `above` and `below` are the rows beside it, zeros past the
/// plane; `columns` holds `width + 2` bytes.
inline void count_around(const std::uint8_t* above, const std::uint8_t* row, const std::uint8_t* below,
                         std::size_t width, std::uint8_t* columns, std::uint8_t* around) {
  columns[0] = columns[width + 1] = 0;
  for (std::size_t x = 0; x < width; ++x) columns[x + 1] = static_cast<std::uint8_t>(above[x] + row[x] + below[x]);
  for (std::size_t x = 0; x < width; ++x)
    around[x] = static_cast<std::uint8_t>(columns[x] + columns[x + 1] + columns[x + 2] - row[x]);
}

/// Closed-loop symbols of one sample whose dead zone is the wider the fewer residuals around it change: those beside a
/// position, those of its place in all planes, and those of its plane.
class AdaptiveZone {
 public:
  explicit AdaptiveZone(const SampleShape& shape)
      : shape_(shape), residual_(shape.size()), zone_(shape.size()), changed_(shape.size()), around_(shape.plane()),
        columns_(shape.width + 2), nothing_(shape.width), place_(shape.plane()) {}

  template <typename Symbol>
  void operator()(const float* x, const Symbol* previous, const float* lo, const float* scale, std::size_t rows,
                  std::int32_t top, Symbol* symbols) {
    measure(x, previous, lo, scale, rows);
    for (int round = 0; round < kRounds; ++round) widen();
    constexpr float kLimit = 131072.0f, kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds, halves to even
    const float* const residual = residual_.data();
    const float* const zone = zone_.data();
    for (std::size_t i = 0, n = shape_.size(); i < n; ++i) {
      const float moved = std::min(kLimit, std::max(-kLimit, residual[i]));
      const float whole = std::fabs(moved) <= zone[i] ? 0.0f : (moved + kRounder) - kRounder;
      const std::int32_t symbol = static_cast<std::int32_t>(previous[i]) + static_cast<std::int32_t>(whole);
      symbols[i] = static_cast<Symbol>(std::min(top, std::max(0, symbol)));
    }
  }

 private:
  static constexpr int kRounds = 2;
  static constexpr float kFirst = 0.6f;

  template <typename Symbol>
  void measure(const float* x, const Symbol* previous, const float* lo, const float* scale, std::size_t rows) {
    std::uint32_t has_nan = 0;
    for (std::size_t c = 0; c < shape_.channels; ++c) {
      const float base = lo[c % rows], factor = scale[c % rows];
      float* const residual = residual_.data() + c * shape_.plane();
      std::uint8_t* const changed = changed_.data() + c * shape_.plane();
      for (std::size_t k = 0, n = shape_.plane(); k < n; ++k, ++x, ++previous) {
        const float value = *x;
        has_nan |= value != value ? 1u : 0u;
        residual[k] = (value - base) * factor - static_cast<float>(*previous);
        changed[k] = std::fabs(residual[k]) > kFirst ? 1 : 0;
      }
    }
    if (has_nan != 0) refuse_nan();
  }

  /// Zones from what changes now, and then what changes.
  void widen() {
    const std::size_t size = shape_.plane();
    std::fill(place_.begin(), place_.end(), 0.0f);
    const float by_channel = 4.0f / static_cast<float>(shape_.channels);
    for (std::size_t c = 0; c < shape_.channels; ++c)
      for (std::size_t k = 0; k < size; ++k) place_[k] += static_cast<float>(changed_[c * size + k]);
    for (std::size_t k = 0; k < size; ++k) place_[k] *= by_channel;
    for (std::size_t c = 0; c < shape_.channels; ++c) widen_plane(c);
  }

  void widen_plane(std::size_t channel) {
    const std::size_t size = shape_.plane(), width = shape_.width;
    std::uint8_t* const changed = changed_.data() + channel * size;
    const float* const residual = residual_.data() + channel * size;
    float* const zone = zone_.data() + channel * size;
    std::uint32_t in_plane = 0;
    for (std::size_t k = 0; k < size; ++k) in_plane += changed[k];
    for (std::size_t y = 0; y < shape_.height; ++y) {
      const std::uint8_t* const row = changed + y * width;
      const std::uint8_t* const above = y == 0 ? nothing_.data() : row - width;
      const std::uint8_t* const below = y + 1 == shape_.height ? nothing_.data() : row + width;
      count_around(above, row, below, width, columns_.data(), around_.data() + y * width);
    }
    const float base = 4.0f * static_cast<float>(in_plane) / static_cast<float>(size) + 0.02f;
    for (std::size_t k = 0; k < size; ++k) {
      const float sum = static_cast<float>(around_[k]) + place_[k] + base;
      zone[k] = table_.at(sum * (1.0f / 16.5f));
      changed[k] = std::fabs(residual[k]) > zone[k] ? 1 : 0;
    }
  }

  SampleShape shape_;
  ZoneTable table_;
  std::vector<float> residual_, zone_;
  std::vector<std::uint8_t> changed_, around_, columns_, nothing_;
  std::vector<float> place_;
};

}  // namespace splitc
