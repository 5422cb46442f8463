"""Whether a tail may run samples of several clients as one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitc.bundle import Contract
from splitc.errors import SplitcError
from splitc.runtime.pair import CloudHalf
from splitc.types import Array

ROUNDING = 1e-2
"""Of the largest answer: half precision through some layers; a mixed batch is off by far more."""


def rows_stay_apart(half: CloudHalf) -> bool:
    """Whether samples in one batch get the same answers as by themselves.

    A dynamic axis 0 does not show it: the axis may count detections, or the network may mix its batch. So it is tried.
    """
    contract, run = half.contract, half.runner.run
    if contract.quantized_in == "host" and any(one.layout.batch_axis != 0 for one in half.codec.tensors):
        return False  # features as the cut has them, whose samples do not lie along axis 0
    if contract.cloud_inputs:
        return False  # state of one client, and masks whose sizes are its own
    if not all(spec.shape and isinstance(spec.shape[0], str) for spec in (*contract.wire, *contract.tail_outputs)):
        return False
    zeros, ones = one_sample(contract, 0), one_sample(contract, 1)
    try:
        apart = [run(zeros), run(ones)]
        together = run({name: np.concatenate([zeros[name], ones[name]]) for name in zeros})
    except SplitcError:
        return False
    return all(_is_stacked(together[spec.name], [one[spec.name] for one in apart]) for spec in contract.tail_outputs)


def one_sample(contract: Contract, value: int) -> dict[str, Array]:
    """One sample of the tail's inputs, filled with one number."""
    shapes = {spec.name: tuple(d if isinstance(d, int) else 1 for d in spec.shape) for spec in contract.tail_inputs}
    return {spec.name: np.full(shapes[spec.name], value, spec.dtype) for spec in contract.tail_inputs}


def _is_stacked(together: Array, apart: Sequence[Array]) -> bool:
    """Whether rows equal those of separate runs, but for rounding of sums in another order."""
    if any(len(one) != 1 for one in apart) or together.shape != (len(apart), *apart[0].shape[1:]):
        return False
    want = np.concatenate(apart)
    if together.dtype.kind != "f":
        return bool(np.array_equal(together, want))
    return bool(np.allclose(together, want, rtol=ROUNDING, atol=ROUNDING * float(np.abs(want).max()), equal_nan=True))
