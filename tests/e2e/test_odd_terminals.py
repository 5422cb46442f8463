"""Names that are no text, output that takes only ASCII, terminals of two columns: no traceback, and JSON stays JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_setting import build, cli, write_setting

SPLITC = [sys.executable, "-c", "from splitc.cli import main; main()"]
PATIENCE_S = 60
LATIN1 = os.fsdecode(b"caf\xe9.png")
"""A name as a camera or an old archive writes it: no UTF-8."""
ESCAPED = r"caf\udce9.png"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every other picture is called by bytes that are no UTF-8, so that pictures on the report's page are too."""
    folder = write_setting(tmp_path_factory.mktemp("odd") / "source")
    pictures = sorted((folder / "pictures").glob("*.png"))
    for number, picture in enumerate(pictures):
        picture.rename(picture.with_name(os.fsdecode(b"n\xff%02d.png" % number)))
    shutil.copy(next((folder / "pictures").iterdir()), folder / LATIN1)
    return folder


@pytest.fixture(scope="module")
def bundle(source: Path) -> Path:
    outcome = build(source, source.parent / "x")
    assert outcome.code == 0, outcome.err
    return source.parent / "x"


def splitc(*words: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [*SPLITC, *map(os.fsencode, map(str, words))]
    found = subprocess.run(command, env=os.environ | environment, capture_output=True, timeout=PATIENCE_S, check=False)
    assert b"Traceback" not in found.stderr, found.stderr.decode()
    return found


def test_pictures_of_any_name_stand_on_the_page(bundle: Path) -> None:
    assert r"n\udcff" in (bundle / "report.html").read_text("utf-8")
    assert all(
        one["name"].startswith("n\udcff") for one in json.loads((bundle / "report.json").read_bytes())["examples"]
    )


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii", "ascii:strict", "latin-1", "cp1252", "utf-16"])
def test_json_is_json_whatever_stdout_takes(encoding: str, source: Path, bundle: Path) -> None:
    found = splitc("run", bundle, source / LATIN1, "--json", PYTHONIOENCODING=encoding)
    assert found.returncode == 0, found.stderr.decode()
    (result,) = json.loads(found.stdout.decode(encoding.partition(":")[0]))["results"]
    assert os.fsencode(result["input"]) == b"caf\xe9.png"


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_people_see_a_name_s_odd_bytes(encoding: str, source: Path, bundle: Path) -> None:
    found = splitc("run", bundle, source / LATIN1, PYTHONIOENCODING=encoding)
    assert found.returncode == 0
    assert ESCAPED.encode() in found.stdout


def test_a_locale_without_utf8(source: Path, bundle: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    found = splitc("run", bundle, source / LATIN1, "--json", **plain)
    assert found.returncode == 0
    assert json.loads(found.stdout)["results"][0]["input"] == os.fsdecode(b"caf\xe9.png")
    for words in (["--help"], ["verify", bundle, "--base", source], ["doctor"]):
        assert splitc(*words, **plain).returncode == 0


def test_answers_of_pictures_of_any_name_are_kept(source: Path, bundle: Path, tmp_path: Path) -> None:
    kept = ["--draw", tmp_path / "drawn", "--save-outputs", tmp_path / "outputs"]
    assert splitc("run", bundle, source / LATIN1, *kept).returncode == 0
    for folder in ("drawn", "outputs"):
        (file,) = os.listdir(os.fsencode(tmp_path / folder))
        assert file.startswith(b"caf")


def test_a_folder_of_any_name_is_refused_in_words(source: Path, tmp_path: Path) -> None:
    """ONNX Runtime opens text only."""
    folder = tmp_path / os.fsdecode(b"dir\xe9")
    folder.mkdir()
    found = splitc("build", source / "recipe.toml", "--out", folder / "x")
    assert found.returncode == 2
    assert b"onnxruntime opens no file whose path is not UTF-8; choose another place" in found.stderr
    assert not os.listdir(folder)


@pytest.mark.parametrize(("place", "words"), [("/", "exists and is not a bundle"), (".", "exists and is not a bundle")])
def test_places_that_are_no_place_for_a_bundle(place: str, words: str, source: Path) -> None:
    found = build(source, Path(place))
    assert found.code == 2
    assert words in found.err


def test_a_place_behind_links(source: Path, tmp_path: Path) -> None:
    """Folders above may be links; the last name is what is replaced, so a link there is none of ours."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    assert build(source, tmp_path / "link/x").code == 0
    assert (tmp_path / "real/x/manifest.json").exists()
    for place in ("loop", "loop/x", "gone", "link"):
        found = build(source, tmp_path / place)
        assert (found.code, found.err.count("splitc: ")) == (2, 2), found.err  # what is built, and why not


@pytest.mark.parametrize("group", [[], ["delta"]])
def test_without_arguments_there_is_the_help_alone(group: list[str]) -> None:
    found = cli(*group)
    assert found.code == 2
    assert "Usage: " in found.out + found.err
    assert "Try 'splitc --help'" not in found.err


NO_PLACES = {
    "loop": "loop",  # links that lead in a circle
    "long": "x" * 300,
    "below-a-file": "recipe.toml/x",
    "root": "/",
}
PLACES = [
    ["inspect", "@"],
    ["split", "tiny.onnx", "--at", "stem/relu", "--out", "@"],
    ["split", "@", "--at", "stem/relu", "--out", "out"],
    ["merge", "tiny.onnx", "tiny.onnx", "--out", "@"],
    ["build", "@"],
    ["build", "recipe.toml", "--base", "@"],
    ["profile", "tiny.onnx", "--out", "@"],
    ["profile", "tiny.onnx", "--data", "@"],
    ["pack", "tiny.onnx", "--out", "@"],
    ["pack", "tiny.onnx", "--out", "out", "--skeleton", "@"],
    ["report", "../x", "--out", "@"],
    ["keygen", "@"],
    ["run", "../x", "@"],
    ["encode", "@", "--bundle", "../x", "--out", "out"],
    ["encode", "pictures", "--bundle", "../x", "--out", "@"],
]


@pytest.mark.parametrize("words", PLACES, ids=lambda words: "-".join(words[:1] + words[-2:]).replace("/", ""))
def test_paths_that_name_no_file(
    words: list[str], source: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(source, bundle.parent / tmp_path.name))
    Path("loop").symlink_to("loop")
    for kind, place in NO_PLACES.items():
        found = cli(*(word.replace("@", place) for word in words))
        assert found.code == 2, (kind, found.err)
        assert "splitc: " in found.err.splitlines()[-1], (kind, found.err)
        assert not os.path.lexists("out")


@pytest.mark.parametrize("terminal", [("2", "dumb"), ("1", "xterm"), ("0", ""), ("-5", "dumb"), ("wide", "")])
def test_terminals_of_two_columns(
    terminal: tuple[str, str], source: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", terminal[0])
    monkeypatch.setenv("TERM", terminal[1])
    commands: list[list[object]] = [
        ["--help"],
        ["run", "--help"],
        ["run", bundle, source / LATIN1],
        ["verify", bundle, "--base", source],
        ["inspect", source / "tiny.onnx", "--cuts"],
        ["plan", source / "recipe.toml"],
    ]
    for words in commands:
        assert cli(*words).code == 0
