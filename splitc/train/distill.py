"""Label-free training of a pair: the answers behind it shall be the unsplit network's, at every step of a ladder.

Each iteration draws its samples and its step from its own number and the seed, so a run that was stopped and resumed is
the run that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from splitc.train.losses import AnswerLoss
from splitc.train.network import TorchNetwork
from splitc.train.operators import Tensor
from splitc.train.pair import CodePair, rounded
from splitc.train.rate import TableRate
from splitc.train.store import FeatureStore
from splitc.types import F32, Array

WARM_UP = 20
"""Iterations until the full learning rate."""
MOST_GRADIENT = 1.0
"""Norm that a gradient is cut to."""
CHECKPOINT_EVERY = 100
"""Iterations."""
CURVE_POINTS = 50
"""Points of the training curve; each is the mean of as many iterations as lie between."""


@dataclass(frozen=True)
class Schedule:
    """How a pair is trained.

    Attributes:
        iterations, batch: How often, and on how many samples each time.
        learning_rate: Of the pair; falls to zero as a cosine.
        tail_rate: The same of the tail's weights; 0: they stay.
        steps: Finest and coarsest step, in units of the code's spread; drawn log-uniformly.
        rate_weight: Divergence that a bit a sample is worth at the finest step; 0: the encoder stays the transform,
            and with it the rate.
        rate_power: The weight grows with this power of the step.
        seed: Of everything that is drawn.
    """

    iterations: int
    batch: int
    learning_rate: float
    tail_rate: float
    steps: tuple[float, float]
    rate_weight: float = 0.0
    rate_power: float = 3.0
    seed: int = 0

    @property
    def trains_encoder(self) -> bool:
        return self.rate_weight > 0

    def rate(self, iteration: int) -> float:
        """Share of the learning rate."""
        warm = min(1.0, (iteration + 1) / WARM_UP)
        return warm * (0.5 + 0.5 * math.cos(math.pi * iteration / self.iterations))


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Where a run stands, to go on from.

    Attributes:
        iteration: The next one.
        curve: Mean divergence and bits a sample of each part of the run so far.
        arrays: Parameters, then the optimizer's moments.
    """

    iteration: int
    curve: list[tuple[float, float]]
    arrays: list[Array]


