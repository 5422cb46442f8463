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

/// What decoding needs, by slot: symbol in bits 0..7, frequency in bits 8..19, slot - start in bits 20..31.
inline std::uint32_t make_slot(std::uint32_t symbol, std::uint32_t frequency, std::uint32_t offset) {
  return symbol | frequency << 8 | offset << 20;
}

class RansModel {
 public:
  explicit RansModel(ByteSpan tables) {
    FieldReader in(tables, "rans tables");
    read_header(in);
    read_classes(in);
    read_thresholds(in);
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

  /// First table of the class of plane `plane`.
  std::uint32_t first_table(std::size_t plane) const {
    return class_of_channel_[plane % class_of_channel_.size()] * tables_per_class();
  }
  /// Context by W + N, `2 * (2**bits - 1) + 1` entries.
  const std::uint8_t* context_of_sum() const { return context_of_sum_.data(); }
  /// The same, times the slots of a table.
  const std::uint32_t* context_slots_of_sum() const { return context_slots_of_sum_.data(); }
  /// Entries by `table << bits | symbol`.
  const EncodeEntry* encode_entries() const { return encode_.data(); }
  /// Entries by `table << kProbabilityBits | slot`.
  const std::uint32_t* slots() const { return slots_.data(); }

 private:
  void read_header(FieldReader& in) {
    const char* magic = "SRNS";
    const ByteSpan found = in.take("Magic", 4);
    if (!std::equal(magic, magic + 4, reinterpret_cast<const char*>(found.data)))
      in.fail("Magic", "is not 'SRNS'.");
    in.u8_in("Version", 1, 1);
    bits_ = in.u8_in("Bits", 1, 8);
    classes_ = in.u8_in("Class_Count", 1, 8);
    contexts_ = in.u8_in("Context_Count", 1, 12);
  }

  void read_classes(FieldReader& in) {
    const unsigned channels = in.u16_in("Channel_Count", 1, 65535);
    const ByteSpan classes = in.take("Class_Of_Channel", channels);
    for (std::size_t c = 0; c < channels; ++c)
      if (classes[c] >= classes_) in.fail("Class_Of_Channel", "names a class that does not exist.");
    class_of_channel_.assign(classes.data, classes.data + channels);
  }

  void read_thresholds(FieldReader& in) {
    const unsigned largest = 2 * ((1u << bits_) - 1);
    context_of_sum_.assign(largest + 1, 0);
    unsigned previous = 0;
    for (unsigned k = 1; k < contexts_; ++k) {
      const unsigned threshold = in.u16_in("Thresholds", previous + 1, largest);
      for (unsigned sum = threshold; sum <= largest; ++sum) ++context_of_sum_[sum];
      previous = threshold;
    }
    for (const auto context : context_of_sum_)
      context_slots_of_sum_.push_back(std::uint32_t{context} << kProbabilityBits);
  }

  void read_frequencies(FieldReader& in) {
    const std::size_t symbols = std::size_t{1} << bits_;
    const std::size_t tables = std::size_t{classes_} * tables_per_class();
    const ByteSpan bytes = in.take("Frequencies", 2 * symbols * tables);
    encode_.reserve(symbols * tables);
    slots_.reserve(kProbabilityOne * tables);
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
    for (std::uint32_t offset = 0; offset < frequency; ++offset)
      slots_.push_back(make_slot(symbol, frequency, offset));
  }

  unsigned bits_ = 0, classes_ = 0, contexts_ = 0;
  std::vector<std::uint8_t> class_of_channel_, context_of_sum_;
  std::vector<EncodeEntry> encode_;
  std::vector<std::uint32_t> context_slots_of_sum_, slots_;
};

}  // namespace splitc
