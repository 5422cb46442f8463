// The rANS coder's loops without vector instructions, for any number of lanes (FORMAT.md, "rans payload").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "rans_lanes.hpp"
#include "rans_model.hpp"

namespace splitc {

/// Chooses contexts; a copy of what it needs, so that byte stores cannot alias it.
struct ContextChooser {
  const std::uint8_t* contexts;
  const std::uint8_t* by_neighbours;  // null where symbols are too many
  unsigned bits;
  int sums, low, high;
  unsigned none;

  explicit ContextChooser(const RansView& view)
      : contexts(view.contexts()),
        by_neighbours(view.contexts_by_neighbours()),
        bits(view.bits()),
        sums(static_cast<int>(view.sums())),
        low(static_cast<int>(view.activity_low())),
        high(static_cast<int>(view.activity_high())),
        none(view.no_context()) {}

  unsigned by(int activity, int sum) const {
    const int level = int{activity > low} + int{activity > high};
    return contexts[level * sums + sum];
  }
  unsigned spatial(int west, int north, int north_west) const {
    if (by_neighbours != nullptr) return by_neighbours[(north << bits | north_west) << bits | west];
    return by(distance(west, north_west) + distance(north, north_west), west + north);
  }
  /// `west` and `north` are what the neighbours exceed those of the previous frame by; `at` is the previous symbol.
  unsigned temporal(int west, int north, int at) const {
    const int expected = 2 * at + west + north, most = sums - 1;
    return by(distance(west, 0) + distance(north, 0), expected < 0 ? 0 : expected > most ? most : expected);
  }

 private:
  static int distance(int a, int b) { return a > b ? a - b : b - a; }
};

/// What one lane sees at a position beside its own column's rows.
struct Seen {
  int west, north, north_west;
};

/// Context from neighbours that exist or not. `at` and `past` point to the position; `lanes` back is W, `row_size` N.
template <bool kTemporal, bool kHasWest>
SPLITC_INLINE unsigned scalar_context(const ContextChooser& chooser, const Seen& seen, const std::uint8_t* past,
                                      std::size_t lanes, std::size_t row_size, std::uint32_t has_north) {
  if (kTemporal) {
    const int above = has_north != 0 ? seen.north - *(past - row_size) : 0;
    const int left = kHasWest ? seen.west - *(past - lanes) : above;
    return chooser.temporal(left, has_north != 0 ? above : left, *past);
  }
  if (!kHasWest) return has_north != 0 ? chooser.by(0, 2 * seen.north) : chooser.none;
  return chooser.spatial(seen.west, has_north != 0 ? seen.north : seen.west,
                         has_north != 0 ? seen.north_west : seen.west);
}

/// The first lanes of a `LaneState`, copied so that byte stores cannot alias them.
template <unsigned kLanes>
struct ScalarLanes {
  std::array<std::uint32_t, kLanes> x, table, north;

  explicit ScalarLanes(const LaneState& state) {
    for (unsigned l = 0; l < kLanes; ++l) {
      x[l] = state.x[l];
      table[l] = state.table[l];
      north[l] = state.north[l];
    }
  }
  void store(LaneState& state) const {
    for (unsigned l = 0; l < kLanes; ++l) state.x[l] = x[l];
  }
};

template <unsigned kLanes, bool kTemporal>
struct ScalarEncoder {
  const EncodeEntry* entries;
  ContextChooser chooser;
  unsigned bits;
  ScalarLanes<kLanes> lanes;

  ScalarEncoder(const RansView& view, const LaneState& state)
      : entries(view.encode_entries()), chooser(view), bits(view.bits()), lanes(state) {}

