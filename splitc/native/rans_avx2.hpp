// AVX2 vocabulary for the rANS coder's vector loops: 8 lanes a vector.
#pragma once

#include "simd.hpp"

#if SPLITC_X86
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "rans_lanes.hpp"
#include "rans_model.hpp"

namespace splitc {

/// For every mask of 8 lanes, where each lane's word comes from (expand), and which lanes' words go to the top (compress).
struct LanePermutations {
  alignas(64) std::array<std::array<std::uint8_t, 8>, 256> expand{}, compress{};

  LanePermutations() {
    for (unsigned mask = 0; mask < 256; ++mask) {
      unsigned used = 0;
      for (unsigned l = 0; l < 8; ++l) used += mask >> l & 1u;
      unsigned next = 0;
      for (unsigned l = 0; l < 8; ++l) {
        if ((mask >> l & 1u) == 0) continue;
        expand[mask][l] = static_cast<std::uint8_t>(next);
        compress[mask][8 - used + next++] = static_cast<std::uint8_t>(l);
      }
    }
  }
};

inline const LanePermutations& lane_permutations() {
  static const LanePermutations permutations;
  return permutations;
}

}  // namespace splitc

SPLITC_BEGIN_AVX2
namespace splitc {
namespace avx2 {

using U32 = __m256i;
using Flags = __m256i;  // all ones or zero in each lane
constexpr unsigned kWidth = 8;

inline U32 set_all(std::uint32_t v) { return _mm256_set1_epi32(static_cast<int>(v)); }
inline U32 load_words(const std::uint32_t* p) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(p)); }
inline void store_words(std::uint32_t* p, U32 v) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), v); }
inline U32 load_bytes(const std::uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline void store_bytes(std::uint8_t* p, U32 v) {
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}
inline U32 add(U32 a, U32 b) { return _mm256_add_epi32(a, b); }
inline U32 sub(U32 a, U32 b) { return _mm256_sub_epi32(a, b); }
inline U32 and_(U32 a, U32 b) { return _mm256_and_si256(a, b); }
inline U32 or_(U32 a, U32 b) { return _mm256_or_si256(a, b); }
inline U32 magnitude(U32 a) { return _mm256_abs_epi32(a); }
inline U32 least(U32 a, U32 b) { return _mm256_min_epi32(a, b); }
inline U32 greatest(U32 a, U32 b) { return _mm256_max_epi32(a, b); }
template <unsigned kBy>
inline U32 shift_left(U32 a) {
  return _mm256_slli_epi32(a, kBy);
}
template <unsigned kBy>
inline U32 shift_right(U32 a) {
  return _mm256_srli_epi32(a, kBy);
}
inline U32 shift_left_each(U32 a, U32 by) { return _mm256_sllv_epi32(a, by); }
inline U32 shift_right_each(U32 a, U32 by) { return _mm256_srlv_epi32(a, by); }
inline U32 multiply(U32 a, U32 b) { return _mm256_mullo_epi32(a, b); }
/// Signed comparison.
inline Flags greater(U32 a, U32 b) { return _mm256_cmpgt_epi32(a, b); }
inline Flags flags_of(U32 all_ones_or_zero) { return all_ones_or_zero; }
inline unsigned bits_of(Flags flags) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(flags)));
}
inline U32 pick(Flags where, U32 a, U32 b) { return _mm256_blendv_epi8(b, a, where); }
/// `a + b` where flagged, `a` elsewhere.
inline U32 add_where(Flags where, U32 a, U32 b) { return add(a, and_(where, b)); }
inline U32 gather(const std::uint32_t* p, U32 index) {
  return _mm256_i32gather_epi32(reinterpret_cast<const int*>(p), index, 4);
}

/// Within 1 of `x / divisor` where that is below 2**19: relative errors are 2**-21 here and 2**-24 in each conversion.
inline U32 approximate_quotient(U32 x, U32 divisor) {
  const __m256 d = _mm256_cvtepi32_ps(divisor), rough = _mm256_rcp_ps(d);
  const __m256 better = _mm256_mul_ps(rough, _mm256_sub_ps(_mm256_set1_ps(2.0f), _mm256_mul_ps(d, rough)));
  return _mm256_cvttps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(x), better));
}

/// Contexts by level and sum.
struct ContextTable {
  const std::uint8_t* contexts;

  inline ContextTable(const std::uint8_t* all, std::size_t) : contexts(all) {}
  inline U32 at(U32 index) const {
    return and_(_mm256_i32gather_epi32(reinterpret_cast<const int*>(contexts), index, 1), set_all(0xFF));
  }
};

inline U32 permutation(const std::array<std::uint8_t, 8>& from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from.data())));
}

/// Gives off the low halves of the flagged lanes, the last lane highest. Writes eight words: `words` has room.
inline std::uint16_t* give_words(std::uint16_t* words, U32 x, Flags flags) {
  const unsigned mask = bits_of(flags);
  const U32 top = _mm256_permutevar8x32_epi32(and_(x, set_all(0xFFFF)), permutation(lane_permutations().compress[mask]));
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words - 8), packed);
  return words - __builtin_popcount(mask);
}

/// Shifts a word into every flagged lane, the first lane first.
inline U32 take_words(const std::uint16_t*& words, U32 x, Flags flags) {
  const unsigned mask = bits_of(flags);
  const U32 next = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words)));
  words += __builtin_popcount(mask);
  const U32 spread = _mm256_permutevar8x32_epi32(next, permutation(lane_permutations().expand[mask]));
  return pick(flags, or_(_mm256_slli_epi32(x, 16), spread), x);
}

#include "rans_vector.inl"

}  // namespace avx2
}  // namespace splitc
SPLITC_END_TARGET
#endif