class Distillation:
    """One run.

    Args:
        pair: Trained in place.
        tail: Trained in place where the schedule says so.
        loss: What is made small.
        store: Features of the unsplit network and its answers.
        schedule: How.
        codes: Calibration codes that the rate's tables are made of.
    """

    def __init__(
        self, pair: CodePair, tail: TorchNetwork, loss: AnswerLoss, store: FeatureStore, schedule: Schedule, codes: F32
    ) -> None:
        self._pair, self._tail, self._loss, self._store, self._schedule = pair, tail, loss, store, schedule
        self._rate = TableRate(codes) if schedule.trains_encoder else None
        for parameter in (pair.encoder, pair.encoder_bias):
            parameter.requires_grad_(schedule.trains_encoder)
        tuned = tail.trainable() if schedule.tail_rate else []
        for parameter in tail.parameters():
            parameter.requires_grad_(False)
        for parameter in tuned:
            parameter.requires_grad_(True)
        own = [one for one in pair.parameters() if one.requires_grad]
        self._rates = (schedule.learning_rate, schedule.tail_rate)
        self._optimizer = torch.optim.Adam(
            [{"params": own}, *([{"params": tuned}] if tuned else [])], lr=schedule.learning_rate, betas=(0.9, 0.98)
        )
        self._parameters = [*own, *tuned]
        self._curve: list[tuple[float, float]] = []
        self._part: list[tuple[float, float]] = []

    def run(
        self, state: TrainingState | None, step: Callable[[], None], keep: Callable[[TrainingState], None]
    ) -> list[tuple[float, float]]:
        """Train to the end; the curve.

        Args:
            state: Where an earlier run stopped; None: from the start.
            step: Called once an iteration; of a resumed run for those that were done as well.
            keep: Given a state every :data:`CHECKPOINT_EVERY` iterations.
        """
        start = 0 if state is None else self._load(state)
        for _ in range(start):
            step()
        for iteration in range(start, self._schedule.iterations):
            self._iterate(iteration)
            self._count(iteration)
            if (iteration + 1) % CHECKPOINT_EVERY == 0 and iteration + 1 < self._schedule.iterations:
                keep(self.state(iteration + 1))
            step()
        return self._curve

    def state(self, iteration: int) -> TrainingState:
        """What :meth:`run` goes on from."""
        moments = [self._optimizer.state[one] for one in self._parameters]
        each = [one[name] for one in moments for name in ("exp_avg", "exp_avg_sq")]
        part = np.array(self._part, np.float64).reshape(-1, 2)
        arrays = [part, *(one.detach().numpy().copy() for one in (*self._parameters, *each))]
        return TrainingState(iteration, list(self._curve), arrays)

    def _load(self, state: TrainingState) -> int:
        part, *arrays = state.arrays
        count = len(self._parameters)
        with torch.no_grad():
            for parameter, array in zip(self._parameters, arrays[:count], strict=True):
                parameter.copy_(torch.from_numpy(array.copy()))
        for index, parameter in enumerate(self._parameters):
            first, second = (torch.from_numpy(arrays[count + 2 * index + at].copy()) for at in (0, 1))
            done = torch.tensor(float(state.iteration))
            self._optimizer.state[parameter] = {"step": done, "exp_avg": first, "exp_avg_sq": second}
        self._curve, self._part = list(state.curve), [(float(a), float(b)) for a, b in part]
        return state.iteration

    def _iterate(self, iteration: int) -> None:
        schedule = self._schedule
        rng = np.random.default_rng([schedule.seed, iteration])
        low, high = np.log(schedule.steps)
        size = float(np.exp(rng.uniform(low, high)))
        rows = np.sort(rng.choice(len(self._store), min(schedule.batch, len(self._store)), replace=False))
        features, reference = self._store.batch(rows.tolist())
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=False):
            group["lr"] = rate * schedule.rate(iteration)
        distance, bits = self._losses(features, reference, size, rng)
        weight = schedule.rate_weight * (size / schedule.steps[0]) ** schedule.rate_power
        self._optimizer.zero_grad()
        (distance + weight * bits).backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, MOST_GRADIENT)
        self._optimizer.step()
        self._part.append((distance.item(), bits.item()))

    def _losses(
        self, features: Tensor, reference: dict[str, Tensor], size: float, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mean divergence and bits a sample."""
        code, bits = self._pair.encode(features / self._pair.shape.spread), torch.zeros(())
        if self._rate is not None:  # noise for the rate, rounding for the answers
            noise = torch.from_numpy(rng.uniform(-0.5, 0.5, tuple(code.shape)).astype(np.float32))
            bits = self._rate.bits(code + noise * size, size).mean()
        with narrow():
            restored = self._pair.decode(rounded(code, size)) * self._pair.shape.spread
            found = self._tail(self._store.feeds(restored))
        answers = {name: one.float() for name, one in found.items()}
        return self._loss.distance(reference, answers, rng).mean(), bits

    def _count(self, iteration: int) -> None:
        each = max(1, self._schedule.iterations // CURVE_POINTS)
        if (iteration + 1) % each == 0:
            distance, bits = np.mean(self._part, axis=0)
            self._curve.append((float(distance), float(bits)))
            self._part = []


def narrow() -> torch.autocast:
    """bfloat16 for convolutions and products where the processor computes it; weights and losses stay float32."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=bool(torch.cpu._is_avx512_bf16_supported()))


def codes_of(pair: CodePair, store: FeatureStore, rows: Sequence[int]) -> F32:
    """Codes of stored samples, float32 ``[n, c, h, w]``."""
    with torch.no_grad():
        found = [pair.encode(store.batch([row])[0] / pair.shape.spread).numpy() for row in rows]
    return np.concatenate(found)
