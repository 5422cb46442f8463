"""Clip classification: a video is one class, and its clips are averaged."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from splitc.errors import RecipeError
from splitc.tasks.activations import Activation
from splitc.tasks.classification import Classification, normalized
from splitc.tasks.divergences import log_of
from splitc.tasks.task import BindRequest, BoundTask
from splitc.types import F64, Array


class ClipClassification(Classification):
    """The network answers each clip of a video; the video's answer is their average.

    Outputs of one sample are ``[clips, classes]``. Source: Liu et al., T-C3D (2018): consensus of clips.
    """

    name: ClassVar[str] = "clip"

    average: Literal["probabilities", "logits"] = Field("probabilities", description="what is averaged over clips")

    def bind(self, network: BindRequest) -> BoundTask:
        """Raises: RecipeError: logits are to be averaged, and the network gives probabilities."""
        if self.average == "logits" and self.activation == "probabilities":
            raise RecipeError("task 'clip': the network gives probabilities, so there are no logits to average.")
        return super().bind(network)

    def joined(self, scores: Array, activation: Activation, *, is_independent: bool) -> F64:
        rows = np.asarray(scores, np.float64)
        rows = rows.reshape(rows.shape[0] if rows.ndim > 1 else 1, -1)
        if self.average == "logits":
            return normalized(rows.mean(0), activation, is_independent=is_independent)
        found = normalized(rows, activation, is_independent=is_independent)
        return found.mean(0) if is_independent else log_of(np.exp(found).mean(0))
