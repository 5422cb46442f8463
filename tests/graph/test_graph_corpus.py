"""ONNX's own test graphs and the shared models: each cut holds, or is refused for a reason that is so.

``python tests/bench/plan.py --only corpus`` tries every cut of every graph and counts; this is a sample of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from graph_corpus import Tally, corpus, is_heavy, walk

CORPUS = corpus()
LIGHT = [path for path in CORPUS["onnx package"] if not is_heavy(path)]


def total(paths: Sequence[Path], wide: int, limit: int | None = None) -> Tally:
    """Sum over files; the first few wrong answers are the message of the failure."""
    tally = Tally()
    for _, one in walk(paths, wide, limit):
        tally.add(one)
    assert not tally.wrong, "\n".join(tally.wrong[:5])
    return tally


def test_a_sample_of_the_bundled_graphs_holds() -> None:
    tally = total(LIGHT[::3], wide=8, limit=2)
    assert tally.graphs > 20
    assert tally.wide == 8
    assert not tally.refused_graphs


def test_a_sample_of_debians_graphs_holds() -> None:
    if not CORPUS["libonnx-testdata"]:
        pytest.skip("Debian's libonnx-testdata is not installed (or set ONNX_TESTDATA)")
    assert total(CORPUS["libonnx-testdata"][::12], wide=4, limit=2).graphs > 60


@pytest.mark.slow
def test_every_cut_of_the_small_graphs_holds() -> None:
    paths = [
        path for paths in CORPUS.values() for path in paths if path.stat().st_size < 1 << 20 and not is_heavy(path)
    ]
    wide = 100 if CORPUS["libonnx-testdata"] else 60  # ONNX's own graphs alone have no more
    tally = total(paths, wide=wide, limit=40)
    assert tally.wide == wide
    print(f"\n{tally.graphs} graphs, {tally.singles + tally.wide} cuts split, {tally.refused.total()} refused, 0 wrong")
