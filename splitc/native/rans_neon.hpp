// NEON vocabulary for the rANS coder's vector loops: 4 lanes a vector.
#pragma once

#include "simd.hpp"

#if SPLITC_NEON
#include <arm_neon.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "rans_lanes.hpp"
#include "rans_model.hpp"

namespace splitc {
namespace neon {

using U32 = uint32x4_t;
using Flags = uint32x4_t;  // all ones or zero in each lane
constexpr unsigned kWidth = 4;

inline U32 set_all(std::uint32_t v) { return vdupq_n_u32(v); }
inline U32 load_words(const std::uint32_t* p) { return vld1q_u32(p); }
inline void store_words(std::uint32_t* p, U32 v) { vst1q_u32(p, v); }
inline U32 load_bytes(const std::uint8_t* p) {
  std::uint32_t four;
  std::memcpy(&four, p, sizeof four);
  return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
}
inline void store_bytes(std::uint8_t* p, U32 v) {
  const uint16x4_t words = vmovn_u32(v);
  const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
  const std::uint32_t four = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
  std::memcpy(p, &four, sizeof four);
}
inline int32x4_t as_signed(U32 a) { return vreinterpretq_s32_u32(a); }
inline U32 as_unsigned(int32x4_t a) { return vreinterpretq_u32_s32(a); }
inline U32 add(U32 a, U32 b) { return vaddq_u32(a, b); }
inline U32 sub(U32 a, U32 b) { return vsubq_u32(a, b); }
inline U32 and_(U32 a, U32 b) { return vandq_u32(a, b); }
inline U32 or_(U32 a, U32 b) { return vorrq_u32(a, b); }
inline U32 magnitude(U32 a) { return as_unsigned(vabsq_s32(as_signed(a))); }
inline U32 least(U32 a, U32 b) { return as_unsigned(vminq_s32(as_signed(a), as_signed(b))); }
inline U32 greatest(U32 a, U32 b) { return as_unsigned(vmaxq_s32(as_signed(a), as_signed(b))); }
template <unsigned kBy>
inline U32 shift_left(U32 a) {
  return vshlq_n_u32(a, kBy);
}
template <unsigned kBy>
inline U32 shift_right(U32 a) {
  return vshrq_n_u32(a, kBy);
}
inline U32 shift_left_each(U32 a, U32 by) { return vshlq_u32(a, as_signed(by)); }
inline U32 shift_right_each(U32 a, U32 by) { return vshlq_u32(a, vnegq_s32(as_signed(by))); }
inline U32 multiply(U32 a, U32 b) { return vmulq_u32(a, b); }
/// Signed comparison.
inline Flags greater(U32 a, U32 b) { return vcgtq_s32(as_signed(a), as_signed(b)); }
inline Flags flags_of(U32 all_ones_or_zero) { return all_ones_or_zero; }
inline U32 pick(Flags where, U32 a, U32 b) { return vbslq_u32(where, a, b); }
/// `a + b` where flagged, `a` elsewhere.
inline U32 add_where(Flags where, U32 a, U32 b) { return add(a, and_(where, b)); }

/// `of(index)` of every lane.
template <typename Loader>
inline U32 load_each(U32 index, const Loader& of) {
  U32 out = vdupq_n_u32(of(vgetq_lane_u32(index, 0)));
  out = vsetq_lane_u32(of(vgetq_lane_u32(index, 1)), out, 1);
  out = vsetq_lane_u32(of(vgetq_lane_u32(index, 2)), out, 2);
  return vsetq_lane_u32(of(vgetq_lane_u32(index, 3)), out, 3);
}
inline U32 gather(const std::uint32_t* p, U32 index) {
  return load_each(index, [p](std::uint32_t i) { return p[i]; });
}

/// Within 1 of `x / divisor` where that is below 2**19: relative errors are 2**-24 here and in each conversion.
inline U32 approximate_quotient(U32 x, U32 divisor) {
  return vcvtq_u32_f32(vdivq_f32(vcvtq_f32_u32(x), vcvtq_f32_u32(divisor)));
}

/// Contexts by level and sum.
struct ContextTable {
  const std::uint8_t* contexts;

  inline ContextTable(const std::uint8_t* all, std::size_t) : contexts(all) {}
  inline U32 at(U32 index) const {
    return load_each(index, [this](std::uint32_t i) { return std::uint32_t{contexts[i]}; });
  }
};

/// For every mask of 4 lanes, bytes of words: where each lane's comes from, and which lanes' go to the top; 255 is zero.
struct WordPermutations {
  std::array<std::array<std::uint8_t, 16>, 16> expand{};
  std::array<std::array<std::uint8_t, 8>, 16> compress{};

  WordPermutations() {
    for (unsigned mask = 0; mask < 16; ++mask) {
      expand[mask].fill(255);
      compress[mask].fill(255);
      const auto used = static_cast<unsigned>(__builtin_popcount(mask));
      unsigned next = 0;
      for (unsigned l = 0; l < 4; ++l) {
        if ((mask >> l & 1u) == 0) continue;
        for (unsigned byte = 0; byte < 2; ++byte) {
          expand[mask][4 * l + byte] = static_cast<std::uint8_t>(2 * next + byte);
          compress[mask][2 * (4 - used + next) + byte] = static_cast<std::uint8_t>(4 * l + byte);
        }
        ++next;
      }
    }
  }
};

inline const WordPermutations& word_permutations() {
  static const WordPermutations permutations;
  return permutations;
}

inline unsigned bits_of(Flags flags) {
  const U32 places = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(flags, places));
}

/// Gives off the low halves of the flagged lanes, the last lane highest. Writes four words: `words` has room.
inline std::uint16_t* give_words(std::uint16_t* words, U32 x, Flags flags) {
  const unsigned mask = bits_of(flags);
  const uint8x8_t top = vqtbl1_u8(vreinterpretq_u8_u32(x), vld1_u8(word_permutations().compress[mask].data()));
  std::memcpy(words - 4, &top, sizeof top);
  return words - __builtin_popcount(mask);
}

/// Shifts a word into every flagged lane, the first lane first.
inline U32 take_words(const std::uint16_t*& words, U32 x, Flags flags) {
  const unsigned mask = bits_of(flags);
  uint8x8_t next;
  std::memcpy(&next, words, sizeof next);
  words += __builtin_popcount(mask);
  const uint8x16_t spread =
      vqtbl1q_u8(vcombine_u8(next, next), vld1q_u8(word_permutations().expand[mask].data()));
  return pick(flags, or_(vshlq_n_u32(x, 16), vreinterpretq_u32_u8(spread)), x);
}

#include "rans_vector.inl"

}  // namespace neon
}  // namespace splitc
#endif
