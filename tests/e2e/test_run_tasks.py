"""Tasks at work: from a recipe to boxes, drawn pictures, a plan and INT8 layers that are judged by the task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import (
    CUT,
    RECIPE,
    SIDE,
    Net,
    build,
    cli,
    features_to_logits,
    listing,
    setting,
    write_pictures,
    write_setting,
)
from PIL import Image

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared/data"))
CLASSES = ("cat", "dog", "cow")
DETECTION = 'task = "detection"\nclasses = "classes.txt"\n[data.detection]\nhead = "yolov8"\nscore = 0.6\n'


def recipe_with(data: str, base: str = RECIPE) -> str:
    """The small recipe with more keys in [data], and whatever tables follow them."""
    return base.replace("[data.preprocess]", f"{data}[data.preprocess]")


def shares(batch: int) -> tuple[Net, str]:
    """image -> stem/out -> CUT -> 16 places of 4 box values and 3 scores, of sigmoids; a batch of 0 is any."""
    net = Net(7)
    stem = net.op("Relu", [net.conv("image", "stem/conv", (3, 8), stride=2)], "stem/out")
    cut = net.op("Relu", [net.conv(stem, "block/conv", (8, 8))], CUT)
    x = net.op("Relu", [net.conv(cut, "deep/conv", (8, 16), stride=2)], "deep/out")
    x = net.conv(x, "raw", (16, 7), stride=2)
    x = net.op("Reshape", [x, net.constant("rows", np.array([batch, 7, 16]))], "listed")
    x = net.op("Sigmoid", [x], "shares")
    return net, x


def detector() -> onnx.ModelProto:
    """The places as YOLOv8 gives them."""
    net, x = shares(0)
    sizes = np.array([SIDE] * 4 + [1] * 3, np.float32).reshape(1, 7, 1)
    net.op("Mul", [x, net.constant("sizes", sizes)], "boxes")
    return net.model([("image", ["N", 3, SIDE, SIDE])], [("boxes", ["N", 7, 16])])


@pytest.fixture(scope="module")
def detecting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a detector, pictures and a recipe."""
    folder = write_setting(tmp_path_factory.mktemp("detecting"), detector(), recipe_with(DETECTION))
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    return folder


