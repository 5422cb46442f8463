"""A transformer whose weights do not fit into memory comfortably: splitc beside the tools people use today.

The weights lie in one external file of zeros without disk blocks (a sparse file); the halves that are written are
sparse or not as the file system likes. Every tool loads the model, extracts both halves and writes both with external
data.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from plan_bench import variants
from plan_bench.process import measure
from plan_bench.rows import Cell, Row

WIDTH, LAYERS, SMALLER = 2048, 30, (16, 8)
"""6.0 GB of weights; and 3.2 and 1.6 GB, which the peers may get through in the memory that is free."""
QUICK_WIDTH, QUICK_LAYERS = 256, 4
FORM_WIDTH = 1024
"""0.2 GB of weights in four blocks."""
TOOLS = ("splitc inspect", "splitc split", "onnx.utils.extract_model", "polygraphy surgeon extract")


def rows(quick: bool) -> Iterator[Row]:
    """One row a tool and size, one after the other; then one a form of a small model that is harder to prove."""
    for width, layers in [(QUICK_WIDTH, QUICK_LAYERS)] if quick else [(WIDTH, one) for one in (LAYERS, *SMALLER)]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "big.onnx"
            size = transformer(path, width, layers)
            for tool in TOOLS:
                out = Path(folder) / "out"
                out.mkdir()
                yield _row(tool, path, out, f"h{layers // 2}", size)
                shutil.rmtree(out)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.onnx"
        yield from variants.rows(path, transformer(path, QUICK_WIDTH if quick else FORM_WIDTH, QUICK_LAYERS))


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Peak of the worse of inspect and split; seconds over the peer's on the largest model that the peer splits.

    ``forms_peak_gb``: the worst of the small models that are harder to prove.
    """
    forms = [float(row.cells["peak_gb"] or 0) for row in rows if row.cells["tool"] in variants.TOOLS]
    ours = [row for row in rows if row.cells["tool"] in TOOLS[:2]]
    peaks = [float(row.cells["peak_gb"] or 0) for row in ours]
    return {
        "big_model_peak_gb": max(peaks, default=None),
        "forms_peak_gb": max(forms, default=None),
        "big_model_seconds": next((row.cells["seconds"] for row in ours if row.cells["tool"] == TOOLS[1]), None),
        "big_model_seconds_vs_onnx_utils": _ratio(rows, TOOLS[2]),
        "big_model_seconds_vs_polygraphy": _ratio(rows, TOOLS[3]),
    }


def _ratio(rows: Sequence[Row], peer: str) -> float | None:
    """Our seconds over the peer's, on the first model of the rows that it got through."""
    theirs = next((row for row in rows if row.cells["tool"] == peer and row.cells["seconds"]), None)
    if theirs is None:
        return None
    size = theirs.cells["weights_gb"]
    ours = next(row for row in rows if row.cells["tool"] == TOOLS[1] and row.cells["weights_gb"] == size)
    return float(ours.cells["seconds"] or 0) / float(theirs.cells["seconds"] or 1)


def _row(tool: str, path: Path, out: Path, at: str, size: int) -> Row:
    function = f"plan_bench.big_tools:{tool.replace(' ', '_').replace('.', '_')}"
    found = measure(function, {"path": str(path), "out": str(out), "at": at})
    written = sum(file.stat().st_size for file in out.iterdir())
    failed = bool(found.error)
    cells: dict[str, Cell] = {
        "tool": tool,
        "version": _version(tool),
        "weights_gb": size / 1e9,
        "seconds": None if failed else found.seconds,
        "peak_gb": None if failed else found.peak_mb / 1e3,
        "written_gb": written / 1e9,
        "note": f"failed, bounded to 3/4 of the free memory: {found.error[:120]}" if failed else "",
    }
    return Row("big", f"{tool}, {size / 1e9:.1f} GB", cells)


def _version(tool: str) -> str:
    try:
        return version(tool.split()[0].split(".")[0])
    except PackageNotFoundError:
        return "not installed"


def transformer(path: Path, width: int, layers: int) -> int:
    """Pre-norm blocks of one attention head and an MLP; returns the bytes of external weights.

    Output ``h{i}`` of each block is a cut of one tensor.
    """
    graph = _Builder(path.with_suffix(".bin").name)
    for index in range(layers):
        graph.block(index, width)
    ends = [helper.make_tensor_value_info(name, 1, ["N", "T", width]) for name in ("h-1", f"h{layers - 1}")]
    body = helper.make_graph(graph.nodes, "big", ends[:1], ends[1:], graph.weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    with path.with_suffix(".bin").open("wb") as file:
        file.truncate(graph.offset)
    return graph.offset


class _Builder:
    """Nodes and external weights, as they are laid out in the file."""

    def __init__(self, location: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []
        self.offset = 0
        self._location = location

    def block(self, index: int, width: int) -> None:
        """``h{index - 1}`` to ``h{index}``: 12 width**2 weights."""
        source, name = f"h{index - 1}", f"b{index}"
        self._norm(source, f"{name}/n", width)
        for part in ("q", "k", "v"):
            self._dense(f"{name}/n", f"{name}/{part}", width, width)
        self._node("Transpose", [f"{name}/k"], f"{name}/kt", perm=[0, 2, 1])
        self._node("MatMul", [f"{name}/q", f"{name}/kt"], f"{name}/scores")
        self._node("Softmax", [f"{name}/scores"], f"{name}/shares", axis=-1)
        self._node("MatMul", [f"{name}/shares", f"{name}/v"], f"{name}/mixed")
        self._dense(f"{name}/mixed", f"{name}/o", width, width)
        self._node("Add", [source, f"{name}/o"], f"{name}/a")
        self._norm(f"{name}/a", f"{name}/m", width)
        self._dense(f"{name}/m", f"{name}/up", width, 4 * width)
        self._node("Relu", [f"{name}/up"], f"{name}/act")
        self._dense(f"{name}/act", f"{name}/down", 4 * width, width)
        self._node("Add", [f"{name}/a", f"{name}/down"], f"h{index}")

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def _norm(self, source: str, output: str, width: int) -> None:
        self._weight(f"{output}/scale", [width])
        self._node("LayerNormalization", [source, f"{output}/scale"], output, axis=-1)

    def _dense(self, source: str, output: str, rows: int, columns: int) -> None:
        self._weight(f"{output}/w", [rows, columns])
        self._node("MatMul", [source, f"{output}/w"], output)

    def _weight(self, name: str, dims: list[int]) -> None:
        size = 4
        for dim in dims:
            size *= dim
        weight = TensorProto(name=name, data_type=1, dims=dims, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", self._location), ("offset", str(self.offset)), ("length", str(size))):
            weight.external_data.add(key=key, value=value)
        self.weights.append(weight)
        self.offset += size
