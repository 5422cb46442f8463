// Scalar quantizers: binary32 features <-> symbols (FORMAT.md, "Quantizers"). Subtract, multiply, round: each operation
// rounds by itself (compile with -ffp-contract=off), so that the symbols are the same on every machine.
//
// Kernels copy their members to locals first: a byte store may alias a member, and then nothing is vectorized.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "simd.hpp"
#include "span.hpp"

#if SPLITC_X86
#include <immintrin.h>
#endif

namespace splitc {

/// `planes` rows of `size` values; row p is of channel `p % channels`.
struct RowShape {
  std::size_t planes = 0, size = 0, channels = 1;
};

[[noreturn]] inline void refuse_nan() {
  refuse_argument("feature holds NaN, which has no symbol; look at the head's input for NaN or overflow.");
}

/// One row of `round((x - lo) * scale)`, limited to 0..top. True where a value is NaN.
template <typename Symbol>
struct LinearRow {
  const float* x;
  std::size_t size;
  float lo, scale, top;
  Symbol* symbols;

  SPLITC_INLINE bool operator()() const {
    constexpr float kRounder = 8388608.0f;  // 2^23: adding it rounds to an integer, halves to even
    const float* const from = x;
    Symbol* __restrict const to = symbols;
    const float base = lo, factor = scale, most = top;
    std::uint32_t has_nan = 0;
    for (std::size_t i = 0, n = size; i < n; ++i) {
      const float value = from[i];
      has_nan |= value != value ? 1u : 0u;
      float scaled = (value - base) * factor;
      scaled = scaled > 0.0f ? scaled : 0.0f;
      scaled = scaled < most ? scaled : most;
      to[i] = static_cast<Symbol>(static_cast<std::int32_t>((scaled + kRounder) - kRounder));
    }
    return has_nan != 0;
  }
};

#if SPLITC_X86
/// Whole numbers 0..255 of 16 values: `round((x - lo) * scale)`, limited to 0..top; marks NaN.
SPLITC_AVX512 inline __m512i linear_vector(const float* x, __m512 lo, __m512 scale, __m512 top, __mmask16& has_nan) {
  const __m512 value = _mm512_loadu_ps(x);
  has_nan |= _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  const __m512 scaled = _mm512_mul_ps(_mm512_sub_ps(value, lo), scale);
  const __m512 limited = _mm512_min_ps(_mm512_max_ps(scaled, _mm512_setzero_ps()), top);
  return _mm512_cvt_roundps_epi32(limited, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/// The start of a row, 64 values at a time; counts what it did in `done`. True where a value is NaN.
SPLITC_AVX512 inline bool linear_wide(const LinearRow<std::uint8_t>& row, std::size_t& done) {
  const __m512 lo = _mm512_set1_ps(row.lo), scale = _mm512_set1_ps(row.scale), top = _mm512_set1_ps(row.top);
  // packs work in 128-bit lanes; this puts their four-byte pieces back in order
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __mmask16 has_nan = 0;
  for (done = 0; done + 64 <= row.size; done += 64) {
    const float* const x = row.x + done;
    const __m512i a = linear_vector(x, lo, scale, top, has_nan), b = linear_vector(x + 16, lo, scale, top, has_nan);
    const __m512i c = linear_vector(x + 32, lo, scale, top, has_nan), d = linear_vector(x + 48, lo, scale, top, has_nan);
    const __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    _mm512_storeu_si512(row.symbols + done, _mm512_permutexvar_epi32(order, bytes));
  }
  return has_nan != 0;
}
#endif

/// True where a value is NaN.
inline bool run_linear(LinearRow<std::uint8_t> row) {
  std::size_t done = 0;
  bool has_nan = false;
#if SPLITC_X86
  if (simd_level() == SimdLevel::kAvx512) has_nan = linear_wide(row, done);
#endif
  row.x += done, row.symbols += done, row.size -= done;
  return dispatch(row) || has_nan;
}
inline bool run_linear(const LinearRow<std::uint16_t>& row) { return dispatch(row); }

/// One row of "how many thresholds are at or below x", each compared. True where a value is NaN.
template <typename Symbol>
struct CountRow {
  const float* x;
  std::size_t size;
  const float* thresholds;
  std::size_t count;
  Symbol* symbols;

  SPLITC_INLINE bool operator()() const {
    constexpr std::size_t kBlock = 64;  // values whose counts stay in registers
    std::uint32_t has_nan = 0;
    std::size_t i = 0;
    const std::size_t n = size;
    for (; i + kBlock <= n; i += kBlock) has_nan |= count_block<kBlock>(x + i, symbols + i);
    for (; i < n; ++i) has_nan |= count_block<1>(x + i, symbols + i);
    return has_nan != 0;
  }

 private:
  template <std::size_t kBlock>
  SPLITC_INLINE std::uint32_t count_block(const float* from, Symbol* __restrict to) const {
    const float* const edges = thresholds;
    std::array<std::int32_t, kBlock> counts{};
    std::uint32_t has_nan = 0;
    for (std::size_t k = 0, n = count; k < n; ++k) {
      const float edge = edges[k];
      for (std::size_t j = 0; j < kBlock; ++j) counts[j] += from[j] >= edge ? 1 : 0;
    }
    for (std::size_t j = 0; j < kBlock; ++j) {
      has_nan |= from[j] != from[j] ? 1u : 0u;
      to[j] = static_cast<Symbol>(counts[j]);
    }
    return has_nan;
  }
};

/// The same by bisection: `thresholds` holds `2**steps - 1` of them, NaN past the last. True where a value is NaN.
template <typename Symbol>
struct BisectRow {
  const float* x;
  std::size_t size;
  const float* thresholds;
  unsigned steps;
  Symbol* symbols;

  SPLITC_INLINE bool operator()() const {
    constexpr std::size_t kBlock = 16;  // values searched side by side, to hide the latency of each step
    std::uint32_t has_nan = 0;
    std::size_t i = 0;
    const std::size_t n = size;
    for (; i + kBlock <= n; i += kBlock) has_nan |= search_block<kBlock>(x + i, symbols + i);
    for (; i < n; ++i) has_nan |= search_block<1>(x + i, symbols + i);
    return has_nan != 0;
  }

 private:
  template <std::size_t kBlock>
  SPLITC_INLINE std::uint32_t search_block(const float* from, Symbol* __restrict to) const {
    const float* const edges = thresholds;
    std::array<std::int32_t, kBlock> at{};
    std::uint32_t has_nan = 0;
    for (std::int32_t half = std::int32_t{1} << steps >> 1; half != 0; half >>= 1)
      for (std::size_t j = 0; j < kBlock; ++j) at[j] += edges[at[j] + half - 1] <= from[j] ? half : 0;
    for (std::size_t j = 0; j < kBlock; ++j) {
      has_nan |= from[j] != from[j] ? 1u : 0u;
      to[j] = static_cast<Symbol>(at[j]);
    }
    return has_nan;
  }
};

/// One row of `levels[symbol]`.
template <typename Symbol>
struct LookupRow {
  const Symbol* symbols;
  std::size_t size;
  const float* levels;
  float* x;

  SPLITC_INLINE bool operator()() const {
    const Symbol* const from = symbols;
    const float* const table = levels;
    float* __restrict const to = x;
    for (std::size_t i = 0, n = size; i < n; ++i) to[i] = table[from[i]];
    return false;
  }
};

#if SPLITC_X86
/// The whole vectors of a row of up to 16 levels, which stay in one register. Returns how many values it did.
SPLITC_AVX512 inline std::size_t lookup_few(const std::uint8_t* symbols, std::size_t size, const float* levels,
                                            std::size_t count, float* x) {
  const __m512 table = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), levels);
  std::size_t i = 0;
  for (; i + 16 <= size; i += 16) {
    const __m512i index = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(symbols + i)));
    _mm512_storeu_ps(x + i, _mm512_permutexvar_ps(index, table));
  }
  return i;
}
#endif

