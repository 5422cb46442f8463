// AVX-512 vocabulary for the rANS coder's vector loops: 16 lanes a vector.
#pragma once

#include "simd.hpp"

#if SPLITC_X86
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "rans_lanes.hpp"
#include "rans_model.hpp"

SPLITC_BEGIN_AVX512
namespace splitc {
namespace avx512 {

using U32 = __m512i;
using Flags = __mmask16;
constexpr unsigned kWidth = 16;

inline U32 set_all(std::uint32_t v) { return _mm512_set1_epi32(static_cast<int>(v)); }
inline U32 load_words(const std::uint32_t* p) { return _mm512_load_si512(p); }
inline void store_words(std::uint32_t* p, U32 v) { _mm512_store_si512(p, v); }
inline U32 load_bytes(const std::uint8_t* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline void store_bytes(std::uint8_t* p, U32 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
}
inline U32 add(U32 a, U32 b) { return _mm512_add_epi32(a, b); }
inline U32 sub(U32 a, U32 b) { return _mm512_sub_epi32(a, b); }
inline U32 and_(U32 a, U32 b) { return _mm512_and_si512(a, b); }
inline U32 or_(U32 a, U32 b) { return _mm512_or_si512(a, b); }
inline U32 magnitude(U32 a) { return _mm512_abs_epi32(a); }
inline U32 least(U32 a, U32 b) { return _mm512_min_epi32(a, b); }
inline U32 greatest(U32 a, U32 b) { return _mm512_max_epi32(a, b); }
template <unsigned kBy>
inline U32 shift_left(U32 a) {
  return _mm512_slli_epi32(a, kBy);
}
template <unsigned kBy>
inline U32 shift_right(U32 a) {
  return _mm512_srli_epi32(a, kBy);
}
inline U32 shift_left_each(U32 a, U32 by) { return _mm512_sllv_epi32(a, by); }
inline U32 shift_right_each(U32 a, U32 by) { return _mm512_srlv_epi32(a, by); }
inline U32 multiply(U32 a, U32 b) { return _mm512_mullo_epi32(a, b); }
/// Signed comparison.
inline Flags greater(U32 a, U32 b) { return _mm512_cmpgt_epi32_mask(a, b); }
inline Flags flags_of(U32 all_ones_or_zero) { return _mm512_movepi32_mask(all_ones_or_zero); }
inline U32 pick(Flags where, U32 a, U32 b) { return _mm512_mask_blend_epi32(where, b, a); }
/// `a + b` where flagged, `a` elsewhere.
inline U32 add_where(Flags where, U32 a, U32 b) { return _mm512_mask_add_epi32(a, where, a, b); }
inline U32 gather(const std::uint32_t* p, U32 index) { return _mm512_i32gather_epi32(index, p, 4); }

/// Within 1 of `x / divisor` where that is below 2**19: relative errors are 2**-22 here and 2**-24 in each conversion.
inline U32 approximate_quotient(U32 x, U32 divisor) {
  const __m512 d = _mm512_cvtepi32_ps(divisor), rough = _mm512_rcp14_ps(d);
  const __m512 better = _mm512_mul_ps(rough, _mm512_fnmadd_ps(d, rough, _mm512_set1_ps(2.0f)));
  return _mm512_cvttps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(x), better));
}

/// Contexts by level and sum; up to 128 of them stay in registers.
struct ContextTable {
  const std::uint8_t* contexts;
  bool is_small;
  U32 low, high;

  inline ContextTable(const std::uint8_t* all, std::size_t count)
      : contexts(all), is_small(count <= 128), low(_mm512_loadu_si512(all)), high(_mm512_loadu_si512(all + 64)) {}

  inline U32 at(U32 index) const {
    const U32 found =
        is_small ? _mm512_permutex2var_epi8(low, index, high) : _mm512_i32gather_epi32(index, contexts, 1);
    return and_(found, set_all(0xFF));
  }
};

/// Gives off the low halves of the flagged lanes, the last lane highest.
inline std::uint16_t* give_words(std::uint16_t* words, U32 x, Flags flags) {
  const auto count = static_cast<unsigned>(__builtin_popcount(flags));
  words -= count;
  const __m256i packed = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(flags, x));
  _mm256_mask_storeu_epi16(words, static_cast<__mmask16>((1u << count) - 1), packed);
  return words;
}

/// Shifts a word into every flagged lane, the first lane first.
inline U32 take_words(const std::uint16_t*& words, U32 x, Flags flags) {
  const U32 next = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
  words += __builtin_popcount(flags);
  return _mm512_mask_or_epi32(x, flags, _mm512_slli_epi32(x, 16), _mm512_maskz_expand_epi32(flags, next));
}

#include "rans_vector.inl"

}  // namespace avx512
}  // namespace splitc
SPLITC_END_TARGET
#endif
