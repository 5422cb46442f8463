"""Relative indices: RT12's own example, and every shape of sparsity."""

from __future__ import annotations

import numpy as np
import pytest
from reference.weight_samples import float32, packed, rng

from splitc.errors import BitstreamError
from splitc.weights import Item, Shared
from splitc.weights.encodings.relative import entries_of, positions_of


def test_a_gap_of_17_at_4_bits_is_a_filler_at_16_then_1() -> None:
    kept = np.zeros((1, 40), bool)
    kept[0, [3, 20]] = True
    entries = entries_of(kept, 4)
    assert entries.gaps.tolist() == [3, 15, 0]
    assert entries.sources.tolist() == [3, -1, 20]
    assert entries.lengths.tolist() == [3]


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (17, 23), (4, 3, 2, 5)])
@pytest.mark.parametrize("basis", ["csr", "csc"])
def test_round_trip(shape: tuple[int, ...], keep: float, basis: str) -> None:
    values = np.where(rng(1).random(shape) < keep, rng(2).standard_normal(shape), 0).astype(np.float32)
    for options in ({"code_bits": 0, "coder": "fixed"}, {"code_bits": 0}, {"code_bits": 12, "index_bits": 3}):
        item = Item(float32("w", values), Shared(basis=basis, **options))
        assert next(packed(item).tensors()).digest == item.tensor.digest


def test_sizes_of_the_paper() -> None:
    """2a + m + 1 numbers: a values, a indices, m + 1 pointers."""
    values = np.zeros((50, 20), np.float32)
    values[::5, 3] = 1.5
    ledger = packed(Item(float32("w", values), Shared(basis="csc", code_bits=0, coder="fixed", index_bits=8))).ledger
    assert ledger["values"] == 10 * 4
    assert ledger["indices"] == 10 + 4 * (20 + 1)


def test_an_entry_beyond_its_line_is_refused() -> None:
    with pytest.raises(BitstreamError, match="beyond the end of its line"):
        positions_of(np.array([5, 5]), np.array([2]), 10)
