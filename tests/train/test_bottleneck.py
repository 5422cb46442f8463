"""A bottleneck starts at its transform, computes the same in torch and in ONNX, and its rate is its tables'."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train_graphs import graph_of, random_tensor, small_features, small_tail  # noqa: E402

from splitc import evaluate  # noqa: E402
from splitc.graph import Halves  # noqa: E402
from splitc.train import fold  # noqa: E402
from splitc.train.basis import block_metric, blocks_of, fit_basis  # noqa: E402
from splitc.train.bottleneck import Bottleneck  # noqa: E402
from splitc.train.ladder import ladder_of, order0_bytes, size_at, step_of_bytes  # noqa: E402
from splitc.train.measure import MeasuredDesign  # noqa: E402
from splitc.train.pair import CodePair, PairShape, code_spread, rounded  # noqa: E402
from splitc.train.rate import TableRate  # noqa: E402
from splitc.types import F32, TensorSpec  # noqa: E402

SIZES = [pytest.param(2, 6, 6, id="even"), pytest.param(2, 5, 7, id="odd"), pytest.param(1, 5, 6, id="stride-1")]


def features(height: int, width: int, count: int = 40) -> F32:
    return np.concatenate([one["x"] for one in small_features(count)])[:, :, :height, :width].copy()


def pair_of(stride: int, height: int, width: int, *, is_rectified: bool = True) -> tuple[CodePair, F32]:
    x = features(*(min(one, 6) for one in (height, width)))
    x = np.pad(x, ((0, 0), (0, 0), (0, height - x.shape[2]), (0, width - x.shape[3])), "edge")
    spread = float(x.std())
    basis = fit_basis([x / spread], stride)
    shape = PairShape(stride, height, width, is_rectified, spread, hidden=8)
    return CodePair(basis, shape, code_spread(basis, [blocks_of(x / np.float32(spread), stride)]), seed=0), x


def untouched(pair: CodePair, x: F32) -> F32:
    with torch.no_grad():
        return (pair.decode(pair.encode(torch.from_numpy(x) / pair.shape.spread)) * pair.shape.spread).numpy()


@pytest.mark.parametrize(("stride", "height", "width"), SIZES)
def test_with_all_components_an_untrained_pair_changes_nothing(stride: int, height: int, width: int) -> None:
    pair, x = pair_of(stride, height, width)
    np.testing.assert_allclose(untouched(pair, x), x, atol=1e-5)  # float32 sums of 16 products of order 1


def test_components_are_in_units_of_their_spread() -> None:
    pair, x = pair_of(2, 6, 6)
    with torch.no_grad():
        code = pair.encode(torch.from_numpy(x) / pair.shape.spread)
    assert float(code.square().mean().sqrt()) == pytest.approx(1.0, rel=1e-4)
    strengths = code.square().mean((0, 2, 3)).numpy()
    assert (np.diff(strengths) <= 1e-6).all()


def test_a_metric_decides_which_components_are_first() -> None:
    """One channel alone moves the answers, and it is the weakest one."""
    x = random_tensor(50, 3, 4, 4) * np.array([5, 2, 1], np.float32)[:, None, None]
    metric = np.zeros((12, 12))
    metric[8:, 8:] = np.eye(4)
    plain, felt = (fit_basis([x], 2, one).first(4) for one in (None, metric))
    share = [np.square(one.analysis).sum((0, 2, 3)) for one in (plain, felt)]
    assert share[0].argmax() == 0
    assert share[1].argmax() == 2


def test_a_metric_is_the_second_moment_of_blocks() -> None:
    gradients = random_tensor(4, 3, 5, 4)
    found = block_metric([gradients[:2], gradients[2:]], 2)
    rows = blocks_of(gradients, 2).astype(np.float64)
    np.testing.assert_allclose(found, rows.T @ rows / len(rows), rtol=1e-6)


@pytest.mark.parametrize(("stride", "height", "width"), SIZES)
def test_folded_halves_compute_what_torch_computes(stride: int, height: int, width: int) -> None:
    pair, x = pair_of(stride, height, width)
    with torch.no_grad():
        pair.second.copy_(torch.from_numpy(random_tensor(*pair.second.shape, seed=7) * 0.1))
    shape = f"float[N,4,{height},{width}] x"
    head, tail = graph_of("y = Identity(x)", shape), graph_of("y = Identity(f)", shape.replace(" x", " f"))
    head.graph.outputs[0].name = "f"
    cut = TensorSpec(name="f", dtype="float32", shape=("N", 4, height, width))
    halves = fold(Halves(head, tail, (cut,), 0), Bottleneck.from_arrays(pair.learned().arrays()))
    code = evaluate.open_graph(halves.head).run({"x": x})["f.bottleneck"]
    assert code.shape[1:] == halves.cut[0].shape[1:]
    found = evaluate.open_graph(halves.tail).run({"f.bottleneck": code})["y"]
    np.testing.assert_allclose(found, untouched(pair, x), rtol=1e-4, atol=1e-5)  # float32, scales multiplied in advance


def test_rounding_passes_gradients_straight_through() -> None:
    code = torch.tensor([0.3, -1.2], requires_grad=True)
    found = rounded(code, 0.5)
    found.sum().backward()
    assert found.tolist() == [0.5, -1.0]
    assert code.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("step", [0.2, 0.7, 2.0])
def test_a_rate_is_the_entropy_of_the_tables_of_that_step(step: float) -> None:
    codes = random_tensor(50, 3, 8, 8) * np.array([1, 2, 0.1], np.float32)[:, None, None]
    rounds = torch.from_numpy(np.rint(codes / step).astype(np.float32) * np.float32(step))
    found = TableRate(codes).bits(rounds, step).mean().item() / 8
    # 512 places a channel, between which the distribution is a line, and a floor of 1e-5 a bin
    assert found == pytest.approx(order0_bytes(codes, step), rel=0.03, abs=0.3)


def test_a_rate_falls_towards_frequent_values() -> None:
    rate = TableRate(random_tensor(50, 1, 8, 8))
    code = torch.full((1, 1, 2, 2), 1.5, requires_grad=True)
    rate.bits(code, 0.5).sum().backward()
    assert (code.grad > 0).all()


def test_the_step_of_a_rate() -> None:
    codes = random_tensor(20, 2, 8, 8)
    assert order0_bytes(codes, step_of_bytes(codes, 30.0)) == pytest.approx(30.0, rel=0.01)
    finest, coarsest = ladder_of(codes, 60.0)
    assert finest < coarsest
    assert (codes.max() - codes.min()) / finest < 256  # a graph's symbols are bytes


def measured(divergence: float) -> MeasuredDesign:
    return MeasuredDesign(1.0, 100.0, divergence, 1.0)


@pytest.mark.parametrize(
    ("divergences", "wanted", "found"),
    [
        pytest.param([0.01, 0.04, 0.16], 0.04, 2.0, id="at-a-point"),
        pytest.param([0.01, 0.04, 0.16], 0.02, 2**0.5, id="between"),
        pytest.param([0.01, 0.04, 0.16], 0.2, 4.0, id="above"),
        pytest.param([0.01, 0.04, 0.16], 0.005, None, id="below"),
        pytest.param([0.05, 0.04, 0.16], 0.045, 4.5**0.5, id="finest-is-worse"),
    ],
)
def test_the_step_of_a_divergence(divergences: list[float], wanted: float, found: float | None) -> None:
    got = size_at([1.0, 2.0, 4.0], [measured(one) for one in divergences], wanted)
    assert got == (None if found is None else pytest.approx(found))


def test_a_small_tail_is_what_the_other_tests_take_it_for() -> None:
    assert evaluate.open_graph(small_tail()).run(small_features(1)[0])["y"].shape == (1, 5)
