// Interleaved static rANS (Duda 2013; Giesen, "Interleaved entropy coders", 2014). FORMAT.md, "rans payload".
//
// A chunk has lanes, which are fast, and a tail, which pays for their states:
//
//     encode   tail ──► inner bits ──► lanes' initial states ──► lanes, last step first ──► final states, words
//     decode   states, words ──► lanes, first step first ──► what is left in the states = inner bits ──► tail
//
// 1. States. Between two steps a state x lies in [2^15, 2^31). Let f, 1 <= f < 4096, be a token's frequency out of
//    4096. Encoding gives off one 16-bit word if x >= f * 2^19, which leaves f * 2^3 <= x < 2^15; otherwise f * 2^3 <=
//    2^15 <= x. Then x / f is in [2^3, 2^19), and the new state (x / f) * 4096 + start + x mod f is in [2^15, 2^31)
//    again. Decoding is the inverse: f * (x / 4096) + slot - start is at least 8 and below 2^31, and if it is below
//    2^15 a single word brings it back into [2^19, 2^31). So no step moves more than one word, nothing overflows 32
//    bits, and 31-bit states are divided exactly by a 32-bit reciprocal (rans_model.hpp).
//
// 2. Lanes. A decoding step waits for its own predecessor: state -> slot -> token -> context -> state. Only independent
//    states fill a processor, so 8, 16 or 32 lanes advance in lockstep: one, two or four AVX2 vectors, twice that many
//    of NEON, from 16 lanes on half that many of AVX-512; several vectors hide the latency of one another's table
//    look-ups. A lane has whole consecutive rows, because contexts look west and north: within a lane both neighbours
//    are known, all lanes begin and end a row at the same step, and in the interleaved layout (rans_lanes.hpp) west and
//    north are at the same distance for every lane. All lanes have equally many rows; what does not divide is the
//    tail's. More lanes are not always better. A lane that begins inside a plane does not see the row above its first
//    one, and a short chunk has few rows to give. Whole_Planes starts every lane on a plane's first row and leaves more
//    to the tail. `SplitCost` weighs both against measured times of a step and of a symbol of the tail.
//
// 3. Tail. rANS is a stack: the state from which an encoder starts is the one with which its decoder ends. Usually that
//    is a constant, and every lane then costs about 20 bits beyond its symbols: on tokens of 2.7 bits 20, 38 and 75
//    bytes for 8, 16 and 32 lanes, against chunks of 700 bytes. Here it is data. The tail is coded first, by a coder of
//    one lane, into the inner bits; each lane reads its initial state from them (a length n in 4 bits, then 15 + n
//    bits: any bits are a legal state) and writes its final state in the same form. After decoding, the states left
//    over, written in that form, are the inner bits again. What a state takes into the payload it also carries out of
//    it, and with a tail that just fills the states the same chunks cost 2.5 bytes beyond their symbols, whatever the
//    number of lanes. The tail is therefore the smallest whose inner bits fill the states: `left` symbols at each
//    lane's end, the rows that do not divide, and the low bits of wide symbols. Its one lane is slow, so it has at most
//    a quarter of the symbols; where that does not suffice there are no lanes. The tail's own initial state holds its
//    last 15 / T tokens of T bits raw, for the same reason. Decoded last, it may look at the rows of all lanes.
//
// 4. Bounds. A decoder consumes at most one word a symbol (1). `WordsIn` holds the payload's words and zeros behind
//    them for a stretch of 256 columns of every lane and one vector; the loops load blindly, and after each stretch
//    `check` refuses a position beyond the real words. Slots select a token whatever the bits are, since frequencies
//    sum to 4096. Inner bits are read with zeros past their end, and `InnerBits::finish` refuses a position there,
//    bytes never reached, and bits that no field took, so every bit of an accepted payload has been decoded.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bytes.hpp"
#include "low_bits.hpp"
#include "rans_coders.hpp"
#include "rans_model.hpp"
#include "rans_split.hpp"
#include "span.hpp"

