// Levels of quantized weights: interleaved rANS with static tables chosen by classes of rows and columns.
// splitc/weights/FORMAT.md, "Level chunks". No symbol waits for another one's value, so lanes run freely.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "scw_tables.hpp"
#include "simd.hpp"
#include "span.hpp"

#if SPLITC_X86
#include <immintrin.h>
#endif

namespace splitc {

constexpr unsigned kScwLanes = 32, kScwFewLanes = 2;
constexpr std::size_t kScwManyFrom = 8192;  // levels from which a chunk has all lanes
constexpr std::uint32_t kScwEscape = 0;
constexpr std::int32_t kScwZero = 128;  // token of level 0

inline unsigned scw_lanes(std::size_t count) { return count >= kScwManyFrom ? kScwLanes : kScwFewLanes; }

inline std::uint32_t scw_token(std::int32_t level) {
  return level > -kScwZero && level < kScwZero ? static_cast<std::uint32_t>(level + kScwZero) : kScwEscape;
}

/// How often each token stands in each context: adds to `counts` [contexts][256].
inline void scw_count(Span<const std::int32_t> levels, const ScwClasses& classes, std::size_t first,
                      unsigned contexts, std::uint32_t* counts) {
  std::vector<std::uint8_t> context(levels.size);
  scw_contexts(classes, contexts, first, levels.size, context.data());
  for (std::size_t i = 0; i < levels.size; ++i) ++counts[std::size_t{context[i]} * kScwTokens + scw_token(levels[i])];
}

// -- encoding ------------------------------------------------------------------------------------------------------

/// Escape_Count, Escapes, States, Words.
inline std::vector<std::uint8_t> scw_encode(const ScwTables& tables, Span<const std::int32_t> levels,
                                            const ScwClasses& classes, std::size_t first) {
  const unsigned lanes = scw_lanes(levels.size);
  std::vector<std::uint8_t> context(levels.size);
  scw_contexts(classes, tables.contexts(), first, levels.size, context.data());
  std::array<std::uint32_t, kScwLanes> x;
  x.fill(kScwLow);
  std::vector<std::uint16_t> words;
  std::vector<std::int32_t> escapes;
  for (std::size_t i = levels.size; i-- > 0;) {
    const std::uint32_t token = scw_token(levels[i]);
    if (token == kScwEscape) escapes.push_back(levels[i]);
    const std::uint32_t range = tables.ranges()[std::size_t{context[i]} * kScwTokens + token];
    const std::uint32_t frequency = range & 0xFFFFu, start = range >> 16;
    if (frequency == 0)
      refuse_argument("levels: token " + std::to_string(token) + " has no frequency in context " +
                      std::to_string(context[i]) + ".");
    std::uint32_t& state = x[i & (lanes - 1)];
    if (state >= std::uint64_t{frequency} << 20) {
      words.push_back(static_cast<std::uint16_t>(state));
      state >>= 16;
    }
    state = (state / frequency << kScwBits) + state % frequency + start;
  }
  std::vector<std::uint8_t> out(4 + 4 * escapes.size() + 4 * lanes + 2 * words.size());
  std::uint8_t* to = out.data();
  const auto put = [&to](std::uint32_t value) { store_u32(to, value), to += 4; };
  put(static_cast<std::uint32_t>(escapes.size()));
  for (std::size_t i = escapes.size(); i-- > 0;) put(static_cast<std::uint32_t>(escapes[i]));
  for (unsigned l = 0; l < lanes; ++l) put(x[l]);
  for (std::size_t i = words.size(); i-- > 0; to += 2) store_u16(to, words[i]);
  return out;
}

// -- decoding ------------------------------------------------------------------------------------------------------

/// Where decoding stands: states, and the words that are left.
struct ScwCursor {
  alignas(64) std::array<std::uint32_t, kScwLanes> x{};
  const std::uint8_t* words = nullptr;
  const std::uint8_t* end = nullptr;
};

/// Decodes `count` tokens beginning with lane 0 (`lanes` is a power of two); false where the words run out.
inline bool scw_decode_scalar(const ScwTables& tables, const std::uint8_t* context, std::size_t count, unsigned lanes,
                              ScwCursor& at, std::uint8_t* tokens) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t& x = at.x[i & (lanes - 1)];
    const std::uint32_t entry = tables.slots()[std::size_t{context[i]} << kScwBits | (x & (kScwOne - 1))];
    tokens[i] = static_cast<std::uint8_t>(entry);
    x = ((entry >> 8 & 0xFFFu) + 1) * (x >> kScwBits) + (entry >> 20);
    if (x >= kScwLow) continue;
    if (at.words == at.end) return false;
    x = x << 16 | load_u16(at.words);
    at.words += 2;
  }
  return true;
}

