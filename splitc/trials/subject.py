"""What is tried: a model, real samples of its inputs, and what its answers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splitc import graph
from splitc.cache import NO_CACHE, Key, StepCache
from splitc.recipe import SplitSection
from splitc.runtime import Sample
from splitc.tasks import BoundTask, LabelTable
from splitc.types import Preprocess


@dataclass(frozen=True, eq=False)
class Subject:
    """A model with the means to measure it.

    Attributes:
        model: Prepared for the cut.
        samples: Calibration samples; what verifies is never tried on.
        labels: What is known about samples.
        task: What the model's answers are.
        preprocess: How 8-bit pixels become the model's input.
        is_stream: Samples are consecutive frames to the codec.
        split: What the recipe says of cuts, and of the axes of what crosses.
        sends_pixels: The samples are known as 8-bit pixels: pictures, videos, or arrays that the recipe explains.
        cache: Where results are kept.
        key: Of everything above.
    """

    model: graph.Model
    samples: Sequence[Sample]
    labels: LabelTable
    task: BoundTask
    preprocess: Preprocess
    split: SplitSection
    is_stream: bool = False
    sends_pixels: bool = False
    cache: StepCache = NO_CACHE
    key: Key = ""
