"""FLOPs of single operators, counted by hand."""

from __future__ import annotations

import pytest
from graph_halves import LIGHT, model_file, parse

from splitc import graph

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
CASES = [
    pytest.param(
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[4] b) => (float[N,4,6,6] y) { y = Conv(x, w, b) }",
        4 * 6 * 6 * (2 * 27 + 1),
        id="conv2d-bias",
    ),
    pytest.param(
        "g (float[1,4,8,8] x, float[4,1,3,3] w) => (float[1,4,8,8] y) { y = Conv<group=4, pads=[1,1,1,1]>(x, w) }",
        4 * 8 * 8 * 2 * 9,
        id="depthwise",
    ),
    pytest.param(
        "g (float[1,3,8] x, float[4,3,3] w) => (float[1,4,6] y) { y = Conv(x, w) }", 4 * 6 * 2 * 9, id="conv1d"
    ),
    pytest.param(
        "g (float[1,3,4,4,4] x, float[5,3,2,2,2] w) => (float[1,5,3,3,3] y) { y = Conv(x, w) }",
        5 * 27 * 2 * 24,
        id="conv3d",
    ),
    pytest.param(
        "g (float[1,3,4,4] x, float[3,5,2,2] w) => (float[1,5,8,8] y) { y = ConvTranspose<strides=[2,2]>(x, w) }",
        2 * 3 * 16 * 5 * 4,
        id="conv-transpose",
    ),
    pytest.param(
        "g (float[2,3] x, float[4,3] w, float[4] b) => (float[2,4] y) { y = Gemm<transB=1>(x, w, b) }",
        8 * (2 * 3 + 1),
        id="gemm",
    ),
    pytest.param(
        "g (float[2,3] x, float[2,4] w) => (float[3,4] y) { y = Gemm<transA=1>(x, w) }", 12 * 2 * 2, id="gemm-trans-a"
    ),
    pytest.param(
        "g (float[B,5,7] x, float[B,7,6] w) => (float[B,5,6] y) { y = MatMul(x, w) }", 5 * 6 * 2 * 7, id="matmul-batch"
    ),
    pytest.param(
        'g (float[5,7] x, float[7,6] w) => (float[5,6] y) { y = Einsum<equation="ij,jk->ik">(x, w) }',
        5 * 6 * 2 * 7,
        id="einsum",
    ),
    pytest.param(
        "g (float[1,2,8,8] x) => (float[1,2,4,4] y) { y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) }",
        2 * 16 * 4,
        id="pool",
    ),
    pytest.param("g (float[1,2,8,8] x) => (float[1,2,1,1] y) { y = GlobalAveragePool(x) }", 128, id="global-pool"),
    pytest.param("g (float[1,2,8] x) => (float[1,2,1] y) { y = ReduceMean<axes=[2]>(x) }", 16, id="reduce"),
    pytest.param("g (float[2,8] x) => (float[2,8] y) { y = Softmax(x) }", 16 * 3, id="softmax"),
    pytest.param("g (float[2,8] x, float[8] u) => (float[2,8] y) { y = Add(x, u) }", 16, id="elementwise"),
    pytest.param(
        "g (float[2,8] x, float[2,8] u, float[8] v) => (float[2,8] y) { y = Sum(x, u, v) }", 32, id="sum-of-3"
    ),
    pytest.param(
        "g (float[2,8] x, float[8] s, float[8] b) => (float[2,8] y) { y = LayerNormalization(x, s, b) }",
        16 * 8,
        id="layer-norm",
    ),
    pytest.param("g (float[2,8] x) => (float[8,2] y) { y = Transpose(x) }", 0, id="moves-data"),
    pytest.param(
        "g (float[3,2,5] x, float[1,16,5] w, float[1,16,4] r) => (float[3,1,2,4] y) {"
        " y = LSTM<hidden_size=4>(x, w, r) }",
        2 * 6 * 16 * 9,
        id="lstm",
    ),
]


@pytest.mark.parametrize(("text", "flops"), CASES)
def test_flops_of_one_node(text: str, flops: int) -> None:
    model = parse(f"{HEADER} {text}")
    assert graph.node_flops(model.flow.nodes[0]) == flops
    assert model.flops == flops


def test_attention_as_matmuls() -> None:
    model = parse(f"""{HEADER} g (float[N,4,10,16] q, float[N,4,16,10] k, float[N,4,10,16] v) => (float[N,4,10,16] y) {{
        s = MatMul(q, k)  p = Softmax(s)  y = MatMul(p, v) }}""")
    assert model.flops == 4 * (2 * 2 * 10 * 10 * 16 + 3 * 10 * 10)


def test_an_if_counts_its_costlier_branch() -> None:
    model = parse(f"""{HEADER} g (float[4,4] x, bool c) => (float[4,4] y) {{
        y = If (c) <then_branch = t () => (float[4,4] p) {{ p = MatMul(x, x) }},
                    else_branch = e () => (float[4,4] q) {{ q = Neg(x) }}> }}""")
    assert model.flops == 2 * 64


def test_published_sizes_of_known_networks() -> None:
    resnet50 = graph.load(next(path for path in LIGHT if "resnet50" in path))
    assert resnet50.flops == pytest.approx(8.2e9, rel=0.01), "4.1 GMACs (He et al. 2016)"
    mobilenet = graph.load(model_file("mobilenet_v2_imagenet.onnx"))
    assert mobilenet.flops == pytest.approx(0.6e9, rel=0.03), "300 MMACs (Sandler et al. 2018)"
    assert mobilenet.parameters == pytest.approx(3.5e6, rel=0.01)
