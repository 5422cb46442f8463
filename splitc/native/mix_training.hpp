// Learns the logits of the mixing coder: additive logistic regression, by stochastic gradients over calibration
// symbols.
//
// Source: Duchi, Hazan, Singer 2011 (AdaGrad). Sums, products, quotients and square roots of binary32 alone, so the
// tables are the same on every machine.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mix_coder.hpp"

namespace splitc {

/// Decisions that are known, each of which moves the six logits that its probability came from.
class MixLearner {
 public:
  explicit MixLearner(std::size_t rows) : logits_(rows * kMixNodes), squares_(rows * kMixNodes, kFirstSquare) {}

  void set_rate(float rate) { rate_ = rate; }
  SPLITC_INLINE void open(const MixRows& rows) { rows_ = rows; }
  SPLITC_INLINE unsigned bit(unsigned bit, unsigned node) {
    float sum = 0;
    for (const std::uint32_t row : rows_) sum += logits_[std::size_t{row} * kMixNodes + node];
    const auto probability = static_cast<float>((*logistic_)(static_cast<int>(std::floor(sum * 256.0f + 0.5f))));
    const float slope = probability / 65536.0f - static_cast<float>(bit);
    for (const std::uint32_t row : rows_) {
      const std::size_t at = std::size_t{row} * kMixNodes + node;
      squares_[at] += slope * slope;
      logits_[at] -= rate_ * slope / std::sqrt(squares_[at]);
    }
    return bit;
  }
  SPLITC_INLINE unsigned raw(unsigned bit) { return bit; }

  /// In 1/256, as tables hold them.
  std::vector<std::int16_t> result() const {
    std::vector<std::int16_t> rounded(logits_.size());
    constexpr auto kMost = static_cast<float>(kMostLogit);
    for (std::size_t i = 0; i < rounded.size(); ++i)
      rounded[i] = static_cast<std::int16_t>(std::clamp(std::floor(logits_[i] * 256.0f + 0.5f), -kMost, kMost));
    return rounded;
  }

 private:
  static constexpr float kFirstSquare = 0.01f;

  const Logistic* logistic_ = &Logistic::shared();
  MixRows rows_{};
  float rate_ = 0;
  std::vector<float> logits_, squares_;
};

/// One pass over a sample, whose channels are the model's.
template <typename Symbol>
void mix_learn(MixLearner& learner, const MixModel& model, const Symbol* symbols, const Symbol* previous,
               const ChunkShape& shape) {
  MixScan<MixLearner, Symbol, true>(learner, model, shape, 0).scan(symbols, previous);
}

}  // namespace splitc
