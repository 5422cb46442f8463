"""Networks as strangers export them, each of a kind that once broke a pass: all sound, all run by ONNX Runtime.

Every network takes ``x [N, 3, 10, 10]`` and begins with a convolution; :data:`KINDS` names what is odd about it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from splitc.types import F32, Array

SIDE, WIDTH, CLASSES = 10, 8, 5
FLOAT = TensorProto.FLOAT
node = helper.make_node


def weights(name: str, *shape: int) -> F32:
    """Numbers that depend on the name alone."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return (random.standard_normal(shape) * 0.3).astype(np.float32)


def port(name: str, shape: Sequence[int | str] | None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, kind, shape)


def body(name: str, nodes: Sequence[onnx.NodeProto], inputs: Sequence[Any], outputs: Sequence[str]) -> onnx.GraphProto:
    """A branch, or the body of a loop; outputs are float tensors unless they are ports already."""
    ports = [port(one, None) if isinstance(one, str) else one for one in outputs]
    return helper.make_graph(list(nodes), name, list(inputs), ports)


class Stranger:
    """A network under construction: ``x ► Conv ► Relu ► r0 ► middle ► Conv ► pool ► Gemm ► y``."""

    def __init__(self, opset: int = 17, **domains: int) -> None:
        self.nodes = [node("Conv", ["x", "w0", "b0"], ["c0"], name="conv0", pads=[1] * 4), node("Relu", ["c0"], ["r0"])]
        self.held: dict[str, Array] = {"w0": weights("w0", WIDTH, 3, 3, 3), "b0": weights("b0", WIDTH)}
        self.outputs = [port("y", ["N", CLASSES])]
        self.imports = {"": opset} | {name.replace("_", "."): version for name, version in domains.items()}
        self.functions: list[onnx.FunctionProto] = []

    def hold(self, **arrays: Any) -> Stranger:
        """Add initializers."""
        self.held |= {name: np.asarray(array) for name, array in arrays.items()}
        return self

    def op(self, kind: str, inputs: Sequence[str], output: str | Sequence[str], **attributes: Any) -> Stranger:
        """Add a node without a name."""
        made = [output] if isinstance(output, str) else list(output)
        self.nodes.append(node(kind, list(inputs), made, **attributes))
        return self

    def conv(
        self, x: str, name: str, outputs: int = WIDTH, inputs: int = WIDTH, bias: str | None = "", **more: Any
    ) -> str:
        """A 3x3 convolution ``name`` of ``x``; a bias of its own, of another name, or None."""
        bias = f"{name}.b" if bias == "" else bias
        self.hold(**{f"{name}.w": weights(f"{name}.w", outputs, inputs, 3, 3)})
        if bias not in self.held:
            self.hold(**{bias: weights(bias, outputs)})
        self.op("Conv", [x, f"{name}.w", bias], name, pads=[1] * 4)
        return name

    def end(self, x: str, channels: int = WIDTH) -> onnx.ModelProto:
        """Finish with a convolution, pooling and a classifier."""
        self.conv(x, "last", WIDTH, channels)
        self.op("GlobalAveragePool", ["last"], "pooled").op("Flatten", ["pooled"], "flat")
        self.hold(wf=weights("wf", WIDTH, CLASSES), bf=weights("bf", CLASSES))
        return self.op("Gemm", ["flat", "wf", "bf"], "y").model()

    def model(self) -> onnx.ModelProto:
        """What was added so far."""
        held = [onnx.numpy_helper.from_array(array, name) for name, array in self.held.items()]
        graph = helper.make_graph(self.nodes, "g", [port("x", ["N", 3, SIDE, SIDE])], self.outputs, held)
        imports = [helper.make_opsetid(domain, version) for domain, version in self.imports.items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=8, functions=self.functions)

    def flat(self) -> Stranger:
        """The rest computes on ``v [N, WIDTH]``."""
        return self.op("GlobalAveragePool", ["r0"], "g").op("Flatten", ["g"], "v")

    def answer(self, kind: str, inputs: Sequence[str], **attributes: Any) -> onnx.ModelProto:
        """Finish with this node."""
        return self.op(kind, inputs, "y", **attributes).model()

    def decide(self, then: onnx.GraphProto, other: onnx.GraphProto, output: str = "i") -> Stranger:
        """An If on the mean of ``r0``; samples take either branch."""
        self.hold(middle=np.float32(0.31))
        self.op("ReduceMean", ["r0"], "mean", keepdims=0).op("Greater", ["mean", "middle"], "cond")
        return self.op("If", ["cond"], output, then_branch=then, else_branch=other)


