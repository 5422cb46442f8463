// Static tables of the rANS coder: parsed from canonical bytes (FORMAT.md, "rANS tables") and expanded for speed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "crc32c.hpp"
#include "span.hpp"

namespace splitc {

constexpr unsigned kProbabilityBits = 12;
constexpr std::uint32_t kProbabilityOne = 1u << kProbabilityBits;
/// Coder states live in [kStateLow, kStateLow << 16); 31 bits, so that a 32-bit reciprocal divides exactly.
constexpr std::uint32_t kStateLow = 1u << 15;
/// Symbols of more bits are coded as tokens of this many.
constexpr unsigned kMaxTokenBits = 8;
/// Token of a wide symbol that has no other.
constexpr unsigned kEscape = 255;

/// What encoding one symbol without vectors needs: division by the frequency as a multiplication (Granlund &
/// Montgomery). `rest` = bias (13 bits) | frequency - 1 (12 bits) | shift (4 bits).
struct EncodeEntry {
  std::uint32_t reciprocal = 0, rest = 0;
};

inline EncodeEntry make_encode_entry(std::uint32_t start, std::uint32_t frequency) {
  const std::uint32_t packed_frequency = (frequency - 1) << 13;
  if (frequency == 1)  // floor(x * (2^32 - 1) / 2^32) = x - 1, so the bias makes up for one whole step
    return {~0u, (start + kProbabilityOne - 1) | packed_frequency};
  unsigned shift = 0;
  while (frequency > (1u << shift)) ++shift;
  const auto reciprocal = static_cast<std::uint32_t>(((std::uint64_t{1} << (shift + 31)) + frequency - 1) / frequency);
  return {reciprocal, start | packed_frequency | (shift - 1) << 25};
}

/// The symbol of every slot of every table, 4 or 8 bits each, in whole words. Slot `i` counts from the first table's.
class PackedSymbols {
 public:
  explicit PackedSymbols(unsigned bits) : log2_width_(bits <= 4 ? 2 : 3) {}

  void append(std::uint32_t symbol, std::uint32_t times) {
    for (; times != 0; --times, ++size_) {
      if (size_ % per_word() == 0) words_.push_back(0);
      words_.back() |= symbol << (size_ % per_word() << log2_width_);
    }
  }

  const std::uint32_t* words() const { return words_.data(); }
  /// Slot i is in word `i >> word_shift()`, `(i & place_mask()) << log2_width()` bits up, under `symbol_mask()`.
  unsigned log2_width() const { return log2_width_; }
  unsigned word_shift() const { return 5 - log2_width_; }
  std::uint32_t place_mask() const { return per_word() - 1; }
  std::uint32_t symbol_mask() const { return (1u << (1u << log2_width_)) - 1; }

 private:
  unsigned per_word() const { return 1u << word_shift(); }

  unsigned log2_width_;
  std::size_t size_ = 0;
  std::vector<std::uint32_t> words_;
};

/// Levels of activity; each has its own contexts of the expected symbol.
constexpr unsigned kLevels = 3;

/// Contexts and the tables they choose. A chunk is coded with one view.
///
/// The context array ends in padding: vectors load 32 bits where one byte is meant.
class RansView {
 public:
  /// Reads the fields of one view; `bits` are the tokens'.
  RansView(FieldReader& in, unsigned bits, unsigned classes) : bits_(bits), symbols_(bits) {
    read_levels(in);
    read_frequencies(in, std::size_t{classes} * tables_per_class());
    finish();
  }

  /// One table for everything: frequencies by token, zero for tokens that do not occur.
  RansView(const std::vector<std::uint32_t>& frequencies, unsigned bits)
      : bits_(bits), context_of_sum_(kLevels * sums(), 0), symbols_(bits) {
    append_table(frequencies.data());
    finish();
  }

