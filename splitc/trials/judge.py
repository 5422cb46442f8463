"""The tail and the task behind a cut, as the codec asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from splitc import evaluate, graph
from splitc.backends import Runner
from splitc.codec import CodecSpec, Judge
from splitc.runtime import Sample
from splitc.tasks import BoundTask
from splitc.types import F32, Feeds, TensorSpec


class Beside(NamedTuple):
    """What a sample has beside its features: inputs that the tail is given, and what the head answers by itself."""

    given: Feeds
    answers: Feeds


def nothing_beside(sample: int) -> Beside:
    """Of halves between which all goes through the cut."""
    return Beside({}, {})


class TailJudge:
    """How far answers move, from those that the tail gives to calibration features.

    Args:
        tail: Runs the tail.
        task: What the answers are.
        cut: The cut tensors, in packet order.
        features: Of each tensor, one array a sample, of the cut's axes.
        beside: What a sample, by its number, has beside them.
    """

    def __init__(
        self,
        tail: Runner,
        task: BoundTask,
        cut: Sequence[TensorSpec],
        features: Sequence[Sequence[F32]],
        beside: Callable[[int], Beside] = nothing_beside,
    ) -> None:
        self._tail, self._task, self._cut, self._features, self._beside = tail, task, cut, features, beside
        self._answers: dict[int, Feeds] = {}

    def __call__(self, features: Sequence[Sequence[F32]], samples: Sequence[int]) -> list[float]:
        pairs = zip(samples, features, strict=True)
        return [self._task.divergence(self._answer(i), self._run(i, row)) for i, row in pairs]

    def _answer(self, sample: int) -> Feeds:
        """To the calibration features themselves; kept."""
        if sample not in self._answers:
            self._answers[sample] = self._run(sample, [arrays[sample] for arrays in self._features])
        return self._answers[sample]

    def _run(self, sample: int, row: Sequence[F32]) -> Feeds:
        beside = self._beside(sample)
        features = {spec.name: x.astype(spec.dtype) for spec, x in zip(self._cut, row, strict=True)}
        return {**beside.answers, **self._tail.run({**features, **beside.given})}


def judge_of(
    spec: CodecSpec,
    halves: graph.Halves,
    task: BoundTask,
    features: Sequence[Sequence[F32]],
    samples: Sequence[Sample],
) -> Judge | None:
    """Who judges what a codec does to calibration features; None where fitting ``spec`` asks nobody.

    Args:
        spec: What is fitted.
        halves: The cut.
        task: What the answers are.
        features: Of each cut tensor, one array a sample, of the cut's axes.
        samples: What the features are of.
    """
    if not spec.needs_judge:
        return None
    tail = evaluate.open_optimized(halves.tail)
    return TailJudge(tail, task, halves.cut, features, _beside(halves, samples))


def _beside(halves: graph.Halves, samples: Sequence[Sample]) -> Callable[[int], Beside]:
    """Read, and answered by the head, once a sample."""
    if not halves.given and not halves.exits:
        return nothing_beside
    head = evaluate.open_graph(halves.head) if halves.exits else None

    @cache
    def beside(sample: int) -> Beside:
        feeds = samples[sample].feeds
        early = head.run(halves.head_feeds(feeds)) if head is not None else {}
        given = {one.name: feeds[one.name] for one in halves.given}
        return Beside(given, {name: early[name] for name in halves.exits})

    return beside
