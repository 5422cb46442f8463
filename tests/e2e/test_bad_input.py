"""Bad recipes, models and pictures: one message that says what and where, the documented exit code, nothing written."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import RECIPE, Outcome, build, cli, file_bytes, in_folder, listing, setting, write_setting
from onnx import parser
from PIL import Image
from refusals import assert_refused, unchanged

BRANCHES = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,3,32,32] image) => (float[N,6] logits) <float[1] limit = {0.5}> {
  pooled = GlobalAveragePool(image)
  flat = Flatten(pooled)
  first = ReduceMax<keepdims = 0>(flat)
  is_bright = Greater(first, limit)
  flag = Squeeze(is_bright)
  chosen = If (flag) <
    then_branch = yes () => (float[N,3] then_out) { doubled = Add(flat, flat) then_out = Relu(doubled) },
    else_branch = no () => (float[N,3] else_out) { else_out = Neg(flat) }
  >
  logits = Concat<axis = 1>(chosen, flat)
}"""
LABEL = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,3,32,32] image) => (float[N,2] logits) <float[3,2] table = {1, 2, 3, 4, 5, 6}> {
  pooled = GlobalAveragePool(image)
  flat = Flatten(pooled)
  label = ArgMax<axis = 1, keepdims = 0>(flat)
  logits = Gather(table, label)
}"""
SIZES = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,3,H,W] image) => (float[N,3] logits) {
  lit = Relu(image)
  pooled = GlobalAveragePool(lit)
  logits = Flatten(pooled)
}"""
INFINITE = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,3,32,32] image) => (float[N,3] logits) <float zero = {0.0}> {
  lit = Relu(image)
  pooled = GlobalAveragePool(lit)
  flat = Flatten(pooled)
  logits = Div(flat, zero)
}"""
COUNTED = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,3,32,32] image) => (int64[4,M] logits) {
  lit = Relu(image)
  logits = NonZero(lit)
}"""


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        pytest.param("codec.bitz=4", 2, ["--set codec.bitz: unknown key 'bitz'. Did you mean 'bits'?"], id="key"),
        pytest.param("codec.quantizer=unifrom", 2, ["unknown quantizer 'unifrom'. Did you mean 'uniform'?"], id="name"),
        pytest.param("codec.entropy=ranz", 2, ["unknown entropy coder 'ranz'. Did you mean 'rans'?"], id="coder"),
        pytest.param("target.edge.device=l44", 2, ["unknown device 'l44'. Did you mean 'l4'?"], id="device"),
        pytest.param(
            "target.edge.backend=onnx", 2, ["unknown backend 'onnx'. Did you mean 'onnxruntime'?"], id="engine"
        ),
        pytest.param("codec.bits=0", 2, ["codec.bits: must be at least 1, got 0"], id="bits-0"),
        pytest.param("codec.bits=four", 2, ["codec.bits: must be a whole number, got 'four'"], id="bits-text"),
        pytest.param("link.uplink_mbps=0", 2, ["link.uplink_mbps: must be above 0, got 0"], id="uplink-0"),
        pytest.param("split.at=[]", 2, ['must be "auto" or at least one tensor name'], id="no-cut"),
        pytest.param("nonsense", 2, ["--set nonsense"], id="no-equals-sign"),
        pytest.param("model.source=missing.onnx", 2, ["missing.onnx: no such file"], id="no-model"),
        pytest.param("model.source=zoo:efficientnet-lite9", 2, ["Did you mean 'efficientnet-lite0'?"], id="zoo-name"),
        pytest.param("data.calibration=[]", 2, ["data.calibration: names no files"], id="no-data"),
        pytest.param("data.calibration=none/*.png", 2, ["none/*.png: no picture, array or video"], id="no-pictures"),
        pytest.param("data.calibration=package:nosuch/a.png", 2, ["package:nosuch: no such package"], id="no-package"),
        pytest.param("data.verification=pictures/picture03.png", 2, ["is among data.calibration too"], id="both"),
        pytest.param("data.labels=no.csv", 2, ["no.csv: cannot be read (No such file or directory)"], id="no-labels"),
        pytest.param("data.labels=tiny.onnx", 2, ["tiny.onnx:1: is not UTF-8 text"], id="labels-binary"),
        pytest.param("data.classes=no.txt", 2, ["no.txt: cannot be read"], id="no-classes"),
        pytest.param("data.preprocess={crop=32, resize=16}", 2, ["is smaller than the crop of 32"], id="crop"),
        pytest.param("data.preprocess={resize=64, crop=64}", 2, ["gives float32 [1, 3, 64, 64]", "'image'"], id="size"),
        pytest.param("model.shapes={image='Nx3x48x48'}", 2, ["dimension 2 is 32 in the model"], id="shape"),
        pytest.param("split.at=block/1/out", 2, ["data reaches output 'logits' around it: ", "stem/out"], id="leak"),
        pytest.param("split.at=block/otu", 2, ["no value is called 'block/otu'. Did you mean 'block/out'?"], id="typo"),
        pytest.param("split.at=image", 2, ["so the head would be empty"], id="input"),
        pytest.param("split.at=logits", 2, ["so the tail would be empty"], id="output"),
        pytest.param("split.at=head.w", 2, ["'head.w' is an initializer"], id="weights"),
        pytest.param("split.at=['block/out', 'stem/out']", 2, ["'stem/out' is not needed"], id="superfluous"),
        pytest.param("split={at='auto', pin_cloud=['/stem/*']}", 2, ["none of ", "satisfies the pins"], id="pins"),
        pytest.param("codec={bits=16, entropy='huffman'}", 2, ["'huffman' takes at most 8 bits, got 16"], id="bits"),
        pytest.param(
            "split={at='block/out', min_depth=1}", 2, ["min_depth asks for 100.0%"], id="depth-of-a-named-cut"
        ),
        pytest.param("model.dims={Z=3}", 2, ["model.dims.Z: no input has a dimension of that name"], id="idle-dim"),
        pytest.param("target.cloud.compute_capabilities=[80]", 2, ["builds for no GPU; leave it out"], id="idle-sm"),
        pytest.param("data.classes=recipe.toml", 2, ["names, output 'logits' has shape ['N', 10]"], id="classes"),
        pytest.param(
            "codec={transform='klt', quantizer='log'}", 2, ["transform 'klt' needs a step for each of its"], id="klt"
        ),
        pytest.param(
            "codec={quantizer='log', clip='kl'}", 2, ["--set codec: clip: neither quantizer 'log'"], id="option"
        ),
        pytest.param(
            "recovery={schedule='dense-sparse-dense'}",
            3,
            ["schedule: 'dense-sparse-dense' is not built"],
            id="train",
        ),
        pytest.param("video={clips=3}", 3, ["video: this table is not built"], id="video"),
        pytest.param("data.task=detecton", 2, ["unknown task 'detecton'. Did you mean 'detection'?"], id="task"),
        pytest.param("data.task=detection", 2, ["[N,10]: are no head that is known; write head = "], id="head"),
        pytest.param("gate.max_map_drop=0.01", 2, ["'classification' measures no such thing; it has "], id="no-gate"),
        pytest.param("gate.max_top1_drop=0.01", 2, ["gate.max_top1_drop: a drop is against labels"], id="no-truth"),
        pytest.param("gate.confidence=0.9", 2, ["gate.confidence: no other gate"], id="idle-confidence"),
    ],
)
def test_recipes(override: str, code: int, words: list[str], source: Path, tmp_path: Path) -> None:
    with unchanged(source), in_folder(source):  # where paths in --set are from
        assert_refused(build(source, tmp_path / "x", *setting(override)), code, *words)
    assert listing(tmp_path) == set()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param('at = "block/out"\npin_egde = []', [":18  split.pin_egde: unknown key", "'pin_edge'"], id="key"),
        pytest.param("at = ", ["recipe.toml:17  is not TOML: "], id="syntax"),
        pytest.param(
            'at = "block/out"\nmin_depth = 2', ["recipe.toml:18  split.min_depth: must be at most 1"], id="range"
        ),
    ],
)
def test_faults_have_their_line(line: str, words: list[str], tmp_path: Path) -> None:
    folder = write_setting(tmp_path / "source", recipe=RECIPE.replace('at = "block/out"', line))
    assert_refused(build(folder, tmp_path / "x"), 2, *words)


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    text = RECIPE + '\n[codec]\nbits = 99\nentropy = "ranz"\n'
    folder = write_setting(tmp_path / "source", recipe=text)
    outcome = build(folder, tmp_path / "x")
    assert_refused(outcome, 2, "recipe.toml:20  codec.bits", "recipe.toml:21  codec.entropy")