  unsigned tables_per_class() const { return contexts_ + 1; }
  /// Table of a position without neighbours, counted from its class's first table.
  unsigned no_context() const { return contexts_; }
  unsigned bits() const { return bits_; }
  unsigned activity_low() const { return activity_low_; }
  unsigned activity_high() const { return activity_high_; }
  /// Number of values of W + N.
  std::size_t sums() const { return 2 * ((std::size_t{1} << bits_) - 1) + 1; }
  /// Context by `level * sums() + W + N`.
  const std::uint8_t* contexts() const { return context_of_sum_.data(); }
  /// Context by `(N << bits | NW) << bits | W`: one load instead of the arithmetic; null above 4 bits.
  const std::uint8_t* contexts_by_neighbours() const { return by_neighbours_.empty() ? nullptr : by_neighbours_.data(); }
  /// Entries by `table << bits | symbol`.
  const EncodeEntry* encode_entries() const { return encode_.data(); }
  /// Frequency in the low half, start in the high half, by `table << bits | symbol`.
  const std::uint32_t* entries() const { return entries_.data(); }
  /// Symbol of every slot, packed so that all tables stay in a near cache.
  const PackedSymbols& symbols() const { return symbols_; }

 private:
  void read_levels(FieldReader& in) {
    const auto largest = static_cast<unsigned>(sums() - 1);
    contexts_ = in.u8_in("Context_Count", kLevels, 64);
    activity_low_ = in.u16_in("Activity_Low", 0, largest);
    activity_high_ = in.u16_in("Activity_High", activity_low_, largest);
    const ByteSpan counts = in.take("Level_Contexts", kLevels);
    if (counts[0] == 0 || counts[1] == 0 || counts[2] == 0 || counts[0] + counts[1] + counts[2] != int(contexts_))
      in.fail("Level_Contexts", "does not sum to Context_Count, or a level has none.");
    unsigned first = 0;
    for (unsigned level = 0; level < kLevels; first += counts[level], ++level)
      read_thresholds(in, first, counts[level]);
  }

  /// Contexts `first`, `first + 1` ... of one level.
  void read_thresholds(FieldReader& in, unsigned first, unsigned count) {
    std::vector<std::uint8_t> context(sums(), static_cast<std::uint8_t>(first));
    unsigned previous = 0;
    for (unsigned k = 1; k < count; ++k) {
      const unsigned threshold = in.u16_in("Thresholds", previous + 1, static_cast<unsigned>(sums() - 1));
      for (std::size_t sum = threshold; sum < context.size(); ++sum) ++context[sum];
      previous = threshold;
    }
    context_of_sum_.insert(context_of_sum_.end(), context.begin(), context.end());
  }

  void read_frequencies(FieldReader& in, std::size_t tables) {
    const std::size_t symbols = std::size_t{1} << bits_;
    const ByteSpan bytes = in.take("Frequencies", 2 * symbols * tables);
    std::vector<std::uint32_t> row(symbols);
    for (std::size_t t = 0; t < tables; ++t) {
      std::uint32_t total = 0;
      for (std::size_t s = 0; s < symbols; ++s) {
        row[s] = load_u16(bytes.data + 2 * (t * symbols + s));
        if (row[s] == 0 || row[s] > kProbabilityOne - total)
          in.fail("Frequencies", "has a value out of range in table " + std::to_string(t) + ".");
        total += row[s];
      }
      if (total != kProbabilityOne)
        in.fail("Frequencies", "does not sum to 4096 in table " + std::to_string(t) + ".");
      append_table(row.data());
    }
  }

  /// `frequencies`: one a token, at most 4095 each, summing to 4096.
  void append_table(const std::uint32_t* frequencies) {
    std::uint32_t start = 0;
    for (std::uint32_t s = 0; s < 1u << bits_; ++s) {
      const std::uint32_t frequency = frequencies[s];
      encode_.push_back(frequency == 0 ? EncodeEntry{} : make_encode_entry(start, frequency));
      entries_.push_back(frequency | start << 16);
      symbols_.append(s, frequency);
      start += frequency;
    }
  }

  void finish() {
    if (bits_ <= 4) list_by_neighbours();
    context_of_sum_.resize(std::max<std::size_t>(context_of_sum_.size() + 3, 128), 0);
  }