Kind = dict[str, Callable[[], onnx.ModelProto]]


def on_table(*nodes: onnx.NodeProto, **arrays: Array) -> onnx.ModelProto:
    """``pos [1, WIDTH]``, which the nodes compute from constants, is added to every place."""
    net = Stranger().hold(table=weights("table", 1, 6), wt=weights("wt", 6, WIDTH), shape=np.array([1, WIDTH, 1, 1]))
    net.hold(**arrays).nodes += nodes
    return net.op("Reshape", ["pos", "shape"], "pos4").op("Add", ["r0", "pos4"], "a").op("Relu", ["a"], "ra").end("ra")


def constant_map() -> onnx.ModelProto:
    net = Stranger().hold(grid=weights("grid", 1, 3, SIDE, SIDE))
    net.conv("grid", "map", WIDTH, 3)
    return net.op("Add", ["r0", "map"], "a").end("a")


def mixed_constants() -> onnx.ModelProto:
    """One layer of the same form on data, one on a table."""
    net = Stranger().flat().hold(table=weights("table", 1, WIDTH), wa=weights("wa", WIDTH, CLASSES))
    net.hold(wb=weights("wb", WIDTH, CLASSES), ba=weights("ba", CLASSES))
    net.op("Gemm", ["v", "wa", "ba"], "s").op("Gemm", ["table", "wb", "ba"], "t")
    return net.answer("Add", ["s", "t"])


CONSTANT_DATA: Kind = {
    "matmul": lambda: on_table(node("MatMul", ["table", "wt"], ["pos"])),
    "gemm": lambda: on_table(node("Gemm", ["table", "wt"], ["pos"])),
    "gemm-with-bias": lambda: on_table(node("Gemm", ["table", "wt", "bt"], ["pos"]), bt=weights("bt", WIDTH)),
    "gemm-transposed": lambda: on_table(node("Gemm", ["table", "wu"], ["pos"], transB=1), wu=weights("wu", WIDTH, 6)),
    "computed": lambda: on_table(node("Tanh", ["table"], ["t"]), node("MatMul", ["t", "wt"], ["pos"])),
    "two-layers": lambda: on_table(
        node("MatMul", ["table", "wt"], ["h"]),
        node("Relu", ["h"], ["hr"]),
        node("Gemm", ["hr", "wh", "bh"], ["pos"]),
        wh=weights("wh", WIDTH, WIDTH),
        bh=weights("bh", WIDTH),
    ),
    "convolution-of-a-map": constant_map,
    "beside-a-layer-on-data": mixed_constants,
}


def branches(biases: Sequence[str], scale: float = 20.0) -> onnx.ModelProto:
    """Convolutions of one input at different magnitudes, whose biases are called as told; equal in value."""
    net = Stranger().hold(big=np.float32(scale))
    net.op("Mul", ["r0", "big"], "large")
    outs = []
    for index, bias in enumerate(biases):
        net.hold(**{bias: weights("bias", WIDTH)})
        name = net.conv("large" if index % 2 else "r0", f"branch{index}", bias=bias)
        net.op("Sigmoid" if index % 2 else "Tanh", [name], f"s{index}")
        outs.append(f"s{index}")
    return net.op("Sum", outs, "m").end("m")


def gemms(beta: float, biases: tuple[str, str]) -> onnx.ModelProto:
    net = Stranger().flat().hold(wa=weights("wa", WIDTH, WIDTH), wb=weights("wb", WIDTH, WIDTH))
    net.hold(**{name: weights("bias", WIDTH) for name in biases}, wc=weights("wc", WIDTH, CLASSES))
    net.op("Gemm", ["v", "wa", biases[0]], "a", beta=beta).op("Relu", ["a"], "ar")
    return net.op("Gemm", ["ar", "wb", biases[1]], "b").answer("MatMul", ["b", "wc"])


