// Interleaved static rANS (Duda 2013; Giesen, "Interleaved entropy coders", 2014). FORMAT.md, "rans payload".
//
// Lanes advance in lockstep, one token a step, and share one stream of 16-bit words: at every step lanes 0, 1, 2 ... each
// take a word if they need one. rANS is a stack, so the encoder walks the steps backwards. A lane's last few tokens are
// its coder's initial state, raw.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "low_bits.hpp"
#include "bytes.hpp"
#include "rans_kernels.hpp"
#include "rans_lanes.hpp"
#include "rans_model.hpp"
#include "span.hpp"

namespace splitc {

/// Smaller chunks have one lane, and one or two.
constexpr std::size_t kOneLaneBelow = 4096, kFewLanesBelow = 16384;
constexpr unsigned kLengthFieldBits = 4;
constexpr unsigned kLowStateBit = 15;  // highest bit of the least state

/// Bits of Lanes_Log2.
inline unsigned lanes_field_bits(const ChunkShape& shape) { return shape.size() < kFewLanesBelow ? 1 : 3; }

/// A chunk's tokens and, with a previous frame, that frame's.
struct TokenChunk {
  const std::uint8_t* tokens;
  const std::uint8_t* previous;  // null without one
  ChunkShape shape;
  std::size_t first_plane;
};

/// Tokens of a chunk, interleaved, with one row before the first for vectors to read and ignore.
class InterleavedTokens {
 public:
  explicit InterleavedTokens(const LanePlan& plan)
      : memory_(new std::uint8_t[plan.interleaved_size() + plan.row_size() + kSlack]), row_size_(plan.row_size()) {
    std::memset(memory_.get(), 0, row_size_);
    std::memset(row(plan.long_rows() - 1), 0, row_size_ + kSlack);
  }
  InterleavedTokens(const LanePlan& plan, const std::uint8_t* tokens) : InterleavedTokens(plan) {
    interleave(plan, tokens, row(0));
  }

  std::uint8_t* row(std::size_t index) const { return memory_.get() + (index + 1) * row_size_; }

 private:
  static constexpr std::size_t kSlack = 16;  // a vector of fewer lanes still loads whole
  std::unique_ptr<std::uint8_t[]> memory_;
  std::size_t row_size_;
};

/// What coding in either direction shares: the lanes of one chunk and their states.
class RansLanes {
 protected:
  RansLanes(const RansModel& model, const TokenChunk& chunk, unsigned lanes)
      : view_(model.view(chunk.previous != nullptr)),
        shape_(chunk.shape),
        plan_(chunk.shape, view_.bits(), lanes),
        cursor_(plan_, model, view_, chunk.first_plane),
        loops_(rans_loops(lanes, is_temporal(model, chunk))) {
    if (is_temporal(model, chunk)) previous_ = std::make_unique<InterleavedTokens>(plan_, chunk.previous);
  }

  static bool is_temporal(const RansModel& model, const TokenChunk& chunk) {
    return chunk.previous != nullptr && model.has_previous_view();
  }

  void activate(unsigned lanes) {
    for (unsigned l = 0; l < plan_.lanes; ++l) state_.active[l] = l < lanes ? ~0u : 0u;
  }

  const std::uint8_t* previous_row(std::size_t row) const { return previous_ ? previous_->row(row) : nullptr; }

  const RansView& view_;
  ChunkShape shape_;
  LanePlan plan_;
  LaneState state_;
  RowCursor cursor_;
  RansLoops loops_;
  std::unique_ptr<InterleavedTokens> previous_;
};

class RansEncoder : RansLanes {
 public:
  RansEncoder(const RansModel& model, const TokenChunk& chunk, unsigned lanes)
      : RansLanes(model, chunk, lanes),
        tokens_(plan_, chunk.tokens),
        words_(new std::uint16_t[plan_.interleaved_size() + kMaxLanes]),  // a word a token, and room for blind stores
        end_(words_.get() + plan_.interleaved_size() + kMaxLanes),
        head_(end_) {}

