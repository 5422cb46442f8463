"""FORMAT.md section 11a, one place at a time: what a frame's symbols are predicted to be."""

from __future__ import annotations

import numpy as np

from reference.temporal import unzigzag

FLAT = 31


def predict(before: np.ndarray, field: np.ndarray, zeros: list[int]) -> np.ndarray:
    """Of one sample: symbols ``[C, H, W]`` and field ``[2, ceil(H / 2), ceil(W / 2)]``; ``zeros``: flat symbols."""
    channels, height, width = before.shape
    predicted = np.empty_like(before)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                vertical, horizontal = (int(plane[y // 2, x // 2]) for plane in field)
                predicted[c, y, x] = zeros[c] if vertical == FLAT else moved(before[c], y, x, vertical, horizontal)
    return predicted


def moved(plane: np.ndarray, y: int, x: int, vertical: int, horizontal: int) -> int:
    """The mean of up to four symbols of the plane before."""
    down, right = 2 * y + unzigzag(vertical), 2 * x + unzigzag(horizontal)
    up = (y + x) % 2

    def at(row: int, column: int) -> int:
        return int(plane[min(max(row, 0), plane.shape[0] - 1), min(max(column, 0), plane.shape[1] - 1)])

    top, left = down // 2, right // 2
    a, b, c, d = at(top, left), at(top, left + 1), at(top + 1, left), at(top + 1, left + 1)
    if down % 2 and right % 2:
        return (a + b + c + d + 1 + up) // 4
    if down % 2:
        return (a + c + up) // 2
    return (a + b + up) // 2 if right % 2 else a