@pytest.fixture(scope="module")
def detector_bundle(detecting: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "x"
    outcome = build(detecting, out, *setting("codec.bits=8"))
    assert outcome.code == 0, outcome.err
    return out


def boxes_by_hand(rows: np.ndarray) -> np.ndarray:
    """Boxes from score 0.6 on, in pixels of a picture of 40 x 36 that became 36 x 32 and lost 2 columns each side."""
    x, y, width, height, *scores = rows[0].astype(np.float64)
    keep = np.max(scores, axis=0) >= 0.6
    corners = np.stack([x - width / 2 + 2, y - height / 2, x + width / 2 + 2, y + height / 2], 1)[keep]
    return np.clip(corners * np.array([40 / 36, 36 / SIDE] * 2), 0, [40, 36, 40, 36])


def test_run_gives_boxes_in_the_pixels_of_the_picture(detecting: Path, detector_bundle: Path, tmp_path: Path) -> None:
    outcome = cli("run", detector_bundle, detecting / "pictures", "--json", "--save-outputs", tmp_path)
    assert outcome.code == 0, outcome.err
    found = 0
    for one in outcome.document["results"]:
        (rows,) = np.load(tmp_path / f"{Path(one['input']).stem}.npz").values()
        by_hand = boxes_by_hand(rows)
        for box in one["answer"]["boxes"]:
            assert box["name"] == CLASSES[box["index"]]
            assert box["score"] >= 0.6
            # float32's rounding of 32 pixels
            assert np.abs(by_hand - np.array(box["box_px"])).max(1).min(initial=np.inf) < 1e-4
            found += 1
    assert found > len(outcome.document["results"])


def test_boxes_are_drawn_and_said_in_a_line(detecting: Path, detector_bundle: Path, tmp_path: Path) -> None:
    outcome = cli("run", detector_bundle, detecting / "pictures", "--draw", tmp_path / "drawn")
    assert outcome.code == 0, outcome.err
    assert any(" boxes: " in line or " box: " in line for line in outcome.out.splitlines())
    assert listing(tmp_path / "drawn") == listing(detecting / "pictures")
    changed = [
        Image.open(tmp_path / "drawn" / path.name).tobytes() != Image.open(path).convert("RGB").tobytes()
        for path in sorted((detecting / "pictures").iterdir())
    ]
    assert any(changed)


def test_a_webcam_s_video_gives_a_video_with_boxes(detector_bundle: Path, tmp_path: Path) -> None:
    """Frames of 640 x 480, scaled to 43 x 32 and cropped; boxes lie in the frames' own pixels, and are drawn there."""
    av = pytest.importorskip("av", reason="the video extra is not installed")
    random = np.random.default_rng(4)
    frames = [np.kron(random.integers(0, 255, (6, 8, 3), np.uint8), np.ones((80, 80, 1), np.uint8)) for _ in range(6)]
    with av.open(str(tmp_path / "cam.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 640, 480, "yuv420p", 8_000_000
        for pixels in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(stream.encode(None))
    outcome = cli("run", detector_bundle, tmp_path / "cam.mp4", "--json", "--draw", tmp_path / "drawn")
    assert outcome.code == 0, outcome.err
    results = outcome.document["results"]
    assert outcome.document["task"] == "detection"
    assert [one["input"] for one in results] == [f"cam.mp4#{index}" for index in range(6)]
    assert {(one["file"], *one["picture_px"]) for one in results} == {(str(tmp_path / "cam.mp4"), 640, 480)}
    boxes = np.array([box["box_px"] for one in results for box in one["answer"]["boxes"]])
    assert len(boxes) > 6
    assert (boxes >= 0).all()
    assert (boxes <= [640, 480, 640, 480]).all()
    assert boxes[:, 2].max() > 320
    pairs = []
    for path in (tmp_path / "cam.mp4", tmp_path / "drawn/cam.mp4"):
        with av.open(str(path)) as opened:
            assert opened.streams.video[0].average_rate == 25
            pairs.append([frame.to_ndarray(format="rgb24").astype(int) for frame in opened.decode(video=0)])
    for before, after, one in zip(*pairs, results, strict=True):
        moved = np.abs(before - after).max(2) > 60  # far beyond what coding again changes
        assert moved.any() == bool(one["answer"]["boxes"])


def test_the_page_shows_both_answers_drawn(detecting: Path, tmp_path: Path) -> None:
    outcome = build(detecting, tmp_path / "x")
    assert outcome.code == 0, outcome.err
    examples = outcome.document["examples"]
    assert examples
    assert {one["before_share"] for one in examples} == {None}
    page = (tmp_path / "x/report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * len(examples)


def test_layers_of_a_detector_stay_float_for_its_boxes(detecting: Path, tmp_path: Path) -> None:
    """One box in sixty moves in INT8, which a limit of 1 does not allow and one of 0.9 does."""
    folder = write_setting(tmp_path / "source", detector(), recipe_with(DETECTION.replace("0.6", "0.5")))
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    write_pictures(folder / "pictures", 48)
    floats = []
    for least in (1.0, 0.9):
        asked = setting("weights.precision=int8", "codec.bits=8", f"gate.min_fidelity={least}")
        layers = build(folder, tmp_path / "x", *asked).document["layer_precision"]
        found = [one["sensitivity_kl"] for one in layers]
        assert found == sorted(found, reverse=True)
        floats.append(sum(one["precision"] == "fp32" for one in layers))
    assert floats[0] > 0
    assert floats[1] == 0


def test_a_plan_measures_boxes(detecting: Path) -> None:
    outcome = cli("plan", detecting / "recipe.toml", "--json", *setting("split.at=auto", "codec.bits=2"))
    assert outcome.code == 0, outcome.err
    worth = [point["fidelity"] for point in outcome.document["points"]]
    assert all(0 <= one < 1 for one in worth if one is not None)  # 2 bits change boxes; their cosine was above 0.99


def suppressing() -> onnx.ModelProto:
    """The detector with NonMaxSuppression inside: as many boxes, scores and classes as stay."""
    net, x = shares(1)
    sizes = net.constant("sizes", np.array([4, 3]))
    net.nodes.append(onnx.helper.make_node("Split", [x, sizes], ["low", "class_scores"], name="/split", axis=1))
    low = net.op("Transpose", ["low"], "centred", perm=[0, 2, 1])
    limits = [net.constant(name, np.array(value, kind)) for name, value, kind in NMS_LIMITS]
    kept = net.op("NonMaxSuppression", [low, "class_scores", *limits], "kept", center_point_box=1)
    one, two = (net.constant(name, np.array([value])) for name, value in (("one", 1), ("two", 2)))
    columns = [net.op("Gather", [kept, column], f"column{n}", axis=1) for n, column in enumerate((one, two))]
    flat = net.constant("flat", np.array([-1]))
    classes, rows = (net.op("Reshape", [column, flat], f"flat{n}") for n, column in enumerate(columns))
    listed = net.op("Reshape", [low, net.constant("four", np.array([16, 4]))], "all_boxes")
    centres = net.op("Gather", [listed, rows], "boxes", axis=0)
    table = net.op("Reshape", ["class_scores", net.constant("table_shape", np.array([3, 16]))], "table")
    net.op("GatherND", [table, net.op("Concat", columns, "places", axis=1)], "scores")
    net.op("Cast", [classes], "classes", to=onnx.TensorProto.FLOAT)
    outputs = [(centres, ["K", 4]), ("scores", ["K"]), ("classes", ["K"])]
    return net.model([("image", [1, 3, SIDE, SIDE])], outputs)


NMS_LIMITS = (("most", [9], np.int64), ("overlap", [0.5], np.float32), ("least", [0.55], np.float32))


@pytest.mark.parametrize("cut", ["stem/out", CUT, "deep/out"])
def test_cuts_before_a_suppression_inside_the_network(cut: str, tmp_path: Path) -> None:
    """Paths have unequal numbers of boxes: lists are compared, and splitting alone changes no bit of them."""
    table = 'task = "detection"\n[data.detection]\nbox_form = "centers"\nscore = 0.56\n'
    recipe = recipe_with(table).replace(f'at = "{CUT}"', f'at = "{cut}"')
    folder = write_setting(tmp_path / "source", suppressing(), recipe)
    outcome = build(folder, tmp_path / "x", *setting("codec.quantizer=uniform", "codec.bits=3"))
    assert outcome.code == 0, outcome.err
    stages = {one["name"]: one for one in cli("verify", tmp_path / "x", "--base", folder, "--json").document["stages"]}
    assert (stages["split"]["fidelity"], stages["split"]["max_abs_diff"]) == (1.0, 0.0)
    details = outcome.document["agreement"]["details"]
    assert details["boxes_reference"] > 3
    assert 0 < outcome.document["fidelity"] <= 1
    assert outcome.document["kl"] > 0
    halves = cli("split", folder / "tiny.onnx", "--at", cut, "-o", tmp_path / "halves", "--json")
    assert halves.document["equal"], halves.err


def last_layer(kind: str, classes: int) -> onnx.ModelProto:
    """The small classifier with an activation in the graph, or with a single output."""
    net = Net(5)
    cut = net.op("Relu", [net.conv("image", "stem/conv", (3, 8), stride=2)], CUT)
    logits = features_to_logits(net, cut)
    if classes == 1:
        picked = net.constant("picked", np.eye(10, 1, dtype=np.float32))
        logits = net.op("MatMul", [logits, picked], "one")
    net.op(kind, [logits], "probabilities")
    return net.model([("image", ["N", 3, SIDE, SIDE])], [("probabilities", ["N", classes])])


@pytest.mark.parametrize(("kind", "classes", "key"), [("Softmax", 10, "share"), ("Sigmoid", 1, "probability")])
def test_probabilities_are_said_as_they_are(kind: str, classes: int, key: str, tmp_path: Path) -> None:
    """A second softmax said 73 % for 98.6 %, and 100 % for every single output."""
    source = write_setting(tmp_path / "source", last_layer(kind, classes))
    built = build(source, tmp_path / "x")
    assert built.code == 0, built.err
    outcome = cli("run", tmp_path / "x", source / "pictures", "--json", "--save-outputs", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    for one in outcome.document["results"]:
        (saved,) = np.load(tmp_path / "out" / f"{Path(one['input']).stem}.npz").values()
        assert one["answer"][key] == pytest.approx(float(saved.max()), rel=1e-6)  # float32's rounding of their sum


YOLO = """\
name = "yolo"
[model]
source = "{model}"
[data]
calibration = "{pictures}"
task = "detection"
classes = "{pictures}/classes.txt"
preprocess = {{ resize = [320, 320] }}
[data.detection]
head = "yolov3"
anchors = [[115, 73, 119, 199, 242, 238], [12, 18, 37, 49, 52, 132]]
outputs = ["head0", "head1"]
[split]
at = "{cut}"
"""


def cut_of(model: Path) -> Sequence[str]:
    """The cut of the fewest bytes among those with a tenth to a half of the FLOPs before them."""
    cuts = cli("inspect", model, "--cuts", "--json").document["cuts"]
    whole = cuts[0]["head_flops"] + cuts[0]["tail_flops"]
    middle = [one for one in cuts if 0.1 < one["head_flops"] / whole < 0.5 and len(one["names"]) == 1]
    names: Sequence[str] = min(middle, key=lambda one: int(one["wire_bytes"]))["names"]
    return names


def test_a_real_detector_from_recipe_to_drawn_pictures(tmp_path: Path) -> None:
    model, pictures = DATA / "models/yolo_fastest_1.1_xl_coco.onnx", DATA / "images/coco_val2017"
    if not model.exists() or not pictures.exists():
        pytest.skip(f"{model} or {pictures} is not there")
    (cut,) = cut_of(model)
    (tmp_path / "model.onnx").symlink_to(model)  # a bundle's recipe reads nothing beyond --base
    (tmp_path / "pictures").symlink_to(pictures)
    (tmp_path / "recipe.toml").write_text(YOLO.format(model="model.onnx", pictures="pictures", cut=cut))
    outcome = build(tmp_path, tmp_path / "x")
    assert outcome.code == 0, outcome.err
    checked = cli("verify", tmp_path / "x", "--base", tmp_path)
    assert checked.code == 0, checked.err
    chosen = sorted(pictures.glob("*.jpg"))[:4]
    ran = cli("run", tmp_path / "x", *chosen, "--json", "--draw", tmp_path / "drawn")
    assert ran.code == 0, ran.err
    names = set((pictures / "classes.txt").read_text().split("\n"))
    boxes = [box for one in ran.document["results"] for box in one["answer"]["boxes"]]
    assert boxes
    assert {box["name"] for box in boxes} <= names
    for picture in chosen:
        with Image.open(picture) as before, Image.open(tmp_path / "drawn" / f"{picture.stem}.png") as after:
            assert after.size == before.size