def garbage(folder: Path) -> None:
    (folder / "tiny.onnx").write_bytes(np.random.default_rng(0).bytes(4000))


def cut_short(folder: Path) -> None:
    (folder / "tiny.onnx").write_bytes((folder / "tiny.onnx").read_bytes()[:3000])


def empty_model(folder: Path) -> None:
    (folder / "tiny.onnx").write_bytes(b"")


def no_weights_file(folder: Path) -> None:
    model = onnx.load(folder / "tiny.onnx")
    onnx.save(model, folder / "tiny.onnx", save_as_external_data=True, location="tiny.data", size_threshold=0)
    (folder / "tiny.data").unlink()


def not_a_picture(folder: Path) -> None:
    (folder / "pictures/picture05.png").write_text("no picture")


def half_a_picture(folder: Path) -> None:
    path = folder / "pictures/picture05.png"
    path.write_bytes(path.read_bytes()[:200])


def link_to_nowhere(folder: Path) -> None:
    (folder / "pictures/picture05.png").unlink()
    (folder / "pictures/picture05.png").symlink_to("gone.png")


def huge_picture(folder: Path) -> None:
    """A PNG whose header claims 60,000 x 60,000 pixels."""
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(b""),
        b"IEND": b"",
    }
    parts = [
        struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks.items()
    ]
    (folder / "pictures/picture05.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def endless_picture(folder: Path) -> None:
    """One pixel wide: resized to 4096, it would have more pixels than memory."""
    Image.new("RGB", (1, 60_000)).save(folder / "pictures/picture05.png")
    text = RECIPE.replace("resize = 32", "resize = 4096")
    (folder / "recipe.toml").write_text(text)


def no_recipe(folder: Path) -> None:
    (folder / "recipe.toml").unlink()


def folder_as_recipe(folder: Path) -> None:
    (folder / "recipe.toml").unlink()
    (folder / "recipe.toml").mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(no_recipe, ["recipe.toml: no such file"], id="no-recipe"),
        pytest.param(folder_as_recipe, ["recipe.toml: is a folder"], id="folder-as-recipe"),
        pytest.param(garbage, ["tiny.onnx: not a readable ONNX model"], id="garbage"),
        pytest.param(cut_short, ["tiny.onnx: not a readable ONNX model"], id="cut-short"),
        pytest.param(empty_model, ["tiny.onnx: "], id="empty-model"),
        pytest.param(no_weights_file, ["external data file 'tiny.data' is missing"], id="no-external-data"),
        pytest.param(not_a_picture, ["picture05.png: not a readable picture"], id="not-a-picture"),
        pytest.param(half_a_picture, ["picture05.png: not a readable picture"], id="half-a-picture"),
        pytest.param(link_to_nowhere, ["picture05.png: cannot be read"], id="link-to-nowhere"),
        pytest.param(huge_picture, ["picture05.png: not a readable picture", "decompression bomb"], id="huge-picture"),
        pytest.param(
            endless_picture, ["picture05.png: a picture of 1x60000 is too long to resize"], id="endless-picture"
        ),
    ],
)
def test_files(spoil: Callable[[Path], None], words: list[str], tmp_path: Path) -> None:
    folder = write_setting(tmp_path / "source")
    spoil(folder)
    with unchanged(folder):
        assert_refused(build(folder, tmp_path / "x"), 2, *words)
    assert listing(tmp_path) == {"source"}


