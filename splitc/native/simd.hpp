// Which vector instructions the coders use. Every level gives the same bytes; tests compare them.
//
// A kernel is a functor whose call operator is SPLITC_INLINE: `dispatch` compiles its body once a level, under that
// level's instructions, and runs the best one the processor has. Where a body is not worth vectorizing by the compiler,
// a function marked SPLITC_AVX2 or SPLITC_AVX512 uses intrinsics.
#pragma once

#include <cstdlib>
#include <string>

#include "span.hpp"

#define SPLITC_INLINE inline __attribute__((always_inline))

#if defined(__x86_64__)
#define SPLITC_X86 1
#define SPLITC_AVX2_FEATURES "avx2,bmi,bmi2,popcnt"
#define SPLITC_AVX512_FEATURES SPLITC_AVX2_FEATURES ",avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2"
#define SPLITC_AVX2 __attribute__((target(SPLITC_AVX2_FEATURES)))
#define SPLITC_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define SPLITC_AVX512 __attribute__((target(SPLITC_AVX512_FEATURES)))
#define SPLITC_BEGIN_TARGET(features) \
  SPLITC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define SPLITC_END_TARGET SPLITC_PRAGMA(clang attribute pop)
#else
#define SPLITC_AVX512 __attribute__((target(SPLITC_AVX512_FEATURES ",prefer-vector-width=512")))
#define SPLITC_BEGIN_TARGET(features) SPLITC_PRAGMA(GCC push_options) SPLITC_PRAGMA(GCC target(features))
#define SPLITC_END_TARGET SPLITC_PRAGMA(GCC pop_options)
#endif
/// Around a namespace of functions that use these instructions.
#define SPLITC_BEGIN_AVX2 SPLITC_BEGIN_TARGET("avx2,bmi,bmi2,popcnt")
#define SPLITC_BEGIN_AVX512 \
  SPLITC_BEGIN_TARGET("avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2")
#else
#define SPLITC_X86 0
#endif
#if defined(__aarch64__)
#define SPLITC_NEON 1  // every AArch64 processor has it
#else
#define SPLITC_NEON 0
#endif

namespace splitc {

/// By rank on one architecture. `kScalar` leaves vectors to the compiler.
enum class SimdLevel { kScalar, kNeon, kAvx2, kAvx512 };

inline SimdLevel best_simd_level() {
#if SPLITC_NEON
  return SimdLevel::kNeon;
#endif
#if SPLITC_X86
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
  if (has_avx512) return SimdLevel::kAvx512;
  if (has_avx2) return SimdLevel::kAvx2;
#endif
  return SimdLevel::kScalar;
}

struct NamedLevel {
  const char* name;
  SimdLevel level;
};
/// What this architecture may have.
constexpr NamedLevel kNamedLevels[] = {
    {"scalar", SimdLevel::kScalar},
#if SPLITC_NEON
    {"neon", SimdLevel::kNeon},
#elif SPLITC_X86
    {"avx2", SimdLevel::kAvx2},
    {"avx512", SimdLevel::kAvx512},
#endif
};

/// The level that SPLITC_SIMD names; unset: the best one.
inline SimdLevel wanted_simd_level() {
  const char* const named = std::getenv("SPLITC_SIMD");
  const std::string name = named == nullptr ? "" : named;
  if (name.empty()) return best_simd_level();
  std::string known;
  for (const NamedLevel& each : kNamedLevels) {
    known += (known.empty() ? "" : ", ") + std::string(each.name);
    if (name != each.name) continue;
    if (each.level > best_simd_level())
      refuse_argument("SPLITC_SIMD is '" + name + "', which this processor does not have.");
    return each.level;
  }
  refuse_argument("SPLITC_SIMD is '" + name + "', must be one of " + known + ".");
}

/// Chosen once a process.
inline SimdLevel simd_level() {
  static const SimdLevel level = wanted_simd_level();
  return level;
}

#if SPLITC_X86
template <typename Kernel>
SPLITC_AVX2 auto run_avx2(const Kernel& kernel) {
  return kernel();
}
template <typename Kernel>
SPLITC_AVX512 auto run_avx512(const Kernel& kernel) {
  return kernel();
}
#endif

/// `kernel()`, compiled for the best instructions at hand.
template <typename Kernel>
auto dispatch(const Kernel& kernel) {
#if SPLITC_X86
  if (simd_level() == SimdLevel::kAvx512) return run_avx512(kernel);
  if (simd_level() == SimdLevel::kAvx2) return run_avx2(kernel);
#endif
  return kernel();
}

}  // namespace splitc
