"""Paths, globs and packages in a recipe, and who verifies when nothing was set aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitc.errors import CapabilityError, RecipeError
from splitc.recipe import Recipe
from splitc.recipe.files import hold_out


@pytest.fixture
def recipe(tmp_path):
    for name in ["c/b.png", "c/a.png", "c/.hidden.png", "c/deep/d.png", "c/x[1].png", "e/a.npy"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return Recipe(model={"source": "m.onnx"}).based_at(tmp_path)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["c/*.png"], ["c/a.png", "c/b.png", "c/x[1].png"]),
        (["c"], ["c/a.png", "c/b.png", "c/x[1].png"]),
        (["c/"], ["c/a.png", "c/b.png", "c/x[1].png"]),
        (["c/**/*.png"], ["c/a.png", "c/b.png", "c/deep/d.png", "c/x[1].png"]),
        (["c/x[1].png"], ["c/x[1].png"]),
        (["e/*", "c/b.png", "c/*.png"], ["e/a.npy", "c/b.png", "c/a.png", "c/x[1].png"]),
        (["e/../c/a.png"], ["e/../c/a.png"]),
        ([], []),
    ],
)
def test_find(recipe, patterns, names):
    assert recipe.find(patterns) == tuple(recipe.base / name for name in names)


def test_nothing_found(recipe):
    with pytest.raises(RecipeError) as caught:
        recipe.find(["c/*.jpg"])
    assert str(caught.value) == f"'c/*.jpg' names no file (looked in {recipe.base})."


def test_package(recipe):
    (found,) = recipe.find(["package:pytest/py.typed"])
    assert found == Path(pytest.__file__).parent / "py.typed"
    with pytest.raises(CapabilityError) as caught:
        recipe.find(["package:not_there_at_all/*.png"])
    assert str(caught.value) == (
        "'package:not_there_at_all/*.png' needs the Python package 'not_there_at_all', which is not installed."
    )


@pytest.mark.parametrize(
    ("count", "calibration", "verification"),
    [
        (0, [], []),
        (1, [1], [1]),
        (2, [1], [2]),
        (3, [1, 2], [3]),
        (4, [1, 2, 3], [4]),
        (9, [1, 2, 3, 5, 6, 7, 9], [4, 8]),
    ],
)
def test_hold_out(count, calibration, verification):
    paths = [Path(str(number)) for number in range(1, count + 1)]
    kept, held = hold_out(paths)
    assert [int(path.name) for path in kept] == calibration
    assert [int(path.name) for path in held] == verification


def test_samples(recipe):
    held_out = recipe.model_copy(update={"data": recipe.data.model_copy(update={"calibration": ("c",)})})
    named = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"calibration": ("c",), "verification": ("e/*.npy",)})}
    )
    assert [[path.name for path in paths] for paths in held_out.samples()] == [["a.png", "b.png"], ["x[1].png"]]
    assert [len(paths) for paths in named.samples()] == [3, 1]
