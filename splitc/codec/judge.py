"""What a codec asks about answers while it is fitted; it knows no networks itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from splitc.types import F32


class Judge(Protocol):
    """The tail and the task behind a cut, as numbers."""

    def __call__(self, features: Sequence[Sequence[F32]], samples: Sequence[int]) -> Sequence[float]:
        """Divergence of each answer to other features from that to the calibration features: smooth, 0 if alike.

        Args:
            features: One entry a sample: of every cut tensor in packet order a float32 array of the cut's axes.
            samples: Numbers of these samples among the calibration samples.
        """
        ...


@runtime_checkable
class GradientJudge(Judge, Protocol):
    """A judge that knows which way answers are felt."""

    def gradients(self, sample: int, draw: int) -> Sequence[F32] | None:
        """How much a random direction of the answer changes with the calibration features.

        In the mean over draws the outer product of what is returned is the divergence's Hessian: a change ``d`` of the
        features moves the answers by half of ``d^T H d``.

        Args:
            sample: Number of a calibration sample.
            draw: Of the direction; the same number is the same direction.

        Returns:
            Of every cut tensor float32 of the cut's axes; None where there are no gradients.
        """
        ...
