"""Trials in float16 that notice NaN and infinities, and say where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from splitc import evaluate, passes
from splitc.backends import Runner
from splitc.errors import CheckFailed
from splitc.types import Array, Feeds, TensorSpec


@dataclass(frozen=True, eq=False)
class FiniteRunner:
    """A runner of a float16 graph that refuses outputs that are not finite.

    Attributes:
        runner: Computes ``model``.
        model: The graph, to find the node that first gives them.
        what: Which part of which network it is, for messages.
    """

    runner: Runner
    model: ir.Model
    what: str

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.runner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.runner.outputs

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """All outputs by name.

        Raises:
            BackendError: As the runner raises it.
            CheckFailed: Outputs are NaN or infinite though ``feeds`` are not.
        """
        outputs = self.runner.run(feeds)
        if all(array.dtype.kind != "f" or np.isfinite(array).all() for array in outputs.values()):
            return outputs
        fault = passes.first_not_finite(self.model, feeds)
        if fault is None:
            return outputs
        raise CheckFailed(
            f"{self.what}: node {fault.node!r} gives NaN or infinities in float16 on a calibration sample, in "
            f"{fault.tensor!r}; compute it in float32, or give more samples so that its range is known."
        )

    def close(self) -> None:
        self.runner.close()


def open_checked(model: ir.Model, what: str) -> Runner:
    """A runner as an engine computes it; where it computes in float16, one that refuses NaN and infinities."""
    runner = evaluate.open_optimized(model)
    return FiniteRunner(runner, model, what) if passes.computes_in_float16(model) else runner
