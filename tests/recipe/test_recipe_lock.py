"""The lock spells every default, names no place of this machine, and loads back to the same recipe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splitc.errors import RecipeError
from splitc.recipe import Recipe, load_recipe, lock_toml
from splitc.recipe.toml import parse_toml

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy: time is no property."""

LOCK = """\
schema = 1
name = "r"

[model]
source = "m.onnx"
sha256 = "HASH"

[model.shapes]
image = [
    "N",
    3,
    224,
    224,
]

[data]
calibration = [
    "calib/*.jpg",
]
verification = []
crops = 1
task = "classification"

[split]
at = "auto"
objective = "latency"
pin_edge = []
pin_cloud = []
min_depth = 0.0
candidates = 8
max_tensors = 4

[link]
uplink_mbps = 20.0
rtt_ms = 15.0
jitter_ms = 0.0

[codec]
profile = "fast"
transform = "none"
quantizer = "step"
temporal = "none"
entropy = "rans"

[weights.edge]
precision = "fp32"
sparsity = "none"

[weights.cloud]
precision = "fp32"
sparsity = "none"

[target.edge]
backend = "onnxruntime"

[target.cloud]
backend = "onnxruntime"
"""


def reload(text: str, folder: Path) -> Recipe:
    """Load a lock from where a bundle would hold it."""
    (folder / "recipe.lock.toml").write_text(text, encoding="utf-8")
    return load_recipe(folder / "recipe.lock.toml", base=folder)


def test_lock_text(tmp_path):
    (tmp_path / "r.toml").write_text(
        '[model]\nsource = "m.onnx"\nshapes.image = "Nx3x224x224"\n[data]\ncalibration = "calib/*.jpg"\n'
    )
    recipe = load_recipe(tmp_path / "r.toml")
    assert lock_toml(recipe, "0" * 64) == LOCK.replace("HASH", "0" * 64)
    assert lock_toml(recipe) == LOCK.replace('sha256 = "HASH"\n', "")
    assert reload(lock_toml(recipe), tmp_path) == recipe


def test_order_of_shapes_and_dims_does_not_matter():
    one = Recipe(model={"source": "m.onnx", "shapes": {"a": "1x2", "b": "3"}, "dims": {"N": 1, "M": 2}})
    two = Recipe(model={"source": "m.onnx", "shapes": {"b": [3], "a": [1, 2]}, "dims": {"M": 2, "N": 1}})
    assert one == two
    assert lock_toml(one) == lock_toml(two)


def test_another_hash_than_the_pinned_one():
    recipe = Recipe(model={"source": "m.onnx", "sha256": "1" * 64})
    assert f'sha256 = "{"1" * 64}"' in lock_toml(recipe, "1" * 64)
    with pytest.raises(RecipeError) as caught:
        lock_toml(recipe, "2" * 64)
    assert str(caught.value) == (
        f"model.sha256: the recipe pins {'1' * 64}, found {'2' * 64}; restore the file or change the pin."
    )


def test_absolute_paths_become_relative_to_the_recipe(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    (home / "r.toml").write_text(
        f'[model]\nsource = "{tmp_path}/models/m.onnx"\n[data]\ncalibration = ["{home}/c/*.png", "package:x/*.png"]\n'
        f'verification = "{tmp_path}/v"\nlabels = "{home}/labels.csv"\n'
    )
    for folder in (home, tmp_path / "link"):
        recipe = load_recipe(folder / "r.toml")
        assert recipe.model.source == "../models/m.onnx"
        assert recipe.data.calibration == ("c/*.png", "package:x/*.png")
        assert recipe.data.verification == ("../v",)
        assert recipe.data.labels == "labels.csv"
        assert os.path.realpath(recipe.resolve(recipe.model.source)) == str(tmp_path / "models/m.onnx")
        assert str(tmp_path) not in lock_toml(recipe)
        assert load_recipe(home / "r.toml") == reload(lock_toml(recipe), tmp_path).model_copy(update={"name": "r"})


def test_a_recipe_made_in_python_locks_without_absolute_paths():
    assert "/m.onnx" in lock_toml(Recipe(model={"source": "/m.onnx"}))
    assert '"/' not in lock_toml(Recipe(model={"source": "/m.onnx"}))


texts = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12).filter(
    lambda t: t.strip() and t[0] != "/"
)
names = st.lists(texts, max_size=3, unique=True)
unit = st.floats(0, 1)
dims = st.one_of(st.integers(1, 2**31 - 1), st.from_regex(r"[A-Za-z_]\w{0,5}", fullmatch=True).filter(str.isascii))
sides = st.fixed_dictionaries(
    {},
    optional={
        "prune": st.fixed_dictionaries({"conv": st.floats(0.01, 0.99)}, optional={"fc": st.floats(0, 0.99)}),
        "cluster": st.fixed_dictionaries({}, optional={"conv_bits": st.integers(1, 8)}),
        "precision": st.sampled_from(["fp32", "fp16", "int8"]),
    },
).filter(lambda side: "cluster" not in side or side.get("precision") != "int8")
tables = st.fixed_dictionaries(
    {
        "model": st.fixed_dictionaries(
            {"source": texts.map(lambda t: f"{t}.onnx")},
            optional={
                "shapes": st.dictionaries(texts, st.lists(dims, max_size=5), max_size=3),
                "dims": st.dictionaries(texts, st.integers(1, 99), max_size=3),
            },
        )
    },
    optional={
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True),
        "data": st.fixed_dictionaries(
            {},
            optional={
                "calibration": st.one_of(texts.filter(lambda t: "package:" not in t), names),
                "crops": st.integers(1, 25),
                "preprocess": st.fixed_dictionaries(
                    {}, optional={"mean": st.tuples(unit, unit, unit).map(list), "resize": st.integers(1, 999)}
                ),
            },
        ),
        "split": st.fixed_dictionaries({}, optional={"at": names.filter(bool), "pin_edge": names, "min_depth": unit}),
        "link": st.fixed_dictionaries({}, optional={"rtt_ms": st.floats(0, 60_000), "uplink_mbps": st.floats(1, 9)}),
        "weights": st.one_of(sides, st.fixed_dictionaries({}, optional={"edge": sides, "cloud": sides})),
        "recovery": st.fixed_dictionaries({}, optional={"losses": st.fixed_dictionaries({}, optional={"ce": unit})}),
        "video": st.fixed_dictionaries({}, optional={"clips": st.integers(1, 99)}),
        "gate": st.fixed_dictionaries({}, optional={"min_fidelity": unit, "max_edge_bytes": st.integers(1, 2**40)}),
    },
)


@PATIENT
@given(tables)
def test_every_recipe_survives_its_lock(table):
    recipe = Recipe.model_validate(table)

    again = Recipe.model_validate(parse_toml(lock_toml(recipe)))
    assert again == recipe
    assert lock_toml(again) == lock_toml(recipe)