#if SPLITC_X86
SPLITC_BEGIN_AVX512
namespace scw_avx512 {

struct Half {
  __m512i x;

  inline __attribute__((always_inline)) void step(const std::uint32_t* slots, const std::uint8_t* context,
                                                  const std::uint8_t*& words, std::uint8_t* tokens) {
    const __m512i c = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(context)));
    const __m512i slot = _mm512_and_si512(x, _mm512_set1_epi32(kScwOne - 1));
    const __m512i entry = _mm512_i32gather_epi32(_mm512_or_si512(_mm512_slli_epi32(c, kScwBits), slot), slots, 4);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(tokens), _mm512_cvtepi32_epi8(entry));
    const __m512i f = _mm512_add_epi32(_mm512_and_si512(_mm512_srli_epi32(entry, 8), _mm512_set1_epi32(0xFFF)),
                                       _mm512_set1_epi32(1));
    x = _mm512_add_epi32(_mm512_mullo_epi32(f, _mm512_srli_epi32(x, kScwBits)), _mm512_srli_epi32(entry, 20));
    const __mmask16 low = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(kScwLow));
    const __m512i next = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
    x = _mm512_mask_or_epi32(x, low, _mm512_slli_epi32(x, 16), _mm512_maskz_expand_epi32(low, next));
    words += 2 * _mm_popcnt_u32(low);
  }
};

/// Whole groups of 32 tokens while enough words are left; returns how many tokens were decoded.
inline std::size_t decode(const ScwTables& tables, const std::uint8_t* context, std::size_t count, ScwCursor& at,
                          std::uint8_t* tokens) {
  Half a{_mm512_load_si512(at.x.data())}, b{_mm512_load_si512(at.x.data() + 16)};
  const std::uint32_t* const slots = tables.slots();
  const std::uint8_t* words = at.words;
  std::size_t done = 0;
  for (; done + kScwLanes <= count && at.end - words >= 2 * kScwLanes + 32; done += kScwLanes) {
    a.step(slots, context + done, words, tokens + done);
    b.step(slots, context + done + 16, words, tokens + done + 16);
  }
  at.words = words;
  _mm512_store_si512(at.x.data(), a.x);
  _mm512_store_si512(at.x.data() + 16, b.x);
  return done;
}

}  // namespace scw_avx512
SPLITC_END_TARGET
#endif

inline bool scw_decode_tokens(const ScwTables& tables, const std::uint8_t* context, std::size_t count, unsigned lanes,
                              ScwCursor& at, std::uint8_t* tokens) {
  std::size_t done = 0;
#if SPLITC_X86
  if (lanes == kScwLanes && simd_level() == SimdLevel::kAvx512)
    done = scw_avx512::decode(tables, context, count, at, tokens);
#endif
  return scw_decode_scalar(tables, context + done, count - done, lanes, at, tokens + done);
}

/// Levels that no token holds, in order.
class ScwEscapes {
 public:
  explicit ScwEscapes(FieldReader& in)
      : count_(in.u32("Escape_Count")), bytes_(in.take("Escapes", std::size_t{4} * count_)) {}

