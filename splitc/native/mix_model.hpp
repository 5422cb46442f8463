// Tables of the mixing coder. FORMAT.md, "mix tables".
//
// A position has six rows of 32 logits, one row from each of six contexts; a decision's probability is the logistic
// function of the sum of its six logits. Which rows: see mix_planes.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "crc32c.hpp"
#include "span.hpp"

namespace splitc {

constexpr unsigned kMixNodes = 32, kMixRows = 6;
constexpr unsigned kMostReferences = 32, kOwnWeights = 6, kReferenceWeights = 5;
/// Rows by context: expected value with its error, with the plane's scale; two magnitudes by scale; W and N.
constexpr unsigned kNearRows = 1024, kSpreadRows = 1024, kRunRows = 256, kReferenceRows = 256, kPairRows = 1024;
constexpr unsigned kSharedRows = kNearRows + kSpreadRows + kRunRows + kReferenceRows + kPairRows;
/// The magnitudes of a channel's weights together; so its sums fit 32 bits.
constexpr int kMostLogit = 4095, kMostWeights = 1 << 20;

/// Probabilities of a one in 1/65536 by the sum of logits, in 1/256 and limited to -2048..2047.
class Logistic {
 public:
  Logistic() {
    for (int z = -kHalfSize; z < kHalfSize; ++z) {
      const double p = std::floor(65536.0 / (1.0 + std::exp(-z / 256.0)) + 0.5);
      table_[static_cast<std::size_t>(z + kHalfSize)] = static_cast<std::uint16_t>(p < 32 ? 32 : p > 65504 ? 65504 : p);
    }
  }
  /// The one table of a process.
  static const Logistic& shared() {
    static const Logistic logistic;
    return logistic;
  }
  std::uint32_t operator()(int sum) const { return by_sum()[std::min(std::max(sum, -kHalfSize), kHalfSize - 1)]; }
  /// The one of the sum 0; sums are limited already.
  const std::uint16_t* by_sum() const { return table_.data() + kHalfSize; }

  static constexpr int kHalfSize = 2048;

 private:
  std::array<std::uint16_t, 2 * kHalfSize> table_{};
};

/// What the tables say of one channel. A reference is a channel above `channel` in its sample, or `channel` itself:
/// the same plane of the previous frame.
struct MixChannel {
  int centre = 0, scale = 0;
  unsigned count = 0;
  std::array<std::uint16_t, kMostReferences> reference{};
  std::array<std::int16_t, kOwnWeights + kMostReferences * kReferenceWeights> weights{};

  const std::int16_t* of_reference(unsigned k) const { return weights.data() + kOwnWeights + k * kReferenceWeights; }
};

class MixModel {
 public:
  explicit MixModel(ByteSpan tables) {
    FieldReader in(tables, "mix tables");
    const ByteSpan magic = in.take("Magic", 4);
    if (std::string(magic.data, magic.data + 4) != "SMIX") in.fail("Magic", "is not 'SMIX'.");
    in.u8_in("Version", 1, 1);
    bits_ = in.u8_in("Bits", 1, 16);
    is_residual_ = in.u8_in("Is_Residual", 0, 1) != 0;
    most_references_ = in.u8_in("Reference_Count", 0, kMostReferences);
    channels_.resize(in.u16_in("Channel_Count", 1, 65535));
    for (std::size_t c = 0; c < channels_.size(); ++c) read_channel(in, c);
    read_logits(in);
    const std::size_t covered = in.offset();
    if (in.u32("Checksum") != crc32c({tables.data, covered})) in.fail("Checksum", "does not match.");
    if (!in.done()) in.fail("Checksum", "is not the last field.");
  }

  unsigned bits() const { return bits_; }
  std::size_t channels() const { return channels_.size(); }
  bool is_residual() const { return is_residual_; }
  bool has_previous_view() const { return has_previous_view_; }
  const MixChannel& channel(std::size_t c) const { return channels_[c]; }
  /// Rows of channels, then those of `kNearRows` and so on.
  const std::int16_t* logits() const { return logits_.data(); }
  std::size_t rows() const { return channels_.size() + kSharedRows; }

  /// Signed value of a symbol.
  int value(unsigned symbol, const MixChannel& channel) const {
    const int s = static_cast<int>(symbol);
    if (is_residual_) return s % 2 != 0 ? (s + 1) / 2 : -(s / 2);
    return s - channel.centre;
  }
  /// Inverse of `value`; beyond the symbols for what is none's value.
  long symbol(long value, const MixChannel& channel) const {
    if (is_residual_) return value > 0 ? 2 * value - 1 : -2 * value;
    return value + channel.centre;
  }

 private:
  void read_channel(FieldReader& in, std::size_t c) {
    MixChannel& channel = channels_[c];
    channel.centre = static_cast<int>(in.u16_in("Centre", 0, is_residual_ ? 0 : (1u << bits_) - 1));
    channel.scale = static_cast<int>(in.u16("Scale"));
    channel.count = in.u8_in("References", 0, most_references_);
    for (unsigned k = 0; k < channel.count; ++k) {
      channel.reference[k] = static_cast<std::uint16_t>(in.u16_in("Reference", 0, static_cast<unsigned>(c)));
      has_previous_view_ = has_previous_view_ || channel.reference[k] == c;
    }
    int together = 0;
    for (unsigned k = 0; k < kOwnWeights + channel.count * kReferenceWeights; ++k) {
      channel.weights[k] = static_cast<std::int16_t>(in.u16("Weight"));
      together += std::abs(int{channel.weights[k]});
    }
    if (together > kMostWeights)
      in.fail("Weight", "and the channel's others are " + std::to_string(together) +
                            " together, must be at most 1048576.");
  }

  /// Rows are stored without the zeros at their ends.
  void read_logits(FieldReader& in) {
    logits_.resize(rows() * kMixNodes);
    const ByteSpan counts = in.take("Node_Counts", rows());
    for (std::size_t row = 0; row < counts.size; ++row) {
      if (counts[row] > kMixNodes) in.fail("Node_Counts", "has a row of more than 32 nodes.");
      std::int16_t* const logits = logits_.data() + row * kMixNodes;
      for (unsigned node = 0; node < counts[row]; ++node) logits[node] = read_logit(in);
      if (counts[row] != 0 && logits[counts[row] - 1u] == 0) in.fail("Logit", "is 0 at the end of its row.");
    }
  }

  static std::int16_t read_logit(FieldReader& in) {
    const int value = static_cast<std::int16_t>(in.u16("Logit"));
    if (value < -kMostLogit || value > kMostLogit)
      in.fail("Logit", "is " + std::to_string(value) + ", must be -4095..4095.");
    return static_cast<std::int16_t>(value);
  }

  unsigned bits_ = 0, most_references_ = 0;
  bool is_residual_ = false, has_previous_view_ = false;
  std::vector<MixChannel> channels_;
  std::vector<std::int16_t> logits_;
};

}  // namespace splitc
