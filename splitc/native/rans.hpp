// Interleaved static rANS (Duda 2013; Giesen, "Interleaved entropy coders", 2014). FORMAT.md, "rans payload".
//
// Lane l codes planes l, l + lanes, l + 2 lanes ... in order. All lanes advance in lockstep, one symbol a step, and share
// one stream of 16-bit words: at every step lanes 0, 1, 2 ... each take a word if they need one. rANS is a stack, so the
// encoder walks the steps backwards. A lane's last few symbols are its coder's initial state, raw.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bytes.hpp"
#include "rans_model.hpp"
#include "scan.hpp"
#include "span.hpp"

namespace splitc {

constexpr unsigned kMaxLanes = 16;
constexpr std::size_t kBitsPerLane = 16384;
/// Smaller chunks have one lane: a lane costs about three bytes.
constexpr std::size_t kOneLaneBelow = 16384;
/// Bits of raw symbols below the marker bit of a lane's initial state.
constexpr unsigned kRawBits = 30;

/// Largest power of two within 16, the planes, and one lane per 16384 bits of symbols before coding.
inline unsigned lane_count(const ChunkShape& shape, unsigned bits) {
  if (shape.size() < kOneLaneBelow) return 1;
  const std::size_t bound = std::min(shape.planes, shape.size() * bits / kBitsPerLane);
  unsigned lanes = 1;
  while (lanes < kMaxLanes && 2 * lanes <= bound) lanes *= 2;
  return lanes;
}

/// How a chunk's symbols fall to lanes and steps.
struct LanePlan {
  std::size_t plane_size, rounds;
  unsigned lanes;
  unsigned last_round_lanes;  // lanes that have a plane in the last round, 1..lanes
  std::size_t raw_symbols;    // at the end of each lane, fewer where a lane is shorter
  PlaneRuns runs;

  LanePlan(const ChunkShape& shape, unsigned bits)
      : plane_size(shape.plane_size()),
        rounds(0),
        lanes(lane_count(shape, bits)),
        last_round_lanes(0),
        raw_symbols(kRawBits / bits),
        runs(shape.height, shape.width) {
    rounds = (shape.planes + lanes - 1) / lanes;
    last_round_lanes = static_cast<unsigned>(shape.planes - lanes * (rounds - 1));
  }

  std::size_t total(unsigned lane) const { return (rounds - (lane < last_round_lanes ? 0 : 1)) * plane_size; }
  std::size_t coded(unsigned lane) const { return total(lane) - std::min(total(lane), raw_symbols); }
  /// Steps in which every lane codes; after them only the first `last_round_lanes` do.
  std::size_t full_steps() const { return coded(lanes - 1); }
  std::size_t all_steps() const { return coded(0); }
  /// Place in the chunk of symbol `index` of `lane`.
  std::size_t place(unsigned lane, std::size_t index) const {
    return (index / plane_size * lanes + lane) * plane_size + index % plane_size;
  }
};

/// Where the lanes stand in one round: their planes' symbols and tables.
template <typename Symbol>
struct Round {
  std::array<Symbol*, kMaxLanes> plane{};
  std::array<std::uint32_t, kMaxLanes> table{};

  Round(const RansModel& model, const LanePlan& plan, Symbol* symbols, std::size_t first_plane, std::size_t round,
        unsigned active) {
    for (unsigned l = 0; l < active; ++l) {
      const std::size_t index = round * plan.lanes + l;
      plane[l] = symbols + index * plan.plane_size;
      table[l] = model.first_table(first_plane + index);
    }
  }
};

using States = std::array<std::uint32_t, kMaxLanes>;

/// Chooses contexts (FORMAT.md, "rans"); a copy of what it needs, so that byte stores cannot alias it.
struct ContextChooser {
  const std::uint8_t* contexts;
  std::size_t sums;
  unsigned no_context, low, high;

  explicit ContextChooser(const RansModel& model)
      : contexts(model.contexts()),
        sums(model.sums()),
        no_context(model.no_context()),
        low(model.activity_low()),
        high(model.activity_high()) {}

  unsigned choose(unsigned west, unsigned north, unsigned north_west) const {
    const unsigned activity = distance(west, north_west) + distance(north, north_west);
    const std::size_t level = std::size_t{activity > low} + std::size_t{activity > high};
    return contexts[level * sums + west + north];
  }
  /// Where one neighbour stands for all there is no activity.
  unsigned choose(unsigned only) const { return contexts[2 * only]; }

