"""FORMAT.md section 11, one symbol at a time: from the symbol before and the residual symbol to the symbol."""

from __future__ import annotations

NAMES = {1: "difference", 2: "dpcm", 3: "ifmdc", 4: "motion"}


def unzigzag(residual: int) -> int:
    return (residual + 1) // 2 if residual % 2 else -(residual // 2)


def restore(temporal_id: int, p: int, r: int, k: int) -> int:
    """The symbol of this frame; ``p`` is the one before, ``k`` the size of the alphabet."""
    assert r < k
    if NAMES[temporal_id] == "ifmdc":
        q = unzigzag(r) + (k - 1) // 2
        return min(max(p + 2 * q - (k - 1), 0), k - 1)
    both = min(p, k - 1 - p)
    if r <= 2 * both:
        return p + unzigzag(r)
    return p + (r - both if p <= k - 1 - p else both - r)
