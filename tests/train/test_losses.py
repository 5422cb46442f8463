"""Losses are the tasks' own distances; gradients tell what a change of the feature costs."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train_graphs import random_tensor, small_features, small_tail  # noqa: E402

from splitc import evaluate  # noqa: E402
from splitc.tasks import TASKS, BindRequest, BoundTask  # noqa: E402
from splitc.train import TorchNetwork, loss_of, stored  # noqa: E402
from splitc.train.judge import StoreJudge  # noqa: E402
from splitc.train.losses import DirectionLoss  # noqa: E402
from splitc.types import TensorSpec  # noqa: E402


def bound(name: str, shape: tuple[int, ...], **options: object) -> BoundTask:
    return TASKS.make(name, options).bind(BindRequest([TensorSpec(name="y", dtype="float32", shape=shape)]))


TASK_CASES = [
    pytest.param(bound("classification", (1, 5), activation="logits"), (1, 5), False, id="logits"),
    pytest.param(bound("classification", (1, 5), activation="probabilities"), (1, 5), True, id="probabilities"),
    pytest.param(bound("classification", (1, 5), activation="logits", multi_label=True), (1, 5), False, id="labels"),
    pytest.param(bound("features", (1, 5)), (1, 5), False, id="features"),
]


@pytest.mark.parametrize(("task", "shape", "is_share"), TASK_CASES)
def test_a_loss_is_the_tasks_own_divergence(task: BoundTask, shape: tuple[int, ...], is_share: bool) -> None:
    one, other = random_tensor(*shape, seed=1), random_tensor(*shape, seed=2)
    if is_share:
        one, other = (np.exp(x) / np.exp(x).sum() for x in (one, other))
    own = task.divergence({"y": one}, {"y": other})
    found = loss_of(task).distance(
        {"y": torch.from_numpy(one)}, {"y": torch.from_numpy(other)}, np.random.default_rng(0)
    )
    if task.task.name == "features":  # divided by the reference's square instead of the mean of both
        own *= (np.square(one).sum() + np.square(other).sum()) / 2 / np.square(one).sum()
    assert found.item() == pytest.approx(own, rel=1e-4)  # float32 beside float64


def test_gradients_agree_with_finite_differences() -> None:
    tail, feeds = small_tail(), small_features(1)[0]
    network, x = TorchNetwork(tail), torch.from_numpy(feeds["x"]).requires_grad_(True)
    weights = torch.from_numpy(random_tensor(5, seed=9))
    (network({"x": x})["y"] @ weights).sum().backward()
    runner, direction, step = evaluate.open_graph(tail), random_tensor(*feeds["x"].shape, seed=8), 1e-3
    ahead, behind = (
        float((runner.run({"x": feeds["x"] + sign * step * direction})["y"] @ weights.numpy()).sum())
        for sign in (1, -1)
    )
    # a float32 sum of order 1, divided by 2e-3; rectifiers that switch inside the step
    assert (x.grad.numpy() * direction).sum() == pytest.approx((ahead - behind) / (2 * step), rel=2e-2, abs=2e-3)


def test_a_judges_gradients_tell_what_a_change_of_the_feature_costs() -> None:
    tail, task = small_tail(), bound("classification", (1, 5), activation="logits")
    network, feeds = TorchNetwork(tail), small_features(2)
    change = 0.02 * random_tensor(*feeds[0]["x"].shape, seed=4) * (feeds[0]["x"] > 0.1)
    with stored((one["x"] for one in feeds), (1, 1), network, "x", lambda: None) as store:
        judge = StoreJudge(store, network, task, [0])
        drawn = [judge.gradients(0, draw) for draw in range(1000)]
        again = judge.gradients(0, 0)
        (cost,) = judge([[store.rows([0]) + change]], [0])
    assert all(one is not None for one in drawn)
    assert again is not None
    assert np.array_equal(again[0], drawn[0][0])
    mean = np.mean([np.square((one[0] * change).sum()) for one in drawn]) / 2
    assert mean == pytest.approx(cost, rel=0.2)  # 1,000 draws: 5 %; the change's third order


def test_a_loss_along_directions_is_the_distance_of_a_small_change() -> None:
    task = bound("classification", (1, 5), activation="logits")
    x, change = torch.from_numpy(random_tensor(1, 5, seed=1)), 0.02 * torch.from_numpy(random_tensor(1, 5, seed=2))
    rng, many = np.random.default_rng(0), {"y": x.expand(1000, -1)}
    mean = DirectionLoss(task).distance(many, {"y": many["y"] + change}, rng).mean().item()
    assert mean == pytest.approx(task.divergence({"y": x.numpy()}, {"y": (x + change).numpy()}), rel=0.1)  # 4,000 draws