 private:
  static unsigned distance(unsigned a, unsigned b) { return a > b ? a - b : b - a; }
};

/// Codes steps of one run backwards for `kActive` lanes; words grow downwards from `words`.
template <unsigned kActive, Neighbours kSeen>
std::uint16_t* encode_run(const RansModel& model, const Round<const std::uint8_t>& round, const Run& run,
                          States& states, std::uint16_t* words) {
  const EncodeEntry* const entries = model.encode_entries();
  const ContextChooser chooser(model);
  const unsigned bits = model.bits();
  std::array<std::uint32_t, kActive> x;
  std::copy(states.begin(), states.begin() + kActive, x.begin());
  for (std::size_t i = run.end; i-- > run.begin;) {
    for (unsigned l = kActive; l-- > 0;) {
      const std::uint8_t* const at = round.plane[l] + i;
      unsigned context = chooser.no_context;
      if (kSeen == Neighbours::kOne) context = chooser.choose(*(at - run.west));
      if (kSeen == Neighbours::kAll) context = chooser.choose(at[-1], *(at - run.north), *(at - run.north - 1));
      const EncodeEntry& e = entries[(round.table[l] + context) << bits | *at];
      const std::uint32_t is_full = x[l] >= e.limit ? 1 : 0;
      words[-1] = static_cast<std::uint16_t>(x[l]);
      words -= is_full;
      const std::uint32_t state = x[l] >> 16 * is_full;
      const auto quotient = static_cast<std::uint32_t>((std::uint64_t{state} * e.reciprocal) >> 32) >> e.shift;
      x[l] = state + e.bias + quotient * e.complement;
    }
  }
  std::copy(x.begin(), x.end(), states.begin());
  return words;
}

/// Decodes steps of one run for `kActive` lanes. `words` must have `kActive` words left for every position of the run.
/// W stays in a register from one position to the next: loading it back would double the time of a step.
template <unsigned kActive, Neighbours kSeen>
const std::uint16_t* decode_run(const RansModel& model, const Round<std::uint8_t>& round, const Run& run,
                                States& states, const std::uint16_t* words) {
  const ContextChooser chooser(model);
  const std::uint8_t* const symbol_of_slot = model.symbol_of_slot();
  const std::uint32_t* const entries = model.decode_entries();
  const unsigned bits = model.bits();
  const std::size_t end = run.end, north_distance = run.north;
  std::array<std::uint8_t*, kActive> plane;
  std::array<std::uint32_t, kActive> table, x;
  std::array<unsigned, kActive> west, north_west;
  for (unsigned l = 0; l < kActive; ++l) {
    plane[l] = round.plane[l];
    table[l] = round.table[l];
    x[l] = states[l];
    west[l] = kSeen == Neighbours::kNone ? 0 : *(plane[l] + run.begin - run.west);
    north_west[l] = kSeen == Neighbours::kAll ? *(plane[l] + run.begin - run.north - 1) : 0;
  }
  for (std::size_t i = run.begin; i < end; ++i) {
    for (unsigned l = 0; l < kActive; ++l) {
      unsigned context = chooser.no_context;
      if (kSeen == Neighbours::kOne) context = chooser.choose(west[l]);
      if (kSeen == Neighbours::kAll) {
        const unsigned north = plane[l][i - north_distance];
        context = chooser.choose(west[l], north, north_west[l]);
        north_west[l] = north;
      }
      const std::uint32_t slot = x[l] & (kProbabilityOne - 1), chosen = table[l] + context;
      const std::uint32_t symbol = symbol_of_slot[chosen << kProbabilityBits | slot];
      const std::uint32_t entry = entries[chosen << bits | symbol];
      plane[l][i] = static_cast<std::uint8_t>(symbol);
      west[l] = symbol;
      const std::uint32_t state = (entry & 0xFFFFu) * (x[l] >> kProbabilityBits) + slot - (entry >> 16);
      const std::uint32_t is_low = (state - kStateLow) >> 31;  // 0 or 1: a branch would be guessed wrong too often
      x[l] = state << 16 * is_low | (*words & (0u - is_low));
      words += is_low;
    }
  }
  std::copy(x.begin(), x.end(), states.begin());
  return words;
}

using EncodeRun = std::uint16_t* (*)(const RansModel&, const Round<const std::uint8_t>&, const Run&, States&,
                                     std::uint16_t*);
using DecodeRun = const std::uint16_t* (*)(const RansModel&, const Round<std::uint8_t>&, const Run&, States&,
                                           const std::uint16_t*);

/// The coding loop for `active` lanes of a run that sees `seen`.
template <unsigned... kIndex>
EncodeRun encode_run_for(unsigned active, Neighbours seen, std::integer_sequence<unsigned, kIndex...>) {
  static constexpr EncodeRun table[][3] = {{&encode_run<kIndex + 1, Neighbours::kNone>,
                                            &encode_run<kIndex + 1, Neighbours::kOne>,
                                            &encode_run<kIndex + 1, Neighbours::kAll>}...};
  return table[active - 1][static_cast<int>(seen)];
}

template <unsigned... kIndex>
DecodeRun decode_run_for(unsigned active, Neighbours seen, std::integer_sequence<unsigned, kIndex...>) {
  static constexpr DecodeRun table[][3] = {{&decode_run<kIndex + 1, Neighbours::kNone>,
                                            &decode_run<kIndex + 1, Neighbours::kOne>,
                                            &decode_run<kIndex + 1, Neighbours::kAll>}...};
  return table[active - 1][static_cast<int>(seen)];
}

using LaneNumbers = std::make_integer_sequence<unsigned, kMaxLanes>;

class RansEncoder {
 public:
  RansEncoder(const RansModel& model, Span<const std::uint8_t> symbols, const ChunkShape& shape,
              std::size_t first_plane)
      : model_(model), plan_(shape, model.bits()), symbols_(symbols), first_plane_(first_plane) {}

