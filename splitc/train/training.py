"""One pair, trained and measured: kept in the step cache while it trains, so that a build that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import BinaryIO

import numpy as np
import onnx_ir as ir

from splitc.cache import CachedStep, Key, Parts, StepCache, arrays_from_file, key_of, parts_of_arrays
from splitc.train.basis import BlockBasis, blocks_of
from splitc.train.distill import Distillation, Schedule, TrainingState, codes_of
from splitc.train.ladder import ladder_of, order0_bytes
from splitc.train.losses import loss_of
from splitc.train.measure import Bench
from splitc.train.network import TorchNetwork
from splitc.train.options import BottleneckOptions
from splitc.train.pair import CodePair, PairShape, code_spread
from splitc.types import F32

RATE_POINTS = (0.8, 1.25)
"""Steps around the finest one at which the price of a bit is measured, as shares of it."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A pair after its training.

    Attributes:
        pair: Both ends.
        tail: What stands behind it, tuned or as it was.
        steps: Finest and coarsest step it was trained at, in units of the code's spread at the start.
        curve: Mean divergence and bits a sample along the training.
    """

    pair: CodePair
    tail: TorchNetwork
    steps: tuple[float, float]
    curve: list[tuple[float, float]]


class Trainer:
    """Trains pairs of several widths on one bench.

    Args:
        bench: Samples, network and judge.
        tail: The graph behind the cut.
        options: How.
        cache: Where runs and their results are kept.
        key: Of the bench.
    """

    def __init__(self, bench: Bench, tail: ir.Model, options: BottleneckOptions, cache: StepCache, key: Key) -> None:
        self._bench, self._tail, self._options, self._cache, self._key = bench, tail, options, cache, key

    def train(
        self,
        basis: BlockBasis,
        iterations: int,
        most_bytes: float,
        step: Callable[[], None],
        *,
        at: float | None = None,
    ) -> Trained:
        """A pair that starts at ``basis``.

        Args:
            basis: Components that are kept, of features in units of their spread.
            iterations: How long.
            most_bytes: The training-free codec's; the ladder of steps follows from it.
            step: Called once an iteration.
            at: Train at this step of the code alone; None: at all of the ladder.
        """
        bench = self._bench
        pair, tail = self._start(basis), TorchNetwork(self._tail)
        codes = codes_of(pair, bench.store, bench.fitting)
        steps = ladder_of(codes, most_bytes) if at is None else (at, at)
        schedule = self._schedule(pair, codes, steps, iterations)
        run = Distillation(pair, tail, loss_of(bench.task), bench.store, schedule, codes)
        return Trained(pair, tail, steps, self._run(run, schedule, codes.shape[1], step))

    def _schedule(self, pair: CodePair, codes: F32, steps: tuple[float, float], iterations: int) -> Schedule:
        options = self._options
        return Schedule(
            iterations=iterations,
            batch=options.batch,
            learning_rate=options.learning_rate,
            tail_rate=options.tail_rate,
            steps=steps,
            rate_weight=self._price(pair, codes, steps[0]) if options.encoder == "trained" else 0.0,
            seed=options.seed,
        )

    def _run(
        self, run: Distillation, schedule: Schedule, channels: int, step: Callable[[], None]
    ) -> list[tuple[float, float]]:
        """The curve of a run that was done before, goes on from its last checkpoint, or begins."""
        asked = self._options.model_dump(mode="json", exclude={"channels"})
        key = key_of(bench=self._key, schedule=asdict(schedule), options=asked, channels=channels)
        done = self._cache.find(TRAINED, key)
        if done is not None:
            return run.run(done.result, step, lambda state: None)
        kept = self._cache.find(CHECKPOINT, key)
        curve = run.run(kept.result if kept else None, step, lambda one: self._cache.keep(CHECKPOINT, key, one))
        self._cache.keep(TRAINED, key, run.state(schedule.iterations))
        return curve

    def _start(self, basis: BlockBasis) -> CodePair:
        """The untrained pair: the transform itself."""
        store, fitting = self._bench.store, self._bench.fitting
        rows = [store.rows([one]) for one in fitting]
        spread = store.spread
        stride = basis.analysis.shape[2]
        scale = code_spread(basis, [blocks_of(one / np.float32(spread), stride) for one in rows])
        height, width = rows[0].shape[2:]
        is_rectified = min(float(one.min()) for one in rows) >= 0
        shape = PairShape(stride, height, width, is_rectified, spread, self._options.hidden)
        return CodePair(basis, shape, scale, self._options.seed)

    def _price(self, pair: CodePair, codes: F32, size: float) -> float:
        """Divergence that a bit a sample is worth to the untrained pair near its finest step."""
        sizes = [size * one for one in RATE_POINTS]
        bits = [8 * order0_bytes(codes, one) for one in sizes]
        moved = [self._bench.divergence_of(pair, one, self._bench.fitting) for one in sizes]
        return max((moved[1] - moved[0]) / max(bits[0] - bits[1], 1e-9), 0.0)


def _packed(state: TrainingState) -> Parts:
    said = json.dumps({"iteration": state.iteration, "curve": state.curve}).encode()
    return parts_of_arrays([np.frombuffer(said, np.uint8), *state.arrays])


def _unpacked(file: BinaryIO) -> TrainingState:
    said, *arrays = arrays_from_file(file)
    table = json.loads(said.tobytes())
    return TrainingState(table["iteration"], [(a, b) for a, b in table["curve"]], arrays)


CHECKPOINT: CachedStep[TrainingState] = CachedStep("training-checkpoint", 1, _packed, _unpacked)
TRAINED: CachedStep[TrainingState] = CachedStep("trained-pair", 1, _packed, _unpacked)
