"""Profiles: what they stand for, and how a recipe's spelled keys replace their parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitc.codec import PICTURE_CODERS, PROFILES, CodecSpec, spec_from_text, with_profile
from splitc.codec.parts import PARTS
from splitc.driver import codec_spec, load_recipe, with_defaults
from splitc.errors import RecipeError, UsageError
from splitc.recipe import CodecSection, Known, lock_toml
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
    assert codec_spec(load_recipe(recipe_file(tmp_path, ""))) == PROFILES["fast"]
    spelled = recipe_file(tmp_path, "step = 0.3\nbits = 6")
    assert codec_spec(load_recipe(spelled)) == PROFILES["fast"].replace(step=0.3, bits=6)


def test_defaults_of_the_spec_and_of_the_recipe_agree() -> None:
    section = CodecSection()
    for key, field in CodecSpec.model_fields.items():
        if key not in ("gop", "tiling", "hevc_qp"):  # a recipe says nothing of them without prediction or pictures
            assert getattr(section, key) == field.default, key


def test_a_spelled_part_replaces_the_profile_s(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, 'profile = "fast"\nbits = 3')
    profiles = {"fast": lambda spelled: {"bits": 6, "entropy": "range", **spelled}}
    table = read_recipe(path, ["codec.scope=tensor"], known=Known(profiles=profiles)).codec
    assert (table.bits, table.entropy, table.scope) == (3, "range", "tensor")


@pytest.mark.parametrize("profile", list(PROFILES))
@pytest.mark.parametrize("part", [(part, name) for part, registry in PARTS.items() for name in registry], ids=str)
def test_any_part_may_be_spelled_on_top_of_a_profile(profile: str, part: tuple[str, str], tmp_path: Path) -> None:
    """The profile's options of the part it replaces do not apply, so nobody is told of keys that he never wrote."""
    key, name = part
    if name in PICTURE_CODERS:
        pytest.importorskip("av")
    more = "\nquantizer = 'clipped'\nreconstruction = 'midpoint'" if name == "ifmdc" else ""
    path = recipe_file(tmp_path, f'profile = "{profile}"\n{key} = "{name}"{more}')
    spec = codec_spec(with_defaults(load_recipe(path)))
    assert getattr(spec, key) == name
    text = ",".join([profile, f"{key}={name}", *more.replace("'", "").split("\n")])
    assert spec_from_text(text).resolved() == spec


def test_options_of_the_profile_s_parts_stay_when_another_part_is_spelled() -> None:
    known = {"reconstruction": "unbiased", "transform": "auto"}
    assert with_profile("balanced", {"quantizer": "log"}) == {"contexts": "wide", "quantizer": "log"}
    assert with_profile("balanced", {"entropy": "zstd"}) == known | {"entropy": "zstd"}
    assert with_profile("balanced", {"contexts": "few"}) == known | {"contexts": "few"}
    with pytest.raises(UsageError, match=r"unknown codec profile 'fats'\. Did you mean 'fast'"):
        with_profile("fats", {})


@pytest.mark.parametrize("profile", list(PROFILES))
@pytest.mark.parametrize("text", ["reconstruction=midpoint", "reconstruction=centroid", "steps=even", "quantizer=log"])
def test_what_spelled_levels_cannot_have_is_left_out(profile: str, text: str) -> None:
    spec = spec_from_text(f"{profile},{text}")
    assert not spec.needs_judge
    assert spec.transform == "none"
    assert spec.offset is None or spec.steps == "even"


def test_a_loop_on_even_levels_has_them() -> None:
    assert spec_from_text("temporal=ifmdc,ifmdc_mode=printed") == CodecSpec(temporal="ifmdc", ifmdc_mode="printed")
    with pytest.raises(UsageError, match="needs an odd number of levels, got 256"):
        spec_from_text("temporal=ifmdc")
    with pytest.raises(UsageError, match='needs reconstruction = "midpoint"'):
        spec_from_text("temporal=ifmdc,reconstruction=unbiased")


def test_planes_of_a_spelled_transform_are_not_moved() -> None:
    assert spec_from_text("fast,transform=klt").offset is None
    assert spec_from_text("fast,transform=klt,offset=0.25").offset == 0.25
    assert spec_from_text("fast,transform=none").offset == 0.5


