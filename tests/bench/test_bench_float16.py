"""The planted FP16 damage of the benchmark: a lie to ONNX Runtime, and caught by name."""

from __future__ import annotations

import pytest
from tasks_bench.float16 import BROKEN, lies_caught, rows


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_planted_network_is_caught() -> None:
    found = list(rows())
    assert lies_caught(found) == f"{len(found)}/{len(found)}"
    assert all(one.float16_error > BROKEN for one in found)
    assert sum(one.onnxruntime_error < 1e-3 for one in found) >= 5  # as good as float32, by its word