  std::vector<std::uint8_t> encode() {
    check_symbols();
    std::vector<std::uint16_t> words(symbols_.size + 1);  // at most one word a symbol, and one for the blind store
    std::uint16_t* const end = words.data() + words.size();
    head_ = end;
    set_initial_states();
    encode_steps(plan_.full_steps(), plan_.all_steps(), plan_.last_round_lanes);
    encode_steps(0, plan_.full_steps(), plan_.lanes);
    return assemble(end);
  }

 private:
  void check_symbols() const {
    const auto largest = symbols_.size == 0 ? 0 : *std::max_element(symbols_.data, symbols_.data + symbols_.size);
    if (largest >> model_.bits() != 0)
      refuse_argument("rans: symbol " + std::to_string(largest) + " does not fit " + std::to_string(model_.bits()) +
                      " bits.");
  }

  void set_initial_states() {
    for (unsigned l = 0; l < plan_.lanes; ++l) {
      std::uint32_t raw = 0;
      for (std::size_t i = plan_.total(l); i-- > plan_.coded(l);)
        raw = raw << model_.bits() | symbols_[plan_.place(l, i)];
      states_[l] = 1u << kRawBits | raw;
    }
  }

  /// Steps `[begin, end)` backwards with the first `active` lanes.
  void encode_steps(std::size_t begin, std::size_t end, unsigned active) {
    while (end > begin) {
      const std::size_t round = (end - 1) / plan_.plane_size, origin = round * plan_.plane_size;
      const std::size_t first = std::max(begin, origin) - origin;
      const Round<const std::uint8_t> lanes(model_, plan_, symbols_.data, first_plane_, round, active);
      std::size_t last = end - origin;
      while (last > first) {
        Run run = plan_.runs.at(plan_.runs.find(last - 1));
        run.begin = std::max(run.begin, first);
        run.end = last;
        head_ = encode_run_for(active, run.seen(), LaneNumbers{})(model_, lanes, run, states_, head_);
        last = run.begin;
      }
      end = origin + first;
    }
  }

  std::vector<std::uint8_t> assemble(const std::uint16_t* end) const {
    const auto words = static_cast<std::size_t>(end - head_);
    std::vector<std::uint8_t> payload(4 * std::size_t{plan_.lanes} + 2 * words);
    for (unsigned l = 0; l < plan_.lanes; ++l) store_u32(&payload[4 * l], states_[l]);
    for (std::size_t i = 0; i < words; ++i) store_u16(&payload[4 * plan_.lanes + 2 * i], head_[i]);
    return payload;
  }

