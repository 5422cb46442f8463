"""Networks' outputs for tests of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitc.tasks import TASKS, BindRequest, BoundTask
from splitc.types import Array, Dim, Feeds, TensorSpec

IMAGE = TensorSpec(name="images", dtype="float32", shape=(1, 3, 640, 640))


def spec(name: str, *shape: Dim, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def bound(
    task: str,
    outputs: Sequence[TensorSpec],
    /,
    *,
    classes: Sequence[str] | None = None,
    inputs: Sequence[TensorSpec] = (IMAGE,),
    examples: Sequence[Feeds] = (),
    **options: object,
) -> BoundTask:
    """A task with its options, bound to outputs; settled where there are examples."""
    found = TASKS.make(task, options).bind(BindRequest(outputs, inputs, classes))
    return found.settle(examples) if examples else found


def softmax(logits: Array) -> Array:
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def row_of(box: Sequence[float], scores: Sequence[float]) -> list[float]:
    """A YOLOv8 row: centre, size and scores, from corners."""
    x1, y1, x2, y2 = box
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *scores]
