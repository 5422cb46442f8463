"""Operators that move, cut, join and make tensors."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from splitc.train.operators.call import NodeCall, Operator, Tensor

PAD_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}


def reshape(call: NodeCall) -> Tensor:
    """0 keeps a size unless the node allows sizes of zero."""
    x, shape = call.tensor(0), call.integers(1, "shape") or []
    if not call.integer("allowzero", 0):
        shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return x.reshape(shape)


def flatten(call: NodeCall) -> Tensor:
    x, axis = call.tensor(0), call.integer("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(int(torch.Size(x.shape[:axis]).numel()), -1)


def transpose(call: NodeCall) -> Tensor:
    x = call.tensor(0)
    return x.permute(call.integers(9, "perm") or list(range(x.dim()))[::-1])


def squeeze(call: NodeCall) -> Tensor:
    x, axes = call.tensor(0), call.integers(1, "axes")
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def unsqueeze(call: NodeCall) -> Tensor:
    x, axes = call.tensor(0), call.integers(1, "axes") or []
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def concat(call: NodeCall) -> Tensor:
    return torch.cat([one for one in call.inputs if one is not None], call.integer("axis", 0))


def split(call: NodeCall) -> Any:
    """Equal parts where no sizes are given, the last one smaller."""
    x, axis, sizes = call.tensor(0), call.integer("axis", 0), call.integers(1, "split")
    length = x.shape[axis]
    each = -(-length // call.outputs)
    parts = x.split(sizes if sizes is not None else [min(each, length - at) for at in range(0, length, each)], axis)
    return parts if call.outputs > 1 else parts[0]


def slice_(call: NodeCall) -> Tensor:
    """Python's slices, which clamp as ONNX's do."""
    x = call.tensor(0)
    starts, ends = call.integers(1, "starts") or [], call.integers(2, "ends") or []
    axes = call.integers(3, "axes") or list(range(len(starts)))
    steps = call.integers(4, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        first, last, by = slice(start, end, step).indices(x.shape[axis])
        if by == 1:
            x = x.narrow(axis, first, max(last - first, 0))
        else:
            x = x.index_select(axis, torch.arange(first, last, by, device=x.device))
    return x


def gather(call: NodeCall) -> Tensor:
    x, index, axis = call.tensor(0), call.tensor(1), call.integer("axis", 0)
    axis %= x.dim()
    return x[(slice(None),) * axis + (index.to(x.device),)]


def pad(call: NodeCall) -> Tensor:
    x, mode = call.tensor(0), PAD_MODES[call.text("mode", "constant")]
    pads, axes = call.integers(1, "pads") or [], call.integers(3, "axes") or list(range(x.dim()))
    both = {axis % x.dim(): (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    each = [both.get(axis, (0, 0)) for axis in reversed(range(x.dim()))]
    if mode == "constant":
        fill = call.optional(2)
        value = call.number("value", 0.0) if fill is None else float(fill)
        return F.pad(x, list(itertools.chain(*each)), value=value)
    assert not any(itertools.chain(*each[-2:])), "samples and channels have no border"
    return F.pad(x, list(itertools.chain(*each[:-2])), mode=mode)


def expand(call: NodeCall) -> Tensor:
    x, shape = call.tensor(0), call.integers(1, "shape") or []
    return x.broadcast_to(torch.broadcast_shapes(x.shape, torch.Size(shape)))


def constant(call: NodeCall) -> Tensor:
    """Every way to spell one; floats in float32."""
    values = call.attributes
    if "value" in values:
        return tensor_from(values["value"])
    name = next(iter(values))
    return torch.tensor(values[name], dtype=torch.float32 if "float" in name else torch.int64)


def constant_of_shape(call: NodeCall) -> Tensor:
    value = call.attributes.get("value")
    fill = torch.zeros(1) if value is None else tensor_from(value)
    return fill.reshape(1).expand(*(call.integers(0, "shape") or [1])) if call.tensor(0).numel() else fill.reshape(())


def make_range(call: NodeCall) -> Tensor:
    start, limit, delta = (call.tensor(index) for index in range(3))
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def depth_to_space(call: NodeCall) -> Tensor:
    x, side = call.tensor(0), call.integer("blocksize", 1)
    count, channels, height, width = x.shape
    if call.text("mode", "DCR") == "DCR":
        parts = x.reshape(count, side, side, channels // side**2, height, width).permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(count, channels // side**2, side, side, height, width).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(count, channels // side**2, height * side, width * side)


def tensor_from(value: Any) -> Tensor:
    """A constant of the graph; every float in float32."""
    found = torch.from_numpy(value.copy()) if value.dtype.name != "bfloat16" else torch.from_numpy(value.astype("f4"))
    return found.float() if found.is_floating_point() else found


def _shape(call: NodeCall) -> Tensor:
    sizes = list(call.tensor(0).shape)[call.attributes.get("start", 0) : call.attributes.get("end")]
    return torch.tensor(sizes, dtype=torch.int64)


SHAPES: Mapping[str, Operator] = {
    "Concat": concat,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "Dropout": lambda call: call.tensor(0),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Identity": lambda call: call.tensor(0),
    "Pad": pad,
    "Range": make_range,
    "Reshape": reshape,
    "Shape": _shape,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": lambda call: call.tensor(0).repeat(call.integers(1, "repeats") or [1]),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
