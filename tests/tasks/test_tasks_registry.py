"""Tasks by name, splitc's own and those of installed packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from task_cases import IMAGE, spec

from splitc.errors import UsageError
from splitc.tasks import TASKS, BindRequest, TaskRegistry, installed
from splitc.types import TensorSpec

OUTPUTS = {
    "classification": [spec("logits", "N", 10)],
    "clip": [spec("logits", "N", 10)],
    "detection": [spec("output0", 1, 84, 8400)],
    "features": [spec("a", "N", 4), spec("b", "N", 2, 2)],
    "regression": [spec("values", "N", 3)],
    "retrieval": [spec("embedding", "N", 128)],
    "segmentation": [spec("mask", "N", 5, 64, 64)],
}


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_every_task_is_what_its_key_says(name: str) -> None:
    task = TASKS.make(name, {})
    assert task.name == name
    assert "min_fidelity" in task.gates
    with pytest.raises(UsageError, match="no_such_option"):
        TASKS.make(name, {"no_such_option": 1})


def test_no_task_is_untested() -> None:
    assert set(TASKS) >= set(OUTPUTS)
    assert {name for name in TASKS if name not in OUTPUTS} == set(installed.installed_tasks()) - set(OUTPUTS)


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_what_is_recognised_is_spelled_out_and_binds_again(name: str) -> None:
    request = BindRequest(OUTPUTS[name], [IMAGE])
    first = TASKS.make(name, {}).bind(request)
    again = TASKS.make(name, first.task.model_dump()).bind(request)
    assert first.notes
    assert again.task == first.task
    assert again.reads == first.reads


def test_a_settled_task_is_spelled_as_json_and_needs_no_examples_again() -> None:
    """As a bundle's contract keeps it."""
    request = BindRequest([spec("boxes", 1, 2000, 4), spec("scores", 1, 2000, 3)], [IMAGE], ["cat", "dog"])
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.5, (1, 2000, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 0.5, (1, 2000, 2))], -1)
    logits = rng.standard_normal((1, 2000, 3)) + np.array([5, 0, 0])
    outputs = {"boxes": boxes, "scores": logits}
    settled = TASKS.make("detection", {}).bind(request).settle([outputs])
    spelled = json.loads(json.dumps(settled.task.model_dump(mode="json")))
    again = TASKS.make("detection", spelled).bind(request)
    assert again.is_settled
    assert again.answer(outputs).describe() == settled.answer(outputs).describe()


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_outputs_that_a_path_lacks_are_named(name: str) -> None:
    known = {"activation": "probabilities"} if name not in ("features", "regression", "retrieval") else {}
    task = TASKS.make(name, known).bind(BindRequest(OUTPUTS[name], [IMAGE]))
    for act in (lambda: task.answer({}), lambda: task.divergence({}, {}), lambda: task.comparison().add({}, {})):
        with pytest.raises(UsageError, match=f"'{task.reads[0]}'"):
            act()


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_an_output_that_is_not_there_is_refused(name: str) -> None:
    option = {"outputs": ["nothing"]} if name in ("detection", "features") else {"output": "nothing"}
    with pytest.raises(Exception, match=r"no output 'nothing'; it has"):
        TASKS.make(name, option).bind(BindRequest(OUTPUTS[name], [IMAGE]))


def test_the_door_loads_nothing_heavy() -> None:
    code = (
        "import splitc.tasks as t, sys;"
        "[t.TASKS.make(name, {}) for name in t.TASKS];"
        "print(' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"PIL", "pycocotools", "onnx", "onnxruntime", "torch", "scipy"}


def make_package(folder: Path, name: str, target: str) -> None:
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[splitc.tasks]\n{target}\n")


def test_an_installed_package_adds_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(tmp_path, "pose_tasks", "brightness = brightness_task:Brightness")
    (tmp_path / "brightness_task.py").write_text(
        "from splitc.tasks.regression import Regression\n"
        "class Brightness(Regression):\n"
        "    name = 'brightness'\n"
        "    gain: float = 1.0\n"
    )
    monkeypatch.setattr(installed, "places_of_packages", lambda: [str(tmp_path)])
    monkeypatch.syspath_prepend(tmp_path)
    registry = TaskRegistry("task", {"features": "splitc.tasks.features:Features"})
    assert "brightness" in registry
    assert set(registry) == {"features", "brightness"}
    assert "brightness_task" not in sys.modules  # named, not imported
    assert registry.make("brightness", {"gain": 2.0}).model_dump()["gain"] == 2.0


def test_splitcs_own_names_stay_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(tmp_path, "impostor", "features = impostor:Features")
    monkeypatch.setattr(installed, "places_of_packages", lambda: [str(tmp_path)])
    registry = TaskRegistry("task", {"features": "splitc.tasks.features:Features"})
    assert list(registry) == ["features"]
    assert registry.load("features").__module__ == "splitc.tasks.features"


def test_two_packages_that_claim_a_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(tmp_path, "one", "pose = one:Pose")
    make_package(tmp_path, "two", "pose = two:Pose")
    monkeypatch.setattr(installed, "places_of_packages", lambda: [str(tmp_path)])
    registry = TaskRegistry("task", {"features": "splitc.tasks.features:Features"})
    with pytest.raises(UsageError, match="'pose': claimed by one:Pose and two:Pose; uninstall one"):
        registry.load("pose")
    assert list(registry) == ["features"]  # and nothing else is in the way


def test_the_current_folder_brings_no_tasks(tmp_path: Path) -> None:
    """A bundle that somebody else made may be the current folder."""
    make_package(tmp_path, "evil", "evil = evil:Evil")
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n")
    code = "from splitc.tasks import TASKS; print('evil' in TASKS, sorted(TASKS))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown task 'detektion'. Did you mean 'detection'\? Known: classification"):
        TASKS.load("detektion")


def test_specs_of_every_type_are_taken() -> None:
    request = BindRequest([TensorSpec(name="mask", dtype="int64", shape=("N", 8, 8))])
    assert "decided by the network" in TASKS.make("segmentation", {}).bind(request).notes[0]
