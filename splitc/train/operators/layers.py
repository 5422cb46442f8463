"""Convolutions, pooling and normalization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F

from splitc.train.operators.call import NodeCall, Operator, Tensor


def convolution(call: NodeCall) -> Tensor:
    x, weight, bias = call.tensor(0), call.tensor(1), call.optional(2)
    axes = x.dim() - 2
    strides, dilations = _per_axis(call, "strides", axes), _per_axis(call, "dilations", axes)
    pads = pads_of(call, x.shape[2:], weight.shape[2:])
    x, inside = _with_even_pads(x, pads, 0.0)
    function = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    return function(x, weight, bias, strides, inside, dilations, call.integer("group", 1))


def transposed_convolution(call: NodeCall) -> Tensor:
    """What is padded unevenly is cut off afterwards."""
    x, weight, bias = call.tensor(0), call.tensor(1), call.optional(2)
    axes = x.dim() - 2
    strides, dilations = _per_axis(call, "strides", axes), _per_axis(call, "dilations", axes)
    pads = _explicit_pads(call, axes)
    more = [int(one) for one in call.attributes.get("output_padding", [0] * axes)]
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    found = function(x, weight, bias, strides, 0, more, call.integer("group", 1), dilations)
    cuts = [(begin, found.shape[2 + axis] - end) for axis, (begin, end) in enumerate(pads)]
    for axis, (begin, end) in enumerate(cuts):
        found = found.narrow(2 + axis, begin, end - begin)
    return found


def max_pool(call: NodeCall) -> Tensor:
    x, kernel = call.tensor(0), _kernel(call)
    axes = len(kernel)
    pads = pads_of(call, x.shape[2:], kernel)
    x, inside = _with_even_pads(x, pads, float("-inf"), kernel)
    strides, dilations = _per_axis(call, "strides", axes), _per_axis(call, "dilations", axes)
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[axes - 1]
    return function(x, kernel, strides, inside, dilations, ceil_mode=bool(call.integer("ceil_mode", 0)))


def average_pool(call: NodeCall) -> Tensor:
    """Padded zeros count where the node says so; uneven pads only then (:func:`pool_fault`)."""
    x, kernel = call.tensor(0), _kernel(call)
    pads, counts = pads_of(call, x.shape[2:], kernel), bool(call.integer("count_include_pad", 0))
    if any(begin != end for begin, end in pads) and not counts:
        ones = x.new_ones((1, 1, *x.shape[2:]))
        return _summed(call, x, kernel, pads) / _summed(call, ones, kernel, pads)
    x, inside = _with_even_pads(x, pads, 0.0, kernel)
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    strides, is_ceil = _per_axis(call, "strides", len(kernel)), bool(call.integer("ceil_mode", 0))
    return function(x, kernel, strides, inside, is_ceil, count_include_pad=counts)


def _summed(call: NodeCall, x: Tensor, kernel: Sequence[int], pads: Sequence[tuple[int, int]]) -> Tensor:
    """Mean over each window with zeros around ``x``."""
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    return function(_padded(x, pads, 0.0), kernel, _per_axis(call, "strides", len(kernel)))


def global_pool(call: NodeCall) -> Tensor:
    x = call.tensor(0)
    axes = list(range(2, x.dim()))
    return x.mean(axes, keepdim=True) if call.kind == "GlobalAveragePool" else x.amax(axes, keepdim=True)


def batch_norm(call: NodeCall) -> Tensor:
    """With the statistics that the graph holds, which training leaves alone."""
    scale, bias, mean, variance = (call.tensor(index) for index in range(1, 5))
    return F.batch_norm(call.tensor(0), mean, variance, scale, bias, False, 0.0, call.number("epsilon", 1e-5))


def instance_norm(call: NodeCall) -> Tensor:
    scale, bias = call.tensor(1), call.tensor(2)
    return F.instance_norm(call.tensor(0), weight=scale, bias=bias, eps=call.number("epsilon", 1e-5))


def layer_norm(call: NodeCall) -> Tensor:
    x = call.tensor(0)
    shape = x.shape[call.integer("axis", -1) % x.dim() :]
    return F.layer_norm(x, shape, call.tensor(1), call.optional(2), call.number("epsilon", 1e-5))


def pads_of(call: NodeCall, sizes: Sequence[int], kernel: Sequence[int]) -> list[tuple[int, int]]:
    """Padding before and behind each spatial axis, ``auto_pad`` worked out."""
    axes, mode = len(kernel), call.text("auto_pad", "NOTSET")
    if not mode.startswith("SAME"):
        return _explicit_pads(call, axes)
    strides, dilations = _per_axis(call, "strides", axes), _per_axis(call, "dilations", axes)
    pads = []
    for size, side, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (side - 1) * dilation + 1 - size, 0)
        less, more = total // 2, total - total // 2
        pads.append((less, more) if mode == "SAME_UPPER" else (more, less))
    return pads


def transposed_fault(attributes: Mapping[str, object]) -> str:
    """Why a transposed convolution is not converted, or nothing."""
    if str(attributes.get("auto_pad", "NOTSET")).startswith("SAME") or "output_shape" in attributes:
        return "auto_pad and output_shape are not converted; export it with pads"
    return ""


def pool_fault(attributes: Mapping[str, object]) -> str:
    """Why a pooling layer is not converted, or nothing."""
    pads, dilations = attributes.get("pads", ()), attributes.get("dilations", (1,))
    assert isinstance(pads, Sequence)
    assert isinstance(dilations, Sequence)
    half = len(pads) // 2
    is_uneven = list(pads[:half]) != list(pads[half:]) or str(attributes.get("auto_pad", "")).startswith("SAME")
    if attributes.get("ceil_mode") and is_uneven:
        return "ceil_mode with uneven pads is not converted"
    if "count_include_pad" in attributes and set(dilations) != {1}:
        return "an average over a dilated window is not converted"
    return ""


def _kernel(call: NodeCall) -> list[int]:
    return [int(one) for one in call.attributes["kernel_shape"]]


def _per_axis(call: NodeCall, name: str, axes: int) -> list[int]:
    return [int(one) for one in call.attributes.get(name, [1] * axes)]


def _explicit_pads(call: NodeCall, axes: int) -> list[tuple[int, int]]:
    pads = [int(one) for one in call.attributes.get("pads", [0] * (2 * axes))]
    return list(zip(pads[:axes], pads[axes:], strict=True))


def _with_even_pads(
    x: Tensor, pads: Sequence[tuple[int, int]], fill: float, kernel: Sequence[int] = ()
) -> tuple[Tensor, list[int]]:
    """``x`` with uneven padding (or more than half a window, which torch's pooling refuses) done, and what is left."""
    too_wide = any(2 * begin > side for (begin, _), side in zip(pads, kernel, strict=False))
    if all(begin == end for begin, end in pads) and not too_wide:
        return x, [begin for begin, _ in pads]
    return _padded(x, pads, fill), [0] * len(pads)


def _padded(x: Tensor, pads: Sequence[tuple[int, int]], fill: float) -> Tensor:
    return F.pad(x, [one for pair in reversed(pads) for one in pair], value=fill)


LAYERS: Mapping[str, Operator] = {
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "InstanceNormalization": instance_norm,
    "LayerNormalization": layer_norm,
    "MaxPool": max_pool,
}
