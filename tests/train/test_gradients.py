"""Losses are the tasks' own distances; gradients span their second derivative."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train_graphs import random_tensor, small_features, small_tail  # noqa: E402

from splitc import evaluate  # noqa: E402
from splitc.tasks import TASKS, BindRequest, BoundTask  # noqa: E402
from splitc.train import TorchNetwork, answer_gradients, loss_of  # noqa: E402
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
    found = loss_of(task).distance({"y": torch.from_numpy(one)}, {"y": torch.from_numpy(other)})
    if task.task.name == "features":  # divided by the reference's square instead of the mean of both
        own *= (np.square(one).sum() + np.square(other).sum()) / 2 / np.square(one).sum()
    assert found.item() == pytest.approx(own, rel=1e-4)  # float32 beside float64


@pytest.mark.parametrize(("task", "shape", "is_share"), TASK_CASES)
def test_probes_span_the_second_derivative(task: BoundTask, shape: tuple[int, ...], is_share: bool) -> None:
    """Half the mean of (v . d)^2 is the distance of a small change d."""
    x = torch.from_numpy(random_tensor(*shape, seed=1))
    change = 0.01 * torch.from_numpy(random_tensor(*shape, seed=2))
    if is_share:
        x, change = torch.softmax(x, -1), 0.1 * (change - change.mean())
    loss, generator = loss_of(task), torch.Generator().manual_seed(0)
    many = {"y": x.expand(20_000, -1)}
    mean = (loss.probes(many, generator)["y"] * change).sum(-1).square().mean() / 2
    # 20,000 draws: two percent of noise; the change's third order: as much again
    assert mean.item() == pytest.approx(loss.distance({"y": x}, {"y": x + change}).item(), rel=0.06)


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


def test_answer_gradients_tell_what_a_change_of_the_feature_costs() -> None:
    tail, task = small_tail(), bound("classification", (1, 5), activation="logits")
    feeds = small_features(1)[0]
    change = 0.02 * random_tensor(*feeds["x"].shape, seed=4) * (feeds["x"] > 0.1)
    gradients = answer_gradients(tail, task, [feeds] * 4000, ["x"])
    mean = np.mean([np.square((g["x"] * change).sum()) for g in gradients]) / 2
    runner = evaluate.open_graph(tail)
    cost = task.divergence(runner.run(feeds), runner.run({"x": feeds["x"] + change}))
    assert mean == pytest.approx(cost, rel=0.15)  # 4,000 draws: 4 %; the change's third order


def test_gradients_are_the_same_for_the_same_seed() -> None:
    tail, task = small_tail(), bound("classification", (1, 5), activation="logits")
    feeds = small_features(3)
    first, again, other = ([g["x"] for g in answer_gradients(tail, task, feeds, ["x"], seed)] for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))
