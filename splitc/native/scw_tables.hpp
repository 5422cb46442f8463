// Tables of the weight container's level coder: frequencies by context, expanded for both directions.
// splitc/weights/FORMAT.md, "Level tables" and "Contexts".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "span.hpp"

namespace splitc {

constexpr unsigned kScwTokens = 256;
constexpr unsigned kScwBits = 12;
constexpr std::uint32_t kScwOne = 1u << kScwBits;
constexpr std::uint32_t kScwLow = 1u << 16;
constexpr unsigned kScwMostContexts = 64;
constexpr int kScwClassMiddle = 32;  // what a class of an inner axis counts from

/// Classes of a tensor seen as [outer, middle, inner]; their sum chooses the context.
struct ScwClasses {
  Span<const std::uint8_t> outer, middle, inner;

  std::size_t row() const { return middle.size * inner.size; }
  std::size_t size() const { return outer.size * row(); }
};

class ScwTables {
 public:
  /// `frequencies`: [contexts][256], each row summing to 4096.
  explicit ScwTables(Span<const std::uint16_t> frequencies)
      : contexts_(static_cast<unsigned>(frequencies.size / kScwTokens)),
        slots_(std::size_t{contexts_} << kScwBits),
        ranges_(frequencies.size) {
    if (frequencies.size % kScwTokens != 0 || contexts_ < 1 || contexts_ > kScwMostContexts)
      refuse_argument("level tables: must be 1.." + std::to_string(kScwMostContexts) + " rows of 256 frequencies.");
    for (unsigned c = 0; c < contexts_; ++c) expand(c, frequencies.data + std::size_t{c} * kScwTokens);
  }

  unsigned contexts() const { return contexts_; }
  /// Token in bits 0..7, frequency - 1 in bits 8..19, slot - start in bits 20..31; by context << 12 | slot.
  const std::uint32_t* slots() const { return slots_.data(); }
  /// Frequency in the low, start in the high half; by context << 8 | token.
  const std::uint32_t* ranges() const { return ranges_.data(); }

 private:
  void expand(unsigned context, const std::uint16_t* frequencies) {
    std::uint32_t start = 0;
    for (std::uint32_t token = 0; token < kScwTokens; ++token) {
      const std::uint32_t f = frequencies[token];
      if (f > kScwOne - start)
        refuse_argument("level tables: frequencies of context " + std::to_string(context) + " exceed 4096.");
      ranges_[std::size_t{context} * kScwTokens + token] = f | start << 16;
      for (std::uint32_t i = 0; i < f; ++i)
        slots_[(std::size_t{context} << kScwBits) + start + i] = token | (f - 1) << 8 | i << 20;
      start += f;
    }
    if (start != kScwOne)
      refuse_argument("level tables: frequencies of context " + std::to_string(context) + " do not sum to 4096.");
  }

  unsigned contexts_;
  std::vector<std::uint32_t> slots_, ranges_;
};

/// Sums of the middle and inner classes of columns `column .. column + length` of a row.
inline void scw_shifts(const ScwClasses& classes, std::size_t column, std::size_t length, std::int16_t* out) {
  std::size_t m = column / classes.inner.size, k = column % classes.inner.size;
  for (std::size_t i = 0; i < length; ++i) {
    out[i] = static_cast<std::int16_t>(classes.middle[m] + classes.inner[k] - 2 * kScwClassMiddle);
    if (++k == classes.inner.size) k = 0, ++m;
  }
}

/// Contexts of positions `first .. first + count` of a tensor: the sum of its classes, held within the tables.
/// Takes time in proportion to `count`, however long a row is.
inline void scw_contexts(const ScwClasses& classes, unsigned contexts, std::size_t first, std::size_t count,
                         std::uint8_t* out) {
  const bool has_rows = classes.row() <= count;
  std::vector<std::int16_t> shift(std::min(classes.row(), count));
  if (has_rows) scw_shifts(classes, 0, classes.row(), shift.data());
  const auto top = static_cast<std::int16_t>(contexts - 1);
  for (std::size_t done = 0; done < count;) {
    const std::size_t row = (first + done) / classes.row(), column = (first + done) % classes.row();
    const std::size_t length = std::min(classes.row() - column, count - done);
    const auto base = static_cast<std::int16_t>(classes.outer[row]);
    if (!has_rows) scw_shifts(classes, column, length, shift.data());
    const std::int16_t* const s = shift.data() + (has_rows ? column : 0);
    std::uint8_t* const o = out + done;
    for (std::size_t i = 0; i < length; ++i) {
      const auto sum = static_cast<std::int16_t>(base + s[i]);
      o[i] = static_cast<std::uint8_t>(std::min(std::max(sum, std::int16_t{0}), top));
    }
    done += length;
  }
}

}  // namespace splitc