def handed_out(*names: str) -> onnx.ModelProto:
    net = Stranger()
    model = net.end("r0")
    shapes = {"bf": [CLASSES], "wf": [WIDTH, CLASSES], "last.b": [WIDTH], "last.w": [WIDTH, WIDTH, 3, 3]}
    model.graph.output.extend(port(name, shapes[name]) for name in names)
    return model


def read_by_mul() -> onnx.ModelProto:
    net = Stranger().flat().hold(wa=weights("wa", WIDTH, CLASSES), ba=weights("ba", CLASSES))
    return net.op("Gemm", ["v", "wa", "ba"], "a").answer("Mul", ["a", "ba"])


def read_in_a_branch(name: str) -> onnx.ModelProto:
    """An If computes with the weight or the bias of a layer."""
    net = Stranger()
    net.conv("r0", "mid")
    inside = {
        "mid.w": node("Conv", ["r0", "mid.w"], ["t"], pads=[1] * 4),
        "mid.b": node("Conv", ["r0", "mid.w", "mid.b"], ["t"], pads=[1] * 4),
    }[name]
    net.decide(body("then", [inside], [], ["t"]), body("else", [node("Neg", ["r0"], ["e"])], [], ["e"]))
    return net.op("Add", ["mid", "i"], "m").end("m")


def tied() -> onnx.ModelProto:
    net = (
        Stranger().flat().hold(wt=weights("wt", WIDTH, WIDTH), b=weights("b", WIDTH), wc=weights("wc", WIDTH, CLASSES))
    )
    net.op("Gemm", ["v", "wt", "b"], "a").op("Relu", ["a"], "ar").op("Gemm", ["ar", "wt", "b"], "c", transB=1)
    return net.answer("MatMul", ["c", "wc"])


SHARED: Kind = {
    "two-biases-of-one-name": lambda: branches(["bias", "bias"]),
    "three-of-one-name": lambda: branches(["bias", "bias", "bias"]),
    "equal-biases-that-are-merged": lambda: branches(["bias.a", "bias.b"]),
    "gemm": lambda: gemms(1.0, ("bias", "bias")),
    "gemm-with-beta": lambda: gemms(2.5, ("bias", "bias")),
    "gemm-with-beta-0": lambda: gemms(0.0, ("bias.a", "bias.b")),
    "bias-is-an-output": lambda: handed_out("bf"),
    "bias-of-a-convolution-is-an-output": lambda: handed_out("last.b"),
    "weight-is-an-output": lambda: handed_out("wf"),
    "all-are-outputs": lambda: handed_out("last.w", "last.b", "wf", "bf"),
    "bias-is-a-factor": read_by_mul,
    "weight-in-a-branch": lambda: read_in_a_branch("mid.w"),
    "bias-in-a-branch": lambda: read_in_a_branch("mid.b"),
    "tied-weights": tied,
}


def named(**names: str) -> onnx.ModelProto:
    """``x ► Conv ► Mul(scale) ► act ► Conv ► y``: value ``act``, initializer ``scale`` and node ``node`` as told."""
    act, scale = names.get("act", "act"), names.get("scale", "scale")
    net = Stranger().hold(**{scale: np.abs(weights("scale", 1, WIDTH, 1, 1)) + 1})
    net.op("Mul", ["r0", scale], act)
    net.nodes[-1].name = names.get("node", "mul")
    return net.end(act)


def named_in_a_branch(name: str) -> onnx.ModelProto:
    """The name is one of a value inside both branches."""
    then = body("then", [node("Sigmoid", ["r0"], [name]), node("Relu", [name], ["t"])], [], ["t"])
    other = body("else", [node("Neg", ["r0"], [name]), node("Exp", [name], ["t"])], [], ["t"])
    return Stranger().decide(then, other, "act").end("act")


