"""Inputs and outputs of layers on calibration samples, kept as second moments, means and ranges.

The product ``X X^T`` of a layer's inputs, gathered into columns as the convolution reads them, is the Hessian of its
squared output error. Large maps are read at a fixed number of places, spread evenly, because neighbouring
places carry nearly the same information.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
from onnx_ir.passes import common

from splitc import graph
from splitc.errors import GraphError
from splitc.passes.layers import Layer
from splitc.types import F32, Array, Feeds

COLUMNS = 4096
"""Input columns, over all samples, that go into a layer's second moment."""
Step = Callable[[], None]


def run_with(
    model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds], step: Step = lambda: None, *, only: bool = False
) -> Iterator[Mapping[str, Array]]:
    """Values ``names`` of ``model``, sample by sample; its outputs too, unless ``only`` these are wanted."""
    probe = model.clone()
    known = {value.name: value for node in probe.graph for value in node.outputs}
    outputs = [] if only else [value.name or "" for value in probe.graph.outputs]
    made = [name for name in dict.fromkeys(names) if name in known and name not in outputs]
    if only:
        probe.graph.outputs.clear()
    for name in made:
        if known[name].type is None:
            known[name].type = ir.TensorType(ir.DataType.FLOAT)
        if known[name] not in probe.graph.outputs:
            probe.graph.outputs.append(known[name])
    if not probe.graph.outputs:  # inputs alone are wanted
        yield from feeds
        return
    common.RemoveUnusedNodesPass()(probe)
    session = _open_probe(probe)
    for one in feeds:
        values = _run(session, [*outputs, *made], one)
        given = {name: one[name] for name in names if name in one}
        yield given | dict(zip([*outputs, *made], values, strict=True))
        step()


def answered_through(
    rest: ir.Model,
    feeds: Sequence[Feeds],
    outputs: Sequence[Feeds],
    run: Callable[[ir.Model, Sequence[Feeds]], list[Feeds]],
) -> list[Feeds]:
    """Answers of a network from the outputs of its first half: those of ``rest``, and those that it does not take.

    Args:
        rest: The other half; it takes outputs of the first, and may be given inputs of the network.
        feeds: Samples of the network.
        outputs: What the first half made of them.
        run: Runs a model on feeds that may hold more than it takes.
    """
    answers = run(rest, [{**feed, **one} for feed, one in zip(feeds, outputs, strict=True)])
    taken = {value.name for value in rest.graph.inputs}
    early = [{name: array for name, array in one.items() if name not in taken} for one in outputs]
    return [{**answer, **one} for answer, one in zip(answers, early, strict=True)]


def run_session(session: onnxruntime.InferenceSession, feeds: Sequence[Feeds]) -> list[Feeds]:
    """All outputs by name, sample by sample; a sample may hold more than the model takes."""
    names, wanted = ([one.name for one in ports] for ports in (session.get_outputs(), session.get_inputs()))
    return [dict(zip(names, session.run(names, {name: feed[name] for name in wanted}), strict=True)) for feed in feeds]


def rows_of(feeds: Feeds) -> int:
    """How many samples lie along axis 0 of the first input that has one; 1 where none has."""
    return next((len(array) for array in feeds.values() if array.ndim), 1)


def _run(session: onnxruntime.InferenceSession, names: Sequence[str], feeds: Feeds) -> list[Array]:
    try:
        values: list[Array] = session.run(names, {value.name: feeds[value.name] for value in session.get_inputs()})
    except Exception as error:  # ONNX Runtime has a dozen unrelated types
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GraphError(f"calibration samples do not run through the graph ({why}); give samples that fit.") from error
    return values


def open_session(model: ir.Model) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU, for the model's own outputs."""
    return _open(model, onnxruntime.SessionOptions())


def open_as_written(model: ir.Model) -> onnxruntime.InferenceSession:
    """The same with Q and DQ computed where they stand: optimized, a layer that stands between them gets INT8 weights
    of one scale, whatever the graph says.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return _open(model, options)


def _open_probe(model: ir.Model) -> onnxruntime.InferenceSession:
    """The same node by node: optimizing can lose values inside a graph that are asked for."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _open(model, options)