  std::int32_t next() {
    if (next_ == count_) refuse_payload("levels: more escapes than Escape_Count.");
    const auto level = static_cast<std::int32_t>(load_u32(bytes_.data + 4 * next_++));
    if (scw_token(level) != kScwEscape) refuse_payload("levels: an escaped level has a token of its own.");
    return level;
  }
  void finish() const {
    if (next_ != count_) refuse_payload("levels: fewer escapes than Escape_Count.");
  }

 private:
  std::size_t count_, next_ = 0;
  ByteSpan bytes_;
};

constexpr std::size_t kScwBlock = 1 << 14;

/// Hands every block of a chunk's tokens to `take(position, tokens, count, escapes)`.
template <typename Take>
void scw_decode(const ScwTables& tables, ByteSpan payload, std::size_t count, const ScwClasses& classes,
                std::size_t first, const Take& take) {
  FieldReader in(payload, "levels");
  ScwEscapes escapes(in);
  const unsigned lanes = scw_lanes(count);
  ScwCursor at;
  for (unsigned l = 0; l < lanes; ++l)
    if ((at.x[l] = in.u32("State")) < kScwLow) refuse_payload("levels: a state is below 65536.");
  at.words = payload.data + in.offset();
  at.end = payload.data + payload.size;
  if ((at.end - at.words) % 2 != 0) refuse_payload("levels: half a word at the end.");
  std::vector<std::uint8_t> context(kScwBlock), tokens(kScwBlock);
  for (std::size_t done = 0; done < count; done += kScwBlock) {
    const std::size_t length = std::min(kScwBlock, count - done);
    scw_contexts(classes, tables.contexts(), first + done, length, context.data());
    if (!scw_decode_tokens(tables, context.data(), length, lanes, at, tokens.data()))
      refuse_payload("levels: the payload ends before its last level.");
    take(done, tokens.data(), length, escapes);
  }
  escapes.finish();
  const bool is_over = at.words == at.end && std::all_of(at.x.begin(), at.x.begin() + lanes,
                                                         [](std::uint32_t x) { return x == kScwLow; });
  if (!is_over) refuse_payload("levels: the payload does not end with its last level.");
}

/// Levels as integers.
inline void scw_decode_levels(const ScwTables& tables, ByteSpan payload, const ScwClasses& classes, std::size_t first,
                              Span<std::int32_t> levels) {
  const auto take = [&](std::size_t at, const std::uint8_t* tokens, std::size_t count, ScwEscapes& escapes) {
    for (std::size_t i = 0; i < count; ++i)
      levels[at + i] = tokens[i] != kScwEscape ? static_cast<std::int32_t>(tokens[i]) - kScwZero : escapes.next();
  };
  scw_decode(tables, payload, levels.size, classes, first, take);
}

/// Levels times the step of their row, each product rounded once to binary32.
inline void scw_decode_values(const ScwTables& tables, ByteSpan payload, const ScwClasses& classes, std::size_t first,
                              const float* steps, Span<float> values) {
  const auto take = [&](std::size_t at, const std::uint8_t* tokens, std::size_t count, ScwEscapes& escapes) {
    for (std::size_t i = 0; i < count;) {
      const std::size_t row = (first + at + i) / classes.row(), column = (first + at + i) % classes.row();
      const std::size_t length = std::min(classes.row() - column, count - i);
      const float step = steps[row];
      float* const out = values.data + at + i;
      bool has_escape = false;
      for (std::size_t k = 0; k < length; ++k) {
        out[k] = static_cast<float>(static_cast<std::int32_t>(tokens[i + k]) - kScwZero) * step;
        has_escape |= tokens[i + k] == kScwEscape;
      }
      for (std::size_t k = 0; has_escape && k < length; ++k)
        if (tokens[i + k] == kScwEscape) out[k] = static_cast<float>(escapes.next()) * step;
      i += length;
    }
  };
  scw_decode(tables, payload, values.size, classes, first, take);
}

}  // namespace splitc
