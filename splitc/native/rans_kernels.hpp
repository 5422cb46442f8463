// Picks the rANS coder's loop for the instructions at hand, the number of lanes and the view.
#pragma once

#include <cstdint>

#include "rans_avx2.hpp"
#include "rans_avx512.hpp"
#include "rans_lanes.hpp"
#include "rans_model.hpp"
#include "rans_neon.hpp"
#include "rans_scalar.hpp"
#include "simd.hpp"

namespace splitc {

using EncodeStretch = std::uint16_t* (*)(const RansView&, LaneState&, const Stretch<const std::uint8_t>&,
                                         std::uint16_t*);
using DecodeStretch = const std::uint16_t* (*)(const RansView&, LaneState&, const Stretch<std::uint8_t>&,
                                               const std::uint16_t*);

/// The loops for one number of lanes.
struct RansLoops {
  EncodeStretch encode = nullptr;
  DecodeStretch decode = nullptr;
};

template <bool kTemporal>
RansLoops scalar_loops(unsigned lanes) {
  switch (lanes) {
    case 1: return {&encode_scalar<1, kTemporal>, &decode_scalar<1, kTemporal>};
    case 8: return {&encode_scalar<8, kTemporal>, &decode_scalar<8, kTemporal>};
    case 16: return {&encode_scalar<16, kTemporal>, &decode_scalar<16, kTemporal>};
    default: return {&encode_scalar<32, kTemporal>, &decode_scalar<32, kTemporal>};
  }
}

template <bool kTemporal>
RansLoops loops_for(unsigned lanes) {
#if SPLITC_X86
  const SimdLevel level = simd_level();
  if (level == SimdLevel::kAvx512 && lanes == 32)
    return {&avx512::encode_stretch<2, kTemporal>, &avx512::decode_stretch<2, kTemporal>};
  if (level == SimdLevel::kAvx512 && lanes == 16)
    return {&avx512::encode_stretch<1, kTemporal>, &avx512::decode_stretch<1, kTemporal>};
  if (level != SimdLevel::kScalar && lanes == 32)
    return {&avx2::encode_stretch<4, kTemporal>, &avx2::decode_stretch<4, kTemporal>};
  if (level != SimdLevel::kScalar && lanes == 16)
    return {&avx2::encode_stretch<2, kTemporal>, &avx2::decode_stretch<2, kTemporal>};
  if (level != SimdLevel::kScalar && lanes == 8)
    return {&avx2::encode_stretch<1, kTemporal>, &avx2::decode_stretch<1, kTemporal>};
#elif SPLITC_NEON
  if (simd_level() == SimdLevel::kNeon && lanes == 32)
    return {&neon::encode_stretch<8, kTemporal>, &neon::decode_stretch<8, kTemporal>};
  if (simd_level() == SimdLevel::kNeon && lanes == 16)
    return {&neon::encode_stretch<4, kTemporal>, &neon::decode_stretch<4, kTemporal>};
  if (simd_level() == SimdLevel::kNeon && lanes == 8)
    return {&neon::encode_stretch<2, kTemporal>, &neon::decode_stretch<2, kTemporal>};
#endif
  return scalar_loops<kTemporal>(lanes);
}

inline RansLoops rans_loops(unsigned lanes, bool is_temporal) {
  return is_temporal ? loops_for<true>(lanes) : loops_for<false>(lanes);
}

}  // namespace splitc
