"""Operator sets that a model imports: two names of one domain, and imports that are missing."""

from __future__ import annotations

import onnx.parser
import onnx_ir as ir
import pytest

from splitc import graph
from splitc.errors import GraphError


def model(imports: str, body: str = "y = Relu(x)") -> ir.Model:
    text = f"<ir_version: 8, opset_import: [{imports}]> g (float[2] x) => (float[2] y) {{ {body} }}"
    return ir.from_proto(onnx.parser.parse_model(text))


def test_the_spelt_out_domain_is_the_default_one() -> None:
    loaded = graph.model_from_ir(model('"ai.onnx" : 17')).ir_model
    assert dict(loaded.opset_imports) == {"": 17}
    assert loaded.graph.outputs[0].shape == ir.Shape([2])


def test_one_version_under_both_names() -> None:
    assert dict(graph.model_from_ir(model('"" : 17, "ai.onnx" : 17')).ir_model.opset_imports) == {"": 17}
    with pytest.raises(GraphError, match=r"m: imports ONNX's operators twice, opset 13 as '' and 17 as 'ai\.onnx'"):
        graph.model_from_ir(model('"" : 13, "ai.onnx" : 17'), label="m")


@pytest.mark.parametrize(
    ("imports", "body", "words"),
    [
        ('"com.microsoft" : 1', "y = Relu(x)", "m: node 'y' is an operator Relu of domain ''"),
        ('"" : 17', "y = com.microsoft.Gelu(x)", "m: node 'y' is an operator Gelu of domain 'com.microsoft'"),
    ],
)
def test_a_missing_import_is_named(imports: str, body: str, words: str) -> None:
    with pytest.raises(GraphError, match=words) as refusal:
        graph.model_from_ir(model(imports, body), label="m")
    assert "the model has no opset import for it; export the model again, or add the import" in str(refusal.value)