def test_profiles_without_a_tail_ask_nobody() -> None:
    """Even steps and no transform stand in; what is spelled stays, and is refused where it is fitted."""
    assert spec_from_text("", has_tail=False) == CodecSpec(reconstruction="unbiased", offset=0.5)
    assert spec_from_text("balanced", has_tail=False) == CodecSpec(reconstruction="unbiased", contexts="wide")
    assert spec_from_text("max", has_tail=False) == CodecSpec(reconstruction="unbiased", entropy="mix")
    assert spec_from_text("fast,steps=sensitivity", has_tail=False).needs_judge
    assert spec_from_text("transform=auto", has_tail=False).needs_judge
    for spec in (*PROFILES.values(), CodecSpec(transform="klt", steps="sensitivity")):
        assert not spec.without_tail().needs_judge
    assert CodecSpec(transform="klt", steps="sensitivity").without_tail().transform == "klt"
    assert CodecSpec(step=0.3).without_tail() == CodecSpec(step=0.3)


def test_an_option_that_was_spelled_for_another_part_is_still_refused() -> None:
    with pytest.raises(UsageError, match=r"codec\.contexts: neither transform 'auto', quantizer 'step'"):
        spec_from_text("balanced,entropy=zstd,contexts=wide")


def test_a_lock_spells_the_profile_s_parts(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, 'profile = "fast"')
    lock = lock_toml(read_recipe(path, known=Known(profiles={"fast": lambda spelled: {"bits": 6, **spelled}})))
    (tmp_path / "lock.toml").write_text(lock, "utf-8")
    again = read_recipe(tmp_path / "lock.toml", known=Known(profiles={"fast": lambda spelled: {"bits": 7, **spelled}}))
    assert again.codec.bits == 6


EARLIER_LOCK = """\
profile = "balanced"
transform = "none"
quantizer = "step"
bits = 8
scope = "tensor"
reconstruction = "midpoint"
step = 0.6
temporal = "dpcm"
temporal_rounding = 0.4
gop = 15
entropy = "rans"
contexts = "wide"
"""


def test_locks_of_earlier_versions_load(tmp_path: Path) -> None:
    spec = codec_spec(load_recipe(recipe_file(tmp_path, EARLIER_LOCK)))
    assert spec == CodecSpec(step=0.6, temporal="dpcm", contexts="wide").resolved()


def test_a_recipe_names_every_fault_of_its_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each about the part that was chosen: bits of binary are 1, of uniform up to 16."""
    monkeypatch.chdir(tmp_path)
    cases = {
        'quantizer = "binary"\nbits = 2': ["r.toml:5  codec.bits: must be at most 1, got 2."],
        'quantizer = "uniform"\nbits = 17\nscope = "sample"': [
            "r.toml:5  codec.bits: must be at most 16, got 17.",
            "r.toml:6  codec.scope: 'sample' is not a choice. Known: channel, tensor.",
        ],
        'entropy = "hevc"\ntiling = "mosiac"': [
            "r.toml:5  codec.tiling: 'mosiac' is not a choice. Did you mean 'mosaic'? Known: channel_frames, clip, "
            "mosaic, quilt."
        ],
        'quantizer = "uniform"\npercentile = 99': [
            "r.toml:3  codec: quantizer 'uniform': percentile goes with clip = \"percentile\"."
        ],
        'quantizer = "log"\ntemporal = "dpcm"': [
            "r.toml:3  codec: temporal 'dpcm' needs even levels fixed by calibration, which quantizer 'log' has not; "
            'use quantizer = "uniform", or temporal = "difference".'
        ],
        "temporal_rounding = nan\ntemporal = 'dpcm'": [
            "r.toml:4  codec.temporal_rounding: must be a finite number, got nan."
        ],
        "step = true": ["r.toml:4  codec.step: must be a number, got true."],
        "step = [1]": ["r.toml:4  codec.step: must be a number, got [1]."],
    }
    for text, lines in cases.items():
        recipe_file(tmp_path, text)
        with pytest.raises(RecipeError) as caught:
            load_recipe("r.toml")
        assert str(caught.value).splitlines() == lines
