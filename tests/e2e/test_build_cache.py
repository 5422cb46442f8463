"""A build that finds the steps of an earlier one writes the same bytes, and computes only what a change touches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_setting import CLASSES, PICTURES, build, file_bytes, setting, write_setting

from splitc import driver, evaluate, lowering, trials
from splitc.driver import pipeline


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_setting(tmp_path_factory.mktemp("cached"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SPLITC_NO_CACHE")
    monkeypatch.setenv("SPLITC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "steps"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the long steps that ran, in order."""
    ran: list[str] = []

    def counting(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **options: object) -> object:
            ran.append(name)
            return real(*arguments, **options)

        return run

    for module, name in ((trials, "features"), (evaluate, "verify")):
        monkeypatch.setattr(module, name, counting(name, getattr(module, name)))
    monkeypatch.setattr("splitc.driver.pipeline.lower", counting("lower", lowering.lower))
    monkeypatch.setattr(trials.CutTrials, "_measured", counting("trial", trials.CutTrials._measured))
    return ran


KINDS = {
    "float": (),
    "int8": ("weights.precision=int8", "codec.bits=6"),
    "mixed": ("weights.precision=int8", "codec.bits=8", "data.task=features", "gate.min_fidelity=0.99999"),
    "pruned": ("weights.prune={ conv = 0.5 }", "weights.cluster={ conv_bits = 4 }"),
    "stream": ("codec.quantizer=uniform", "codec.temporal=difference"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_cold_warm_and_without_cache_give_the_same_bytes(source: Path, tmp_path: Path, cache: Path, kind: str) -> None:
    asked = setting(*KINDS[kind])
    found = []
    for name, more in (("cold", ()), ("warm", ()), ("none", ("--no-cache",))):
        outcome = build(source, tmp_path / name, *asked, *more)
        found.append(file_bytes(Path(outcome.document["bundle"])))
    assert found[0] == found[1] == found[2]
    assert len(list(cache.iterdir())) > 3


def test_nothing_is_computed_twice(source: Path, tmp_path: Path, cache: Path, computed: list[str]) -> None:
    asked = setting("weights.precision=int8")
    assert build(source, tmp_path / "x", *asked).code == 0
    assert sorted(set(computed)) == ["features", "lower", "trial", "verify"]
    computed.clear()
    assert build(source, tmp_path / "x", *asked).code == 0
    assert computed == []


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param("codec.step=0.4", {"trial", "verify"}, id="codec"),
        pytest.param("gate.max_rate_bpe=15.0", set(), id="gate"),
        pytest.param("name=other", {"verify"}, id="name"),  # it stands in the contract, which verification reads
        pytest.param("weights.precision=int8", {"features", "lower", "trial", "verify"}, id="precision"),
        pytest.param("data.crops=2", {"features", "trial", "verify"}, id="samples"),
        pytest.param("data.preprocess.scale=0.01", {"features", "trial", "verify"}, id="preprocess"),
    ],
)
def test_a_change_computes_what_it_touches(
    source: Path, tmp_path: Path, cache: Path, computed: list[str], change: str, again: set[str]
) -> None:
    build(source, tmp_path / "x")
    computed.clear()
    build(source, tmp_path / "y", *setting(change))
    assert set(computed) - {"lower"} == again - {"lower"}
    assert ("lower" in again) <= ("lower" in computed)


def test_another_model_under_the_same_name_is_another_model(
    source: Path, tmp_path: Path, cache: Path, computed: list[str]
) -> None:
    other = write_setting(tmp_path / "other")
    model = next(other.glob("*.onnx"))
    build(other, tmp_path / "x")
    computed.clear()
    model.write_bytes(model.read_bytes() + b"\x0a\x00")  # an empty field that the parser drops: other bytes
    build(other, tmp_path / "x")
    assert {"features", "trial", "verify"} <= set(computed)


@pytest.mark.parametrize("name", ["pictures/picture02.png", "pictures/picture03.png", "tiny.onnx"])
@pytest.mark.parametrize("flags", [(), ("--no-cache",)], ids=str)
def test_a_file_that_changes_during_a_build_is_refused_and_poisons_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, flags: tuple[str, ...]
) -> None:
    """Else features of the new bytes would stand under the old ones' hash, and be believed once those are back."""
    source = write_setting(tmp_path / "source")
    kept, real = (source / name).read_bytes(), pipeline.find_inputs

    def changing(*arguments: object, **options: object) -> object:
        found = real(*arguments, **options)
        other = source / "pictures/picture05.png" if name.endswith("png") else source / "recipe.toml"
        (source / name).write_bytes(other.read_bytes())
        return found

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "find_inputs", changing)
        outcome = build(source, tmp_path / "x", *flags)
    assert (outcome.code, (tmp_path / "x").exists()) == (2, False)
    assert (
        f"{Path(name).name}: changed while it was used; run the command again when the file is complete." in outcome.err
    )
    (source / name).write_bytes(kept)
    assert build(source, tmp_path / "warm").code == build(source, tmp_path / "none", "--no-cache").code == 0
    assert file_bytes(tmp_path / "warm") == file_bytes(tmp_path / "none")


@pytest.mark.parametrize("name", ["labels.csv", "classes.txt"])
def test_what_is_said_of_answers_may_not_change_during_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Masks are read when they are asked for; other labels, and names, would belong to the new bytes in the report."""
    source, real = write_setting(tmp_path / "source"), pipeline.find_inputs
    (source / "labels.csv").write_text("".join(f"picture{index:02}.png,1\n" for index in range(PICTURES)))
    (source / "classes.txt").write_text("\n".join(f"name {index}" for index in range(CLASSES)))

    def changing(*arguments: object, **options: object) -> object:
        found = real(*arguments, **options)
        (source / name).write_bytes((source / name).read_bytes() + b"\n")
        return found

    monkeypatch.setattr(pipeline, "find_inputs", changing)
    outcome = build(
        source, tmp_path / "x", *setting(f"data.labels={source}/labels.csv", f"data.classes={source}/classes.txt")
    )
    assert (outcome.code, (tmp_path / "x").exists()) == (2, False)
    assert f"{name}: changed while it was used" in outcome.err


def test_damaged_entries_are_rebuilt(source: Path, tmp_path: Path, cache: Path) -> None:
    assert build(source, tmp_path / "x").code == 0
    for index, entry in enumerate(sorted(cache.iterdir())):
        data = bytearray(entry.read_bytes())
        data[-1 - index % len(data)] ^= 1
        entry.write_bytes(data)
    assert build(source, tmp_path / "y").code == 0
    assert file_bytes(tmp_path / "x") == file_bytes(tmp_path / "y")


def test_builds_side_by_side_share_the_cache(source: Path, tmp_path: Path, cache: Path) -> None:
    failed: list[BaseException] = []

    def one(index: int) -> None:
        try:
            driver.build(driver.load_recipe(source / "recipe.toml"), tmp_path / f"out{index}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failed
    assert file_bytes(tmp_path / "out0") == file_bytes(tmp_path / "out1") == file_bytes(tmp_path / "out2")
