"""Builds that prune and share weights: what the recipe asks is in the graphs, packed, verified and told honestly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import CUT, Outcome, build, cli, setting, write_setting
from onnx import numpy_helper

from splitc import graph
from splitc.driver import find_inputs, load_recipe, lowering_request
from splitc.lowering import count_lowering, lower
from splitc.weights import open_container


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_setting(tmp_path_factory.mktemp("weights"))


def built(source: Path, out: Path, *overrides: str) -> Outcome:
    outcome = build(source, out, *setting(*overrides))
    assert outcome.code == 0, outcome.err
    return outcome


def weights(path: Path) -> dict[str, np.ndarray]:
    """Weights of layers: initializers of two axes or more, without what scales the symbols."""
    found = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    return {name: values for name, values in found.items() if values.ndim > 1 and "quantize/" not in name}


def report(out: Path) -> list[dict[str, object]]:
    savings: list[dict[str, object]] = json.loads((out / "report.json").read_text("utf-8"))["weights"]
    return savings


def test_pruned_and_shared(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    built(
        source,
        out,
        "weights.prune={ method = 'magnitude', conv = 0.5, fc = 0.75 }",
        "weights.cluster={ conv_bits = 4, fc_bits = 3 }",
    )
    for values in [*weights(out / "edge/model.onnx").values(), *weights(out / "cloud/model.onnx").values()]:
        share, codes = (0.5, 16) if values.ndim == 4 else (0.75, 8)
        assert int((values == 0).sum()) == int(values.size * share)
        assert len(np.unique(values)) <= codes
    savings = report(out)
    assert [(one["side"], str(one["step"]).split(" ")[0]) for one in savings] == [
        ("edge", "prune"),
        ("edge", "shared"),
        ("cloud", "prune"),
        ("cloud", "shared"),
    ]
    for one in savings:
        assert one["packed_bytes"] < one["packed_bytes_before"]
        assert one["memory_bytes"] == one["memory_bytes_before"]
        assert str(one["time"]).startswith("unchanged")


def test_a_build_says_what_each_step_saves(source: Path, tmp_path: Path) -> None:
    outcome = built(source, tmp_path / "x", "weights.edge.prune={ conv = 0.5 }")
    (saving,) = outcome.document["weights"]
    assert saving == report(tmp_path / "x")[0]
    assert outcome.document["edge_weight_bytes"] == saving["memory_bytes"]
    shown = cli("build", source / "recipe.toml", "--out", tmp_path / "y", *setting("weights.edge.prune={ conv = 0.5 }"))
    line = f"packed {saving['packed_bytes_before']:,} -> {saving['packed_bytes']:,} bytes"
    assert f"{line}, in the graph and in memory {saving['memory_bytes']:,} bytes as before; time unchanged" in shown.err


def test_the_container_holds_the_initializers(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    built(source, out, "weights.edge.prune={ conv = 0.5 }")
    stored = {one.name: numpy_helper.to_array(one) for one in onnx.load(out / "edge/model.onnx").graph.initializer}
    with open_container(out / "edge/weights.scw") as container:
        packed = {tensor.name: tensor.values for tensor in container.tensors()}
    assert packed.keys() == stored.keys()
    assert all(packed[name].tobytes() == stored[name].tobytes() for name in stored)
    assert not (out / "cloud/weights.scw").exists()
    assert cli("verify", out, "--base", source).code == 0


def test_compensated_pruning_moves_answers_less(source: Path, tmp_path: Path) -> None:
    moved = []
    for method in ("magnitude", "compensated"):
        out = tmp_path / method
        outcome = built(source, out, f"weights.prune={{ method = '{method}', conv = 0.5, fc = 0.5 }}")
        stages = {stage["name"]: stage for stage in cli("verify", out, "--base", source, "--json").document["stages"]}
        moved.append(stages["lowered"]["kl"])
        assert outcome.document["bundle"] == str(out)
    assert moved[1] < 0.7 * moved[0]


def test_two_of_four(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    built(source, out, "weights.sparsity=2:4")
    (saving, *_) = report(out)
    assert saving["time"] == "unchanged on cpu with onnxruntime: onnxruntime multiplies zeros as all others"
    runs = [values for values in weights(out / "cloud/model.onnx").values() if values.shape[1] % 4 == 0]
    assert runs
    for values in runs:
        along = np.moveaxis(values, 1, -1).reshape(-1, 4)
        assert (np.count_nonzero(along, axis=1) <= 2).all()


@pytest.mark.parametrize(
    "overrides",
    [
        ("prune={ conv = 0.5 }", "cluster={}"),
        ("prune={ method = 'compensated', conv = 0.5 }", "rounding={}"),
        ("sparsity=2:4", "precision=int8"),
    ],
    ids=["plain", "rounding", "int8"],
)
def test_progress_ends_at_its_total(source: Path, overrides: tuple[str, ...]) -> None:
    recipe = load_recipe(source / "recipe.toml", [f"weights.{one}" for one in overrides])
    inputs, steps = find_inputs(recipe), list[None]()
    halves = graph.split(inputs.model, [CUT])
    request = lowering_request(inputs, halves)
    lower(request, lambda: steps.append(None))
    assert len(steps) == count_lowering(request) > 0


def test_rounded_to_steps(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    built(source, out, "weights.rounding={ noise = 0.001 }")
    for saving in report(out):
        assert str(saving["step"]) == "rounded to steps (noise 0.001)"
        assert saving["packed_bytes"] < 0.75 * saving["packed_bytes_before"]
    with open_container(out / "cloud/weights.scw") as container:
        assert "levels" in {entry.encoding for entry in container.header.entries}
    stages = {one["name"]: one for one in cli("verify", out, "--base", source, "--json").document["stages"]}
    assert 0 < stages["lowered"]["kl"] < 0.01


def test_bad_values_are_refused(source: Path, tmp_path: Path) -> None:
    outcome = build(source, tmp_path / "x", *setting("weights.cluster={ conv_bits = 9 }"))
    assert outcome.code == 2
    assert "conv_bits: must be at most 8, got 9" in outcome.err
    outcome = build(source, tmp_path / "x", *setting("weights.prune={ method = 'random', conv = 0.5 }"))
    assert outcome.code == 2
    assert "method: 'random' is not a choice" in outcome.err