  const RansModel& model_;
  LanePlan plan_;
  Span<const std::uint8_t> symbols_;
  std::size_t first_plane_;
  States states_{};
  std::uint16_t* head_ = nullptr;
};

class RansDecoder {
 public:
  RansDecoder(const RansModel& model, const ChunkShape& shape, std::size_t first_plane)
      : model_(model), plan_(shape, model.bits()), first_plane_(first_plane) {}

  /// Fills `symbols`, whose size is the chunk's.
  void decode(ByteSpan payload, Span<std::uint8_t> symbols) {
    read_states(payload);
    read_words(payload);
    decode_steps(0, plan_.full_steps(), plan_.lanes, symbols.data);
    decode_steps(plan_.full_steps(), plan_.all_steps(), plan_.last_round_lanes, symbols.data);
    if (used_ != word_count_)
      refuse_payload("rans: " + std::to_string(word_count_ - used_) + " words left over after the last symbol.");
    for (unsigned l = 0; l < plan_.lanes; ++l) unpack_raw(l, symbols);
  }

 private:
  void read_states(ByteSpan payload) {
    const std::size_t needed = 4 * std::size_t{plan_.lanes};
    if (payload.size < needed || (payload.size - needed) % 2 != 0)
      refuse_payload("rans: a payload of " + std::to_string(payload.size) + " bytes cannot hold " +
                     std::to_string(plan_.lanes) + " states and whole words.");
    for (unsigned l = 0; l < plan_.lanes; ++l) {
      states_[l] = load_u32(payload.data + 4 * l);
      if (states_[l] < kStateLow || states_[l] >> 31 != 0)
        refuse_payload("rans: State of lane " + std::to_string(l) + " is out of range.");
    }
  }

  /// Copies the words and pads them, so that a run needs one check at its end and none inside.
  void read_words(ByteSpan payload) {
    const std::size_t begin = 4 * std::size_t{plan_.lanes};
    word_count_ = (payload.size - begin) / 2;
    words_.assign(word_count_ + kMaxLanes * kRunLimit, 0);
    for (std::size_t i = 0; i < word_count_; ++i) words_[i] = load_u16(payload.data + begin + 2 * i);
  }

  /// Steps `[begin, end)` with the first `active` lanes.
  void decode_steps(std::size_t begin, std::size_t end, unsigned active, std::uint8_t* symbols) {
    while (begin < end) {
      const std::size_t round = begin / plan_.plane_size, origin = round * plan_.plane_size;
      const std::size_t last = std::min(end - origin, plan_.plane_size);
      const Round<std::uint8_t> lanes(model_, plan_, symbols, first_plane_, round, active);
      std::size_t first = begin - origin;
      while (first < last) {
        Run run = plan_.runs.at(plan_.runs.find(first));
        run.begin = first;
        run.end = std::min({run.end, last, first + kRunLimit});
        const DecodeRun decode_run = decode_run_for(active, run.seen(), LaneNumbers{});
        const std::uint16_t* const next = decode_run(model_, lanes, run, states_, words_.data() + used_);
        used_ = static_cast<std::size_t>(next - words_.data());
        if (used_ > word_count_) refuse_payload("rans: the words end before the symbols do (truncated).");
        first = run.end;
      }
      begin = origin + last;
    }
  }

  void unpack_raw(unsigned lane, Span<std::uint8_t> symbols) const {
    const std::uint32_t mask = (1u << model_.bits()) - 1;
    std::uint32_t raw = states_[lane];
    for (std::size_t i = plan_.coded(lane); i < plan_.total(lane); ++i) {
      symbols[plan_.place(lane, i)] = static_cast<std::uint8_t>(raw & mask);
      raw >>= model_.bits();
    }
    const std::size_t spent = (plan_.total(lane) - plan_.coded(lane)) * model_.bits();
    if (raw != 1u << (kRawBits - spent))
      refuse_payload("rans: the final state of lane " + std::to_string(lane) + " is not one an encoder starts with.");
  }

  static constexpr std::size_t kRunLimit = 256;  // positions; bounds the padding

  const RansModel& model_;
  LanePlan plan_;
  std::size_t first_plane_;
  States states_{};
  std::vector<std::uint16_t> words_;
  std::size_t word_count_ = 0, used_ = 0;
};

}  // namespace splitc
