"""Resize and Upsample: nearest by indices, linear where torch has the same grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from splitc.train.operators.call import NodeCall, Operator, Tensor

_GRIDS: Mapping[str, Callable[[float, float, int, int], float]] = {
    "asymmetric": lambda at, scale, old, new: at / scale,
    "half_pixel": lambda at, scale, old, new: (at + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda at, scale, old, new: (at + 0.5) / scale - 0.5 if new > 1 else 0.0,
    "align_corners": lambda at, scale, old, new: at * (old - 1) / (new - 1) if new > 1 else 0.0,
}
_ROUND: Mapping[str, Callable[[float], int]] = {
    "round_prefer_floor": lambda at: math.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: math.floor(at + 0.5),
    "floor": math.floor,
    "ceil": math.ceil,
}
_LINEAR_GRIDS = ("half_pixel", "pytorch_half_pixel", "align_corners")


def resize(call: NodeCall) -> Tensor:
    x, sizes, scales = call.tensor(0), *_targets(call)
    if call.text("mode", "nearest") != "nearest":
        corners = call.text("coordinate_transformation_mode", "half_pixel") == "align_corners"
        return F.interpolate(x, sizes[2:], mode="bilinear", align_corners=corners)
    for axis, (size, scale) in enumerate(zip(sizes, scales, strict=True)):
        if size != x.shape[axis]:
            x = x.index_select(axis, _nearest(call, x.shape[axis], size, scale).to(x.device))
    return x


def resize_fault(attributes: Mapping[str, object]) -> str:
    """Why a Resize is not converted, or nothing."""
    mode, grid = str(attributes.get("mode", "nearest")), _grid(attributes)
    if mode == "nearest":
        return "" if grid in _GRIDS else f"coordinate_transformation_mode {grid!r} is not converted"
    if mode != "linear" or attributes.get("antialias"):
        return f"mode {mode!r} is not converted, nor antialias; nearest and linear are"
    return "" if grid in _LINEAR_GRIDS else f"linear with coordinate_transformation_mode {grid!r} is not converted"


def _grid(attributes: Mapping[str, object]) -> str:
    return str(attributes.get("coordinate_transformation_mode", "half_pixel"))


def _targets(call: NodeCall) -> tuple[list[int], list[float]]:
    """New sizes and scales of every axis."""
    shape = list(call.tensor(0).shape)
    given = call.optional(3)
    if given is not None and given.numel():
        sizes = [int(one) for one in given.tolist()]
        return sizes, [new / old for new, old in zip(sizes, shape, strict=True)]
    at = 1 if call.opset < 11 else 2
    found = call.optional(at)
    scales = call.attributes["scales"] if found is None else found.tolist()
    return [math.floor(old * scale) for old, scale in zip(shape, scales, strict=True)], list(scales)


def _nearest(call: NodeCall, old: int, new: int, scale: float) -> Tensor:
    """Which old place each new one takes; before opset 11 the one below."""
    is_old = call.opset < 11
    grid = _GRIDS["asymmetric" if is_old else _grid(call.attributes)]
    rounded = _ROUND["floor" if is_old else call.text("nearest_mode", "round_prefer_floor")]
    places = (rounded(grid(at, scale, old, new)) for at in range(new))
    return torch.tensor([min(max(at, 0), old - 1) for at in places])


RESIZING: Mapping[str, Operator] = {"Resize": resize, "Upsample": resize}