  template <bool kHasWest>
  SPLITC_INLINE std::uint16_t* step(const Stretch<const std::uint8_t>& s, std::size_t column, std::uint16_t* words) {
    for (unsigned l = kLanes; l-- > 0;) {
      const std::uint8_t* const at = s.row + column * kLanes + l;
      const std::uint8_t* const past = kTemporal ? s.previous + column * kLanes + l : nullptr;
      const Seen seen{kHasWest ? *(at - kLanes) : 0, *(at - s.row_size), kHasWest ? *(at - s.row_size - kLanes) : 0};
      const unsigned context =
          scalar_context<kTemporal, kHasWest>(chooser, seen, past, kLanes, s.row_size, lanes.north[l]);
      const EncodeEntry& e = entries[(lanes.table[l] + context) << bits | *at];
      const std::uint32_t frequency = (e.rest >> 13 & 0xFFFu) + 1;
      const std::uint32_t is_full = lanes.x[l] >= frequency << 19 ? 1 : 0;
      words[-1] = static_cast<std::uint16_t>(lanes.x[l]);
      words -= is_full;
      const std::uint32_t small = lanes.x[l] >> 16 * is_full;
      const auto quotient = static_cast<std::uint32_t>((std::uint64_t{small} * e.reciprocal) >> 32) >> (e.rest >> 25);
      lanes.x[l] = small + (e.rest & 0x1FFFu) + quotient * (kProbabilityOne - frequency);
    }
    return words;
  }
};

/// Codes the stretch backwards; words grow downwards from `words`.
template <unsigned kLanes, bool kTemporal>
std::uint16_t* encode_scalar(const RansView& view, LaneState& state, const Stretch<const std::uint8_t>& s,
                             std::uint16_t* words) {
  ScalarEncoder<kLanes, kTemporal> coder(view, state);
  const std::size_t first = s.begin == 0 ? 1 : s.begin;
  for (std::size_t i = s.end; i-- > first;) words = coder.template step<true>(s, i, words);
  if (s.begin == 0) words = coder.template step<false>(s, 0, words);
  coder.lanes.store(state);
  return words;
}

/// W and NW stay in registers from step to step: loading them back would double the time of a step.
template <unsigned kLanes, bool kTemporal>
struct ScalarDecoder {
  const std::uint32_t* words_of_symbols;
  unsigned word_shift, log2_width;
  std::uint32_t place_mask, symbol_mask;
  const std::uint32_t* entries;
  ContextChooser chooser;
  unsigned bits;
  ScalarLanes<kLanes> lanes;
  std::array<int, kLanes> west{}, north_west{};

  ScalarDecoder(const RansView& view, const LaneState& state)
      : words_of_symbols(view.symbols().words()),
        word_shift(view.symbols().word_shift()),
        log2_width(view.symbols().log2_width()),
        place_mask(view.symbols().place_mask()),
        symbol_mask(view.symbols().symbol_mask()),
        entries(view.entries()),
        chooser(view),
        bits(view.bits()),
        lanes(state) {}

  template <bool kHasWest>
  SPLITC_INLINE const std::uint16_t* step(const Stretch<std::uint8_t>& s, std::size_t column,
                                          const std::uint16_t* words) {
    for (unsigned l = 0; l < kLanes; ++l) {
      std::uint8_t* const at = s.row + column * kLanes + l;
      const std::uint8_t* const past = kTemporal ? s.previous + column * kLanes + l : nullptr;
      const Seen seen{west[l], *(at - s.row_size), north_west[l]};
      const std::uint32_t table =
          lanes.table[l] + scalar_context<kTemporal, kHasWest>(chooser, seen, past, kLanes, s.row_size, lanes.north[l]);
      const std::uint32_t slot = lanes.x[l] & (kProbabilityOne - 1), place = table << kProbabilityBits | slot;
      const std::uint32_t symbol =
          words_of_symbols[place >> word_shift] >> ((place & place_mask) << log2_width) & symbol_mask;
      const std::uint32_t entry = entries[table << bits | symbol];
      *at = static_cast<std::uint8_t>(symbol);
      west[l] = static_cast<int>(symbol);
      north_west[l] = seen.north;
      const std::uint32_t next = (entry & 0xFFFFu) * (lanes.x[l] >> kProbabilityBits) + slot - (entry >> 16);
      const std::uint32_t is_low = (next - kStateLow) >> 31;  // 0 or 1: a branch would be guessed wrong too often
      lanes.x[l] = next << 16 * is_low | (*words & (0u - is_low));
      words += is_low;
    }
    return words;
  }
};

/// Decodes the stretch. `words` must have one word left for every symbol.
template <unsigned kLanes, bool kTemporal>
const std::uint16_t* decode_scalar(const RansView& view, LaneState& state, const Stretch<std::uint8_t>& s,
                                   const std::uint16_t* words) {
  ScalarDecoder<kLanes, kTemporal> coder(view, state);
  std::size_t column = s.begin;
  if (column == 0) {
    words = coder.template step<false>(s, column++, words);
  } else {
    const std::uint8_t* const before = s.row + (column - 1) * kLanes;
    for (unsigned l = 0; l < kLanes; ++l) {
      coder.west[l] = before[l];
      coder.north_west[l] = *(before + l - s.row_size);
    }
  }
  for (; column < s.end; ++column) words = coder.template step<true>(s, column, words);
  coder.lanes.store(state);
  return words;
}

}  // namespace splitc
