"""A new quantizer with two options is one file and one line: then recipes, ``--codec`` and Python take it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import margin_quantizer
import numpy as np
import pytest
from e2e_setting import build, cli, setting, write_setting

from splitc.bundle import open_bundle
from splitc.codec import QUANTIZERS, Codec, CodecSpec, spec_from_text
from splitc.codec.reference import reference
from splitc.driver import codec_spec, load_recipe, with_defaults
from splitc.errors import RecipeError, UsageError
from splitc.recipe import lock_toml
from splitc.runtime import read_contract
from splitc.types import TensorSpec

MODEL = '[model]\nsource = "m.onnx"\n'


@pytest.fixture(autouse=True)
def _margin() -> Iterator[None]:
    QUANTIZERS.add("margin", "margin_quantizer:Margin")
    yield
    QUANTIZERS.remove("margin")


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((12, 5, 8, 6)).astype(np.float32)


def test_from_python(features: np.ndarray) -> None:
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", 5, 8, 6))
    spec = CodecSpec(quantizer="margin", margin=0.5, margin_side="above")
    assert (spec.margin, spec.margin_side, spec.bits, spec.resolved().bits) == (0.5, "above", None, 4)
    assert CodecSpec(quantizer="margin").resolved().margin == 0.125
    codec = Codec.fit(spec, [tensor], [features])
    assert codec.tensors[0].params.lo[0] == features.min()
    again = Codec.from_json(codec.to_json())
    assert (again, hash(again)) == (codec, hash(codec))
    assert np.array_equal(again.decode(codec.encode([features]))[0], codec.decode(codec.encode([features]))[0])
    with pytest.raises(UsageError, match="quantizer 'margin': margin: Input should be less than or equal to 1"):
        CodecSpec(quantizer="margin", margin=2)
    with pytest.raises(UsageError, match=r"codec\.margin: neither quantizer 'step'"):
        CodecSpec(margin=0.5)
    with pytest.raises(AttributeError, match=r"no option 'margn'\. Did you mean 'margin'"):
        _ = spec.margn


def test_from_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(f'{MODEL}[codec]\nquantizer = "margin"\nmargin = 0.25\nbits = 5\n', "utf-8")
    recipe = with_defaults(load_recipe(path))
    wanted = CodecSpec(quantizer="margin", margin=0.25, bits=5).resolved()
    assert codec_spec(recipe) == wanted
    (tmp_path / "recipe.lock.toml").write_text(lock_toml(recipe), "utf-8")
    assert codec_spec(load_recipe(tmp_path / "recipe.lock.toml")) == wanted
    assert 'margin_side = "both"' in lock_toml(recipe)


def test_faults_in_a_recipe_are_named_with_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = "margin = 2\nmargin_side = 'bohts'\nmargn = 1\nclip = 'mse'\nbits = '4'\n"
    Path("r.toml").write_text(f"{MODEL}[codec]\nquantizer = 'margin'\n{options}", "utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.toml", ["codec.quantiser=margin"])
    lines = str(caught.value).splitlines()
    assert [line.split(" Known:")[0] for line in lines] == [
        "--set codec.quantiser: unknown key 'quantiser'. Did you mean 'quantizer'?",
        "r.toml:5  codec.margin: must be at most 1, got 2.",
        "r.toml:6  codec.margin_side: 'bohts' is not a choice. Did you mean 'both'?",
        "r.toml:7  codec.margn: unknown key 'margn'. Did you mean 'margin'?",
        "r.toml:8  codec.clip: neither quantizer 'margin', temporal 'none' nor entropy coder 'rans' has such an "
        "option; leave it out.",
        "r.toml:9  codec.bits: must be a whole number, got '4'.",
    ]
    assert "margin, margin_side, maximum" in lines[0]


def test_from_the_command_line(tmp_path: Path, features: np.ndarray) -> None:
    text = "quantizer=margin,margin=0.5,margin_side=above,bits=6"
    assert spec_from_text(text) == CodecSpec(quantizer="margin", margin=0.5, margin_side="above", bits=6)
    np.save(tmp_path / "x.npy", features)
    outcome = cli("encode", tmp_path / "x.npy", "--codec", text, "--out", tmp_path / "x.scs", "--json")
    assert outcome.code == 0, outcome.err
    assert cli("decode", tmp_path / "x.scs", "--out", tmp_path / "back.npy").code == 0
    step = 1.5 * (features.max() - features.min()) / 63
    assert np.abs(np.load(tmp_path / "back.npy") - features).max() <= 0.5001 * step  # half a step, in float32
    outcome = cli("encode", tmp_path / "x.npy", "--codec", "quantizer=margin,margin=-1", "--out", tmp_path / "y.scs")
    assert outcome.code == 2
    assert "quantizer 'margin': margin: Input should be greater than or equal to 0" in outcome.err


def test_a_changed_quantizer_of_another_package_is_another_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its earlier code fitted is not believed, though name, options and version are the same."""
    monkeypatch.delenv("SPLITC_NO_CACHE")
    monkeypatch.setenv("SPLITC_CACHE", str(tmp_path / "cache"))
    source = write_setting(tmp_path / "source")
    given = setting("codec.quantizer=margin", "codec.bits=6")
    module = tmp_path / "code" / "other_margin.py"
    module.parent.mkdir()
    module.write_bytes(Path(margin_quantizer.__file__).read_bytes())
    monkeypatch.syspath_prepend(module.parent)
    monkeypatch.delitem(sys.modules, "other_margin", raising=False)
    QUANTIZERS.remove("margin")
    QUANTIZERS.add("margin", "other_margin:Margin")
    assert build(source, tmp_path / "x", *given).code == 0
    text = module.read_text("utf-8")
    module.write_text(f"{text}# another version\n", "utf-8")
    ran, real = list[str](), Codec.fit.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(Codec, "fit", classmethod(lambda *given, **more: ran.append("fit") or real(*given, **more)))
    assert build(source, tmp_path / "y", *given).code == 0
    assert ran
    ran.clear()
    assert build(source, tmp_path / "z", *given).code == 0
    assert ran == []


def test_in_a_bundle_and_in_the_reference(tmp_path: Path) -> None:
    source = write_setting(tmp_path / "source")
    given = setting("codec.quantizer=margin", "codec.margin=0.25", "codec.bits=6")
    outcome = build(source, tmp_path / "x", *given)
    assert outcome.code == 0, outcome.err
    contract = read_contract(open_bundle(tmp_path / "x"))
    assert contract.quantized_in == "graph"
    assert contract.codec["spec"] == {
        "quantizer": "margin",
        "bits": 6,
        "scope": "tensor",
        "margin": 0.25,
        "margin_side": "both",
        "temporal": "none",
        "entropy": "rans",
        "contexts": "few",
    }
    assert "| `margin` | number from 0 to 1 | `0.125` | added at each end, as a share of the range |" in reference()
