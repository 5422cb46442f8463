"""Small graphs with one fault each, as ONNX text: what is planted, for whom, and which rule finds it where."""

from __future__ import annotations

from typing import NamedTuple

HEADER = '<ir_version: 10, opset_import: ["" : 21]>'


class Planted(NamedTuple):
    """One fault.

    Attributes:
        rule: The rule that must find it.
        node: Where, as the finding says it.
        target: A target that refuses it.
        text: The graph, after the header.
        is_seen_here: TensorRT-RTX refuses or changes it too, which a test with the extra sees.
    """

    rule: str
    node: str
    target: str
    text: str
    is_seen_here: bool = False


RTX = "tensorrt_rtx-1.7"
PLANTED = (
    Planted(
        "uint8-inside",
        "node 'r' (Reshape)",
        RTX,
        """g (float[2, 8] x) => (uint8[4, 4] r) <int64[2] s = {4, 4}> {
            c = Cast<to = 2>(x) r = Reshape(c, s) }""",
        True,
    ),
    Planted(
        "uint8-inside",
        "input 's'",
        RTX,
        "g (uint8[2, 4] s, uint8[2, 4] t) => (float[4, 4] y) { c = Concat<axis = 0>(s, t) y = Cast<to = 1>(c) }",
        True,
    ),
    Planted(
        "uint8-quantization",
        "node 'y' (DequantizeLinear)",
        "tensorrt-10.3",
        """g (uint8[2, 4] s) => (float[2, 4] y) <float k = {0.5}, uint8 z = {0}> { y = DequantizeLinear(s, k, z) }""",
        True,
    ),
    Planted(
        "zero-point",
        "node 'q' (QuantizeLinear)",
        "tensorrt-11.1",
        """g (float[2, 4] x) => (float[2, 4] y) <float k = {0.5}, int8 z = {3}, int8 o = {0}> {
            q = QuantizeLinear(x, k, z) y = DequantizeLinear(q, k, o) }""",
        True,
    ),
    Planted(
        "int32-dequantize",
        "node 'b' (DequantizeLinear)",
        RTX,
        """g (float[2, 4] x) => (float[2, 3] y)
           <float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, int32[3] i = {1, 2, 3}, float k = {0.5}> {
            b = DequantizeLinear(i, k) y = Gemm(x, w, b) }""",
        True,
    ),
    Planted(
        "quantized-twice",
        "node 'r' (QuantizeLinear)",
        "tensorrt-10.3",
        """g (float[2, 4] x) => (int8[2, 4] r) <float k = {0.5}, float l = {0.25}, int8 z = {0}> {
            q = QuantizeLinear(x, k, z) d = DequantizeLinear(q, k, z) r = QuantizeLinear(d, l, z) }""",
    ),
    Planted(
        "quantized-twice",
        "node 'd' (DequantizeLinear)",
        "jetson-agx-orin",
        """g (float[2, 4] x) => (uint8[2, 4] s)
           <float k = {0.5}, float l = {4}, float lo = {0}, float hi = {15}, int8 z = {0}> {
            q = QuantizeLinear(x, k, z) d = DequantizeLinear(q, k, z)
            m = Mul(d, l) r = Round(m) c = Clip(r, lo, hi) s = Cast<to = 2>(c) }""",
    ),
    Planted(
        "nms",
        "node 'n' (NonMaxSuppression)",
        RTX,
        """g (float[1, 6, 4] boxes, float[1, 1, 6] scores) => (int64[K, 3] n) <int64 m = {3}, float t = {0.5}> {
            n = NonMaxSuppression(boxes, scores, m, t) }""",
        True,
    ),
    Planted(
        "missing-operator",
        "node 'y' (NonZero)",
        RTX,
        "g (float[2, 3] x) => (int64[2, K] y) { y = NonZero(x) }",
        True,
    ),
    Planted(
        "missing-operator",
        "node 'y' (BitwiseAnd)",
        "tensorrt-10.16",
        "g (int32[2, 3] x) => (int32[2, 3] y) <int32 m = {15}> { y = BitwiseAnd(x, m) }",
        True,
    ),
    Planted(
        "custom-operator",
        "node 'y' (Frobnicate)",
        "tensorrt-10.3",
        "g (float[2, 3] x) => (float[2, 3] y) { y = my.own.Frobnicate(x) }",
        True,
    ),
    Planted(
        "element-type",
        "node 'c' (Cast)",
        RTX,
        "g (float[2, 3] x) => (float[2, 3] y) { c = Cast<to = 4>(x) y = Cast<to = 1>(c) }",
        True,
    ),
    Planted("double-port", "input 'x'", RTX, "g (double[2, 3] x) => (float[2, 3] y) { y = Cast<to = 1>(x) }", True),
    Planted(
        "int64",
        "output 'y'",
        "tensorrt-8.6",
        "g (float[2, 3] x) => (int64[2, 1] y) { y = ArgMax<axis = 1>(x) }",
    ),
    Planted(
        "int64",
        "weight 'w'",
        "tensorrt-8.6",
        """g (int32[2] x) => (float[2] y) <int64[2] w = {4294967296, 1}> {
            l = Cast<to = 7>(x) s = Add(l, w) y = Cast<to = 1>(s) }""",
    ),
    Planted(
        "int64",
        "node 'w' (Constant)",
        "tensorrt-8.6",
        """g (int32[2] x) => (float[2] y) {
            w = Constant<value_ints = [4294967296, 1]>() l = Cast<to = 7>(x) s = Add(l, w) y = Cast<to = 1>(s) }""",
    ),
    Planted(
        "int64",
        "node 'w' (Constant)",
        "tensorrt-8.6",
        """g (int32[2] x) => (float[2] y) {
            w = Constant<value = int64[2] {4294967296, 1}>() l = Cast<to = 7>(x) s = Add(l, w) y = Cast<to = 1>(s) }""",
    ),
    *(
        Planted("missing-operator", f"node 'y' ({name})", "tensorrt-10.16", f"g ({i}) => ({o}) {{ y = {call} }}", True)
        for name, i, o, call in (
            ("Det", "float[2, 3, 3] x", "float[2] y", "Det(x)"),
            ("Multinomial", "float[2, 3] x", "int32[2, 1] y", "Multinomial(x)"),
            ("Bernoulli", "float[2, 3] x", "float[2, 3] y", "Bernoulli(x)"),
            ("Compress", "float[4] x, bool[4] c", "float[K] y", "Compress(x, c)"),
            (
                "MaxRoiPool",
                "float[1, 1, 8, 8] x, float[1, 5] r",
                "float[1, 1, 2, 2] y",
                "MaxRoiPool<pooled_shape = [2, 2]>(x, r)",
            ),
        )
    ),
    Planted(
        "fp8",
        "node 'q' (QuantizeLinear)",
        "jetson-orin-nano",
        """g (float[2, 4] x) => (float[2, 4] y) <float k = {0.5}> {
            q = QuantizeLinear<output_dtype = 17>(x, k) y = DequantizeLinear(q, k) }""",
    ),
    Planted(
        "bf16",
        "node 'c' (Cast)",
        "t4",
        "g (float[2, 3] x) => (float[2, 3] y) { c = Cast<to = 16>(x) d = Relu(c) y = Cast<to = 1>(d) }",
    ),
    Planted(
        "int8-cast",
        "node 'y' (Cast)",
        "tensorrt-10.3",
        "g (int8[2, 3] s) => (float[2, 3] y) { y = Cast<to = 1>(s) }",
    ),
    Planted(
        "too-many-dims",
        "node 'r' (Reshape)",
        RTX,
        """g (float[2, 4] x) => (float[2, 4] y) <int64[9] s = {2, 1, 1, 1, 1, 1, 1, 2, 2}, int64[2] t = {2, 4}> {
            r = Reshape(x, s) y = Reshape(r, t) }""",
        True,
    ),
    Planted(
        "input-is-output",
        "input 'x'",
        RTX,
        "g (float[2, 3] x) => (float[2, 3] x, float[2, 3] y) { y = Relu(x) }",
        True,
    ),
    Planted(
        "uncovered-dimension",
        "input 'x'",
        "tensorrt-10.3",
        "g (float[N, 3, H, 8] x) => (float[N, 3, H, 8] y) { y = Relu(x) }",
    ),
)
"""Twenty-one faults of fifteen and more rules; those about the DLA and about SM75 need a place of their own."""