def _open(model: ir.Model, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # many short runs: threads wait asleep
    return onnxruntime.InferenceSession(
        graph.to_bytes(model), options, providers=["CPUExecutionProvider"], disabled_optimizers=_harmful_passes(model)
    )


def _harmful_passes(model: ir.Model) -> list[str]:
    """ONNX Runtime's blocked layout (1.32) ends the process where a float16 Transpose stands in front of a MatMul."""
    is_half = any(value.dtype == ir.DataType.FLOAT16 for value in model.graph.initializers.values())
    is_at_risk = is_half and {"Transpose", "MatMul"} <= {node.op_type for node in model.graph}
    return ["NchwcTransformer"] if is_at_risk else []


def columns_of(layer: Layer, x: Array, kernel: Sequence[int], places: int) -> F32:
    """Inputs of ``layer`` in the order of its weight's columns, ``[groups, kernel * in / groups, places]``.

    Args:
        layer: A convolution, or a product.
        x: What it computes on, batch first.
        kernel: Sizes of the kernel; empty for a product.
        places: At most so many output places of each sample.
    """
    if layer.kind == "fc":
        rows = np.asarray(x, np.float32).reshape(-1, x.shape[-1])
        return np.ascontiguousarray(rows[:: max(1, len(rows) // (places * len(x)))].T)[None]
    padded, starts = _places(layer, x, kernel, places)
    attributes = layer.node.attributes
    dilations = attributes.get_ints("dilations", [1] * len(kernel))
    batch, channels = x.shape[:2]
    reach = [np.arange(size) * dilation for size, dilation in zip(kernel, dilations, strict=True)]
    grids = np.meshgrid(*reach, indexing="ij")
    index = tuple(start[None, :] + tap.reshape(-1, 1) for start, tap in zip(starts, grids, strict=True))
    where: Any = (slice(None), slice(None), *index)
    taken = padded[where]  # [batch, channels, taps, places]
    taps, places = taken.shape[2:]
    grouped = taken.reshape(batch, layer.groups, channels // layer.groups, taps, places).transpose(1, 3, 2, 0, 4)
    return np.ascontiguousarray(grouped).reshape(layer.groups, taps * (channels // layer.groups), batch * places)


def _places(layer: Layer, x: Array, kernel: Sequence[int], most: int) -> tuple[Array, list[Array]]:
    """The padded input, and where the kernel's corner lies at the chosen places, one array an axis."""
    axes, attributes = len(kernel), layer.node.attributes
    dilations = attributes.get_ints("dilations", [1] * axes)
    strides = attributes.get_ints("strides", [1] * axes)
    spans = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    pads = _pads(layer.node, x.shape[2:], spans, strides)
    width = [(0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)]
    padded = np.pad(np.asarray(x, np.float32), width)
    counts = [
        max(1, (size - span) // stride + 1) for size, span, stride in zip(padded.shape[2:], spans, strides, strict=True)
    ]
    total = int(np.prod(counts))
    chosen = np.unique(np.linspace(0, total - 1, min(most, total)).astype(int))
    return padded, [where * stride for where, stride in zip(np.unravel_index(chosen, counts), strides, strict=True)]


def _pads(node: ir.Node, sizes: Sequence[int], spans: Sequence[int], strides: Sequence[int]) -> Sequence[int]:
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode in ("NOTSET", "VALID"):
        none = [0] * (2 * len(sizes))
        return none if mode == "VALID" else node.attributes.get_ints("pads", none)
    missing = [
        max(0, (-(-size // stride) - 1) * stride + span - size)
        for size, span, stride in zip(sizes, spans, strides, strict=True)
    ]
    small, large = [gap // 2 for gap in missing], [gap - gap // 2 for gap in missing]
    return [*small, *large] if mode == "SAME_UPPER" else [*large, *small]


def kernel_of(model: ir.Model, layer: Layer) -> tuple[int, ...]:
    """Sizes of the kernel of a convolution; () for a product."""
    weight = model.graph.initializers[layer.weight].const_value
    assert weight is not None
    return () if layer.kind == "fc" else tuple(int(size) for size in weight.shape.numpy()[2:])
