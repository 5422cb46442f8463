"""Several steps of one pair: each tensor again with wider levels, and mean errors and tables of its own.

A stream changes among them from frame to frame (FORMAT.md section 11b). What planes are, and how their steps stand to
each other, is the same at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from splitc.codec.calibration import Calibration
from splitc.codec.fitted import FittedTensor
from splitc.codec.fitting import with_tables
from splitc.codec.quantizers.base import rows_of
from splitc.codec.quantizers.step import Step
from splitc.codec.spec import CodecSpec
from splitc.codec.temporal import Temporal
from splitc.errors import CodecError
from splitc.types import Symbols

WIDER = 2**0.5
"""From one step to the next."""


def fit_coarser(
    spec: CodecSpec, subject: Calibration, tensors: Sequence[FittedTensor]
) -> tuple[tuple[FittedTensor, ...], ...]:
    """The tensors at every coarser step that ``spec`` asks for.

    Args:
        spec: Chooses nothing.
        subject: What ``tensors`` were fitted on.
        tensors: Of the finest step.
    """
    rungs = range(1, spec.make_temporal().steps)
    return tuple(
        tuple(_wider(spec, subject, i, tensor, WIDER**rung) for i, tensor in enumerate(tensors)) for rung in rungs
    )


def _wider(spec: CodecSpec, subject: Calibration, index: int, tensor: FittedTensor, factor: float) -> FittedTensor:
    quantizer = tensor.quantizer
    assert isinstance(quantizer, Step), "checked with the spec"
    rows = rows_of([tensor.to_wire(x) for x in subject.samples[index]], by_channel=True)
    steps = np.broadcast_to(factor / np.float64(tensor.params.scale), len(rows))
    params = quantizer.fit_steps(rows, steps, holds_zero=tensor.transform.is_identity)
    return with_tables(spec, subject, index, replace(tensor, params=params, predicted_params=None))


def check_steps(temporal: Temporal, every: Sequence[Sequence[FittedTensor]]) -> None:
    """Refuse tensors that are not the same at every step, or not what prediction takes; they may be a stranger's.

    Raises:
        CodecError: Tells what is wrong.
    """
    if len(every) != temporal.steps:
        raise CodecError(f"there are {len(every)} steps, the options say {temporal.steps}")
    wires = [[(tensor.spec, tensor.wire_shape, tensor.layout) for tensor in tensors] for tensors in every]
    if any(one != wires[0] for one in wires[1:]):
        raise CodecError("tensors differ from step to step in more than their levels")
    for tensor in every[0]:
        if fault := temporal.refusal(tensor.wire_shape):
            raise CodecError(f"cut value {tensor.spec.name!r} {fault}")


def at_step(
    symbols: Sequence[Symbols], old: Sequence[FittedTensor], new: Sequence[FittedTensor], *, is_predicted: bool
) -> tuple[Symbols, ...]:
    """A frame's symbols at another step: what they stand for, quantized anew. Every operation rounds by itself.

    Raises:
        CodecError: Levels that are not finite.
    """
    moved = []
    for each, before, after in zip(symbols, old, new, strict=True):
        side = np.empty((len(each), 0), np.float32)
        moved.append(after.quantize(before.dequantize(each, side, is_predicted=is_predicted)))
    return tuple(moved)