TAKEN: Kind = {
    "scale-of-the-input": lambda: named(scale="x_scale"),
    "scale-of-an-activation": lambda: named(act="bn1", scale="bn1_scale"),
    "zero-point": lambda: named(scale="x_zero_point"),
    "quantized-weight": lambda: named(scale="last.w_quantized"),
    "dequantized-weight": lambda: named(act="last.w_dequantized"),
    "scale-of-a-weight": lambda: named(scale="last.w_scale"),
    "quantized-input": lambda: named(act="x_quantized"),
    "node-that-quantizes": lambda: named(node="x_QuantizeLinear"),
    "node-that-dequantizes": lambda: named(node="last.w_DequantizeLinear"),
    "float16-of-the-input": lambda: named(scale="x/float16"),
    "exact-of-a-value": lambda: named(act="c0/exact"),
    "symbols": lambda: named(scale="act.symbols"),
    "symbols-of-the-first-relu": lambda: named(scale="r0.symbols"),
    "quantizer-of-the-cut": lambda: named(act="r0.quantize/0_Div_out", scale="r0.quantize/0_Div"),
    "dequantizer-of-the-cut": lambda: named(act="r0.dequantize/0_Cast_out", scale="r0.dequantize/step"),
    "symbols-in-both-branches": lambda: named_in_a_branch("r0.symbols"),
    "quantized-in-both-branches": lambda: named_in_a_branch("x_quantized"),
    "unshared-bias": lambda: named(scale="bf/of_y"),
}


def clipped(*bounds: Array) -> onnx.ModelProto:
    net = Stranger().hold(low=bounds[0], high=bounds[1])
    net.conv("r0", "mid")
    return net.op("Clip", ["mid", "low", "high"], "k").end("k")


def without_channels(kind: str) -> onnx.ModelProto:
    net = Stranger().hold(we=np.zeros((0, WIDTH, 3, 3), np.float32), be=np.zeros(0, np.float32))
    inputs = ["r0", "we", "be"] if kind == "bias" else ["r0", "we"]
    net.op("Conv", inputs, "none", pads=[1] * 4)
    return net.op("Concat", ["r0", "none"], "m", axis=1).end("m")


def without_features() -> onnx.ModelProto:
    net = Stranger().flat().hold(we=np.zeros((WIDTH, 0), np.float32), wc=weights("wc", WIDTH, CLASSES))
    net.op("MatMul", ["v", "we"], "none").op("Concat", ["v", "none"], "m", axis=1)
    return net.answer("MatMul", ["m", "wc"])


def offset(bias: float, scale: float) -> onnx.ModelProto:
    """A layer that sees ``bias`` with a spread of about ``scale``."""
    net = Stranger().hold(far=np.full(WIDTH, bias, np.float32), near=np.float32(scale), unit=np.float32(1 / scale))
    net.op("Mul", ["r0", "near"], "small")
    net.hold(**{"shift": np.full((1, WIDTH, 1, 1), bias, np.float32)})
    net.op("Add", ["small", "shift"], "seen")
    net.conv("seen", "mid")
    return net.op("GlobalAveragePool", ["mid"], "level").op("Sub", ["mid", "level"], "m").end("m")


def masked(fill: float) -> onnx.ModelProto:
    """Attention whose mask is ``fill``: minus infinity, or the least number."""
    net = Stranger().hold(mask=np.where(np.arange(SIDE) < SIDE - 2, 0, fill).astype(np.float32))
    net.op("Add", ["r0", "mask"], "scores").op("Softmax", ["scores"], "p", axis=-1)
    return net.op("MatMul", ["p", "r0"], "m").end("m")


def infinite_inside() -> onnx.ModelProto:
    """A layer reads the logarithm of zeros; what it makes of them is thrown away again."""
    net = Stranger().op("Log", ["r0"], "log")
    net.conv("log", "lost")
    net.hold(cap=np.float32(1))
    net.op("IsNaN", ["lost"], "isnan").op("IsInf", ["lost"], "isinf").op("Or", ["isnan", "isinf"], "bad")
    net.hold(zero=np.float32(0))
    net.op("Where", ["bad", "zero", "lost"], "clean").op("Tanh", ["clean"], "t").op("Add", ["t", "r0"], "m")
    return net.end("m")


NUMBERS: Kind = {
    "clip-bounds-of-rank-1": lambda: clipped(np.array([0], np.float32), np.array([6], np.float32)),
    "clip-bounds-of-two-ranks": lambda: clipped(np.float32(0), np.array([0.8], np.float32)),
    "clip-between-floats": lambda: clipped(np.array([-0.5], np.float32), np.array([0.5], np.float32)),
    "no-channels": lambda: without_channels("plain"),
    "no-channels-and-a-bias": lambda: without_channels("bias"),
    "no-features": without_features,
    "kelvin": lambda: offset(300, 1),
    "kelvin-that-hardly-moves": lambda: offset(300, 0.05),
    "static-camera": lambda: offset(128, 0.5),
    "millions": lambda: offset(1e4, 1),
    "a-mask-of-minus-infinity": lambda: masked(-np.inf),
    "a-mask-of-the-least-number": lambda: masked(float(np.finfo(np.float32).min)),
    "infinities-inside": infinite_inside,
}


