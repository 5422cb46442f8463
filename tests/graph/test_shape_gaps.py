"""Dimensions that ONNX's inference leaves open although the graph determines them."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from splitc import graph

CONV3 = "float[8,3,3] w = {" + ",".join(["1"] * 72) + "}"
CONV1 = "float[8,3,1] w = {" + ",".join(["1"] * 24) + "}"


def shape_of(inputs: str, body: str, weights: str = "", name: str = "v") -> list[int | str]:
    """Of the value ``name`` of a model whose output is a copy of ``v``."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    net ({inputs}) => (float[A] y) {f"<{weights}>" if weights else ""} {{ {body} every = Constant<value_ints=[-1]>()
    y = Reshape(v, every) }}"""
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))
    shape = model.flow.values[name].shape
    assert shape is not None
    return [dim if isinstance(dim, int) else str(dim.value) for dim in shape]


CASES = {
    # name: inputs, body, weights, shape of v
    "class-token": (
        "float[N,7,6] x",
        """size = Shape(x) i = Constant<value_ints=[0]>() n = Gather(size, i) rest = Constant<value_ints=[1,6]>()
        shape = Concat<axis=0>(n, rest) minus = Constant<value_ints=[-1]>() is = Equal(shape, minus)
        ones = Constant<value_ints=[1,1,1]>() to = Where(is, ones, shape) one = Constant<value_float=1.0>()
        token = Expand(one, to) v = Concat<axis=1>(x, token)""",
        "",
        ["N", None, 6],
    ),
    "windows": (
        "float[N,8,8,6] x",
        "s = Constant<value_ints=[-1,2,4,2,4,6]>() v = Reshape(x, s)",
        "",
        ["N", 2, 4, 2, 4, 6],
    ),
    "windows-along-the-batch": (
        "float[N,8,8,6] x",
        "s = Constant<value_ints=[-1,16,6]>() v = Reshape(x, s)",
        "",
        ["4*N", 16, 6],
    ),
    "windows-and-back": (
        "float[N,8,8,6] x",
        """s = Constant<value_ints=[-1,16,6]>() r = Reshape(x, s) q = Relu(r)
        b = Constant<value_ints=[-1,8,8,6]>() v = Reshape(q, b)""",
        "",
        ["N", 8, 8, 6],
    ),
    "sizes-computed": (
        "float[N,8,8,6] x",
        """size = Shape(x) i = Constant<value_ints=[1]>() h = Gather(size, i) four = Constant<value_ints=[4]>()
        rows = Div(h, four) a = Constant<value_ints=[-1]>() c = Constant<value_ints=[4,8,6]>()
        s = Concat<axis=0>(a, rows, c) v = Reshape(x, s)""",
        "",
        ["N", 2, 4, 8, 6],
    ),
    "a-size-that-is-not-known": (
        "float[N,T,6] x",
        """size = Shape(x) i = Constant<value_ints=[1]>() t = Gather(size, i) two = Constant<value_ints=[2]>()
        half = Div(t, two) a = Constant<value_ints=[0]>() c = Constant<value_ints=[12]>()
        s = Concat<axis=0>(a, half, c) v = Reshape(x, s)""",
        "",
        ["N", None, 12],
    ),
    "two-dynamic-sizes-in-one": (
        "float[N,T,6] x",
        "s = Constant<value_ints=[-1,6]>() v = Reshape(x, s)",
        "",
        [None, 6],
    ),
    "same-convolution": ("float[N,3,T] x", "v = Conv<pads=[1,1]>(x, w)", CONV3, ["N", 8, "T"]),
    "dilated": ("float[N,3,T] x", "v = Conv<pads=[4,0], dilations=[2]>(x, w)", CONV3, ["N", 8, "T"]),
    "pointwise": ("float[N,3,T] x", "v = Conv(x, w)", CONV1, ["N", 8, "T"]),
    "valid-convolution": ("float[N,3,T] x", "v = Conv(x, w)", CONV3, ["N", 8, None]),
    "strided": ("float[N,3,T] x", "v = Conv<pads=[1,1], strides=[2]>(x, w)", CONV3, ["N", 8, None]),
    "behind-a-gap": (
        "float[N,3,T] x",
        "c = Conv<pads=[1,1]>(x, w) r = Relu(c) v = Transpose<perm=[2,0,1]>(r)",
        CONV3,
        ["T", "N", 8],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_graph_determines_is_known(name: str) -> None:
    inputs, body, weights, want = CASES[name]
    found = shape_of(inputs, body, weights)
    assert len(found) == len(want)
    for got, size in zip(found, want, strict=True):
        if size is None:
            assert isinstance(got, str)
            assert got not in ("N", "T")
        else:
            assert got == size
