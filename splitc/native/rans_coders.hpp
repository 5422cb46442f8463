// The rANS coder over a chunk's lanes and over its tail (FORMAT.md, "rans payload").
//
// Lanes advance in lockstep, one token a step, and share one stream of 16-bit words: at every step lanes 0, 1, 2 ...
// each take a word if they need one. rANS is a stack: the encoder walks the steps backwards. The tail is one more lane,
// in place, that sees all rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "rans_kernels.hpp"
#include "rans_lanes.hpp"
#include "rans_model.hpp"
#include "rans_split.hpp"
#include "span.hpp"

namespace splitc {

/// A chunk's tokens, to be read or written, and with a previous frame that frame's.
template <typename Byte>
struct TokenChunk {
  Byte* tokens;
  const std::uint8_t* previous;  // null without one
  ChunkShape shape;
  std::size_t first_plane;
};

template <typename Byte>
bool is_temporal(const RansModel& model, const TokenChunk<Byte>& chunk) {
  return chunk.previous != nullptr && model.has_previous_view();
}

/// Words that encoding gives off; they grow downwards.
class WordsOut {
 public:
  explicit WordsOut(std::size_t most)
      : memory_(new std::uint16_t[most + kMaxLanes]), end_(memory_.get() + most + kMaxLanes), head(end_) {}

  Span<const std::uint16_t> all() const { return {head, static_cast<std::size_t>(end_ - head)}; }

 private:
  std::unique_ptr<std::uint16_t[]> memory_;  // with room for blind stores
  std::uint16_t* end_;

 public:
  std::uint16_t* head;
};

/// Columns that are decoded between two looks at how many words are left.
constexpr std::size_t kStretchLimit = 256;

/// Words to decode from, with zeros behind them: a stretch needs one check at its end and none inside.
class WordsIn {
 public:
  WordsIn(std::size_t count, unsigned lanes)
      : memory_(new std::uint16_t[count + padding(lanes)]), count_(count), next(memory_.get()) {
    std::fill_n(memory_.get() + count, padding(lanes), std::uint16_t{0});
  }

  std::uint16_t* data() { return memory_.get(); }
  std::size_t used() const { return static_cast<std::size_t>(next - memory_.get()); }
  void check() const {
    if (used() > count_) refuse_payload("rans: the words end before the symbols do (truncated).");
  }

 private:
  static std::size_t padding(unsigned lanes) { return lanes * kStretchLimit + kMaxLanes; }

  std::unique_ptr<std::uint16_t[]> memory_;
  std::size_t count_;