def imported(imports: dict[str, int], node_domain: str = "", opset: int = 17) -> onnx.ModelProto:
    model = Stranger(opset).end("r0")
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in imports.items())
    for one in model.graph.node:
        one.domain = node_domain
    return model


def contrib(opset: int, kind: str = "Gelu") -> onnx.ModelProto:
    net = Stranger(opset, com_microsoft=1)
    return net.op(kind, ["r0"], "m", domain="com.microsoft").end("m")


def resized(opset: int, kind: str, mode: str, scale: float) -> onnx.ModelProto:
    net = Stranger(opset).hold(scales=np.array([1, 1, scale, scale], np.float32))
    inputs = ["r0", "scales"] if opset < 11 else ["r0", "", "scales"]
    return net.op(kind, inputs, "m", mode=mode).end("m")


def old_branches(opset: int) -> onnx.ModelProto:
    squeeze = [node("Unsqueeze", ["r0"], ["u"], axes=[0]), node("Squeeze", ["u"], ["t"], axes=[0])]
    summed = [node("ReduceSum", ["r0"], ["s"], axes=[2]), node("Add", ["r0", "s"], ["e"])]
    return Stranger(opset).decide(body("then", squeeze, [], ["t"]), body("else", summed, [], ["e"])).end("i")


def old_loop() -> onnx.ModelProto:
    inside = [node("Unsqueeze", ["v"], ["u"], axes=[0]), node("Squeeze", ["u"], ["q"], axes=[0])]
    inside += [node("Add", ["q", "q"], ["v2"]), node("Identity", ["c"], ["c2"])]
    ports = [port("i", [], TensorProto.INT64), port("c", [], TensorProto.BOOL), port("v", None)]
    loop = body("body", inside, ports, [port("c2", [], TensorProto.BOOL), "v2"])  # type: ignore[list-item]
    return Stranger(12).hold(trips=np.int64(2)).op("Loop", ["trips", "", "r0"], "m", body=loop).end("m")


def old_operators(opset: int, *nodes: onnx.NodeProto, **arrays: Array) -> onnx.ModelProto:
    """``r0 ► nodes ► m`` as attributes had it once."""
    net = Stranger(opset).hold(**arrays)
    net.nodes += nodes
    return net.end("m")


OPSETS: Kind = {
    "domain-spelled-11": lambda: imported({"ai.onnx": 11}, opset=11),
    "domain-spelled-17": lambda: imported({"ai.onnx": 17}),
    "domain-spelled-in-nodes": lambda: imported({"": 17}, "ai.onnx"),
    "domain-spelled-both": lambda: imported({"ai.onnx": 17, "": 17}, "ai.onnx"),
    "imports-nothing-needs": lambda: imported({"": 17, "ai.onnx.ml": 3, "com.microsoft": 1}),
    "contrib-11": lambda: contrib(11),
    "contrib-17": lambda: contrib(17),
    "contrib-13-quick": lambda: contrib(13, "QuickGelu"),
    "resize-10-linear": lambda: resized(10, "Resize", "linear", 2),
    "resize-10-linear-down": lambda: resized(10, "Resize", "linear", 0.6),
    "resize-10-nearest": lambda: resized(10, "Resize", "nearest", 1.6),
    "upsample-9-linear": lambda: resized(9, "Upsample", "linear", 2),
    "upsample-9-nearest": lambda: resized(9, "Upsample", "nearest", 3),
    "resize-11": lambda: resized(13, "Resize", "linear", 1.5),
    "branches-11": lambda: old_branches(11),
    "branches-9": lambda: old_branches(9),
    "loop-12": old_loop,
    "softmax-11": lambda: old_operators(11, node("Softmax", ["r0"], ["m"], axis=1)),
    "softmax-9-log": lambda: old_operators(9, node("LogSoftmax", ["r0"], ["m"])),
    "clip-6-pad-2": lambda: old_operators(
        8, node("Clip", ["r0"], ["k"], max=0.7), node("Pad", ["k"], ["m"], pads=[0, 0, 1, 1, 0, 0, 1, 1])
    ),
    "split-11": lambda: old_operators(
        11, node("Split", ["r0"], ["a", "b"], axis=1, split=[3, 5]), node("Concat", ["b", "a"], ["m"], axis=1)
    ),
    "top-10": lambda: old_operators(
        10,
        node("TopK", ["r0", "k"], ["top", "at"], axis=3),
        node("Cast", ["at"], ["place"], to=FLOAT),
        node("Mul", ["top", "place"], ["m"]),
        k=np.array([3]),
    ),
    "prelu-7": lambda: old_operators(
        7, node("PRelu", ["r0", "slope"], ["m"]), slope=np.abs(weights("slope", WIDTH, 1, 1))
    ),
    "dropout-7": lambda: old_operators(7, node("Dropout", ["r0"], ["m"], ratio=0.5)),
}


