"""The native level coder and the readable one write the same bytes and read each other's, at every SIMD level."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import weights as reference

from splitc.native import _core
from splitc.weights.level_tables import CONTEXTS, TOKENS, fit_classes, frequencies_of, read_tables, write_tables

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 20), st.integers(1, 9))


def check(shape: tuple[int, int, int], spread: float, seed: int) -> int:
    """Same bytes, same levels; returns how many there were."""
    source = np.random.default_rng(seed)
    rows = source.lognormal(0, 1, (shape[0], 1, 1))
    levels = np.rint(spread * rows * source.standard_normal(shape)).astype(np.int32)
    classes = fit_classes(levels)
    flat = levels.reshape(-1)
    counts = _core.scw_count(flat, *classes, 0, CONTEXTS).reshape(CONTEXTS, TOKENS)
    frequencies = frequencies_of(counts)
    tables = _core.ScwTables(frequencies)
    listed = [[int(f) for f in row] for row in frequencies]
    places = reference.contexts(tuple([int(c) for c in axis] for axis in classes), CONTEXTS)
    payload = tables.encode(flat, *classes, 0)
    assert payload == reference.encode([int(level) for level in flat], places, listed)
    assert reference.decode(payload, places, listed) == flat.tolist()
    assert tables.decode_levels(payload, *classes, 0, flat.size).tolist() == flat.tolist()
    steps = source.random(shape[0]).astype(np.float32)
    values = np.empty(flat.size, np.float32)
    tables.decode_values(payload, *classes, 0, steps, values)
    assert values.tobytes() == (flat.reshape(shape[0], -1).astype(np.float32) * steps[:, None]).tobytes()
    return flat.size


@settings(max_examples=25, deadline=None)
@given(SHAPES, st.sampled_from([0.0, 0.3, 5.0, 100.0]), st.integers(0, 1000))
def test_small(shape: tuple[int, int, int], spread: float, seed: int) -> None:
    check(shape, spread, seed)


@pytest.mark.parametrize("shape", [(64, 16, 9), (8192, 1, 1), (91, 100, 1)])
def test_many_lanes(shape: tuple[int, int, int]) -> None:
    assert check(shape, 4.0, 7) >= 8192


def test_scalar_code_decodes_the_same() -> None:
    code = "from test_levels_match_reference import check; check((64, 16, 9), 4.0, 7); check((91, 100, 1), 40.0, 8)"
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SPLITC_SIMD": "scalar", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_tables_come_back() -> None:
    counts = np.random.default_rng(0).poisson(3, (CONTEXTS, TOKENS))
    counts[5] = 0
    written = write_tables(frequencies_of(counts))
    assert read_tables(written).contexts == CONTEXTS