 public:
  const std::uint16_t* next;
};

// -- lanes ---------------------------------------------------------------------------------------------------------

/// Tokens of a plan, interleaved, with one row before the first for vectors to read and ignore.
class InterleavedTokens {
 public:
  explicit InterleavedTokens(const LanePlan& plan)
      : memory_(new std::uint8_t[plan.size() + plan.row_size() + kSlack]), row_size_(plan.row_size()) {
    std::memset(memory_.get(), 0, row_size_);
    std::memset(memory_.get() + row_size_ + plan.size(), 0, kSlack);
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

/// What coding the lanes in either direction shares.
class RansLanes {
 public:
  std::uint32_t& state(unsigned lane) { return state_.x[lane]; }

 protected:
  template <typename Byte>
  RansLanes(const RansModel& model, const TokenChunk<Byte>& chunk, const LanePlan& plan)
      : view_(model.view(chunk.previous != nullptr)),
        plan_(plan),
        cursor_(plan, model, view_, chunk.first_plane),
        loops_(rans_loops(plan.lanes, is_temporal(model, chunk))) {
    if (is_temporal(model, chunk)) previous_ = std::make_unique<InterleavedTokens>(plan, chunk.previous);
  }

  template <typename Byte>
  Stretch<Byte> stretch(const InterleavedTokens& tokens, std::size_t row, std::size_t begin, std::size_t end) const {
    return {tokens.row(row), previous_ ? previous_->row(row) : nullptr, plan_.row_size(), begin, end};
  }

  const RansView& view_;
  LanePlan plan_;
  LaneState state_;
  RowCursor cursor_;
  RansLoops loops_;
  std::unique_ptr<InterleavedTokens> previous_;
};

class LanesEncoder : public RansLanes {
 public:
  LanesEncoder(const RansModel& model, const TokenChunk<const std::uint8_t>& chunk, const LanePlan& plan)
      : RansLanes(model, chunk, plan), tokens_(plan, chunk.tokens) {}

  void encode(WordsOut& words) {
    for (std::size_t end = plan_.length(); end > 0;) {
      const std::size_t row = (end - 1) / plan_.width, first = row * plan_.width;
      cursor_.go_to(row, state_);
      words.head = loops_.encode(view_, state_, stretch<const std::uint8_t>(tokens_, row, 0, end - first), words.head);
      end = first;
    }
  }

 private:
  InterleavedTokens tokens_;
};

class LanesDecoder : public RansLanes {
 public:
  LanesDecoder(const RansModel& model, const TokenChunk<std::uint8_t>& chunk, const LanePlan& plan)
      : RansLanes(model, chunk, plan), tokens_(plan), out_(chunk.tokens) {}

  void decode(WordsIn& words) {
    for (std::size_t at = 0; at < plan_.length();) {
      const std::size_t row = at / plan_.width, first = row * plan_.width;
      const std::size_t end = std::min({plan_.length(), first + plan_.width, at + kStretchLimit});
      cursor_.go_to(row, state_);
      const auto columns = stretch<std::uint8_t>(tokens_, row, at - first, end - first);
      words.next = loops_.decode(view_, state_, columns, words.next);
      words.check();
      at = end;
    }
    deinterleave(plan_, tokens_.row(0), out_);
  }

 private:
  InterleavedTokens tokens_;
  std::uint8_t* out_;
};

// -- tail ----------------------------------------------------------------------------------------------------------

/// One lane over given runs of a chunk, in place.
template <typename Byte>
class RansTail {
 public:
  RansTail(const RansModel& model, const TokenChunk<Byte>& chunk, std::vector<TailRun> runs)
      : model_(model),
        view_(model.view(chunk.previous != nullptr)),
        chunk_(chunk),
        runs_(std::move(runs)),
        loops_(rans_loops(1, is_temporal(model, chunk))) {
    for (const TailRun& run : runs_) length_ += run.end - run.begin;
  }

  std::size_t length() const { return length_; }
  std::uint32_t& state() { return state_.x[0]; }

  /// Takes the last token off the runs.
  Byte& pop() {
    TailRun& last = runs_.back();
    Byte& token = chunk_.tokens[last.row * chunk_.shape.width + --last.end];
    if (last.begin == last.end) runs_.pop_back();
    --length_;
    return token;
  }

  /// Codes the runs backwards.
  void encode(WordsOut& words) {
    for (std::size_t k = runs_.size(); k-- > 0;)
      words.head = loops_.encode(view_, state_, stretch(runs_[k]), words.head);
  }

  void decode(WordsIn& words) {
    for (TailRun run : runs_)
      for (const std::size_t end = run.end; run.begin < end; run.begin = run.end) {
        run.end = std::min(end, run.begin + kStretchLimit);
        words.next = loops_.decode(view_, state_, stretch(run), words.next);
        words.check();
      }
  }

 private:
  /// A plane's first row takes itself, unread, for the row above.
  Stretch<Byte> stretch(const TailRun& run) {
    const bool is_first = run.row % chunk_.shape.height == 0;
    const std::size_t plane = run.row / chunk_.shape.height, width = chunk_.shape.width;
    state_.table[0] = model_.class_of(chunk_.first_plane + plane) * view_.tables_per_class();
    state_.north[0] = is_first ? 0u : ~0u;
    const std::uint8_t* const past = is_temporal(model_, chunk_) ? chunk_.previous + run.row * width : nullptr;
    return {chunk_.tokens + run.row * width, past, is_first ? 0 : width, run.begin, run.end};
  }

  const RansModel& model_;
  const RansView& view_;
  TokenChunk<Byte> chunk_;
  std::vector<TailRun> runs_;
  std::size_t length_ = 0;
  RansLoops loops_;
  LaneState state_;
};

}  // namespace splitc