def blocked_in_branches(then: str, other: str) -> onnx.ModelProto:
    net = Stranger().hold(zero=np.float32(0), one=np.float32(1))
    first = [node("Sigmoid", ["r0"], ["s"]), node(then, ["s", "zero"], ["t"])]
    second = [node("Mul", ["r0", "one"], ["s"]), node(other, ["s", "one"], ["e"])]
    return net.decide(body("then", first, [], ["t"]), body("else", second, [], ["e"])).end("i")


def equal_names_in_branches() -> onnx.ModelProto:
    then = body("then", [node("Mul", ["r0", "k"], ["t"])], [], ["t"])
    other = body("else", [node("Mul", ["r0", "k"], ["t"])], [], ["t"])
    for graph, number in ((then, 2.0), (other, 3.0)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.float32(number), "k"))
    return Stranger().decide(then, other).end("i")


def window(kind: str) -> onnx.ModelProto:
    net = Stranger().hold(size=np.int64(SIDE)).op(kind, ["size"], "window")
    return net.op("Mul", ["r0", "window"], "m").end("m")


def quantized(opset: int, kind: type = np.int8) -> onnx.ModelProto:
    net = Stranger(opset).hold(step=np.float32(0.02), at=kind(0))
    net.op("QuantizeLinear", ["r0", "step", "at"], "q").op("DequantizeLinear", ["q", "step", "at"], "m")
    return net.end("m")


def dynamic_quantized() -> onnx.ModelProto:
    net = Stranger(13).op("DynamicQuantizeLinear", ["r0"], ["q", "s", "z"])
    return net.op("DequantizeLinear", ["q", "s", "z"], "m").end("m")


def typed_operator(*nodes: onnx.NodeProto, **arrays: Any) -> onnx.ModelProto:
    return old_operators(17, *nodes, **arrays)


FLOAT16: Kind = {
    "max-and-min-in-branches": lambda: blocked_in_branches("Max", "Min"),
    "max-in-both-branches": lambda: blocked_in_branches("Max", "Max"),
    "equal-names-in-branches": equal_names_in_branches,
    "hann-window": lambda: window("HannWindow"),
    "hamming-window": lambda: window("HammingWindow"),
    "blackman-window": lambda: window("BlackmanWindow"),
    "quantized-13": lambda: quantized(13),
    "quantized-17-unsigned": lambda: quantized(17, np.uint8),
    "quantized-21": lambda: quantized(21),
    "dynamically-quantized": dynamic_quantized,
    "range": lambda: typed_operator(
        node("Range", ["from", "to", "by"], ["ramp"]),
        node("Mul", ["r0", "ramp"], ["m"]),
        **{"from": np.float32(0), "to": np.float32(SIDE), "by": np.float32(1)},
    ),
    "overflow": lambda: typed_operator(
        node("Mul", ["r0", "large"], ["l"]),
        node("Mul", ["l", "l"], ["ll"]),
        node("Sqrt", ["ll"], ["s"]),
        node("Div", ["s", "large"], ["m"]),
        large=np.float32(1000),
    ),
    "double": lambda: typed_operator(
        node("Cast", ["r0"], ["d"], to=TensorProto.DOUBLE),
        node("Mul", ["d", "half"], ["h"]),
        node("Cast", ["h"], ["m"], to=FLOAT),
        half=np.float64(0.5),
    ),
    "sequence": lambda: typed_operator(
        node("SplitToSequence", ["r0"], ["parts"], axis=1), node("ConcatFromSequence", ["parts"], ["m"], axis=1)
    ),
    "one-hot": lambda: typed_operator(
        node("ArgMax", ["r0"], ["best"], axis=1, keepdims=0),
        node("OneHot", ["best", "depth", "ends"], ["m"], axis=1),
        depth=np.array(WIDTH),
        ends=np.array([0.1, 0.9], np.float32),
    ),
}