/// Values at the start of a row that need no table in memory.
inline std::size_t looked_up_in_registers(const std::uint8_t* symbols, std::size_t size, const float* levels,
                                          std::size_t count, float* x) {
#if SPLITC_X86
  if (count <= 16 && simd_level() == SimdLevel::kAvx512) return lookup_few(symbols, size, levels, count, x);
#endif
  (void)symbols, (void)size, (void)levels, (void)count, (void)x;
  return 0;
}
inline std::size_t looked_up_in_registers(const std::uint16_t*, std::size_t, const float*, std::size_t, float*) {
  return 0;
}

/// One row of `symbol * gain + bias`, two roundings.
template <typename Symbol>
struct AffineRow {
  const Symbol* symbols;
  std::size_t size;
  float gain, bias;
  float* x;

  SPLITC_INLINE bool operator()() const {
    const Symbol* const from = symbols;
    float* __restrict const to = x;
    const float factor = gain, base = bias;
    for (std::size_t i = 0, n = size; i < n; ++i) to[i] = static_cast<float>(from[i]) * factor + base;
    return false;
  }
};

template <typename Symbol>
struct LargestSymbol {
  Span<const Symbol> symbols;

  SPLITC_INLINE unsigned operator()() const {
    const Symbol* const from = symbols.data;
    Symbol largest = 0;
    for (std::size_t i = 0, n = symbols.size; i < n; ++i) largest = from[i] > largest ? from[i] : largest;
    return largest;
  }
};

