"""Models of old opsets get one that the codec can join, and answer as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from splitc import graph
from splitc.errors import GraphError
from splitc.evaluate import open_graph
from splitc.passes import RaiseOpset, Simplify

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_opset_9_networks_answer_bit_for_bit_as_before(name: str) -> None:
    model = graph.load(LIGHT / f"light_{name}.onnx")
    result = RaiseOpset()(Simplify()(model.ir_model).model)
    assert result.notes == ("converted from opset 9 to 13",)
    (spec,) = model.inputs
    feeds = {spec.name: np.random.default_rng(0).normal(size=spec.shape).astype(np.float32)}
    before, after = open_graph(model.ir_model).run(feeds), open_graph(result.model).run(feeds)
    assert before.keys() == after.keys()
    for output, array in before.items():
        np.testing.assert_array_equal(after[output], array)


def test_a_newer_model_passes_as_it_is() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Abs(x) }'
    model = ir.from_proto(onnx.parser.parse_model(text))
    result = RaiseOpset()(model)
    assert result.model is model
    assert not result.changed


def test_what_the_converter_cannot_do_is_refused() -> None:
    text = '<ir_version: 8, opset_import: ["" : 9, "my.domain" : 1]> g (float[2] x) => (float[2] y) { y = Nonsense(x) }'
    model = ir.from_proto(onnx.parser.parse_model(text))
    with pytest.raises(GraphError, match=r"imports opset 9, the codec needs 13, and converting it failed"):
        RaiseOpset()(model)
