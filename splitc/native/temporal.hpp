// Symbols of predicted frames (FORMAT.md, section 11): chosen near those of the frame before, and folded against them.
//
// Kernels copy their members to locals first: a byte store may alias a member, and then nothing is vectorized.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

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

}  // namespace splitc