namespace splitc {

// -- states in bits ------------------------------------------------------------------------------------------------

constexpr unsigned kLengthFieldBits = 4;
constexpr unsigned kLowStateBit = 15;  // highest bit of the least state

inline void write_state(LowBitWriter& out, std::uint32_t state) {
  unsigned above = 0;
  while (state >> (kLowStateBit + above + 1) != 0) ++above;
  out.put(above, kLengthFieldBits);
  out.put(state & ((1u << (kLowStateBit + above)) - 1), kLowStateBit + above);
}

template <typename Bits>
std::uint32_t read_state(Bits& in) {
  const unsigned length = kLowStateBit + in.take(kLengthFieldBits);
  return 1u << length | in.take(length);
}

// -- inner bits ----------------------------------------------------------------------------------------------------

/// The last tokens of a tail of `length`; they are its coder's initial state, raw.
inline std::size_t raw_tokens(std::size_t length, unsigned bits) {
  return std::min<std::size_t>(length, kLowStateBit / bits);
}

inline void encode_tail(const RansModel& model, const TokenChunk<const std::uint8_t>& chunk, const LanePlan& plan,
                        LowBitWriter& out) {
  RansTail<const std::uint8_t> tail(model, chunk, tail_runs(chunk.shape, plan));
  if (tail.length() == 0) return;
  const unsigned bits = model.rule().token_bits();
  std::uint32_t raw = 0;
  for (std::size_t k = raw_tokens(tail.length(), bits); k > 0; --k) raw = raw << bits | tail.pop();
  tail.state() = 1u << kLowStateBit | raw;
  WordsOut words(tail.length());
  tail.encode(words);
  write_state(out, tail.state());
  for (std::size_t i = 0; i < words.all().size; ++i) out.put(words.all()[i], 16);
}

inline void decode_tail(const RansModel& model, const TokenChunk<std::uint8_t>& chunk, const LanePlan& plan,
                        ZeroExtendedBits& inner) {
  RansTail<std::uint8_t> tail(model, chunk, tail_runs(chunk.shape, plan));
  if (tail.length() == 0) return;
  const unsigned bits = model.rule().token_bits();
  std::vector<std::uint8_t*> raw(raw_tokens(tail.length(), bits));
  for (std::size_t k = raw.size(); k-- > 0;) raw[k] = &tail.pop();
  tail.state() = read_state(inner);
  const std::size_t first = inner.position(), count = std::min(tail.length(), inner.left() / 16);
  WordsIn words(count, 1);
  for (std::size_t i = 0; i < count; ++i) words.data()[i] = static_cast<std::uint16_t>(inner.take(16));
  tail.decode(words);
  inner.go_to(first + 16 * words.used());
  for (std::uint8_t* const token : raw) {
    *token = static_cast<std::uint8_t>(tail.state() & ((1u << bits) - 1));
    tail.state() >>= bits;
  }
  if (tail.state() != 1u << (kLowStateBit - raw.size() * bits))
    refuse_payload("rans: the tail's final state is not one an encoder starts with.");
}

/// How a chunk is split, and its inner bits: the tail's, then the low bits of wide symbols.
struct InnerPart {
  SplitFields fields;
  std::vector<std::uint8_t> bytes;
  std::size_t size;  // bits
};

inline InnerPart encode_inner(const RansModel& model, const TokenChunk<const std::uint8_t>& chunk,
                              const SplitFields& fields, const LowBitWriter& low_bits) {
  LowBitWriter out;
  encode_tail(model, chunk, fields.plan(chunk.shape), out);
  out.append(low_bits);
  const std::size_t size = out.bits();
  return {fields, out.finish(), size};
}

/// Bits that the initial states of the lanes take from the beginning of the inner ones.
inline std::size_t bits_in_states(const InnerPart& part) {
  ZeroExtendedBits bits(part.bytes);
  for (unsigned l = 0; l < part.fields.lanes(); ++l) read_state(bits);
  return bits.position();
}

/// Leaves the lanes' states nothing but inner bits: takes the fastest split whose tail suffices.
inline InnerPart encode_inner(const RansModel& model, const TokenChunk<const std::uint8_t>& chunk,
                              const LowBitWriter& low_bits) {
  for (SplitFields fields : splits_to_try(chunk.shape, model.rule().token_bits()))
    for (; fields.tail_field <= SplitFields::kLargestTail && fields.fits(chunk.shape); ++fields.tail_field) {
      const std::size_t tail = chunk.shape.size() - fields.plan(chunk.shape).size();
      if (tail * kTailShare > chunk.shape.size()) break;
      InnerPart part = encode_inner(model, chunk, fields, low_bits);
      const std::size_t wanted = bits_in_states(part);
      if (part.size >= wanted) return part;
      fields.leave_just_below(tail * wanted / std::max<std::size_t>(part.size, 1) / fields.lanes());
    }
  return encode_inner(model, chunk, SplitFields(), low_bits);
}

/// Inner bits of a payload: those in the lanes' states, then the rest of the byte the states end in, then the bytes
/// behind the words.
class InnerBits : public ZeroExtendedBits {
 public:
  InnerBits(const LowBitWriter& before_words, ByteSpan behind_words)
      : ZeroExtendedBits(joined(before_words, behind_words)),
        before_(before_words.bits()),
        behind_(behind_words.size) {}