@pytest.mark.parametrize(
    ("model", "override", "code", "words"),
    [
        pytest.param(
            BRANCHES, "split.at=doubled", 2, ["is a cut inside a subgraph (If, Loop or Scan)"], id="inside-if"
        ),
        pytest.param(BRANCHES, "split.at=chosen", 2, ["data reaches output 'logits' around it"], id="beside-if"),
        pytest.param(LABEL, "split.at=label", 2, ["value 'label'", "int64"], id="int64-crosses"),
        pytest.param(
            SIZES,
            "codec={quantizer='uniform', entropy='hevc'}",
            2,
            ["value 'lit' changes its size (H, W); entropy coder 'hevc' takes one size", "choose"],
            id="sizes",
        ),
        pytest.param(INFINITE, "codec.bits=4", 1, ["stage 'full' holds NaN or infinities"], id="infinite"),
        pytest.param(COUNTED, "data.task=features", 3, ["answers whose size depends on the input"], id="counted"),
    ],
)
def test_models(model: str, override: str, code: int, words: list[str], tmp_path: Path) -> None:
    recipe = RECIPE.replace('at = "block/out"', 'at = "lit"')
    folder = write_setting(tmp_path / "source", parser.parse_model(model), recipe)
    assert_refused(build(folder, tmp_path / "x", *setting(override)), code, *words)
    assert listing(tmp_path) == {"source"}


