"""Profiles: what they stand for, and how a recipe's spelled keys replace their parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitc.codec import PROFILES, CodecSpec
from splitc.driver import codec_spec, load_recipe
from splitc.recipe import CodecSection, lock_toml
from splitc.recipe import load_recipe as read_recipe

MODEL = '[model]\nsource = "m.onnx"\n'


def recipe_file(folder: Path, codec: str) -> Path:
    path = folder / "r.toml"
    path.write_text(f"{MODEL}[codec]\n{codec}", "utf-8")
    return path


@pytest.mark.parametrize("name", list(PROFILES))
def test_every_profile_can_be_made_and_named(name: str, tmp_path: Path) -> None:
    spec = PROFILES[name]
    assert spec.make_entropy().name == spec.entropy
    assert spec.make_temporal().name == spec.temporal
    assert codec_spec(load_recipe(recipe_file(tmp_path, f'profile = "{name}"'))) == spec


def test_a_recipe_that_says_nothing_gets_fast(tmp_path: Path) -> None:
    assert codec_spec(load_recipe(recipe_file(tmp_path, ""))) == PROFILES["fast"] == CodecSpec()


def test_defaults_of_the_spec_and_of_the_recipe_agree() -> None:
    section = CodecSection()
    for key, field in CodecSpec.model_fields.items():
        if key not in ("gop", "tiling", "hevc_qp"):  # a recipe says nothing of them without prediction or pictures
            assert getattr(section, key) == field.default, key


def test_a_spelled_part_replaces_the_profile_s(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, 'profile = "fast"\nbits = 3')
    profiles = {"fast": {"bits": 6, "entropy": "range"}}
    table = read_recipe(path, ["codec.scope=tensor"], profiles=profiles).codec
    assert (table.bits, table.entropy, table.scope) == (3, "range", "tensor")


def test_a_spelled_quantizer_replaces_balanced_s(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, 'profile = "balanced"\nquantizer = "log"\nbits = 3')
    spec = codec_spec(load_recipe(path)).resolved()
    assert (spec.quantizer, spec.bits, spec.step) == ("log", 3, None)


def test_a_lock_spells_the_profile_s_parts(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, 'profile = "fast"')
    lock = lock_toml(read_recipe(path, profiles={"fast": {"bits": 6}}))
    (tmp_path / "lock.toml").write_text(lock, "utf-8")
    assert read_recipe(tmp_path / "lock.toml", profiles={"fast": {"bits": 7}}).codec.bits == 6
