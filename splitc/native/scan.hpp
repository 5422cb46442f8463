// The order in which a plane is scanned and what each position sees of its past (FORMAT.md, "Neighbours").
#pragma once

#include <cstddef>

#include "span.hpp"

namespace splitc {

/// What the positions of a run see: nothing, one neighbour that stands for all, or W, N and NW.
enum class Neighbours { kNone, kOne, kAll };

/// Positions `[begin, end)` of a plane that find their neighbours at the same distances back in scan order.
/// A run longer than one position has W at distance 1. Distance 0: no neighbour.
struct Run {
  std::size_t begin = 0, end = 0;
  std::size_t west = 0, north = 0;

  Neighbours seen() const {
    if (west == 0) return Neighbours::kNone;
    return west == north ? Neighbours::kOne : Neighbours::kAll;
  }
};

/// A plane of `height x width` positions in row-major order as runs, computed on demand.
///
///   run 0        first position: no neighbours
///   run 1        rest of the first row: N and NW repeat W
///   run 2y       first position of row y: W and NW repeat N
///   run 2y + 1   rest of row y
///
/// A plane one symbol wide is a column: after its first position every W repeats N, in one run.
class PlaneRuns {
 public:
  PlaneRuns(std::size_t height, std::size_t width) : height_(height), width_(width) {}

  std::size_t count() const { return width_ == 1 ? 2 : 2 * height_; }

  Run at(std::size_t index) const {
    if (index == 0) return {0, 1, 0, 0};
    if (width_ == 1) return {1, height_, 1, 1};
    if (index == 1) return {1, width_, 1, 1};
    const std::size_t row = index / 2 * width_;
    if (index % 2 == 0) return {row, row + 1, width_, width_};
    return {row + 1, row + width_, 1, width_};
  }

  /// Index of the run that holds `position`.
  std::size_t find(std::size_t position) const {
    if (position == 0) return 0;
    if (width_ == 1) return 1;
    return 2 * (position / width_) + (position % width_ != 0 ? 1 : 0);
  }

 private:
  std::size_t height_, width_;
};

}  // namespace splitc