  /// Codes the last eighth and guesses the bytes of the whole payload.
  std::size_t start() {
    set_initial_states();
    activate(plan_.long_lanes);
    encode_steps(plan_.full_steps(), plan_.all_steps());
    activate(plan_.lanes);
    const std::size_t eighth = (plan_.full_steps() + 7) / 8;
    left_ = plan_.full_steps() - eighth;
    encode_steps(left_, plan_.full_steps());
    const std::size_t coded = plan_.all_steps() - left_;
    const std::size_t bytes = 2 * static_cast<std::size_t>(end_ - head_) + plan_.lanes;  // a byte is in each state
    return coded == 0 ? 0 : bytes * (plan_.all_steps() + plan_.raw_symbols) / coded;
  }

  /// Codes the rest after `start`. States, then words; `head` is what comes before them.
  std::vector<std::uint8_t> finish(LowBitWriter head) {
    encode_steps(0, left_);
    return assemble(std::move(head));
  }

 private:
  void set_initial_states() {
    const unsigned bits = view_.bits();
    for (unsigned l = 0; l < plan_.lanes; ++l) {
      std::uint32_t raw = 0;
      for (std::size_t i = plan_.length(l); i-- > plan_.coded(l);)
        raw = raw << bits | tokens_.row(0)[i * plan_.lanes + l];
      state_.x[l] = 1u << kRawBits | raw;
    }
  }

  /// Steps `[begin, end)` backwards.
  void encode_steps(std::size_t begin, std::size_t end) {
    while (end > begin) {
      const std::size_t row = (end - 1) / plan_.width, origin = row * plan_.width;
      const std::size_t first = std::max(begin, origin);
      cursor_.go_to(row, state_);
      const Stretch<const std::uint8_t> stretch{tokens_.row(row), previous_row(row), plan_.row_size(), first - origin,
                                                end - origin};
      head_ = loops_.encode(view_, state_, stretch, head_);
      end = first;
    }
  }

  std::vector<std::uint8_t> assemble(LowBitWriter head) const {
    unsigned log2 = 0;
    while (1u << log2 < plan_.lanes) ++log2;
    head.put(log2, lanes_field_bits(shape_));
    for (unsigned l = 0; l < plan_.lanes; ++l) {
      unsigned above = 0;
      while (state_.x[l] >> (kLowStateBit + above + 1) != 0) ++above;
      head.put(above, kLengthFieldBits);
      head.put(state_.x[l] & ((1u << (kLowStateBit + above)) - 1), kLowStateBit + above);
    }
    std::vector<std::uint8_t> payload = head.finish();
    std::size_t at = payload.size();
    payload.resize(at + 2 * static_cast<std::size_t>(end_ - head_));
    for (const std::uint16_t* word = head_; word != end_; ++word, at += 2) store_u16(&payload[at], *word);
    return payload;
  }

  InterleavedTokens tokens_;
  std::unique_ptr<std::uint16_t[]> words_;
  std::uint16_t* end_;
  std::uint16_t* head_;  // words grow downwards
  std::size_t left_ = 0;
};

class RansDecoder : RansLanes {
 public:
  RansDecoder(const RansModel& model, const TokenChunk& chunk, unsigned lanes)
      : RansLanes(model, chunk, lanes), tokens_(plan_) {}

  /// States from `bits`, which stands behind the lanes field of `payload`. Fills `tokens`; returns the bytes consumed.
  std::size_t decode(LowBitReader bits, ByteSpan payload, std::uint8_t* tokens) {
    for (unsigned l = 0; l < plan_.lanes; ++l) {
      const unsigned length = kLowStateBit + bits.take(kLengthFieldBits);
      state_.x[l] = 1u << length | bits.take(length);
    }
    const std::size_t first_word = bits.finish();
    read_words({payload.data + first_word, payload.size - first_word});
    activate(plan_.lanes);
    decode_steps(0, plan_.full_steps());
    activate(plan_.long_lanes);
    decode_steps(plan_.full_steps(), plan_.all_steps());
    for (unsigned l = 0; l < plan_.lanes; ++l) unpack_raw(l);
    deinterleave(plan_, tokens_.row(0), tokens);
    return first_word + 2 * used_;
  }

 private:
  /// Copies the words and pads them, so that a stretch needs one check at its end and none inside.
  void read_words(ByteSpan bytes) {
    word_count_ = std::min(bytes.size / 2, plan_.interleaved_size());
    words_.reset(new std::uint16_t[word_count_ + kMaxLanes * (kStretchLimit + 1)]);
    for (std::size_t i = 0; i < word_count_; ++i) words_[i] = load_u16(bytes.data + 2 * i);
    std::fill_n(words_.get() + word_count_, kMaxLanes * (kStretchLimit + 1), std::uint16_t{0});
  }

