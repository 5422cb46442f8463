"""What outputs of a part of a network are worth: the divergence of the whole network's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import answered_through, open_as_written, run_session
from splitc.passes.sensitivity import Divergence
from splitc.types import Feeds


def squared_error(reference: Feeds, got: Feeds) -> float:
    """Summed over all outputs: where nothing is known of what they mean."""
    return sum(float(np.square(values.astype(np.float64) - got[name]).sum()) for name, values in reference.items())


class Loss(NamedTuple):
    """Means over samples: divergence of the answers, infinite where one is, and squared error of all outputs."""

    divergence: float
    error: float


@dataclass(frozen=True, eq=False)
class AnswerJudge:
    """What outputs of a model are worth.

    Norms of outputs do not tell: hundreds of pixels of a box drown the scores beside them.

    Attributes:
        divergence: Smooth distance of the outputs of the whole network for one sample, those of the float one first.
        rest: What makes them of the model's outputs, such as the other half, in float; None: they are its outputs.
    """

    divergence: Divergence = squared_error
    rest: ir.Model | None = None

    def answers(self, model: ir.Model, feeds: Sequence[Feeds]) -> list[Feeds]:
        """Outputs of the whole network; the rest takes the samples too, and the model may answer some itself."""
        outputs = _run(model, feeds)
        return outputs if self.rest is None else answered_through(self.rest, feeds, outputs, _run)

    def against(self, model: ir.Model, feeds: Sequence[Feeds]) -> Callable[[ir.Model], float]:
        """Mean divergence of another model's answers from those of ``model``; infinite where one is."""
        losses = self.losses(model, feeds)
        return lambda other: losses(other).divergence

    def losses(self, model: ir.Model, feeds: Sequence[Feeds]) -> Callable[[ir.Model], Loss]:
        """How far another model's answers are from those of ``model``."""
        reference = self.answers(model, feeds)

        def judged(other: ir.Model) -> Loss:
            pairs = list(zip(reference, self.answers(other, feeds), strict=True))
            error = float(np.mean([squared_error(*pair) for pair in pairs]))
            if self.divergence is squared_error:
                return Loss(error, error)
            return Loss(float(np.mean([self.divergence(*pair) for pair in pairs])), error)

        return judged


def _run(model: ir.Model, feeds: Sequence[Feeds]) -> list[Feeds]:
    return run_session(open_as_written(model), feeds)
