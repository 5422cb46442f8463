"""The tail and the task behind a cut, as the codec asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from splitc import evaluate, graph, passes
from splitc.backends import Runner
from splitc.codec import CodecSpec, Judge
from splitc.errors import BackendError, GraphError
from splitc.gradients import GradientModel, gradient_model
from splitc.runtime import Sample
from splitc.tasks import BoundTask
from splitc.types import F32, Feeds, Shape, TensorSpec

SEED = 17


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
        tail_graph: The tail's graph, for gradients; None: there are none.
    """

    def __init__(
        self,
        tail: Runner,
        task: BoundTask,
        cut: Sequence[TensorSpec],
        features: Sequence[Sequence[F32]],
        beside: Callable[[int], Beside] = nothing_beside,
        tail_graph: ir.Model | None = None,
    ) -> None:
        self._tail_graph = tail_graph
        self._ways_back: dict[object, tuple[Runner, GradientModel] | None] = {}
        self._tail, self._task, self._cut, self._features, self._beside = tail, task, cut, features, beside
        self._answers: dict[int, Feeds] = {}

    def __call__(self, features: Sequence[Sequence[F32]], samples: Sequence[int]) -> list[float]:
        pairs = zip(samples, features, strict=True)
        return [self._task.divergence(self._answer(i), self._run(i, row)) for i, row in pairs]

    def gradients(self, sample: int, draw: int) -> list[F32] | None:
        row = [arrays[sample] for arrays in self._features]
        pull = self._pull(sample, draw)
        if self._tail_graph is None or pull is None:
            return None
        feeds = self._feeds(sample, row)
        known = self._back(tuple(pull), {name: array.shape for name, array in feeds.items()})
        if known is None:
            return None
        runner, back = known
        found = runner.run({**feeds, **{back.pulls[name]: array for name, array in pull.items()}})
        return [found[name] for name in back.gradients]

    def _pull(self, sample: int, draw: int) -> Feeds | None:
        """Of the outputs that the tail answers."""
        answer = self._answer(sample)
        if not all(np.isfinite(answer[name]).all() for name in self._task.reads):
            return None
        found = self._task.pull(answer, np.random.default_rng((SEED, sample, draw)))
        own = {spec.name for spec in self._tail.outputs}
        return None if found is None else {name: array for name, array in found.items() if name in own}

    def _back(self, outputs: tuple[str, ...], shapes: Mapping[str, Shape]) -> tuple[Runner, GradientModel] | None:
        """What runs the tail there and back for features of these shapes; None where a part of it has no gradient."""
        key = outputs, tuple(shapes.items())
        if key not in self._ways_back:
            assert self._tail_graph is not None, "asked before"
            try:
                names = [spec.name for spec in self._cut]
                found = gradient_model(passes.float16_arithmetic(self._tail_graph), names, outputs, shapes)
                self._ways_back[key] = evaluate.open_optimized(found.model), found
            except (GraphError, BackendError):
                self._ways_back[key] = None
        return self._ways_back[key]

    def _answer(self, sample: int) -> Feeds:
        """To the calibration features themselves; kept."""
        if sample not in self._answers:
            self._answers[sample] = self._run(sample, [arrays[sample] for arrays in self._features])
        return self._answers[sample]

    def _run(self, sample: int, row: Sequence[F32]) -> Feeds:
        return {**self._beside(sample).answers, **self._tail.run(self._feeds(sample, row))}

    def _feeds(self, sample: int, row: Sequence[F32]) -> Feeds:
        """What the tail takes."""
        features = {spec.name: x.astype(spec.dtype) for spec, x in zip(self._cut, row, strict=True)}
        return {**features, **self._beside(sample).given}


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
    return TailJudge(tail, task, halves.cut, features, _beside(halves, samples), halves.tail)


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
