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

/// Changed neighbours of every position of a plane, 0..8.
inline void count_around(const std::uint8_t* changed, std::size_t height, std::size_t width, std::uint8_t* around) {
  const auto rows = static_cast<std::ptrdiff_t>(height), columns = static_cast<std::ptrdiff_t>(width);
  for (std::ptrdiff_t y = 0; y < rows; ++y)
    for (std::ptrdiff_t x = 0; x < columns; ++x) {
      unsigned count = 0;
      for (std::ptrdiff_t v = std::max<std::ptrdiff_t>(y - 1, 0); v <= std::min(y + 1, rows - 1); ++v)
        for (std::ptrdiff_t u = std::max<std::ptrdiff_t>(x - 1, 0); u <= std::min(x + 1, columns - 1); ++u)
          count += changed[v * columns + u];
      around[y * columns + x] = static_cast<std::uint8_t>(count - changed[y * columns + x]);
    }
}

/// Closed-loop symbols of one sample whose dead zone is the wider the fewer residuals around it change: those beside a
/// position, those of its place in all planes, and those of its plane.
class AdaptiveZone {
 public:
  explicit AdaptiveZone(const SampleShape& shape)
      : shape_(shape), residual_(shape.size()), zone_(shape.size()), changed_(shape.size()),
        around_(shape.plane()), place_(shape.plane()) {}

  template <typename Symbol>
  void operator()(const float* x, const Symbol* previous, const float* lo, const float* scale, std::size_t rows,
                  std::int32_t top, Symbol* symbols) {
    measure(x, previous, lo, scale, rows);
    for (int round = 0; round < kRounds; ++round) widen();
    for (std::size_t i = 0; i < shape_.size(); ++i) {
      const std::int32_t was = previous[i];
      const float limit = 131072.0f, moved = std::min(limit, std::max(-limit, residual_[i]));
      const bool stays = std::fabs(moved) <= zone_[i];
      const std::int32_t symbol = stays ? was : was + static_cast<std::int32_t>(std::nearbyint(moved));
      symbols[i] = static_cast<Symbol>(std::min(top, std::max(0, symbol)));
    }
  }

 private:
  static constexpr int kRounds = 2;
  static constexpr float kFirst = 0.6f;

  template <typename Symbol>
  void measure(const float* x, const Symbol* previous, const float* lo, const float* scale, std::size_t rows) {
    bool has_nan = false;
    for (std::size_t c = 0, i = 0; c < shape_.channels; ++c)
      for (std::size_t k = 0; k < shape_.plane(); ++k, ++i) {
        has_nan |= x[i] != x[i];
        residual_[i] = (x[i] - lo[c % rows]) * scale[c % rows] - static_cast<float>(previous[i]);
        changed_[i] = std::fabs(residual_[i]) > kFirst ? 1 : 0;
      }
    if (has_nan) refuse_nan();
  }

  /// Zones from what changes now, and then what changes.
  void widen() {
    std::fill(place_.begin(), place_.end(), 0);
    for (std::size_t i = 0; i < shape_.size(); ++i) place_[i % shape_.plane()] += changed_[i];
    const float by_channel = 4.0f / static_cast<float>(shape_.channels);
    for (std::size_t c = 0; c < shape_.channels; ++c) {
      std::uint8_t* const changed = changed_.data() + c * shape_.plane();
      std::uint32_t in_plane = 0;
      for (std::size_t k = 0; k < shape_.plane(); ++k) in_plane += changed[k];
      const float base = 4.0f * static_cast<float>(in_plane) / static_cast<float>(shape_.plane()) + 0.02f;
      count_around(changed, shape_.height, shape_.width, around_.data());
      for (std::size_t k = 0; k < shape_.plane(); ++k) {
        const float sum = static_cast<float>(around_[k]) + static_cast<float>(place_[k]) * by_channel + base;
        const std::size_t i = c * shape_.plane() + k;
        zone_[i] = table_.at(sum * (1.0f / 16.5f));
        changed[k] = std::fabs(residual_[i]) > zone_[i] ? 1 : 0;
      }
    }
  }

  SampleShape shape_;
  ZoneTable table_;
  std::vector<float> residual_, zone_;
  std::vector<std::uint8_t> changed_, around_;
  std::vector<std::uint32_t> place_;
};

}  // namespace splitc
