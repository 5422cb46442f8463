"""What a build does to a model before it cuts it."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from splitc.passes import prepare

OLD = """<ir_version: 8, opset_import: ["" : 11]>
g (float[N,4] x) => (float[N,4] y) { a = Identity(x)  y = Relu(a) }"""


@pytest.mark.parametrize(("in_graph", "opset"), [(True, 13), (False, 11)])
def test_the_opset_is_raised_only_for_a_codec_in_the_graph(in_graph: bool, opset: int) -> None:
    model = ir.from_proto(onnx.parser.parse_model(OLD))
    result = prepare(model, in_graph=in_graph)
    assert result.model.opset_imports[""] == opset
    assert "removed 1 Identity and Dropout nodes" in result.notes
    assert ("converted from opset 11 to 13" in result.notes) == in_graph
    assert [node.op_type for node in model.graph] == ["Identity", "Relu"], "the model passed in is unchanged"
