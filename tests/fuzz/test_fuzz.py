"""Some cases of the fuzzer in every test run; ``python tests/fuzz/run.py`` tries as many as one likes.

``SPLITC_FUZZ_SECONDS`` says for how long the slow test runs: CI for two minutes, at night for hours.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import mutations
from readers import TARGETS, damaged
from run import fuzz
from scene import write_scene

CASES = 200
SECONDS = float(os.environ.get("SPLITC_FUZZ_SECONDS", "120"))
SEED = int(os.environ.get("SPLITC_FUZZ_SEED", "7"))
FOUND = Path(__file__).parent / "found"
"""Files that once made a fault, called ``TARGET.WHAT``; each is read again."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    places = tmp_path_factory.mktemp("places")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SPLITC_CACHE", "SPLITC_STATE", "TMPDIR"):
            (places / name).mkdir()
            patch.setenv(name, str(places / name))
        yield write_scene(tmp_path_factory.mktemp("fuzz") / "scene")


def test_a_few_cases(scene: Path) -> None:
    tally = fuzz(scene, SEED, CASES, seconds=600)
    assert tally.faults == []
    assert tally.cases == CASES


@pytest.mark.slow
def test_as_many_cases_as_there_is_time_for(scene: Path) -> None:
    tally = fuzz(scene, SEED + 1, 10**9, SECONDS)
    assert tally.faults == []
    assert tally.cases > 0


@pytest.mark.parametrize("file", sorted(FOUND.glob("*.*")), ids=lambda file: file.name)
def test_what_was_found_once(scene: Path, file: Path) -> None:
    from worker import Case, run_case

    name = file.name.partition(".")[0]
    target = TARGETS[name]
    sound = {target.file: (scene / target.file).read_bytes()}
    case = Case(name, target.words(scene), file.read_bytes(), seal=target.sealed is not None)
    assert run_case(case, scene, sound, {}) is None


@pytest.mark.parametrize("name", TARGETS)
def test_a_case_leaves_everything_as_it_was(scene: Path, name: str) -> None:
    target = TARGETS[name]
    before = {path: path.read_bytes() for path in scene.rglob("*") if path.is_file()}
    with damaged(target, scene, b"damaged", seal=True):
        assert (scene / target.file).read_bytes() == b"damaged"
    assert {path: path.read_bytes() for path in scene.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_are_made_of_chance_alone(scene: Path, name: str) -> None:
    target = TARGETS[name]
    data = (scene / target.file).read_bytes()
    first, second = ([target.change(random.Random(number), data) for number in range(20)] for _ in range(2))
    assert first == second
    assert sum(one != data for one in first) > 10
    assert mutations.raw(random.Random(1), data) != data
