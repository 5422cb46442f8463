"""Real networks: every listed cut and fifty random wide ones split, and merge back, bit for bit.

A wide cut has two or more tensors, and no two of the fifty are equal. The default suite runs a share of the cuts of
each model; ``slow`` runs all of them, and runs the merged graph of every wide one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from graph_halves import LIGHT, assert_cut_holds, every_wide_cut, model_file, random_feeds, run, wide_cuts

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
"""Listed and wide cuts of each model that the default suite runs."""
ALL = [*SHARES, "i3d_kinetics400"]
WIDE = dict.fromkeys(ALL, 50) | {"resnet18_tinyimagenet200": 36}
"""Distinct random cuts of two or more tensors that the slow suite runs; resnet18 has no more than these."""
LIGHT_WIDE = {"light_bvlc_alexnet": 0, "light_vgg19": 0, "light_zfnet512": 0}
"""The same for these graphs where it is not 10: chains have no wide cut."""
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


def spread(cuts: Sequence[CandidateCut], count: int) -> list[tuple[str, ...]]:
    """Names of ``count`` members at even distances, or of all."""
    count = min(count, len(cuts))
    return [cuts[(2 * index + 1) * len(cuts) // (2 * count)].names for index in range(count)]


def prove(model: Model, names: Sequence[str]) -> bool:
    """Split, merge back; whether the expression is proven the same, which it is unless the tail rebuilds a shape."""
    halves = graph.split(model, names)
    same = graph.is_same_computation(model.ir_model, graph.merge(halves.head, halves.tail))
    assert same or graph.check_cut(model, names).recomputed, names
    return same


def check(model: Model, listed: int, wide: int, record: pytest.FixtureRequest) -> None:
    """Run both halves at ``listed`` enumerated and ``wide`` random wide cuts.

    The graph merged from a wide cut runs too; that of a listed one only where equality is not proven without running.
    """
    feeds = random_feeds(model, batch=1)
    expected = run(model.ir_model, feeds)
    candidates = graph.enumerate_cuts(model).candidates
    narrow, broad = spread(candidates, listed), wide_cuts(model, wide)
    assert (len(broad), len(set(broad))) == (wide, wide)
    proven = 0
    for names in narrow:
        same = prove(model, names)
        assert_cut_holds(model, names, feeds, expected, merge_too=not same)
        proven += same
    for names in broad:
        assert len(names) > 1
        assert_cut_holds(model, names, feeds, expected)
    widest = max(map(len, broad), default=0)
    merged = len(broad) + len(narrow) - proven
    text = f"{len(candidates)} listed, {len(narrow)} run, {proven} of them merged and proven without running"
    text += f"; {len(broad)} wide ones of up to {widest} tensors; {merged} merged and run"
    record.node.user_properties.append(("cuts", text))


@pytest.mark.parametrize("name", ALL)
def test_single_tensor_cuts_are_counted(name: str) -> None:
    found = graph.enumerate_cuts(load(name))
    assert sum(len(cut.names) == 1 for cut in found.candidates) == SINGLES[name]
    assert all(cut.wire_bytes > 0 for cut in found.candidates)
    assert all(cut.reason for cut in found.rejected)


def test_resnet18_has_no_more_wide_cuts_than_are_drawn() -> None:
    name = "resnet18_tinyimagenet200"
    model = load(name)
    assert set(wide_cuts(model, 50)) == every_wide_cut(model)
    assert len(every_wide_cut(model)) == WIDE[name]


@pytest.mark.parametrize("name", SHARES)
def test_a_share_of_the_cuts_holds(name: str, request: pytest.FixtureRequest) -> None:
    check(load(name), *SHARES[name], record=request)


def test_one_i3d_cut_holds(request: pytest.FixtureRequest) -> None:
    check(load("i3d_kinetics400"), 1, 0, record=request)


@pytest.mark.parametrize("name", ALL)
def test_a_share_of_the_cuts_is_proven(name: str) -> None:
    model = load(name)
    for names in [*spread(graph.enumerate_cuts(model).candidates, 8), *wide_cuts(model, 4)]:
        prove(model, names)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_listed_and_fifty_wide_cuts_hold(name: str, request: pytest.FixtureRequest) -> None:
    check(load(name), 10_000, WIDE[name], record=request)


@pytest.mark.parametrize("path", LIGHT, ids=[Path(path).stem for path in LIGHT])
def test_light_graphs_list_their_cuts_and_split_at_each(path: str) -> None:
    """Opset 9, weights made by nodes of the graph: those are constants and go to whichever half needs them."""
    model = graph.load(path)
    found = graph.enumerate_cuts(model)
    singles = [cut for cut in found.candidates if len(cut.names) == 1]
    assert len(singles) == LIGHT_SINGLES[Path(path).stem]
    for names in spread(found.candidates, 2):
        assert graph.split(model, names).head.opset_imports[""] == 9
        assert prove(model, names)


@pytest.mark.parametrize("name", ["light_squeezenet"])
def test_light_cuts_hold(name: str, request: pytest.FixtureRequest) -> None:
    check(graph.load(next(path for path in LIGHT if name in path)), 6, 2, record=request)


@pytest.mark.slow
@pytest.mark.parametrize("path", LIGHT, ids=[Path(path).stem for path in LIGHT])
def test_every_light_cut_holds(path: str, request: pytest.FixtureRequest) -> None:
    check(graph.load(path), 10_000, LIGHT_WIDE.get(Path(path).stem, 10), record=request)


def test_light_graphs_were_found() -> None:
    assert len(LIGHT) == len(LIGHT_SINGLES)
