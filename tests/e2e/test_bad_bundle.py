"""Damaged, foreign and mixed bundles, and inputs that do not fit: refused by every command, with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from e2e_setting import SIDE, build, cli, listing, setting
from PIL import Image
from refusals import assert_refused, unchanged

from splitc.bundle import open_bundle, write_manifest
from splitc.errors import BitstreamError
from splitc.runtime import CloudHalf, EdgeHalf


@pytest.fixture(scope="module")
def other(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another build of the same network: 3 bits instead of 4."""
    out = tmp_path_factory.mktemp("other") / "other"
    assert build(source, out, *setting("codec.bits=3")).code == 0
    return out


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundle, tmp_path / "copy")


def flip(name: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[len(data) // 2] ^= 1
        (root / name).write_bytes(data)

    return spoil


def cut_short(root: Path) -> None:
    (root / "cloud/model.onnx").write_bytes((root / "cloud/model.onnx").read_bytes()[:-1])


def remove(root: Path) -> None:
    (root / "verify.json").unlink()


def add(root: Path) -> None:
    (root / "edge/extra.bin").write_bytes(b"")


def link(root: Path) -> None:
    (root / "report.html").unlink()
    (root / "report.html").symlink_to("report.json")


def no_manifest(root: Path) -> None:
    (root / "manifest.json").unlink()


def half_a_manifest(root: Path) -> None:
    text = (root / "manifest.json").read_text()
    (root / "manifest.json").write_text(text[: len(text) // 2])


def from_the_future(root: Path) -> None:
    table = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps(table | {"schema": 2}))


def another_pair_id(root: Path) -> None:
    table = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps(table | {"pair_id": "0" * 64}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(flip("edge/model.onnx"), ["is damaged: edge/model.onnx has sha256"], id="edge-model-changed"),
        pytest.param(flip("contract.json"), ["contract.json has sha256"], id="contract-changed"),
        pytest.param(flip("report.html"), ["report.html has sha256"], id="report-changed"),
        pytest.param(cut_short, ["cloud/model.onnx has ", " bytes, expected "], id="cut-short"),
        pytest.param(remove, ["verify.json is missing"], id="file-missing"),
        pytest.param(add, ["edge/extra.bin is not listed in manifest.json"], id="file-added"),
        pytest.param(link, ["'report.html' is a symbolic link"], id="link"),
        pytest.param(no_manifest, ["is not a bundle: it has no manifest.json"], id="no-manifest"),
        pytest.param(half_a_manifest, ["manifest.json: is not JSON"], id="half-a-manifest"),
        pytest.param(from_the_future, ["schema 2 is newer than this splitc reads (1)"], id="newer-schema"),
        pytest.param(another_pair_id, ["pair id 000000000000 does not belong"], id="pair-id"),
    ],
)
@pytest.mark.parametrize("command", ["run", "verify", "report"])
def test_damage(command: str, spoil: Callable[[Path], None], words: list[str], copy: Path, source: Path) -> None:
    spoil(copy)
    arguments = {"run": [source / "pictures"], "verify": ["--base", source], "report": []}[command]
    with unchanged(copy):
        assert_refused(cli(command, copy, *arguments, "--json"), 2, *words)


def test_halves_of_two_builds_are_refused(copy: Path, other: Path, source: Path) -> None:
    """Both halves are whole and listed with their hashes; only the pair id knows."""
    manifest, theirs = (json.loads((root / "manifest.json").read_text()) for root in (copy, other))
    shutil.copy(other / "cloud/model.onnx", copy / "cloud/model.onnx")
    manifest["files"]["cloud/model.onnx"] = theirs["files"]["cloud/model.onnx"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    outcome = cli("run", copy, source / "pictures", "--json")
    assert_refused(outcome, 2, "the halves were mixed from different builds")


def crafted(root: Path, field: str, key: str, value: object) -> None:
    """Change one tensor of the contract, and seal the bundle again as if it were sound."""
    table = json.loads((root / "contract.json").read_text())
    table[field][0][key] = value
    if field == "cut":
        table["codec"]["tensors"][0]["tensor"][key] = value
        table["wire"][0][key] = table["wire"][0][key] if key == "name" else value
    (root / "contract.json").write_text(json.dumps(table))
    manifest = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").unlink()
    write_manifest(root, **{key: manifest[key] for key in ("name", "splitc", "tools", "inputs")})


@pytest.mark.parametrize(
    ("field", "key", "value", "words"),
    [
        pytest.param("inputs", "name", "picture", "inputs: says 'picture' float32", id="input-name"),
        pytest.param("inputs", "dtype", "uint8", "and the edge model takes 'image' float32", id="input-type"),
        pytest.param("inputs", "shape", ["N", 3, 16, 16], "inputs: says", id="input-size"),
        pytest.param("wire", "name", "x", "wire: says 'x' uint8", id="wire-name"),
        pytest.param("cut", "shape", ["N", 8, 16, 8], "wire: says", id="cut-size"),
        pytest.param("outputs", "name", "scores", "and the cloud model gives nothing", id="output-name"),
        pytest.param("outputs", "shape", ["N", 5], "outputs: says 'logits'", id="output-size"),
    ],
)
def test_a_contract_of_other_graphs_is_refused(
    field: str, key: str, value: object, words: str, copy: Path, source: Path
) -> None:
    crafted(copy, field, key, value)
    for command in (["run", copy, source / "pictures"], ["verify", copy, "--base", source]):
        assert_refused(cli(*command, "--json"), 2, f"contract.json: {field if field != 'cut' else 'wire'}: ", words)


def test_a_bitstream_of_another_pair_is_refused(bundle: Path, other: Path) -> None:
    ours, theirs = open_bundle(bundle), open_bundle(other)
    edge, cloud = EdgeHalf(ours), CloudHalf(theirs)
    packet = edge.encode(edge.symbols({"image": np.zeros((1, 3, SIDE, SIDE), np.float32)}))
    with pytest.raises(BitstreamError) as caught:
        cloud.decode(packet)
    assert ours.pair_id[:8] in str(caught.value)
    assert theirs.pair_id[:8] in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 11, -1], ids=["empty", "magic-cut", "header-cut", "last-byte"])
def test_a_cut_bitstream_is_refused(length: int, bundle: Path) -> None:
    opened = open_bundle(bundle)
    edge, cloud = EdgeHalf(opened), CloudHalf(opened)
    packet = edge.encode(edge.symbols({"image": np.ones((1, 3, SIDE, SIDE), np.float32)}))
    with pytest.raises(BitstreamError):
        cloud.decode(packet[:length])


IMAGE = (1, 3, SIDE, SIDE)


@pytest.mark.parametrize(
    ("name", "arrays", "words"),
    [
        pytest.param("x.npy", np.zeros(IMAGE, "i8"), ["gives int64", "takes float32 ['N', 3, 32, 32]"], id="int64"),
        pytest.param("x.npy", np.full(IMAGE, 1e300), ["'image' holds numbers beyond float32"], id="float64-too-large"),
        pytest.param("x.npy", np.zeros((3, 9, 9), "f4"), ["gives float32 [1, 3, 9, 9]"], id="size"),
        pytest.param("x.npy", np.float32(1), ["gives float32 []"], id="scalar"),
        pytest.param("x.npy", np.zeros((0, *IMAGE[1:]), "f4"), ["holds no samples"], id="no-samples"),
        pytest.param("x.npy", np.full(IMAGE, np.nan, "f4"), ["'image' holds NaN"], id="nan"),
        pytest.param("x.npy", np.full(IMAGE, np.inf, "f4"), ["'image' holds NaN or infinities"], id="infinite"),
        pytest.param("x.npz", {"picture": np.zeros(IMAGE, "f4")}, ["holds ['picture']", "are ['image']"], id="name"),
        pytest.param("x.npz", {}, ["holds []"], id="empty"),
        pytest.param("x.npy", b"no array", ["not a readable NumPy file"], id="no-array"),
        pytest.param("x.npz", b"PK\x03\x04no zip", ["not a readable NumPy file"], id="no-zip"),
        pytest.param("x.png", b"no picture", ["not a readable picture"], id="no-picture"),
        pytest.param("x.txt", b"text", ["no picture, array or video found"], id="text"),
    ],
)
def test_inputs_that_do_not_fit(name: str, arrays: object, words: list[str], bundle: Path, tmp_path: Path) -> None:
    if isinstance(arrays, bytes):
        (tmp_path / name).write_bytes(arrays)
    elif isinstance(arrays, dict):
        np.savez(tmp_path / name, **arrays)
    else:
        np.save(tmp_path / name, arrays)
    for command in ("run", "verify"):
        inputs = [tmp_path / name] if command == "run" else ["--data", tmp_path / name]
        assert_refused(cli(command, bundle, *inputs, "--json"), 2, name, *words)


def test_pickles_are_never_loaded(bundle: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert_refused(cli("run", bundle, tmp_path / "x.npy"), 2, "Object arrays cannot be loaded")


def test_the_first_bad_input_ends_a_json_run(bundle: Path, source: Path, tmp_path: Path) -> None:
    """No half of a document: the good picture before it is not printed."""
    Image.open(source / "pictures/picture00.png").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    assert_refused(cli("run", bundle, tmp_path, "--json"), 2, "b.png: not a readable picture")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        pytest.param("no/page.html", "page.html: cannot be written (No such file or directory)", id="no-folder"),
        pytest.param(".", "is a folder; name a file in it", id="a-folder"),
        pytest.param("file/page.html", "page.html: cannot be written (Not a directory)", id="below-a-file"),
    ],
)
def test_a_report_that_cannot_be_written(out: str, words: str, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    assert_refused(cli("report", bundle, "--out", tmp_path / out, "--json"), 2, words)
    assert listing(tmp_path) == {"file"}


def test_a_report_inside_the_bundle_would_break_its_seal(copy: Path) -> None:
    with unchanged(copy):
        assert_refused(
            cli("report", copy, "--out", copy / "edge" / "page.html"), 2, "is inside the bundle, which is sealed"
        )


def test_verify_finds_no_data_in_another_folder(bundle: Path, tmp_path: Path) -> None:
    words = (
        "pictures/*.png: no picture, array or video found",
        f"; name the recipe's folder with --base (now {tmp_path}), or other files with --data.",
    )
    assert_refused(cli("verify", bundle, "--base", tmp_path, "--json"), 2, *words)


def test_verify_with_labels_that_are_none(bundle: Path, source: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("name,class\npicture03.png,cat\n")
    outcome = cli("verify", bundle, "--base", source, "--labels", tmp_path / "labels.csv", "--json")
    assert_refused(outcome, 2, 'labels.csv:2: no class index; a line is "picture,index"')