  /// Steps `[begin, end)`.
  void decode_steps(std::size_t begin, std::size_t end) {
    while (begin < end) {
      const std::size_t row = begin / plan_.width, origin = row * plan_.width;
      const std::size_t last = std::min({end, origin + plan_.width, begin + kStretchLimit});
      cursor_.go_to(row, state_);
      const Stretch<std::uint8_t> stretch{tokens_.row(row), previous_row(row), plan_.row_size(), begin - origin,
                                          last - origin};
      used_ = static_cast<std::size_t>(loops_.decode(view_, state_, stretch, words_.get() + used_) - words_.get());
      if (used_ > word_count_) refuse_payload("rans: the words end before the symbols do (truncated).");
      begin = last;
    }
  }

  void unpack_raw(unsigned lane) {
    const unsigned bits = view_.bits();
    std::uint32_t raw = state_.x[lane];
    for (std::size_t i = plan_.coded(lane); i < plan_.length(lane); ++i) {
      tokens_.row(0)[i * plan_.lanes + lane] = static_cast<std::uint8_t>(raw & ((1u << bits) - 1));
      raw >>= bits;
    }
    const std::size_t spent = (plan_.length(lane) - plan_.coded(lane)) * bits;
    if (raw != 1u << (kRawBits - spent))
      refuse_payload("rans: the final state of lane " + std::to_string(lane) + " is not one an encoder starts with.");
  }

  static constexpr std::size_t kStretchLimit = 256;  // columns; bounds the padding

  InterleavedTokens tokens_;
  std::unique_ptr<std::uint16_t[]> words_;
  std::size_t word_count_ = 0, used_ = 0;
};

/// Bytes that the fields around a packet's payload take.
constexpr std::size_t kPacketFieldBytes = 13;

/// Lanes for a payload of `bytes`: they and the packet's fields cost at most about 1/200 of a large one, 16 bytes of a
/// small one. A lane costs 19 bits less what its raw symbols would have taken.
inline unsigned affordable_lanes(std::size_t bytes, const ChunkShape& shape, unsigned bits) {
  const std::size_t saved = 8 * bytes * (kRawBits / bits), size = shape.size();
  const std::size_t lane_bits = saved >= 13 * size ? 6 : (19 * size - saved) / size;
  if (size < kFewLanesBelow) return size >= kOneLaneBelow && lane_bits <= 10 ? lanes_within(shape, 2) : 1;
  const std::size_t budget = bytes / 200;
  const std::size_t most = budget <= kPacketFieldBytes ? 0 : (budget - kPacketFieldBytes) * 8 / lane_bits;
  return lanes_within(shape, static_cast<unsigned>(std::clamp<std::size_t>(most, 1, kMaxLanes)));
}

/// Tokens to a payload behind `head`; where so many lanes prove too dear, starts again with fewer.
inline std::vector<std::uint8_t> rans_encode_tokens(const RansModel& model, const TokenChunk& chunk,
                                                    const LowBitWriter& head) {
  const unsigned bits = model.rule().token_bits();
  const unsigned lanes = affordable_lanes(chunk.shape.size() * bits / 8, chunk.shape, bits);
  RansEncoder encoder(model, chunk, lanes);
  const unsigned affordable = affordable_lanes(encoder.start(), chunk.shape, bits);
  if (affordable >= lanes) return encoder.finish(head);
  RansEncoder again(model, chunk, affordable);
  again.start();
  return again.finish(head);
}

/// Inverse of `rans_encode_tokens`; `bits` stands behind what it calls head. Returns the bytes consumed.
inline std::size_t rans_decode_tokens(const RansModel& model, const TokenChunk& chunk, LowBitReader bits,
                                      ByteSpan payload, std::uint8_t* tokens) {
  const unsigned log2 = bits.take(lanes_field_bits(chunk.shape));
  if (log2 > 5 || 1u << log2 > chunk.shape.planes * chunk.shape.height)
    refuse_payload("rans: Lanes_Log2 is " + std::to_string(log2) + ", more lanes than rows or than 32.");
  return RansDecoder(model, chunk, 1u << log2).decode(bits, payload, tokens);
}

}  // namespace splitc