PLANTED_DLA = (
    Planted(
        "dla-operator", "node 'r' (Round)", "jetson-agx-orin", "g (float[2, 4] x) => (float[2, 4] r) { r = Round(x) }"
    ),
    Planted("dla-dynamic", "input 'x'", "jetson-agx-orin", "g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"),
    Planted(
        "dla-size", "node 'y' (Relu)", "jetson-agx-orin", "g (float[1, 9000] x) => (float[1, 9000] y) { y = Relu(x) }"
    ),
    Planted(
        "dla-precision",
        "node 'y' (Conv)",
        "jetson-agx-orin",
        "g (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] y) <float[1, 1, 1, 1] w = {2}> { y = Conv(x, w) }",
    ),
    Planted("dla-absent", "the graph", "jetson-orin-nano", "g (float[2, 4] x) => (float[2, 4] y) { y = Relu(x) }"),
)

CLEAN = {
    "a head": """g (float[N, 3, 8, 8] x) => (uint8[N, 2, 8, 8] s)
        <float[2, 3, 1, 1] w = {1, 2, 3, 4, 5, 6}, float k = {0.5}, float lo = {0}, float hi = {15}> {
        f = Conv(x, w) m = Mul(f, k) r = Round(m) c = Clip(r, lo, hi) s = Cast<to = 2>(c) }""",
    "a tail": """g (uint8[N, 4] s) => (float[N, 4] y) <float k = {0.5}> {
        x = Cast<to = 1>(s) z = Mul(x, k) y = Relu(z) }""",
    "a tail in INT8": """g (uint8[N, 4] s) => (float[N, 3] y)
        <float k = {0.5}, int8 z = {0}, float[3] kw = {0.5, 0.25, 0.5}, int8[3] zw = {0, 0, 0},
         int8[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, float[3] b = {1, 2, 3}> {
        x = Cast<to = 1>(s) f = Mul(x, k) q = QuantizeLinear(f, k, z) d = DequantizeLinear(q, k, z)
        v = DequantizeLinear<axis = 1>(w, kw, zw) y = Gemm(d, v, b) }""",
    "shape arithmetic": """g (float[N, 2, 4] x) => (float[N, 8] y) <int64[1] m = {-1}> {
        h = Shape<end = 1>(x) s = Concat<axis = 0>(h, m) y = Reshape(x, s) }""",
    "a slice to the end": """g (float[N, 8] x) => (float[N, 6] y)
        <int64[1] a = {2}, int64[1] e = {9223372036854775807}, int64[1] d = {1}> { y = Slice(x, a, e, d) }""",
}
"""Graphs with nothing to find; they look like what the rules look for."""