/// `lo` and `scale` hold one value a channel; `top` is below 2**22 and fits a `Symbol`.
template <typename Symbol>
void quantize_linear(const float* x, const RowShape& shape, const float* lo, const float* scale, unsigned top,
                     Symbol* symbols) {
  for (std::size_t p = 0; p < shape.planes; ++p, x += shape.size, symbols += shape.size) {
    const std::size_t c = p % shape.channels;
    if (run_linear(LinearRow<Symbol>{x, shape.size, lo[c], scale[c], static_cast<float>(top), symbols})) refuse_nan();
  }
}

/// Thresholds of every channel padded with NaN to `2**steps - 1`.
class PaddedThresholds {
 public:
  PaddedThresholds(const float* thresholds, std::size_t channels, std::size_t count) {
    while (count > (std::size_t{1} << steps_) - 1) ++steps_;
    each_ = (std::size_t{1} << steps_) - 1;
    padded_.assign(channels * each_, std::numeric_limits<float>::quiet_NaN());
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t k = 0; k < count; ++k) padded_[c * each_ + k] = thresholds[c * count + k];
  }
  unsigned steps() const { return steps_; }
  const float* of(std::size_t channel) const { return padded_.data() + channel * each_; }

 private:
  unsigned steps_ = 0;
  std::size_t each_ = 0;
  std::vector<float> padded_;
};

/// `thresholds` holds `count` ascending values a channel, at most 65535 and as many as a `Symbol` can count.
template <typename Symbol>
void quantize_thresholds(const float* x, const RowShape& shape, const float* thresholds, std::size_t count,
                         Symbol* symbols) {
  constexpr std::size_t kCompareAll = 31;  // so few are faster compared than searched
  const PaddedThresholds padded(thresholds, shape.channels, count > kCompareAll ? count : 0);
  for (std::size_t p = 0; p < shape.planes; ++p, x += shape.size, symbols += shape.size) {
    const std::size_t c = p % shape.channels;
    const bool has_nan =
        count <= kCompareAll
            ? dispatch(CountRow<Symbol>{x, shape.size, thresholds + c * count, count, symbols})
            : dispatch(BisectRow<Symbol>{x, shape.size, padded.of(c), padded.steps(), symbols});
    if (has_nan) refuse_nan();
  }
}

/// `levels` holds `count` values a channel.
template <typename Symbol>
void lookup_levels(const Symbol* symbols, const RowShape& shape, const float* levels, std::size_t count, float* x) {
  const unsigned largest = dispatch(LargestSymbol<Symbol>{{symbols, shape.planes * shape.size}});
  if (largest >= count)
    refuse_argument("symbol " + std::to_string(largest) + " has no level: there are " + std::to_string(count) + ".");
  for (std::size_t p = 0; p < shape.planes; ++p, x += shape.size, symbols += shape.size) {
    const float* const its = levels + p % shape.channels * count;
    const std::size_t done = looked_up_in_registers(symbols, shape.size, its, count, x);
    dispatch(LookupRow<Symbol>{symbols + done, shape.size - done, its, x + done});
  }
}

/// `gain` and `bias` hold one value a channel.
template <typename Symbol>
void restore_affine(const Symbol* symbols, const RowShape& shape, const float* gain, const float* bias, float* x) {
  for (std::size_t p = 0; p < shape.planes; ++p, x += shape.size, symbols += shape.size) {
    const std::size_t c = p % shape.channels;
    dispatch(AffineRow<Symbol>{symbols, shape.size, gain[c], bias[c], x});
  }
}

}  // namespace splitc
