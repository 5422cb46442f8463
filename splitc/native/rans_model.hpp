// Static tables of the rANS coder: parsed from canonical bytes (FORMAT.md, "rANS tables") and expanded for speed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

/// What encoding one symbol needs: division by the frequency as a multiplication (Granlund & Montgomery).
struct EncodeEntry {
  std::uint32_t limit;       // a state at or above it gives off 16 bits first
  std::uint32_t reciprocal;
  std::uint32_t bias;
  std::uint16_t complement;  // kProbabilityOne - frequency
  std::uint16_t shift;
};

inline EncodeEntry make_encode_entry(std::uint32_t start, std::uint32_t frequency) {
  EncodeEntry entry{};
  entry.limit = frequency << (31 - kProbabilityBits);
  entry.complement = static_cast<std::uint16_t>(kProbabilityOne - frequency);
  if (frequency == 1) {  // floor(x * (2^32 - 1) / 2^32) = x - 1, so the bias makes up for one whole step
    entry.reciprocal = ~0u;
    entry.bias = start + kProbabilityOne - 1;
    return entry;
  }
  unsigned shift = 0;
  while (frequency > (1u << shift)) ++shift;
  entry.reciprocal = static_cast<std::uint32_t>(((std::uint64_t{1} << (shift + 31)) + frequency - 1) / frequency);
  entry.shift = static_cast<std::uint16_t>(shift - 1);
  entry.bias = start;
  return entry;
}

/// What decoding a symbol needs: its frequency in the low half, its start in the high half.
inline std::uint32_t make_decode_entry(std::uint32_t start, std::uint32_t frequency) {
  return frequency | start << 16;
}

/// Levels of activity |W - NW| + |N - NW|; each has its own contexts of W + N.
constexpr unsigned kLevels = 3;

class RansModel {
 public:
  explicit RansModel(ByteSpan tables) {
    FieldReader in(tables, "rans tables");
    read_header(in);
    read_classes(in);
    read_levels(in);
    read_frequencies(in);
    const std::uint32_t expected = crc32c({tables.data, in.offset()});
    if (in.u32("Checksum") != expected) in.fail("Checksum", "does not match (damaged).");
    if (!in.done()) in.fail("Checksum", "is followed by extra bytes.");
  }

  unsigned bits() const { return bits_; }
  std::size_t channels() const { return class_of_channel_.size(); }
  unsigned tables_per_class() const { return contexts_ + 1; }
  /// Table of a position without neighbours, counted from its class's first table.
  unsigned no_context() const { return contexts_; }

  unsigned activity_low() const { return activity_low_; }
  unsigned activity_high() const { return activity_high_; }

  /// First table of the class of plane `plane`.
  std::uint32_t first_table(std::size_t plane) const {
    return class_of_channel_[plane % class_of_channel_.size()] * tables_per_class();
  }
  /// Number of values of W + N.
  std::size_t sums() const { return 2 * ((std::size_t{1} << bits_) - 1) + 1; }
  /// Context by `level * sums() + W + N`.
  const std::uint8_t* contexts() const { return context_of_sum_.data(); }
  /// Entries by `table << bits | symbol`.
  const EncodeEntry* encode_entries() const { return encode_.data(); }
  const std::uint32_t* decode_entries() const { return decode_.data(); }
  /// Symbols by `table << kProbabilityBits | slot`: small, so that it stays in a near cache.
  const std::uint8_t* symbol_of_slot() const { return symbol_of_slot_.data(); }

 private:
  void read_header(FieldReader& in) {
    const char* magic = "SRNS";
    const ByteSpan found = in.take("Magic", 4);
    if (!std::equal(magic, magic + 4, reinterpret_cast<const char*>(found.data)))
      in.fail("Magic", "is not 'SRNS'.");
    in.u8_in("Version", 1, 1);
    bits_ = in.u8_in("Bits", 1, 8);
    classes_ = in.u8_in("Class_Count", 1, 8);
    contexts_ = in.u8_in("Context_Count", kLevels, 32);
  }

  void read_classes(FieldReader& in) {
    const unsigned channels = in.u16_in("Channel_Count", 1, 65535);
    const ByteSpan classes = in.take("Class_Of_Channel", channels);
    for (std::size_t c = 0; c < channels; ++c)
      if (classes[c] >= classes_) in.fail("Class_Of_Channel", "names a class that does not exist.");
    class_of_channel_.assign(classes.data, classes.data + channels);
  }

  void read_levels(FieldReader& in) {
    const auto largest = static_cast<unsigned>(sums() - 1);
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

  void read_frequencies(FieldReader& in) {
    const std::size_t symbols = std::size_t{1} << bits_;
    const std::size_t tables = std::size_t{classes_} * tables_per_class();
    const ByteSpan bytes = in.take("Frequencies", 2 * symbols * tables);
    encode_.reserve(symbols * tables);
    decode_.reserve(symbols * tables);
    symbol_of_slot_.reserve(kProbabilityOne * tables);
    for (std::size_t t = 0; t < tables; ++t) {
      std::uint32_t start = 0;
      for (std::size_t s = 0; s < symbols; ++s) {
        const std::uint32_t frequency = load_u16(bytes.data + 2 * (t * symbols + s));
        if (frequency == 0 || frequency > kProbabilityOne - start)
          in.fail("Frequencies", "has a value out of range in table " + std::to_string(t) + ".");
        append(static_cast<std::uint32_t>(s), start, frequency);
        start += frequency;
      }
      if (start != kProbabilityOne)
        in.fail("Frequencies", "does not sum to 4096 in table " + std::to_string(t) + ".");
    }
  }

  void append(std::uint32_t symbol, std::uint32_t start, std::uint32_t frequency) {
    encode_.push_back(make_encode_entry(start, frequency));
    decode_.push_back(make_decode_entry(start, frequency));
    symbol_of_slot_.insert(symbol_of_slot_.end(), frequency, static_cast<std::uint8_t>(symbol));
  }

  unsigned bits_ = 0, classes_ = 0, contexts_ = 0, activity_low_ = 0, activity_high_ = 0;
  std::vector<std::uint8_t> class_of_channel_, context_of_sum_;
  std::vector<EncodeEntry> encode_;
  std::vector<std::uint32_t> decode_;
  std::vector<std::uint8_t> symbol_of_slot_;
};

}  // namespace splitc
