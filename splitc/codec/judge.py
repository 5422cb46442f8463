"""What a codec asks about answers while it is fitted; it knows no networks itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
