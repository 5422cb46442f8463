"""Real networks: every listed cut and random wide ones split, and merge back, bit for bit.

The default suite proves and runs a share of the cuts of each model; ``slow`` proves and runs all of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from graph_halves import LIGHT, assert_cut_holds, model_file, random_feeds, random_prefix_cut, run

from splitc import graph
from splitc.graph import CandidateCut, Model

SHARES = {
    "mobilenet_v2_imagenet": (8, 4),
    "resnet18_tinyimagenet200": (4, 2),
    "resnet20_cifar10": (16, 10),
    "resnet56_cifar10": (8, 6),
    "ultraface-rfb-320": (10, 6),
    "yolo_fastest_1.1_xl_coco": (8, 6),
}
"""Listed and random cuts of each model that the default suite runs."""
ALL = [*SHARES, "i3d_kinetics400"]
RANDOM_CUTS = 50
SINGLES = {
    "mobilenet_v2_imagenet": 49,
    "resnet18_tinyimagenet200": 21,
    "resnet20_cifar10": 22,
    "resnet56_cifar10": 58,
    "ultraface-rfb-320": 41,
    "yolo_fastest_1.1_xl_coco": 40,
    "i3d_kinetics400": 26,
}
LIGHT_SINGLES = {
    "light_bvlc_alexnet": 23,
    "light_densenet121": 87,
    "light_inception_v1": 25,
    "light_inception_v2": 30,
    "light_resnet50": 39,
    "light_shufflenet": 39,
    "light_squeezenet": 33,
    "light_vgg19": 45,
    "light_zfnet512": 21,
}


def load(name: str) -> Model:
    return graph.load(model_file(f"{name}.onnx"))


def spread(cuts: Sequence[CandidateCut], count: int) -> list[CandidateCut]:
    """``count`` members at even distances, or all."""
    count = min(count, len(cuts))
    return [cuts[(2 * index + 1) * len(cuts) // (2 * count)] for index in range(count)]


def random_cuts(model: Model, count: int) -> Iterator[tuple[str, ...]]:
    rng = random.Random(1)
    while count:
        names = random_prefix_cut(model, rng)
        if names is not None:
            count -= 1
            yield names


def prove(model: Model, listed: int, wide: int, record: pytest.FixtureRequest) -> None:
    """Split at ``listed`` enumerated and ``wide`` random cuts, merge back, prove that the expression is the same."""
    candidates = graph.enumerate_cuts(model).candidates
    cuts = [cut.names for cut in spread(candidates, listed)] + list(random_cuts(model, wide))
    rebuilt = 0
    for names in cuts:
        halves = graph.split(model, names)
        same = graph.is_same_computation(model.ir_model, graph.merge(halves.head, halves.tail))
        assert same or graph.check_cut(model, names).recomputed, names
        rebuilt += not same
    text = f"{len(candidates)} listed, {len(cuts)} split, merged and proven without running"
    record.node.user_properties.append(("cuts", f"{text}; {rebuilt} rebuild a shape, which only running can compare"))


def check(model: Model, listed: int, wide: int, merge_every: int, record: pytest.FixtureRequest) -> None:
    """Hold ``listed`` enumerated and ``wide`` random cuts; merge one in ``merge_every`` back."""
    feeds = random_feeds(model, batch=1)
    expected = run(model.ir_model, feeds)
    candidates = graph.enumerate_cuts(model).candidates
    cuts = [cut.names for cut in spread(candidates, listed)] + list(random_cuts(model, wide))
    for index, names in enumerate(cuts):
        assert_cut_holds(model, names, feeds, expected, merge_too=index % merge_every == 0)
    widest = max(map(len, cuts))
    merged = len(range(0, len(cuts), merge_every))
    record.node.user_properties.append(
        ("cuts", f"{len(candidates)} listed, {len(cuts)} split, {merged} merged, up to {widest} tensors")
    )


@pytest.mark.parametrize("name", ALL)
def test_single_tensor_cuts_are_counted(name: str) -> None:
    found = graph.enumerate_cuts(load(name))
    assert sum(len(cut.names) == 1 for cut in found.candidates) == SINGLES[name]
    assert all(cut.wire_bytes > 0 for cut in found.candidates)
    assert all(cut.reason for cut in found.rejected)


@pytest.mark.parametrize("name", SHARES)
def test_a_share_of_the_cuts_holds(name: str, request: pytest.FixtureRequest) -> None:
    listed, wide = SHARES[name]
    check(load(name), listed, wide, merge_every=3, record=request)


def test_one_i3d_cut_holds(request: pytest.FixtureRequest) -> None:
    check(load("i3d_kinetics400"), 1, 0, merge_every=2, record=request)


@pytest.mark.parametrize("name", ALL)
def test_a_share_of_the_cuts_is_proven(name: str, request: pytest.FixtureRequest) -> None:
    prove(load(name), 8, 3, request)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_listed_and_fifty_random_cuts_are_proven(name: str, request: pytest.FixtureRequest) -> None:
    prove(load(name), 10_000, RANDOM_CUTS, request)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_listed_and_fifty_random_cuts_hold(name: str, request: pytest.FixtureRequest) -> None:
    check(load(name), 10_000, RANDOM_CUTS, merge_every=1 if name in SHARES else 5, record=request)


@pytest.mark.parametrize("path", LIGHT, ids=[Path(path).stem for path in LIGHT])
def test_light_graphs_list_their_cuts_and_split_at_each(path: str) -> None:
    """Opset 9, weights made by nodes of the graph: those are constants and go to whichever half needs them."""
    model = graph.load(path)
    found = graph.enumerate_cuts(model)
    singles = [cut for cut in found.candidates if len(cut.names) == 1]
    assert len(singles) == LIGHT_SINGLES[Path(path).stem]
    for cut in spread(found.candidates, 2):
        halves = graph.split(model, cut.names)
        assert halves.head.opset_imports[""] == 9
        assert graph.is_same_computation(model.ir_model, graph.merge(halves.head, halves.tail))


@pytest.mark.parametrize("name", ["light_squeezenet"])
def test_light_cuts_hold(name: str, request: pytest.FixtureRequest) -> None:
    check(graph.load(next(path for path in LIGHT if name in path)), 6, 4, merge_every=3, record=request)


@pytest.mark.slow
@pytest.mark.parametrize("path", LIGHT, ids=[Path(path).stem for path in LIGHT])
def test_every_light_cut_holds(path: str, request: pytest.FixtureRequest) -> None:
    check(graph.load(path), 10_000, 10, merge_every=4, record=request)


def test_light_graphs_were_found() -> None:
    assert len(LIGHT) == len(LIGHT_SINGLES)
