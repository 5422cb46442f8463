"""FORMAT.md section 5, Neighbours."""

from __future__ import annotations


def neighbours(plane: list[int], position: int, width: int) -> tuple[int, int, int] | None:
    """(W, N, NW) of ``position`` in a row-major plane; None where it has none."""
    row, column = divmod(position, width)
    if row == 0 and column == 0:
        return None
    if row == 0:
        return plane[position - 1], plane[position - 1], plane[position - 1]
    if column == 0:
        return plane[position - width], plane[position - width], plane[position - width]
    return plane[position - 1], plane[position - width], plane[position - width - 1]
