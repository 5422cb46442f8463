"""Which samples fit a codec where not all features may be held: evenly spread, for prediction in runs of frames."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from splitc import graph
from splitc.codec import CodecSpec
from splitc.runtime import Sample
from splitc.trials import features, within_budget
from splitc.trials.budget import spread, spread_runs
from splitc.types import USUAL_LAYOUT, Layout


@pytest.mark.parametrize(
    ("count", "most", "found"),
    [
        pytest.param(5, 9, [0, 1, 2, 3, 4], id="all"),
        pytest.param(9, 3, [0, 3, 6], id="every-third"),
        pytest.param(10, 4, [0, 2, 5, 7], id="nearly-even"),
        pytest.param(7, 1, [0], id="one"),
        pytest.param(0, 3, [], id="none"),
    ],
)
def test_spread(count: int, most: int, found: list[int]) -> None:
    assert spread(count, most) == found


@pytest.mark.parametrize(
    ("lengths", "most", "length", "found"),
    [
        pytest.param([30], 10, 5, [range(5), range(15, 20)], id="two-of-six"),
        pytest.param([12, 12], 10, 5, [range(5), range(12, 17)], id="each-clip"),
        pytest.param([3, 12, 4], 5, 5, [range(3, 8)], id="short-clips-are-left-out"),
        pytest.param([3, 2, 3], 6, 5, [range(3), range(5, 8)], id="where-no-clip-is-whole"),
        pytest.param([1, 1, 1, 1], 2, 1, [range(1), range(2, 3)], id="pictures"),
    ],
)
def test_runs(lengths: list[int], most: int, length: int, found: list[range]) -> None:
    assert spread_runs(lengths, most, length) == found


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 80), st.integers(1, 30))
def test_runs_lie_in_clips_and_keep_the_bound(lengths: list[int], most: int, length: int) -> None:
    length = min(length, most)
    runs = spread_runs(lengths, most, length)
    ends = np.cumsum(lengths)
    assert runs
    assert sum(map(len, runs)) <= most
    assert len({len(run) for run in runs}) == 1
    assert all(before.stop <= after.start for before, after in itertools.pairwise(runs))
    for run in runs:
        clip = int(np.searchsorted(ends, run.start, side="right"))
        start = int(ends[clip]) - lengths[clip]
        assert run.stop <= ends[clip]
        assert (run.start - start) % length == 0  # where a stream of this clip has a keyframe


def halves(width: int | str) -> graph.Halves:
    """``Relu``, then ``Neg``, of ``[N, 4, width]``; cut between them."""
    ends = [helper.make_tensor_value_info(name, 1, ["N", 4, width]) for name in "xfy"]
    nodes = [helper.make_node("Relu", ["x"], ["f"]), helper.make_node("Neg", ["f"], ["y"])]
    body = helper.make_graph(nodes, "g", ends[:1], ends[2:], value_info=ends[1:2])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return graph.split(opened(model), ["f"])


def opened(model: onnx.ModelProto) -> graph.Model:
    import onnx_ir as ir

    return graph.model_from_ir(ir.from_proto(model))


def samples(count: int, clips: int = 1, width: int = 6) -> list[Sample]:
    return [
        Sample(f"{index}", {"x": np.full((1, 4, width), index + 1, np.float32)}, clip=str(index * clips // count))
        for index in range(count)
    ]


USUAL = [graph.CutLayout(USUAL_LAYOUT, True)]
EACH = 4 * 6 * 4
"""Bytes of one sample's feature."""


@pytest.mark.parametrize("width", [6, "W"], ids=["fixed", "open"])
def test_the_bound_is_on_bytes_of_features(width: int | str) -> None:
    chosen = within_budget(CodecSpec(), halves(width), USUAL, samples(50), 10 * EACH + 1)
    assert [sample.name for sample in chosen.samples] == [str(index) for index in range(0, 50, 5)]
    assert chosen.lengths == [1] * 10
    assert chosen.notes == (
        "codec: fitted on 10 of 50 calibration samples, in runs of 1 spread evenly: the features of all take more than "
        "0.000961 MB",
    )


