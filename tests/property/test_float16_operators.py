"""Every operator of ONNX's own test cases, lowered to FP16 and computed in real float16."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import pytest
from onnx.backend.test.case.node import collect_testcases

from splitc import graph
from splitc.errors import SplitcError
from splitc.evaluate import open_graph
from splitc.passes import ToFloat16, computes_in_float16
from splitc.types import Array, Feeds

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
MOST_UNKNOWN = 0.25
"""Share of the cases that ONNX Runtime has no kernel for, or that have no data input."""


def cases() -> Iterator[tuple[str, ir.Model, Feeds, dict[str, Array], dict[str, Array]]]:
    """Name, model, feeds, outputs by the model itself, outputs as ONNX's reference has them."""
    known = unknown = 0
    for case in collect_testcases(None):
        try:
            model = graph.model_from_ir(ir.from_proto(case.model)).ir_model
            inputs, outputs = case.data_sets[0]
            feeds = {port.name: np.asarray(x) for port, x in zip(case.model.graph.input, inputs, strict=False)}
            expected = {port.name: np.asarray(x) for port, x in zip(case.model.graph.output, outputs, strict=False)}
            got = open_graph(model).run(feeds)
        except (SplitcError, AttributeError, TypeError, ValueError):
            unknown += 1
            continue
        known += 1
        yield case.name, model, feeds, got, expected
    assert unknown < MOST_UNKNOWN * (known + unknown)


def distance(exact: Array, got: Array) -> float:
    """Relative, by norms, over numbers; infinite for another type or shape."""
    if (exact.dtype, exact.shape) != (got.dtype, got.shape):
        return float("inf")
    if exact.dtype.kind != "f" or not exact.size:
        return 0.0
    where = np.isfinite(exact)
    gap = np.linalg.norm((exact.astype("f8") - got.astype("f8"))[where])
    return float(gap / (np.linalg.norm(exact[where].astype("f8")) or 1))


def test_every_operator_lowers_or_stays() -> None:
    """Alone in FP16 no operator moves its results by more than ten roundings: those that would stay float32."""
    lowered = 0
    for name, model, feeds, exact, _ in cases():
        if any(is_random in name for is_random in ("random", "bernoulli", "multinomial", "dropout")):
            continue
        result = ToFloat16([feeds])(model)
        lowered += result.changed
        got = open_graph(result.model).run(feeds)
        worst = max((distance(exact[key], got[key]) for key in exact), default=0.0)
        assert worst <= 5e-3, (name, worst, result.notes)
    assert lowered > 900


def test_float16_cases_give_what_the_reference_gives() -> None:
    """Within four roundings: the reference rounds inside its operators too."""
    seen = 0
    for name, model, _, got, expected in cases():
        if not computes_in_float16(model) or any(one.dtype.kind not in "fiub" for one in expected.values()):
            continue
        if any(float8 in name for float8 in ("FLOAT8", "E8M0", "FLOAT4", "UINT4", "INT4", "BFLOAT", "bfloat")):
            continue
        seen += 1
        for key, wanted in expected.items():
            assert distance(wanted, got[key]) <= 2e-3, (name, key)
    assert seen > 20
