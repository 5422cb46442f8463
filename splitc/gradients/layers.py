"""Pulls through operators with weights or windows: convolutions, products, pooling, normalization, resizing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from splitc.gradients.builder import BackStep, Pulls, size_of
from splitc.types import F32


class Window(NamedTuple):
    """Of a convolution or pooling, an entry a place axis."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]

    def spare(self, size: Sequence[int], found: Sequence[int]) -> list[int]:
        """Places at the end of an input of ``size`` that no window of the ``found`` ones reaches."""
        every = zip(size, found, *self, strict=True)
        return [x + b + a - (s * (o - 1) + (k - 1) * d + 1) for x, o, k, s, d, b, a in every]


def window_of(at: BackStep, kernel: Sequence[int]) -> Window:
    """Of a node whose kernel has these sizes, with paddings in numbers."""
    axes = len(kernel)
    strides, dilations = (at.wholes(name, [1] * axes) for name in ("strides", "dilations"))
    pads = at.wholes("pads", [0] * (2 * axes))
    before, after = pads[:axes], pads[axes:]
    mode = at.attribute("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        size, found = at.shape(at.x())[2:], at.shape(at.y)[2:]
        every = zip(size, found, kernel, strides, dilations, strict=True)
        total = [max(0, s * (o - 1) + (k - 1) * d + 1 - x) for x, o, k, s, d in every]
        small = [one // 2 for one in total]
        large = [one - half for one, half in zip(total, small, strict=True)]
        before, after = (small, large) if mode == "SAME_UPPER" else (large, small)
    return Window(list(kernel), strides, dilations, before, after)


def convolution(at: BackStep) -> Pulls:
    at.only()
    window = window_of(at, at.shape(at.x(1))[2:])
    return {0: _spread(at, at.pull, at.x(1), window, at.whole("group", 1))}


def _spread(at: BackStep, pull: ir.Value, weight: ir.Value, window: Window, group: int) -> ir.Value:
    """From outputs of windows back to all places of the input: the transposed convolution."""
    spare = window.spare(at.shape(at.x())[2:], at.shape(at.y)[2:])
    if any(one < 0 for one in spare):
        raise at.refusal("windows that end beyond the border")
    of_pads = [min(a, extra) for a, extra in zip(window.after, spare, strict=True)]
    pads = [*window.before, *(a - one for a, one in zip(window.after, of_pads, strict=True))]
    strides, dilations = window.strides, window.dilations
    found = at.op("ConvTranspose", pull, weight, strides=strides, dilations=dilations, pads=pads, group=group)
    unread = [extra - one for extra, one in zip(spare, of_pads, strict=True)]
    if not any(unread):
        return found
    rank = len(unread) + 2
    return at.op("Pad", found, at.constant([0] * (rank + 2) + unread))


def transposed_convolution(at: BackStep) -> Pulls:
    """The convolution; it leaves out by itself what ``output_padding`` added."""
    at.only()
    if at.attribute("auto_pad", "NOTSET") != "NOTSET" or "output_shape" in at.node.attributes:
        raise at.refusal("automatic paddings")
    axes = len(at.shape(at.x())) - 2
    strides, dilations = (at.wholes(name, [1] * axes) for name in ("strides", "dilations"))
    pads, group = at.wholes("pads", [0] * (2 * axes)), at.whole("group", 1)
    found = at.op("Conv", at.pull, at.x(1), strides=strides, dilations=dilations, pads=pads, group=group)
    return {0: found}


def product_of_matrices(at: BackStep) -> Pulls:
    """MatMul: ``P B^T`` and ``A^T P``."""
    shapes = at.shape(at.x(0)), at.shape(at.x(1))
    if min(map(len, shapes)) < 2:
        raise at.refusal("a vector")
    batch = at.shape(at.y)[:-2]
    pulls = {}
    if 0 in at.wanted:
        pulls[0] = at.shrunk(at.op("MatMul", at.pull, _turned(at, at.x(1))), 0, (*batch, *shapes[0][-2:]))
    if 1 in at.wanted:
        pulls[1] = at.shrunk(at.op("MatMul", _turned(at, at.x(0)), at.pull), 1, (*batch, *shapes[1][-2:]))
    return pulls


def gemm(at: BackStep) -> Pulls:
    at.only()
    alpha = at.attribute("alpha", 1.0)
    assert isinstance(alpha, float | int), "checked with the graph"
    other = at.x(1) if at.whole("transB", 0) else _turned(at, at.x(1))
    found = at.scaled(at.op("MatMul", at.pull, other), float(alpha))
    return {0: _turned(at, found, rank=2) if at.whole("transA", 0) else found}


def _turned(at: BackStep, x: ir.Value, rank: int | None = None) -> ir.Value:
    """The last two axes exchanged."""
    axes = list(range(rank or len(at.shape(x))))
    return at.op("Transpose", x, perm=[*axes[:-2], axes[-1], axes[-2]])


def batch_normalization(at: BackStep) -> Pulls:
    at.only()
    if at.whole("training_mode", 0):
        raise at.refusal("training mode")
    epsilon = at.attribute("epsilon", 1e-5)
    slope = at.number(1) / np.sqrt(at.number(4) + np.float32(epsilon))  # type: ignore[arg-type]  # a number
    return {0: at.op("Mul", at.pull, at.constant(_per_channel(slope, len(at.shape(at.x())))))}


def layer_normalization(at: BackStep) -> Pulls:
    at.only()
    rank = len(at.shape(at.x()))
    scaled = at.op("Mul", at.pull, at.x(1))
    return {0: _through_moments(at, scaled, list(range(at.axis(-1), rank)))}


def instance_normalization(at: BackStep) -> Pulls:
    at.only()
    rank = len(at.shape(at.x()))
    scaled = at.op("Mul", at.pull, at.constant(_per_channel(at.number(1), rank)))
    return {0: _through_moments(at, scaled, list(range(2, rank)))}


def _through_moments(at: BackStep, pull: ir.Value, axes: list[int]) -> ir.Value:
    """Through ``(x - mean) / sqrt(variance + epsilon)`` along some axes: ``(p - mean p - n mean(p n)) / deviation``."""
    epsilon = at.attribute("epsilon", 1e-5)
    assert isinstance(epsilon, float), "checked with the graph"

    def mean(x: ir.Value) -> ir.Value:
        summed = at.op("ReduceSum", x, at.constant(axes), keepdims=1)
        return at.scaled(summed, 1 / size_of([at.shape(at.x())[axis] for axis in axes]))

    centred = at.op("Sub", at.x(), mean(at.x()))
    deviation = at.op("Sqrt", at.op("Add", mean(at.op("Mul", centred, centred)), at.constant(epsilon)))
    normal = at.op("Div", centred, deviation)
    along = at.op("Mul", normal, mean(at.op("Mul", pull, normal)))
    return at.op("Div", at.op("Sub", at.op("Sub", pull, mean(pull)), along), deviation)


def _per_channel(row: F32, rank: int) -> F32:
    found: F32 = row.astype(np.float32).reshape(-1, *[1] * (rank - 2))
    return found


def softmax(at: BackStep) -> Pulls:
    """``y (p - sum(p y))``."""
    axes = at.constant([at.axis(-1)])
    total = at.op("ReduceSum", at.op("Mul", at.pull, at.y), axes, keepdims=1)
    return {0: at.op("Mul", at.y, at.op("Sub", at.pull, total))}


def log_softmax(at: BackStep) -> Pulls:
    """``p - exp(y) sum(p)``."""
    total = at.op("ReduceSum", at.pull, at.constant([at.axis(-1)]), keepdims=1)
    return {0: at.op("Sub", at.pull, at.op("Mul", at.op("Exp", at.y), total))}


def average_pool(at: BackStep) -> Pulls:
    window = window_of(at, at.wholes("kernel_shape", []))
    channels = at.shape(at.x())[1]
    ones = np.ones((channels, 1, *window.kernel), np.float32)
    shared = at.op("Mul", at.pull, at.constant(1 / _counts(at, window)))
    return {0: _spread(at, shared, at.constant(ones), window, channels)}


def _counts(at: BackStep, window: Window) -> F32:
    """How many values each output averages, float32 ``[1, 1, ...]``."""
    size, found = at.shape(at.x())[2:], at.shape(at.y)[2:]
    if at.whole("count_include_pad", 0):
        return np.full((1, 1, *[1] * len(size)), size_of(window.kernel), np.float32)
    counts = np.ones(found, np.float32)
    for places in product(*map(range, found)):
        reached = [
            sum(0 <= place * s - b + tap * d < x for tap in range(k))
            for place, x, k, s, d, b in zip(places, size, *window[:4], strict=True)
        ]
        counts[places] = size_of(reached)
    return counts[None, None]


def max_pool(at: BackStep) -> Pulls:
    """To the place that each window took."""
    attributes = {name: one.value for name, one in at.node.attributes.items() if name != "storage_order"}
    _, places = at.build.ops("MaxPool", 2, at.x(), **attributes)
    shape, flat = at.shape(at.x()), at.constant([-1])
    zeros = at.op("Expand", at.constant([0.0]), at.constant([size_of(shape)]))
    spread = at.op(
        "ScatterElements",
        zeros,
        at.op("Reshape", places, flat),
        at.op("Reshape", at.pull, flat),
        axis=0,
        reduction="add",
    )
    return {0: at.op("Reshape", spread, at.constant(shape))}


def resize(at: BackStep) -> Pulls:
    """Of values that are repeated: their sum."""
    before, after = at.shape(at.x()), at.shape(at.y)
    times = [b // a for a, b in zip(before, after, strict=True)]
    if at.attribute("mode", "nearest") != "nearest" or [a * t for a, t in zip(before, times, strict=True)] != [*after]:
        raise at.refusal("values between others")
    place = at.attribute("coordinate_transformation_mode", "half_pixel")
    rounds = at.attribute("nearest_mode", "round_prefer_floor")
    repeats = place in ("half_pixel", "pytorch_half_pixel") or (place, rounds) == ("asymmetric", "floor")
    if not (repeats or (place == "asymmetric" and rounds == "round_prefer_floor" and max(times) <= 2)):
        raise at.refusal(f"{place} with {rounds}")
    if times[:2] != [1, 1]:
        raise at.refusal("channels that are repeated")
    mean = at.op("AveragePool", at.pull, kernel_shape=times[2:], strides=times[2:])
    return {0: at.scaled(mean, size_of(times))}


RULES: dict[str, Callable[[BackStep], Pulls]] = {
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "MatMul": product_of_matrices,
    "Gemm": gemm,
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "InstanceNormalization": instance_normalization,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "AveragePool": average_pool,
    "MaxPool": max_pool,
    "Resize": resize,
}