def test_sizes_that_the_graph_leaves_open_are_those_of_the_largest_probe() -> None:
    some = samples(20)[:-1] + samples(1, width=12)
    probed = [0, 5, 10, 15]  # of 20
    assert len(within_budget(CodecSpec(), halves("W"), USUAL, some, 10 * EACH).samples) == 10
    some[probed[2]] = samples(1, width=12)[0]
    assert len(within_budget(CodecSpec(), halves("W"), USUAL, some, 10 * EACH).samples) == 5


def test_an_open_size_in_front_of_the_batch_is_no_batch() -> None:
    """``[T, N, C]``: what stands on axis 0 is the length of a sample."""
    ends = [helper.make_tensor_value_info(name, 1, ["T", 1, 4]) for name in "xfy"]
    nodes = [helper.make_node("Relu", ["x"], ["f"]), helper.make_node("Neg", ["f"], ["y"])]
    body = helper.make_graph(nodes, "g", ends[:1], ends[2:], value_info=ends[1:2])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    long = [Sample(str(index), {"x": np.ones((30, 1, 4), np.float32)}) for index in range(8)]
    layouts = [graph.CutLayout(Layout(batch_axis=1, channel_axis=2), True)]
    chosen = within_budget(CodecSpec(), graph.split(opened(model), ["f"]), layouts, long, 2 * 30 * 4 * 4)
    assert [sample.name for sample in chosen.samples] == ["0", "4"]


def test_all_of_them_where_they_fit() -> None:
    every = samples(50, clips=5)
    chosen = within_budget(CodecSpec(temporal="dpcm"), halves(6), USUAL, every, 50 * EACH)
    assert (chosen.samples, chosen.lengths, chosen.notes) == (every, [10] * 5, ())


def test_prediction_keeps_runs_of_consecutive_frames() -> None:
    chosen = within_budget(CodecSpec(temporal="dpcm", gop=5), halves(6), USUAL, samples(60, clips=2), 24 * EACH)
    names = [int(sample.name) for sample in chosen.samples]
    assert chosen.lengths == [5] * 4
    assert names == [*range(5), *range(15, 20), *range(30, 35), *range(45, 50)]


def test_a_long_group_of_pictures_leaves_several_runs() -> None:
    chosen = within_budget(CodecSpec(temporal="dpcm", gop=1000), halves(6), USUAL, samples(60), 24 * EACH)
    assert chosen.lengths == [6] * 4


def test_never_fewer_than_a_codec_needs() -> None:
    assert len(within_budget(CodecSpec(), halves(6), USUAL, samples(9), 1).samples) == 1
    assert within_budget(CodecSpec(temporal="dpcm"), halves(6), USUAL, samples(9), 1).lengths == [2]


def test_progress_is_called_once_a_sample_that_is_fitted() -> None:
    chosen, calls = within_budget(CodecSpec(), halves(6), USUAL, samples(50), 10 * EACH), []
    features(halves(6), chosen.samples, lambda: calls.append(1))
    assert len(calls) == 10


def test_the_report_says_how_many_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from splitc import driver, trials

    folder = tmp_path / "in"
    folder.mkdir()
    ends = [helper.make_tensor_value_info(name, 1, ["N", 4, 6]) for name in "xfy"]
    nodes = [helper.make_node("Relu", ["x"], ["f"]), helper.make_node("Neg", ["f"], ["y"])]
    body = helper.make_graph(nodes, "g", ends[:1], ends[2:], value_info=ends[1:2])
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "m.onnx")
    for name in "ab":
        np.save(folder / f"{name}.npy", np.random.default_rng(ord(name)).random((40, 4, 6), np.float32))
    (folder / "recipe.toml").write_text(
        'schema = 1\nname = "small"\n[model]\nsource = "m.onnx"\n[data]\ntask = "features"\n'
        'calibration = "a.npy"\nverification = "b.npy"\n[split]\nat = ["f"]\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(trials, "within_budget", partial(within_budget, most_bytes=8 * EACH))
    built = driver.build(driver.load_recipe(folder / "recipe.toml"), tmp_path / "out")
    report = (built.path / "report.json").read_text("utf-8")
    assert "codec: fitted on 8 of 40 calibration samples" in report
