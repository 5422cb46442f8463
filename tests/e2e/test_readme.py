"""What the README says works, works: its commands run in order, its recipe loads."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from deadline import end

import splitc
from splitc.backends import BACKENDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
SET_UP = ("python3 -m venv", "pip install", "bash tests/check.sh")
"""Commands that CI runs before and around this test."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    return [line for line in lines if not line.startswith(SET_UP)]


def test_set_up_is_two_commands_and_ci_follows_them() -> None:
    lines = [line for line in blocks("sh")[0].splitlines() if line]
    assert len(lines) == 2
    assert (
        "pip install --quiet --disable-pip-version-check -e '.[zoo,trt-rtx,video,serve,dev]'"
        in (ROOT / ".ci/run").read_text()
    )
    assert lines[1] == "pip install -e '.[zoo,trt-rtx,video,serve,dev]'"


def run_command(command: str, folder: Path, background: list[subprocess.Popen[bytes]]) -> None:
    """As a shell does, ``... &`` and ``kill %1`` included."""
    if command == "kill %1":
        background[0].terminate()
        assert background[0].wait(30) == 0
        return
    assert command.startswith("splitc ")
    said = shlex.split(command.removesuffix("&"))[1:]
    words = [sys.executable, "-c", "from splitc.cli import main; main()", *said]
    if command.endswith("&"):
        silent = subprocess.DEVNULL
        background.append(subprocess.Popen(words, cwd=folder, stdin=silent, stdout=silent, stderr=silent))
        return
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    for package in ("skimage", "efficientnet_lite_pytorch", "torch"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the zoo extra is not installed: no {package}")
    assert len(commands()) >= 6
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    background: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands():
            run_command(command, tmp_path, background)
    finally:
        for process in background:
            end(process)
    made = {path.name for path in (tmp_path / "artifacts" / "quickstart").iterdir()}
    said = {
        "edge",
        "cloud",
        "contract.json",
        "manifest.json",
        "recipe.lock.toml",
        "verify.json",
        "report.json",
        "sbom.json",
    }
    assert said | {"report.html"} == made
    if BACKENDS.make("tensorrt_rtx", {}).probe().ok:
        assert (tmp_path / "artifacts/engines/cloud/engines/l4/model.engine").is_file()


def test_the_codec_by_itself_runs() -> None:
    (block,) = blocks("python")
    names: dict[str, object] = {}
    exec(block, names)
    assert getattr(names["restored"], "shape", None) == (1, 64, 14, 14)


def test_the_least_recipe_loads(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    (tmp_path / "mine.toml").write_text(block, "utf-8")
    recipe = splitc.load_recipe(tmp_path / "mine.toml")
    assert recipe.model.source == "mine.onnx"


def test_every_recipe_has_a_place_in_the_readme() -> None:
    for path in (ROOT / "recipes").glob("**/*.toml"):
        assert path.name in README, f"{path.name} is not mentioned"
        splitc.load_recipe(path)