  /// Refuses bits that nothing has taken, and a reader that went past the end.
  void finish() {
    const std::size_t taken = position();
    const std::size_t behind = taken > before_ ? (taken - before_ + 7) / 8 : 0;
    if (behind > behind_) refuse_payload("rans: the symbols need more bytes (truncated).");
    if (behind < behind_)
      refuse_payload("rans: " + std::to_string(behind_ - behind) + " bytes left over after the last symbol.");
    while (left() != 0)
      if (take(static_cast<unsigned>(std::min<std::size_t>(left(), 32))) != 0)
        refuse_payload("rans: unused bits are not zero.");
  }

 private:
  static std::vector<std::uint8_t> joined(LowBitWriter before, ByteSpan behind) {
    for (std::size_t i = 0; i < behind.size; ++i) before.put(behind[i], 8);
    return before.finish();
  }

  std::size_t before_, behind_;  // bits and bytes
};

// -- a chunk -------------------------------------------------------------------------------------------------------

/// Codes the lanes from `inner`; their states go to `head`. Returns their words.
inline std::vector<std::uint8_t> encode_lanes(const RansModel& model, const TokenChunk<const std::uint8_t>& chunk,
                                              const LanePlan& plan, ZeroExtendedBits& inner, LowBitWriter& head) {
  if (plan.lanes == 0) return {};
  LanesEncoder lanes(model, chunk, plan);
  for (unsigned l = 0; l < plan.lanes; ++l) lanes.state(l) = read_state(inner);
  WordsOut words(plan.size());
  lanes.encode(words);
  for (unsigned l = 0; l < plan.lanes; ++l) write_state(head, lanes.state(l));
  std::vector<std::uint8_t> bytes(2 * words.all().size);
  for (std::size_t i = 0; i < words.all().size; ++i) store_u16(&bytes[2 * i], words.all()[i]);
  return bytes;
}

/// Tokens to a payload behind `head`; `low_bits` follow the tail's.
inline std::vector<std::uint8_t> rans_encode_tokens(const RansModel& model,
                                                    const TokenChunk<const std::uint8_t>& chunk, LowBitWriter head,
                                                    const LowBitWriter& low_bits) {
  const InnerPart part = encode_inner(model, chunk, low_bits);
  ZeroExtendedBits inner(part.bytes);
  part.fields.write(head);
  const std::vector<std::uint8_t> words = encode_lanes(model, chunk, part.fields.plan(chunk.shape), inner, head);
  const auto gap = static_cast<unsigned>((8 - head.bits() % 8) % 8);
  head.put(inner.take(gap), gap);
  std::vector<std::uint8_t> payload = head.finish();
  payload.insert(payload.end(), words.begin(), words.end());
  while (inner.position() < part.size) payload.push_back(static_cast<std::uint8_t>(inner.take(8)));
  return payload;
}

/// Inverse of `encode_lanes`: what is left in the states goes to `inner`. Returns the bytes of the words.
inline std::size_t decode_lanes(const RansModel& model, const TokenChunk<std::uint8_t>& chunk, const LanePlan& plan,
                                LowBitReader& head, ByteSpan payload, LowBitWriter& inner) {
  if (plan.lanes == 0) return 0;
  LanesDecoder lanes(model, chunk, plan);
  for (unsigned l = 0; l < plan.lanes; ++l) lanes.state(l) = read_state(head);
  const std::size_t first = head.bytes(), count = std::min((payload.size - first) / 2, plan.size());
  WordsIn words(count, plan.lanes);
  for (std::size_t i = 0; i < count; ++i) words.data()[i] = load_u16(payload.data + first + 2 * i);
  lanes.decode(words);
  const std::size_t bytes = 2 * words.used();
  for (unsigned l = 0; l < plan.lanes; ++l) write_state(inner, lanes.state(l));
  return bytes;
}

/// Inverse of `rans_encode_tokens`; `head` stands behind what that calls head. Returns the low bits and what follows.
inline InnerBits rans_decode_tokens(const RansModel& model, const TokenChunk<std::uint8_t>& chunk, LowBitReader head,
                                    ByteSpan payload) {
  const SplitFields fields = SplitFields::read(head);
  if (!fields.fits(chunk.shape)) refuse_payload("rans: Lanes and Tail ask for more rows than there are.");
  const LanePlan plan = fields.plan(chunk.shape);
  LowBitWriter before_words;
  const std::size_t words = decode_lanes(model, chunk, plan, head, payload, before_words);
  const std::size_t behind = head.bytes() + words;
  const unsigned gap = head.bits_to_byte();
  before_words.put(head.take(gap), gap);
  InnerBits inner(before_words, {payload.data + behind, payload.size - behind});
  decode_tail(model, chunk, plan, inner);
  return inner;
}

}  // namespace splitc
