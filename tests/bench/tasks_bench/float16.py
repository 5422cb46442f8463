"""Planted FP16 damage: what ONNX Runtime's CPU says of it, what float16 really does, and what is left of it.

    python tests/bench/tasks_bench/float16.py

A lie is a network that ONNX Runtime calls as good as float32 and that real float16 breaks. It is caught when the node
at fault stays float32 by name and the answers are back.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort

from splitc import graph
from splitc.evaluate import open_graph
from splitc.passes import ToFloat16
from splitc.types import Array, Feeds

BROKEN, WHOLE = 1e-2, 2e-3
"""Relative errors of the answers, by norm: surely more than rounding, and a few roundings of 2^-11."""
W = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
PLANTED: dict[str, tuple[str, dict[str, Array]]] = {
    "a square of large numbers": (
        "h = MatMul(x, w) b = Mul(h, k) [at] q = Mul(b, b) t = Sqrt(q) y = Div(t, k)",
        {"w": W, "k": np.array(1000, np.float32)},
    ),
    "a weight beyond 65,504": (
        "[at] h = MatMul(x, w) y = Mul(h, k)",
        {"w": 1e5 * W, "k": np.array(1e-3, np.float32)},
    ),
    "an epsilon of 1e-12": (
        "m = ReduceMean<axes = [-1], keepdims = 1>(x) c = Sub(x, m) s = Mul(c, z) q = Mul(s, s) "
        "v = ReduceMean<axes = [-1], keepdims = 1>(q) [at] e = Add(v, eps) r = Sqrt(e) d = Div(s, r) y = MatMul(d, w)",
        {"w": W, "z": np.array(0, np.float32), "eps": np.array(1e-12, np.float32)},
    ),
    "a cast of large integers": (
        "n = Cast<to = 7>(x) p = Mul(n, k) [at] f = Cast<to = 1>(p) y = Mul(f, s)",
        {"k": np.array(100_000, np.int64), "s": np.array(1e-4, np.float32)},
    ),
    "an exponential": ("h = MatMul(x, w) [at] e = Exp(h) y = Log(e)", {"w": 2 * W}),
    "an offset that cancels": (
        "[at] s = Add(x, k) d = Sub(s, k) y = MatMul(d, w)",
        {"w": W, "k": np.array(3000, np.float32)},
    ),
    "a sum that overflows": (
        "e = Exp(x) s = Mul(e, k) [at] q = ReduceSum<keepdims = 1>(s) y = Div(s, q)",
        {"k": np.array(3000, np.float32)},
    ),
    "a vanishing factor": (
        "h = MatMul(x, w) [at] s = Mul(h, t) y = Mul(s, u)",
        {"w": W, "t": np.array(1e-8, np.float32), "u": np.array(6e4, np.float32)},
    ),
}


@dataclass(frozen=True)
class PlantedRow:
    """One network; errors are relative, by norm, infinite where answers are lost.

    Attributes:
        onnxruntime_error: Of the network with all nodes in FP16, as ONNX Runtime computes it on a CPU.
        float16_error: Of the same network in real float16.
        lowered_error: Of what splitc makes of it, in real float16.
        is_named: The node at fault is among those that stay float32.
    """

    network: str
    onnxruntime_error: float
    float16_error: float
    lowered_error: float
    is_named: bool

    @property
    def is_caught(self) -> bool:
        return self.is_named and self.lowered_error < WHOLE


def rows() -> Iterator[PlantedRow]:
    """Every planted network."""
    for name, (body, weights) in PLANTED.items():
        proto = onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : 17]> g (float[2, 8] x) => (float[n, 8] y) {{ {body} }}'
        )
        proto.graph.initializer.extend(onnx.numpy_helper.from_array(value, key) for key, value in weights.items())
        model = graph.model_from_ir(ir.from_proto(proto)).ir_model
        random = np.random.default_rng(1)
        feeds = [{"x": (3 * random.standard_normal((2, 8))).astype(np.float32)} for _ in range(6)]
        exact = [open_graph(model).run(one)["y"] for one in feeds]
        naive, result = ToFloat16(decided={})(model).model, ToFloat16(feeds)(model)
        yield PlantedRow(
            name,
            _error(exact, _by_onnxruntime(naive, feeds)),
            _error(exact, [open_graph(naive).run(one)["y"] for one in feeds]),
            _error(exact, [open_graph(result.model).run(one)["y"] for one in feeds]),
            any("'at'" in note for note in result.notes if note.startswith("stays float32")),
        )


def lies_caught(found: Iterable[PlantedRow]) -> str:
    """``caught/planted``, for the summary of a benchmark."""
    every = list(found)
    return f"{sum(one.is_caught for one in every)}/{len(every)}"


def _by_onnxruntime(model: ir.Model, feeds: Sequence[Feeds]) -> list[Array]:
    session = ort.InferenceSession(graph.to_bytes(model), providers=["CPUExecutionProvider"])
    return [session.run(["y"], dict(one))[0] for one in feeds]


def _error(exact: Sequence[Array], got: Sequence[Array]) -> float:
    if not all(np.isfinite(one).all() for one in got):
        return float("inf")
    gap = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in zip(exact, got, strict=True))
    size = sum(float(np.square(a, dtype=np.float64).sum()) for a in exact)
    return float(np.sqrt(gap / size)) if size else float(gap > 0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = list(rows())
    print("| network | ONNX Runtime says | float16 | splitc | named |\n|---|---|---|---|---|")
    for one in found:
        errors = (one.onnxruntime_error, one.float16_error, one.lowered_error)
        print(f"| {one.network} | {' | '.join(f'{error:.1g}' for error in errors)} | {one.is_named} |")
    print(f"caught: {lies_caught(found)}")