def identity_branch(then: Sequence[onnx.NodeProto], other: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    """Branches that hand out a value of the graph around them, by Identity."""
    net = Stranger().decide(body("then", then, [], ["t"]), body("else", other, [], ["t"]))
    return net.op("Add", ["i", "r0"], "m").end("m")


def outputs_alike(kind: str, of: str, shape: Sequence[int | str]) -> onnx.ModelProto:
    """Two outputs that differ by ``kind`` alone."""
    net = Stranger()
    model = net.end("r0")
    model.graph.node.append(node(kind, [of], ["again"]))
    model.graph.output.append(port("again", shape))
    return model


def scan(states: Sequence[str], *nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A Scan over rows whose body hands out ``states``: its state, then what is stacked."""
    inside = body("rows", nodes, [port("state", None), port("row", None)], states)
    net = Stranger().hold(start=np.zeros((1, WIDTH, SIDE), np.float32))
    net.op("Transpose", ["r0"], "rows", perm=[2, 0, 1, 3])
    stacked = [f"stacked{index}" for index in range(len(states) - 1)]
    net.op("Scan", ["start", "rows"], ["final", *stacked], body=inside, num_scan_inputs=1)
    total = net.op("Sum", stacked, "total") if len(stacked) > 1 else net.op("Relu", stacked, "total")
    model = total.op("Transpose", ["total"], "m", perm=[1, 2, 0, 3]).end("m")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model


def loop(states: Sequence[str], *nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A Loop of three turns whose body hands out ``states`` as the two values it carries."""
    ports = [port("turn", [], TensorProto.INT64), port("go", [], TensorProto.BOOL), port("a", None), port("b", None)]
    outputs: list[Any] = [port("on", [], TensorProto.BOOL), *states]
    inside = body("turns", [node("Identity", ["go"], ["on"]), *nodes], ports, outputs)
    net = Stranger().hold(turns=np.int64(3)).op("Loop", ["turns", "", "r0", "c0"], ["p", "q"], body=inside)
    return net.op("Add", ["p", "q"], "m").end("m")


def with_function() -> onnx.ModelProto:
    """A function called in a branch and outside, with an attribute of its own."""
    inner = helper.make_function(
        "my.own", "Size2", ["a"], ["b"], [node("Mul", ["a", "a"], ["aa"]), node("Sqrt", ["aa"], ["b"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    net = Stranger(17, my_own=1)
    net.functions = [inner]
    call = node("Size2", ["r0"], ["t"], domain="my.own")
    net.decide(body("then", [call], [], ["t"]), body("else", [node("Neg", ["r0"], ["e"])], [], ["e"]))
    return net.op("Size2", ["i"], "m", domain="my.own").end("m")


def sparse(place: str) -> onnx.ModelProto:
    """The classifier's weight is sparse: an initializer by coordinates, or a Constant by counting."""
    net = Stranger()
    model = net.end("r0")
    del model.graph.initializer[[one.name for one in model.graph.initializer].index("wf")]
    values = helper.make_tensor("wf", FLOAT, [3], [1.0, -2.0, 0.5])
    if place == "initializer":
        at = helper.make_tensor("at", TensorProto.INT64, [3, 2], [0, 1, 3, 0, 7, 4])
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, at, [WIDTH, CLASSES]))
        return model
    at = helper.make_tensor("at", TensorProto.INT64, [3], [1, 15, 39])
    held = helper.make_sparse_tensor(values, at, [WIDTH, CLASSES])
    model.graph.node.insert(0, node("Constant", [], ["wf"], sparse_value=held))
    return model


def renamed(how: Callable[[onnx.NodeProto, int], str]) -> onnx.ModelProto:
    model = Stranger().end("r0")
    for index, one in enumerate(model.graph.node):
        one.name = how(one, index)
    return model


def trained_norm(*, used: bool) -> onnx.ModelProto:
    net = Stranger().hold(**{name: np.abs(weights(name, WIDTH)) + 1 for name in ("s", "o", "mean", "var")})
    net.op("BatchNormalization", ["r0", "s", "o", "mean", "var"], ["n", "rm", "rv"], training_mode=1)
    model = net.end("n")
    if used:
        model.graph.output.append(port("rm", [WIDTH]))
    return model


STRUCTURES: Kind = {
    "a-branch-hands-out-an-outer-value": lambda: identity_branch(
        [node("Identity", ["r0"], ["t"])], [node("Neg", ["r0"], ["t"])]
    ),
    "both-branches-do": lambda: identity_branch([node("Identity", ["r0"], ["t"])], [node("Identity", ["c0"], ["t"])]),
    "a-branch-hands-out-two-identities-on": lambda: identity_branch(
        [node("Identity", ["r0"], ["s"]), node("Identity", ["s"], ["t"])], [node("Abs", ["r0"], ["t"])]
    ),
    "a-branch-hands-out-a-dropout": lambda: identity_branch(
        [node("Dropout", ["c0"], ["t"])], [node("Neg", ["r0"], ["t"])]
    ),
    "a-branch-hands-out-a-weight": lambda: identity_branch(
        [node("Identity", ["b0"], ["b"]), node("ReduceSum", ["b"], ["s"], keepdims=0), node("Add", ["r0", "s"], ["t"])],
        [node("Neg", ["r0"], ["t"])],
    ),
    "outputs-that-differ-by-identity": lambda: outputs_alike("Identity", "y", ["N", CLASSES]),
    "outputs-that-differ-by-dropout": lambda: outputs_alike("Dropout", "y", ["N", CLASSES]),
    "an-input-that-is-an-output": lambda: outputs_alike("Identity", "x", ["N", 3, SIDE, SIDE]),
    "a-weight-that-is-an-output": lambda: outputs_alike("Identity", "bf", [CLASSES]),
    "a-scan-hands-its-state-out-twice": lambda: scan(
        ["s2", "o"], node("Add", ["state", "row"], ["s2"]), node("Identity", ["s2"], ["o"])
    ),
    "a-scan-hands-its-old-state-out": lambda: scan(
        ["s2", "o"], node("Add", ["state", "row"], ["s2"]), node("Identity", ["state"], ["o"])
    ),
    "a-scan-hands-out-its-row": lambda: scan(
        ["s2", "o"], node("Add", ["state", "row"], ["s2"]), node("Dropout", ["row"], ["o"])
    ),
    "a-scan-hands-out-three-of-one": lambda: scan(
        ["s2", "o", "p"],
        node("Max", ["state", "row"], ["s2"]),
        node("Identity", ["s2"], ["o"]),
        node("Identity", ["s2"], ["p"]),
    ),
    "a-loop-hands-one-value-out-twice": lambda: loop(
        ["s", "t"], node("Add", ["a", "b"], ["s"]), node("Identity", ["s"], ["t"])
    ),
    "a-loop-swaps-what-it-carries": lambda: loop(
        ["s", "t"], node("Identity", ["b"], ["s"]), node("Identity", ["a"], ["t"])
    ),
    "a-loop-hands-out-an-outer-value": lambda: loop(
        ["s", "t"], node("Identity", ["r0"], ["s"]), node("Add", ["a", "b"], ["t"])
    ),
    "a-function-in-a-branch": with_function,
    "a-sparse-initializer": lambda: sparse("initializer"),
    "a-sparse-constant": lambda: sparse("constant"),
    "no-names": lambda: renamed(lambda one, index: ""),
    "names-of-values": lambda: renamed(lambda one, index: ["r0", "c0", "pooled", "y", "x", ""][min(index, 5)]),
    "training-mode": lambda: trained_norm(used=False),
    "training-mode-whose-means-are-outputs": lambda: trained_norm(used=True),
}

KINDS: dict[str, Kind] = {
    "constant-data": CONSTANT_DATA,
    "shared": SHARED,
    "taken-names": TAKEN,
    "numbers": NUMBERS,
    "opsets": OPSETS,
    "float16": FLOAT16,
    "structures": STRUCTURES,
}
