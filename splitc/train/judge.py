"""The stored answers and the tail behind them, as a codec asks for them while it is fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from splitc.tasks import BoundTask
from splitc.train.network import TorchNetwork
from splitc.train.store import BATCH, FeatureStore
from splitc.types import F32, Feeds

SEED = 17


class StoreJudge:
    """A :class:`splitc.codec.GradientJudge` over some stored samples, which are its calibration samples.

    Args:
        store: Features and answers.
        tail: The unsplit network behind the cut.
        task: What its answers are.
        numbers: Of the samples in the store.
    """

    def __init__(self, store: FeatureStore, tail: TorchNetwork, task: BoundTask, numbers: Sequence[int]) -> None:
        self._store, self._tail, self._task, self._numbers = store, tail, task, numbers

    def __call__(self, features: Sequence[Sequence[F32]], samples: Sequence[int]) -> list[float]:
        answers = answers_of(self._tail, self._store, [np.asarray(row[0]) for row in features])
        pairs = zip(samples, answers, strict=True)
        return [self._task.divergence(self._store.answer(self._numbers[i]), one) for i, one in pairs]

    def gradients(self, sample: int, draw: int) -> list[F32] | None:
        number = self._numbers[sample]
        reference = self._store.answer(number)
        pull = self._task.pull(reference, np.random.default_rng((SEED, sample, draw)))
        if not pull:
            return None
        features = torch.from_numpy(self._store.rows([number])).requires_grad_(True)
        outputs = self._tail(self._store.feeds(features))
        names = [name for name in pull if outputs[name].requires_grad]
        ways = [torch.from_numpy(np.ascontiguousarray(pull[name])).to(outputs[name]) for name in names]
        (found,) = torch.autograd.grad([outputs[name] for name in names], [features], ways)
        return [found.numpy()]


def answers_of(tail: TorchNetwork, store: FeatureStore, features: Sequence[F32]) -> list[Feeds]:
    """Answers to features ``[1, C, H, W]``, of each alone, computed in batches."""
    found: list[Feeds] = []
    for start in range(0, len(features), BATCH):
        rows = torch.from_numpy(np.concatenate(features[start : start + BATCH]))
        with torch.no_grad():
            outputs = {name: one.numpy() for name, one in tail(store.feeds(rows)).items()}
        found += [{name: one[i : i + 1] for name, one in outputs.items()} for i in range(len(rows))]
    return found