  void list_by_neighbours() {
    const int symbols = 1 << bits_;
    for (int north = 0; north < symbols; ++north)
      for (int north_west = 0; north_west < symbols; ++north_west)
        for (int west = 0; west < symbols; ++west) {
          const int activity = std::abs(west - north_west) + std::abs(north - north_west);
          const int level = int{activity > static_cast<int>(activity_low_)} + int{activity > static_cast<int>(activity_high_)};
          by_neighbours_.push_back(context_of_sum_[static_cast<std::size_t>(level) * sums() +
                                                   static_cast<std::size_t>(west + north)]);
        }
  }

  unsigned bits_, contexts_ = 0, activity_low_ = 0, activity_high_ = 0;
  std::vector<std::uint8_t> context_of_sum_, by_neighbours_;
  std::vector<EncodeEntry> encode_;
  std::vector<std::uint32_t> entries_;
  PackedSymbols symbols_;
};

/// How symbols of more than 8 bits become tokens: `(symbol >> shift) - base`, or `kEscape` outside 0..254.
struct TokenRule {
  unsigned bits = 8, shift = 0, base = 0;

  bool is_wide() const { return bits > kMaxTokenBits; }
  unsigned token_bits() const { return std::min(bits, kMaxTokenBits); }
};

class RansModel {
 public:
  explicit RansModel(ByteSpan tables) {
    FieldReader in(tables, "rans tables");
    read_header(in);
    for (unsigned k = 0; k < view_count_; ++k) views_.emplace_back(in, rule_.token_bits(), classes_);
    const std::uint32_t expected = crc32c({tables.data, in.offset()});
    if (in.u32("Checksum") != expected) in.fail("Checksum", "does not match (damaged).");
    if (!in.done()) in.fail("Checksum", "is followed by extra bytes.");
  }

  /// One table for all channels and contexts.
  RansModel(const TokenRule& rule, const std::vector<std::uint32_t>& frequencies)
      : rule_(rule), class_of_channel_(1, 0) {
    views_.emplace_back(frequencies, rule.token_bits());
  }

  const TokenRule& rule() const { return rule_; }
  unsigned bits() const { return rule_.bits; }
  std::size_t channels() const { return class_of_channel_.size(); }
  bool has_previous_view() const { return views_.size() > 1; }
  /// The view for chunks with or without a previous frame; one without stands in for both.
  const RansView& view(bool has_previous) const { return views_[has_previous && has_previous_view() ? 1 : 0]; }
  unsigned class_of(std::size_t plane) const { return class_of_channel_[plane % class_of_channel_.size()]; }

 private:
  void read_header(FieldReader& in) {
    const char* magic = "SRNS";
    const ByteSpan found = in.take("Magic", 4);
    if (!std::equal(magic, magic + 4, reinterpret_cast<const char*>(found.data)))
      in.fail("Magic", "is not 'SRNS'.");
    in.u8_in("Version", 1, 1);
    rule_.bits = in.u8_in("Bits", 1, 16);
    rule_.shift = in.u8_in("Shift", 0, rule_.bits - rule_.token_bits());
    const unsigned coarse = (1u << (rule_.bits - rule_.shift)) - (1u << rule_.token_bits());
    rule_.base = in.u16_in("Base", 0, coarse);
    classes_ = in.u8_in("Class_Count", 1, 64);
    view_count_ = in.u8_in("View_Count", 1, 2);
    const unsigned channels = in.u16_in("Channel_Count", 1, 65535);
    const ByteSpan classes = in.take("Class_Of_Channel", channels);
    for (std::size_t c = 0; c < channels; ++c)
      if (classes[c] >= classes_) in.fail("Class_Of_Channel", "names a class that does not exist.");
    class_of_channel_.assign(classes.data, classes.data + channels);
  }

  TokenRule rule_;
  unsigned classes_ = 1, view_count_ = 1;
  std::vector<std::uint8_t> class_of_channel_;
  std::vector<RansView> views_;
};

}  // namespace splitc
