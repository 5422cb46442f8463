"""Pulls through operators that move values, repeat them, or sum them up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from splitc.gradients.builder import BackStep, Pulls, size_of


def reshaped(at: BackStep) -> Pulls:
    at.only()
    return {0: at.op("Reshape", at.pull, at.constant(at.shape(at.x())))}


def transposed(at: BackStep) -> Pulls:
    rank = len(at.shape(at.x()))
    order = at.wholes("perm", list(range(rank))[::-1])
    return {0: at.op("Transpose", at.pull, perm=[order.index(axis) for axis in range(rank)])}


def expanded(at: BackStep) -> Pulls:
    at.only()
    return {0: at.shrunk(at.pull, 0)}


def joined(at: BackStep) -> Pulls:
    axis = at.axis(0)
    pulls, start = {}, 0
    for index in range(len(at.node.inputs)):
        stop = start + at.shape(at.x(index))[axis]
        if index in at.wanted:
            pulls[index] = _slice(at, at.pull, axis, start, stop)
        start = stop
    return pulls


def _slice(at: BackStep, pull: ir.Value, axis: int, start: int, stop: int) -> ir.Value:
    return at.op("Slice", pull, at.constant([start]), at.constant([stop]), at.constant([axis]))


def sliced(at: BackStep) -> Pulls:
    at.only()
    shape = at.shape(at.x())
    starts, ends = ([int(one) for one in at.number(index)] for index in (1, 2))
    axes = [int(one) % len(shape) for one in at.number(3)] if at.has(3) else list(range(len(starts)))
    steps = [int(one) for one in at.number(4)] if at.has(4) else [1] * len(starts)
    pull, found = at.pull, list(at.shape(at.y))
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1:
            raise at.refusal("steps below 1")
        first, _, _ = slice(start, end, step).indices(shape[axis])
        if found[axis] == 0:
            raise at.refusal("nothing is left")
        pull = _apart(at, pull, found, axis, step)
        length = (found[axis] - 1) * step + 1
        pull = _with_zeros_along(at, pull, len(shape), axis, first, shape[axis] - first - length)
        found[axis] = shape[axis]
    return {0: pull}


def _apart(at: BackStep, pull: ir.Value, shape: Sequence[int], axis: int, step: int) -> ir.Value:
    """Values of ``shape`` with ``step - 1`` zeros between neighbours along an axis."""
    if step == 1:
        return pull
    count, rank = shape[axis], len(shape)
    alone = at.op("Reshape", pull, at.constant([*shape[: axis + 1], 1, *shape[axis + 1 :]]))
    followed = _with_zeros_along(at, alone, rank + 1, axis + 1, 0, step - 1)
    merged = at.op("Reshape", followed, at.constant([*shape[:axis], count * step, *shape[axis + 1 :]]))
    return _slice(at, merged, axis, 0, (count - 1) * step + 1)


def _with_zeros_along(at: BackStep, pull: ir.Value, rank: int, axis: int, before: int, after: int) -> ir.Value:
    pads = [[0] * rank, [0] * rank]
    pads[0][axis], pads[1][axis] = before, after
    return _with_zeros(at, pull, *pads)


def _with_zeros(at: BackStep, pull: ir.Value, before: Sequence[int], after: Sequence[int]) -> ir.Value:
    return at.op("Pad", pull, at.constant([*before, *after])) if any([*before, *after]) else pull


def padded(at: BackStep) -> Pulls:
    at.only()
    if at.attribute("mode", "constant") != "constant" or at.has(3):
        raise at.refusal("a border that repeats values")
    shape, pads = at.shape(at.x()), [int(one) for one in at.number(1)]
    rank = len(shape)
    if any(one < 0 for one in pads):
        raise at.refusal("paddings below 0")
    ends = [pad + size for pad, size in zip(pads[:rank], shape, strict=True)]
    found = at.op("Slice", at.pull, at.constant(pads[:rank]), at.constant(ends), at.constant(list(range(rank))))
    return {0: found}


def gathered(at: BackStep) -> Pulls:
    """One place, or neighbours, along an axis."""
    at.only()
    shape, axis, places = at.shape(at.x()), at.axis(0), at.number(1)
    wanted = places.reshape(-1) % shape[axis]
    if not np.array_equal(wanted, np.arange(wanted[0], wanted[0] + len(wanted))):
        raise at.refusal("places that are no neighbours")
    kept = [*shape[:axis], len(wanted), *shape[axis + 1 :]]
    pull = at.op("Reshape", at.pull, at.constant(kept))
    ends = int(wanted[0]), shape[axis] - int(wanted[-1]) - 1
    return {0: _with_zeros_along(at, pull, len(shape), axis, *ends)}


def summed(at: BackStep) -> Pulls:
    return {0: _repeated(at, at.pull)}


def averaged(at: BackStep) -> Pulls:
    share = size_of(at.shape(at.y)) / size_of(at.shape(at.x()))
    return {0: at.scaled(_repeated(at, at.pull), share)}


def greatest(at: BackStep) -> Pulls:
    """GlobalMaxPool: to all values that are it."""
    is_it = at.op("Cast", at.op("Equal", at.x(), at.y), to=int(ir.DataType.FLOAT))
    return {0: at.op("Mul", at.pull, is_it)}


def _repeated(at: BackStep, pull: ir.Value) -> ir.Value:
    """What was summed up along axes, back along them."""
    shape = at.shape(at.x())
    axes = _reduced_axes(at, len(shape))
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    return at.op("Expand", at.op("Reshape", pull, at.constant(kept)), at.constant(shape))


def _reduced_axes(at: BackStep, rank: int) -> set[int]:
    if at.node.op_type.startswith("Global"):
        return set(range(2, rank))
    axes = at.number(1).tolist() if at.has(1) else at.wholes("axes", [])
    if not axes and at.whole("noop_with_empty_axes", 0):
        return set()
    return {int(axis) % rank for axis in axes} or set(range(rank))


RULES: dict[str, Callable[[BackStep], Pulls]] = {
    "Reshape": reshaped,
    "Flatten": reshaped,
    "Squeeze": reshaped,
    "Unsqueeze": reshaped,
    "Transpose": transposed,
    "Expand": expanded,
    "Concat": joined,
    "Slice": sliced,
    "Pad": padded,
    "Gather": gathered,
    "ReduceSum": summed,
    "ReduceMean": averaged,
    "GlobalAveragePool": averaged,
    "GlobalMaxPool": greatest,
}
"""All but Split, whose several outputs are pulled: see :mod:`splitc.gradients.backward`."""
