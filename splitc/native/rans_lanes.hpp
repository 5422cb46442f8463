// How a chunk's symbols are distributed over the lanes of the rANS coder (FORMAT.md, "rans payload"; why: rans.hpp).
//
// A plan gives every lane as many consecutive rows as the others. Inside the coder symbols lie interleaved,
// [row of the lane][column][lane], so that a vector holds the same place of neighbouring lanes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "rans_model.hpp"
#include "simd.hpp"
#include "span.hpp"

namespace splitc {

constexpr unsigned kMaxLanes = 32;

/// Of the rows of a chunk's planes, one after another, every lane has `spacing`, without the last `left` symbols of them.
struct LanePlan {
  std::size_t height, width, spacing, left;
  unsigned lanes;

  std::size_t first_row(unsigned lane) const { return lane * spacing; }
  /// Symbols of one lane.
  std::size_t length() const { return spacing * width - left; }
  /// Interleaved symbols in one row of every lane.
  std::size_t row_size() const { return width * lanes; }
  std::size_t size() const { return length() * lanes; }
};

// -- interleaving --------------------------------------------------------------------------------------------------

using Bytes16 = std::uint8_t __attribute__((vector_size(16)));

/// Bytes of `a` and `b` by turns: their first or second halves.
SPLITC_INLINE Bytes16 zip_low(Bytes16 a, Bytes16 b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
SPLITC_INLINE Bytes16 zip_high(Bytes16 a, Bytes16 b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/// Transposes 16 x 16 bytes: row k from `from[k]`, column k to `to + k * stride`.
inline void transpose_16(const std::array<const std::uint8_t*, 16>& from, std::uint8_t* to, std::size_t stride) {
  std::array<Bytes16, 16> a, b;
  for (std::size_t k = 0; k < 16; ++k) std::memcpy(&a[k], from[k], 16);
  for (int round = 0; round < 4; ++round) {  // four perfect shuffles of the 256 bytes' index bits
    for (std::size_t k = 0; k < 8; ++k) {
      b[2 * k] = zip_low(a[k], a[k + 8]);
      b[2 * k + 1] = zip_high(a[k], a[k + 8]);
    }
    a = b;
  }
  for (std::size_t k = 0; k < 16; ++k) std::memcpy(to + k * stride, &a[k], 16);
}

/// Symbols of the plan's rows to `[lane_rows * width][lanes]`; `symbols` are the whole chunk's.
inline void interleave(const LanePlan& plan, const std::uint8_t* symbols, std::uint8_t* interleaved) {
  const std::size_t lanes = plan.lanes, blocks = lanes >= 16 ? plan.length() / 16 : 0;
  for (unsigned first = 0; first + 16 <= lanes; first += 16)
    for (std::size_t block = 0; block < blocks; ++block) {
      std::array<const std::uint8_t*, 16> from;
      for (unsigned k = 0; k < 16; ++k) from[k] = symbols + plan.first_row(first + k) * plan.width + 16 * block;
      transpose_16(from, interleaved + 16 * block * lanes + first, lanes);
    }
  for (unsigned l = 0; l < lanes; ++l) {
    const std::uint8_t* const from = symbols + plan.first_row(l) * plan.width;
    for (std::size_t i = 16 * blocks; i < plan.length(); ++i) interleaved[i * lanes + l] = from[i];
  }
}

/// Inverse of `interleave`.
inline void deinterleave(const LanePlan& plan, const std::uint8_t* interleaved, std::uint8_t* symbols) {
  const std::size_t lanes = plan.lanes, blocks = lanes >= 16 ? plan.length() / 16 : 0;
  for (unsigned first = 0; first + 16 <= lanes; first += 16)
    for (std::size_t block = 0; block < blocks; ++block) {
      alignas(16) std::uint8_t square[256];
      std::array<const std::uint8_t*, 16> from;
      for (std::size_t k = 0; k < 16; ++k) from[k] = interleaved + (16 * block + k) * lanes + first;
      transpose_16(from, square, 16);
      for (unsigned k = 0; k < 16; ++k)
        std::memcpy(symbols + plan.first_row(first + k) * plan.width + 16 * block, square + 16 * k, 16);
    }
  for (unsigned l = 0; l < lanes; ++l) {
    std::uint8_t* const to = symbols + plan.first_row(l) * plan.width;
    for (std::size_t i = 16 * blocks; i < plan.length(); ++i) to[i] = interleaved[i * lanes + l];
  }
}

// -- state ---------------------------------------------------------------------------------------------------------

/// What changes as the lanes advance. Masks are all ones or zero.
struct LaneState {
  alignas(64) std::array<std::uint32_t, kMaxLanes> x{};
  alignas(64) std::array<std::uint32_t, kMaxLanes> table{};   // first table of the class of the row's plane
  alignas(64) std::array<std::uint32_t, kMaxLanes> north{};   // mask: the row has a row above it in its lane and plane
};

/// Walks the rows of all lanes at once, in either direction, and keeps `table` and `north` of a `LaneState`.
class RowCursor {
 public:
  RowCursor(const LanePlan& plan, const RansModel& model, const RansView& view, std::size_t first_plane)
      : model_(model), view_(view), height_(static_cast<std::uint32_t>(plan.height)), lanes_(plan.lanes) {
    for (unsigned l = 0; l < lanes_; ++l) {
      plane_[l] = first_plane + plan.first_row(l) / plan.height;
      y_[l] = static_cast<std::uint32_t>(plan.first_row(l) % plan.height);
    }
  }

  /// Goes to row `row`, which is at most one row away from the last row asked for, or any row at first.
  void go_to(std::size_t row, LaneState& state) {
    if (row == row_ + 1 && has_tables_) {
      step_down(state);
    } else if (row + 1 == row_ && has_tables_) {
      step_up(state);
    } else if (row != row_ || !has_tables_) {
      jump(row, state);
    }
    row_ = row;
    for (unsigned l = 0; l < lanes_; ++l) state.north[l] = row != 0 && y_[l] != 0 ? ~0u : 0u;
  }

 private:
  void step_down(LaneState& state) {
    for (unsigned l = 0; l < lanes_; ++l) {
      if (++y_[l] < height_) continue;
      y_[l] = 0;
      ++plane_[l];
      set_table(l, state);
    }
  }

  void step_up(LaneState& state) {
    for (unsigned l = 0; l < lanes_; ++l) {
      if (y_[l]-- != 0) continue;
      y_[l] = height_ - 1;
      --plane_[l];
      set_table(l, state);
    }
  }

  /// From row 0, where the constructor put it.
  void jump(std::size_t row, LaneState& state) {
    for (unsigned l = 0; l < lanes_; ++l) {
      plane_[l] += (y_[l] + row) / height_;
      y_[l] = static_cast<std::uint32_t>((y_[l] + row) % height_);
      set_table(l, state);
    }
    has_tables_ = true;
  }

  void set_table(unsigned l, LaneState& state) {
    state.table[l] = model_.class_of(plane_[l]) * view_.tables_per_class();
  }

  const RansModel& model_;
  const RansView& view_;
  std::uint32_t height_;
  unsigned lanes_;
  bool has_tables_ = false;
  std::size_t row_ = 0;
  std::array<std::size_t, kMaxLanes> plane_{};
  std::array<std::uint32_t, kMaxLanes> y_{};
};

/// One stretch of columns of one row of all lanes, in interleaved symbols.
template <typename Byte>
struct Stretch {
  Byte* row;                     // column 0
  const std::uint8_t* previous;  // column 0 of the same row of the previous frame; null without one
  std::size_t row_size;          // back to the row above
  std::size_t begin, end;        // columns
};

}  // namespace splitc
