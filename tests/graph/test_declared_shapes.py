"""Outputs declared as scalars: some exporters write that where they know no shape."""

from __future__ import annotations

import onnx.parser
import onnx_ir as ir
import pytest

from splitc import graph


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        pytest.param("y = Relu(x)", ("n", 3), id="it-is-none"),
        pytest.param("y = ReduceSum<keepdims = 0>(x)", (), id="it-is-one"),
        pytest.param("s = NonZero(x) f = Cast<to = 1>(s) y = Reshape(f, k)", (), id="nobody-knows"),
    ],
)
def test_a_declared_scalar_is_what_inference_says(body: str, shape: tuple[int | str, ...]) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[n, 3] x, int64[m] k) => (float y) {{ {body} }}'
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))
    assert [spec.shape for spec in model.outputs] == [shape]
