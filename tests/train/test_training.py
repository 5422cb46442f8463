"""Training lowers the divergence, goes on where it stopped, and is kept only where real bytes are saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train_graphs import random_tensor, small_features, small_tail  # noqa: E402

from splitc.cache import NO_CACHE, StepCache  # noqa: E402
from splitc.codec import CodecSpec  # noqa: E402
from splitc.errors import UsageError  # noqa: E402
from splitc.tasks import TASKS, BindRequest  # noqa: E402
from splitc.train import Bench, BottleneckOptions, TorchNetwork, count_iterations, loss_of, recover, stored  # noqa: E402
from splitc.train.basis import blocks_of, fit_basis  # noqa: E402
from splitc.train.distill import CHECKPOINT_EVERY, Distillation, Schedule, TrainingState, codes_of  # noqa: E402
from splitc.train.pair import CodePair, PairShape, code_spread  # noqa: E402
from splitc.types import TensorSpec  # noqa: E402

LOGITS = TensorSpec(name="y", dtype="float32", shape=("N", 5))
TASK = TASKS.make("classification", {"activation": "logits"}).bind(BindRequest([LOGITS]))
SCHEDULE = Schedule(iterations=240, batch=16, learning_rate=1e-3, tail_rate=0.0, steps=(0.3, 1.5))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    rows = [one["x"] for one in small_features(160)]
    tail = TorchNetwork(small_tail())
    feature = TensorSpec(name="x", dtype="float32", shape=("N", 4, 6, 6))
    with stored(rows, (128, 32), tail, "x", lambda: None) as store:
        yield Bench(store, tail, TASK, feature, range(0, 128, 2), range(128, 160))


def start(bench: Bench, schedule: Schedule) -> tuple[CodePair, Distillation]:
    spread = bench.store.spread
    rows = bench.store.rows(bench.fitting) / np.float32(spread)
    basis = fit_basis([rows], 2).first(4)
    pair = CodePair(basis, PairShape(2, 6, 6, True, spread, 8), code_spread(basis, [blocks_of(rows, 2)]), 0)
    tail = TorchNetwork(small_tail())
    return pair, Distillation(pair, tail, loss_of(TASK), bench.store, schedule, codes_of(pair, bench.store, range(64)))


SCHEDULES = [
    pytest.param(SCHEDULE, id="decoder"),
    pytest.param(replace(SCHEDULE, rate_weight=1e-4), id="encoder-too"),
    pytest.param(replace(SCHEDULE, tail_rate=1e-4), id="tail-too"),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_stopped_and_resumed_run_is_the_unbroken_one(bench: Bench, schedule: Schedule) -> None:
    states: list[TrainingState] = []
    whole, run = start(bench, schedule)
    curve = run.run(None, lambda: None, states.append)
    assert [one.iteration for one in states] == [CHECKPOINT_EVERY, 2 * CHECKPOINT_EVERY]
    resumed, again = start(bench, schedule)
    counted: list[None] = []
    assert again.run(states[1], lambda: counted.append(None), lambda one: None) == curve
    assert len(counted) == schedule.iterations
    assert all(map(np.array_equal, whole.learned().arrays(), resumed.learned().arrays()))


def test_training_lowers_the_divergence(bench: Bench) -> None:
    """At one step, so that no draw of steps hides it."""
    schedule = replace(SCHEDULE, steps=(0.7, 0.7))
    curve = [moved for moved, _ in start(bench, schedule)[1].run(None, lambda: None, lambda one: None)]
    assert np.mean(curve[-10:]) < 0.8 * np.mean(curve[:10])


def test_a_kept_encoder_stays_and_a_trained_one_moves(bench: Bench) -> None:
    for schedule in (SCHEDULE, replace(SCHEDULE, rate_weight=1e-4)):
        schedule = replace(schedule, iterations=5)
        pair, run = start(bench, schedule)
        before = pair.encoder.detach().clone()
        run.run(None, lambda: None, lambda one: None)
        assert torch.equal(before, pair.encoder) != schedule.trains_encoder


OPTIONS = BottleneckOptions(channels=4, hidden=8, iterations=60, batch=16)


@pytest.mark.parametrize("least", [2.0, 0.0], ids=["kept", "left-out"])
def test_a_bottleneck_is_kept_where_it_saves_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch, least: float) -> None:
    monkeypatch.setattr("splitc.train.search.LEAST_GAIN", least)
    tail = small_tail()
    found = recover(bench, tail, OPTIONS, CodecSpec(step=1.0), NO_CACHE, "k")
    free, chosen = found.document["training_free"], found.document["chosen"]
    assert chosen["payload_bytes"] / free["payload_bytes"] == found.document["bytes_ratio"]
    assert found.document["is_kept"] == (found.bottleneck is not None) == (least > 1)
    assert found.tail is tail
    if found.bottleneck is not None:
        assert (found.spec.transform, found.spec.step) == ("none", chosen["step"])
        assert found.size is not None
        assert found.bottleneck.code_shape == (4, 3, 3)


def test_a_tuned_tail_is_the_graph_with_other_weights(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitc.train.search.LEAST_GAIN", 2.0)
    tail, options = small_tail(), OPTIONS.model_copy(update={"tail_rate": 1e-3})
    found = recover(bench, tail, options, CodecSpec(step=1.0), NO_CACHE, "k").tail
    weights = [[one.const_value.numpy() for one in each.graph.initializers.values()] for each in (tail, found)]
    assert [node.op_type for node in found.graph] == [node.op_type for node in tail.graph]
    assert not any(map(np.array_equal, *weights))


def test_several_widths_are_tried(bench: Bench) -> None:
    options = OPTIONS.model_copy(update={"channels": None, "iterations": 8})
    counted: list[None] = []
    step = partial(counted.append, None)
    found = recover(bench, small_tail(), options, CodecSpec(step=1.0), NO_CACHE, "k", step)
    assert len(counted) == count_iterations(options, channels=4) == 8 + 3 * 2
    assert [one["channels"] for one in found.document["widths"]] == [2, 4, 8]


def test_a_killed_search_goes_on_where_it_stopped(bench: Bench, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    options = OPTIONS.model_copy(update={"iterations": CHECKPOINT_EVERY + 20})
    cache = StepCache(tmp_path)
    unbroken = recover(bench, small_tail(), options, CodecSpec(step=1.0), NO_CACHE, "k")
    left = iter(range(CHECKPOINT_EVERY + 10))

    def step() -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        recover(bench, small_tail(), options, CodecSpec(step=1.0), cache, "k", step)
    assert list(tmp_path.glob("*.entry"))
    assert recover(bench, small_tail(), options, CodecSpec(step=1.0), cache, "k").document == unbroken.document


def test_features_of_unlike_sizes_are_refused() -> None:
    rows = [random_tensor(1, 4, 6, 6), random_tensor(1, 4, 6, 7)]
    with (
        pytest.raises(UsageError, match="sample 1 has a feature of shape"),
        stored(rows, (1, 1), TorchNetwork(small_tail()), "x", lambda: None),
    ):
        pass
