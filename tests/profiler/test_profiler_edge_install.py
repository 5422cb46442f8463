"""``pip install splitc[edge]`` into an environment of its own: no compiler, and the edge half runs and is profiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from sshd_server import Server

sys.path.append(str(Path(__file__).parents[1] / "e2e"))
from e2e_setting import build, cli, write_setting

ROOT = Path(__file__).parents[2]
COMPILER = {"onnx", "onnx-ir", "onnxscript", "torch", "tomli-w"}
GIVEN = os.environ.get("SPLITC_EDGE_PYTHON")
"""The interpreter of such an environment, where somebody has made one."""
MISSING = [package for package in ("scikit_build_core", "nanobind") if find_spec(package) is None and not GIVEN]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"no wheel can be built here without {', '.join(MISSING)}"),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with ``splitc[edge]``, installed from a wheel of this tree."""
    if GIVEN:
        return Path(GIVEN)
    folder = tmp_path_factory.mktemp("edge")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(folder)]
    subprocess.run([*pip, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("splitc-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{wheel}[edge]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install here: {done.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_setting(tmp_path_factory.mktemp("source"))
    assert build(folder, folder / "out").code == 0
    return folder


def there(python: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(python.with_name("splitc")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_no_compiler_is_installed(environment: Path) -> None:
    command = [str(environment), "-m", "pip", "list", "--format=json"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    names = {one["name"].lower() for one in listed}
    assert "onnxruntime" in names
    assert not names & COMPILER


def test_it_runs_a_bundle_as_the_compiler_s_machine_does(environment: Path, source: Path) -> None:
    arguments = ["run", source / "out", source / "pictures/picture00.png", source / "pictures/picture01.png", "--json"]
    done = there(environment, *arguments)
    assert done.returncode == 0, done.stderr
    answers = [one["answer"]["index"] for one in json.loads(done.stdout)["results"]]
    assert answers == [one["answer"]["index"] for one in cli(*arguments).document["results"]]


def test_it_refuses_what_needs_the_compiler_by_name(environment: Path, source: Path) -> None:
    for arguments in (["build", source / "recipe.toml"], ["inspect", source / "tiny.onnx"], ["verify", source / "out"]):
        done = there(environment, *arguments)
        assert done.returncode == 3, (arguments, done.stderr)
        assert "pip install 'splitc[build]'" in done.stderr
        assert "Traceback" not in done.stderr
    assert there(environment, "doctor").returncode == 0


def test_it_is_profiled_over_ssh(environment: Path, source: Path, server: Server, tmp_path: Path) -> None:
    address = f"ssh://127.0.0.1:{server.port}"
    arguments = ["--ssh-config", server.config, "--remote-python", environment, "--samples", 20]
    place = ["--device", address, "--name", "jetson-orin-nx", "--out", tmp_path / "r.json", "--json"]
    outcome = cli("profile", source / "out", "--side", "edge", *place, *arguments)
    assert outcome.code == 0, outcome.err
    assert (outcome.document["device"], outcome.document["samples"]) == ("jetson-orin-nx", 20)
    assert outcome.document["layers"]
    assert cli("profile", source / "out", "--side", "edge", "--replay", tmp_path / "r.json").code == 0