def test_pictures_of_different_sizes_are_fitted_together(tmp_path: Path) -> None:
    folder = write_setting(tmp_path / "source", parser.parse_model(SIZES), RECIPE.replace("block/out", "lit"))
    (folder / "mixed").mkdir()
    for index in range(4):
        Image.new("RGB", (30 + index, 20), (9 * index, 200, 40)).save(folder / f"mixed/{index}.png")
    with in_folder(folder):
        outcome = build(folder, tmp_path / "x", *setting("data={calibration='mixed/*.png'}"))
    assert outcome.code == 0, outcome.err


def test_a_model_that_gives_no_tensor(tmp_path: Path) -> None:
    text = SIZES.replace("H,W", "32,32").replace("float[N,3] logits", "float[N,3] listed")
    model = parser.parse_model(text.replace("logits = Flatten(pooled)", "listed = SequenceConstruct(pooled)"))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_sequence_value_info("listed", onnx.TensorProto.FLOAT, None))
    folder = write_setting(tmp_path / "source", model, RECIPE.replace("block/out", "lit"))
    outcome = build(folder, tmp_path / "x", *setting("data.task=features"))
    assert_refused(outcome, 2, "no output ('listed') is a tensor of known shape")


@pytest.mark.parametrize(
    ("nodes", "output"),
    [
        pytest.param("answer = ArgMax <axis = 1, keepdims = 0> (flat)", "int64[N] answer", id="an-index"),
        pytest.param("answer = Cast <to = 7> (flat)", "int64[N,3072] answer", id="whole-numbers"),
        pytest.param("answer = Identity(lit)", "float[N,3,32,32] answer", id="a-map"),
        pytest.param(
            "t = Transpose <perm = [1, 0]> (flat)  answer = Relu(t)", "float[3072,N] answer", id="classes-unknown"
        ),
    ],
)
def test_what_is_no_classification(nodes: str, output: str, tmp_path: Path) -> None:
    text = f"""
<ir_version: 8, opset_import: ["" : 17]>
tiny (float[N,3,32,32] image) => ({output}) {{ lit = Relu(image)  flat = Flatten(lit)  {nodes} }}
"""
    folder = write_setting(tmp_path / "source", parser.parse_model(text), RECIPE.replace("block/out", "lit"))
    words = ["one float score for each of a fixed number of classes; 'answer' is ", 'data.task = "features"']
    assert_refused(build(folder, tmp_path / "x"), 2, *words)


def test_classes_on_a_one_by_one_map_are_classes(tmp_path: Path) -> None:
    """As SqueezeNet ends."""
    text = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (float[N,3,32,32] image) => (float[N,3,1,1] answer) { lit = Relu(image)  answer = GlobalAveragePool(lit) }
