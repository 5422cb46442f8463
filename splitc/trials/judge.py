"""The tail and the task behind a cut, as the codec asks for them."""

from __future__ import annotations

from collections.abc import Sequence

from splitc import evaluate, graph
from splitc.backends import Runner
from splitc.codec import CodecSpec, Judge
from splitc.tasks import BoundTask
from splitc.types import F32, Feeds, TensorSpec


class TailJudge:
    """How far answers move, from those that the tail gives to calibration features.

    Args:
        tail: Runs the tail.
        task: What the answers are.
        cut: The cut tensors, in packet order.
        features: Of each tensor, one array a sample, of the cut's axes.
    """

    def __init__(
        self, tail: Runner, task: BoundTask, cut: Sequence[TensorSpec], features: Sequence[Sequence[F32]]
    ) -> None:
        self._tail, self._task, self._cut, self._features = tail, task, cut, features
        self._answers: dict[int, Feeds] = {}

    def __call__(self, features: Sequence[Sequence[F32]], samples: Sequence[int]) -> list[float]:
        pairs = zip(samples, features, strict=True)
        return [self._task.divergence(self._answer(i), self._run(row)) for i, row in pairs]

    def _answer(self, sample: int) -> Feeds:
        """To the calibration features themselves; kept."""
        if sample not in self._answers:
            self._answers[sample] = self._run([arrays[sample] for arrays in self._features])
        return self._answers[sample]

    def _run(self, row: Sequence[F32]) -> Feeds:
        return self._tail.run({spec.name: x.astype(spec.dtype) for spec, x in zip(self._cut, row, strict=True)})


def judge_of(spec: CodecSpec, halves: graph.Halves, task: BoundTask, features: Sequence[Sequence[F32]]) -> Judge | None:
    """Who judges what a codec does to calibration features; None where fitting ``spec`` asks nobody."""
    if not spec.needs_judge:
        return None
    return TailJudge(evaluate.open_optimized(halves.tail), task, halves.cut, features)