"""
    folder = write_setting(tmp_path / "source", parser.parse_model(text), RECIPE.replace("block/out", "lit"))
    assert build(folder, tmp_path / "x").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["bild"], ["No such command 'bild'"], id="command"),
        pytest.param(["build"], ["Missing argument 'recipe'"], id="argument"),
        pytest.param(
            ["build", "r.toml", "--nonsense"], ["No such option: --nonsense. Try 'splitc --help'."], id="option"
        ),
        pytest.param(["run", "b", "x", "--threads", "0"], ["'--threads'"], id="range"),
        pytest.param(["inspect", "no.onnx"], ["no.onnx: no such file"], id="no-model"),
        pytest.param(["inspect", "."], [".: is a folder; name the .onnx file in it"], id="folder"),
        pytest.param(["inspect", "zoo:nope"], ["unknown network 'nope'"], id="no-network"),
        pytest.param(["run", "nowhere", "x.png"], ["nowhere: is not a bundle: no such folder"], id="no-bundle"),
        pytest.param(["verify", "nowhere", "--json"], ["nowhere: is not a bundle: no such folder"], id="verify"),
        pytest.param(["report", "nowhere", "--json"], ["nowhere: is not a bundle: no such folder"], id="report"),
    ],
)
def test_arguments(arguments: list[str], words: list[str]) -> None:
    assert_refused(cli(*arguments), 2, *words)


def test_a_shape_that_is_none(source: Path) -> None:
    assert_refused(
        cli("inspect", source / "tiny.onnx", "--shape", "image=1x3"), 2, "--shape: must be a table, or texts"
    )


def something_there(place: Path) -> None:
    place.mkdir()
    (place / "thesis.txt").write_text("years of work")


def a_file_there(place: Path) -> None:
    place.write_text("years of work")


def bundle_and_more(place: Path, bundle: Path) -> None:
    for name, data in file_bytes(bundle).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    (place / "notes.txt").write_text("years of work")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        pytest.param(something_there, "exists and is not a bundle", id="a-folder"),
        pytest.param(a_file_there, "exists and is not a folder", id="a-file"),
        pytest.param(bundle_and_more, "holds 'notes.txt', which is no part of the bundle", id="a-bundle-and-more"),
    ],
)
def test_what_is_no_bundle_is_never_replaced(
    what: Callable[..., None], words: str, source: Path, bundle: Path, tmp_path: Path
) -> None:
    what(tmp_path / "x", bundle) if what is bundle_and_more else what(tmp_path / "x")
    with unchanged(tmp_path):
        assert_refused(build(source, tmp_path / "x"), 2, words, "so it is not replaced")
    assert listing(tmp_path) == {"x"}


def test_out_below_a_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(build(source, tmp_path / "file" / "x"), 2, "cannot be written: not a directory")


def test_a_gate_is_missed_in_the_folder_itself(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    outcome = cli("build", source / "recipe.toml", "--out", ".", *setting("gate.max_rate_bpe=0.01"))
    assert_refused(outcome, 1, "what was built stands at ")
    assert listing(tmp_path) == {"here", "here.rejected"}


def real_process(*arguments: object) -> Outcome:
    command = [sys.executable, "-c", "from splitc.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("override", "code"), [("codec.bits=99", 2), ("video={clips=3}", 3), ("gate.max_edge_ms=1e-9", 1)], ids=str
)
def test_a_real_process_ends_the_same_way(override: str, code: int, source: Path, tmp_path: Path) -> None:
    outcome = real_process("build", source / "recipe.toml", "--out", tmp_path / "x", *setting(override))
    assert_refused(outcome, code)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        pytest.param(["run", "BUNDLE", "PIPE"], "pipe.png", id="picture"),
        pytest.param(["run", "BUNDLE", "PIPE"], "pipe.npy", id="array"),
        pytest.param(["verify", "BUNDLE", "--data", "PIPE"], "pipe.png", id="data"),
        pytest.param(["profile", "PIPE"], "pipe.onnx", id="model"),
        pytest.param(["encode", "PIPE", "--out", "x.bin"], "pipe.npy", id="features"),
        pytest.param(["decode", "PIPE", "--out", "x.npy"], "pipe.bin", id="bitstream"),
        pytest.param(["unpack", "PIPE", "--out", "x.npz"], "pipe.scw", id="container"),
        pytest.param(["delta", "apply", "PIPE", "PIPE"], "pipe.scw", id="update"),
    ],
)
def test_a_pipe_is_refused_and_not_waited_for(bundle: Path, tmp_path: Path, words: list[str], name: str) -> None:
    """Nobody writes into it."""
    os.mkfifo(tmp_path / name)
    places = {"BUNDLE": bundle, "PIPE": tmp_path / name}
    with in_folder(tmp_path):
        assert_refused(cli(*(places.get(word, word) for word in words)), 2, f"{name}: is no plain file; name one.")
    assert listing(tmp_path) == {name}
