"""A recipe loads with its defaults, or every fault in it is named with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from splitc.codec import table_faults
from splitc.errors import CapabilityError, RecipeError
from splitc.recipe import CodecSection, Known, Recipe, load_recipe, lock_toml
from splitc.tasks import TASKS, option_faults

MODEL = '[model]\nsource = "m.onnx"\n'
KNOWN = Known(
    transforms=["none", "klt"],
    quantizers=["uniform", "log"],
    temporals=["none", "difference", "dpcm"],
    codec_faults=table_faults,
    entropy_coders=["rans", "zstd"],
    backends=["onnxruntime", "null"],
    devices=["jetson-orin-nano", "l4"],
    tasks=TASKS,
    task_faults=lambda name, table: option_faults(TASKS.load(name), table),
)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load TOML text from r.toml in the working folder."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, *overrides: str) -> Recipe:
        Path("r.toml").write_text(text, encoding="utf-8")
        return load_recipe("r.toml", overrides, known=KNOWN)

    return load


def refusal(load, error, *arguments):
    with pytest.raises(error) as caught:
        load(*arguments)
    return str(caught.value)


def test_only_the_model_is_required(load):
    recipe = load(MODEL)
    assert recipe == Recipe(model={"source": "m.onnx"}, name="r")
    assert recipe.split.at == "auto"
    assert recipe.codec == CodecSection(quantizer="step", bits=None, scope=None, entropy="rans")
    assert recipe.base == Path()
    assert recipe.resolve("m.onnx") == Path("m.onnx")


def test_every_key_of_a_full_recipe(load):
    recipe = load(
        """
        schema = 1
        name = "resnet50-orin-l4"
        [model]
        source = "zoo:resnet50"
        sha256 = "ABCDEFabcdef0123456789abcdef0123456789abcdef0123456789abcdef0123"
        shapes = { image = "Nx3x224x224", mask = [1, "H", "W"], state = "[1, 2, H]" }
        dims = { N = { min = 1, opt = 2, max = 8 }, H = 7, W = { min = 3 } }
        [data]
        calibration = ["calib/*.jpg", "package:skimage/data/*.png"]
        verification = "held"
        crops = 5
        preprocess = { resize = 256, crop = 224, mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }
        labels = "labels.csv"
        task = "features"
        [split]
        at = ["layer3.5/out", "b"]
        objective = "uplink"
        pin_edge = ["stem*"]
        pin_cloud = "fc"
        min_depth = 0.5
        candidates = 3
        max_tensors = 2
        [link]
        uplink_mbps = 20
        rtt_ms = 0
        [codec]
        profile = "fast"
        quantizer = "log"
        bits = 16
        scope = "tensor"
        reconstruction = "midpoint"
        entropy = "zstd"
        [weights.edge]
        precision = "fp32"
        [target.edge]
        device = "jetson-orin-nano"
        backend = "null"
        compute_capabilities = [80, 86, 89, 120]
        [gate]
        min_fidelity = 0.99
        max_rate_bpe = 1
        max_edge_bytes = "800KiB"
        max_edge_ms = 20
        """
    )
    assert recipe.model.shapes == {"image": ("N", 3, 224, 224), "mask": (1, "H", "W"), "state": (1, 2, "H")}
    assert {name: (d.min, d.opt, d.max) for name, d in recipe.model.dims.items()} == {
        "N": (1, 2, 8),
        "H": (7, 7, 7),
        "W": (3, 3, 3),
    }
    assert recipe.model.sha256 is not None
    assert recipe.model.sha256.startswith("abcdefabcdef")
    assert recipe.data.verification == ("held",)
    assert recipe.split.pin_cloud == ("fc",)
    assert recipe.target.edge.compute_capabilities == (80, 86, 89, 120)
    assert recipe.target.cloud.backend == "onnxruntime"
    assert recipe.gate.max_edge_bytes == 800 * 1024


def test_all_faults_at_once_in_the_order_of_the_file(load):
    text = """schema = 1
[model]
sauce = "x"
[data]
calibation = "calib/*.jpg"
crops = 100
[codec]
bits = 4.5
quantizer = "unifrom"
entropy = "mix"
transform = "kilt"
[target.edge]
device = "l5"
"""
    assert refusal(load, RecipeError, text, "codec.scop=tensor").splitlines() == [
        "--set codec.scop: unknown key 'scop'. Did you mean 'scope'? Known: bits, clip, contexts, dead_zone, entropy, "
        "flat_blocks, gop, hevc_qp, huffman_table, ifmdc_mode, level, levels, maximum, offset, percentile, preset, "
        "profile, quantizer, reconstruction, references, rungs, scope, step, steps, temporal, temporal_rounding, "
        "tiling, transform, transform_block.",
        "r.toml:2  model.source: is required: model.source names an .onnx file or zoo:NAME.",
        "r.toml:3  model.sauce: unknown key 'sauce'. Did you mean 'source'? Known: dims, sha256, shapes, source, url.",
        "r.toml:5  data.calibation: unknown key 'calibation'. Did you mean 'calibration'? Known: calibration, classes, "
        "crops, labels, preprocess, sha256, task, verification.",
        "r.toml:6  data.crops: must be at most 25, got 100.",
        "r.toml:8  codec.bits: must be a whole number, got 4.5.",
        "r.toml:9  codec.quantizer: unknown quantizer 'unifrom'. Did you mean 'uniform'? Known: log, uniform.",
        "r.toml:10  codec.entropy: 'mix' is not built in this version of splitc; use one of rans, zstd.",
        "r.toml:11  codec.transform: unknown transform 'kilt'. Did you mean 'klt'? Known: klt, none.",
        "r.toml:13  target.edge.device: unknown device 'l5'. Did you mean 'l4'? Known: jetson-orin-nano, l4.",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[split]\nat = []", 'split.at: must be "auto" or at least one tensor name, got [].'),
        ('[split]\nat = ["a", "a"]', "split.at: lists 'a' twice."),
        ("[split]\nat = [1.5]", "split.at: must be text or a list of texts, got 1.5."),
        ('[split]\nat = ""', "split.at: must be text without control characters, and not empty, got ''."),
        ("[split]\nmin_depth = 2", "split.min_depth: must be at most 1, got 2."),
        ("[split]\nmin_depth = nan", "split.min_depth: must be a finite number, got nan."),
        ("[split]\ncandidates = true", "split.candidates: must be a whole number, got true."),
        (
            '[split]\nobjective = "speed"',
            "split.objective: 'speed' is not a choice. Known: energy, latency, throughput, uplink.",
        ),
        ("[link]\nuplink_mbps = 0", "link.uplink_mbps: must be above 0, got 0."),
        ("[link]\nrtt_ms = inf", "link.rtt_ms: must be a finite number, got inf."),
        ('[link]\nrtt_ms = "1"', "link.rtt_ms: must be a number, got '1'."),
        ("link = 3", "link: must be a table, got 3."),
        ("[data]\npreprocess = {mean = [1, 2]}", "data.preprocess.mean[2]: item 3 is missing."),
        ("[data]\npreprocess = {mean = [1,2,3,4]}", "data.preprocess.mean: must have 3 items, got 4."),
        ("[data]\npreprocess = {std = [0,1,1]}", "data.preprocess: must have std above 0, got [0.0, 1.0, 1.0]."),
        ("[data]\npreprocess = {crop = true}", "data.preprocess: must have a number as crop, got true."),
        ("[data]\npreprocess = {scale = inf}", "data.preprocess: must hold finite numbers."),
        (
            '[data]\npreprocess = {channels = "rbg"}',
            "data.preprocess.channels: 'rbg' is not a choice. Did you mean 'rgb'? Known: bgr, grey, rgb.",
        ),
        ('[data]\ncalibration = "package:x"', 'must look like "package:NAME/glob" and stay inside the package'),
        ('[data]\ncalibration = "package:x/../y"', 'must look like "package:NAME/glob" and stay inside the package'),
        ("[data]\nlabels = 3", "data.labels: must be text in quotes, got 3."),
        ("[codec]\nbits = 0", "codec.bits: must be at least 1, got 0."),
        ("[codec]\nquantizer = 3", "codec.quantizer: must be text in quotes, got 3."),
        (
            "[weights]\nprecison = 'x'",
            "weights.precison: unknown key 'precison'. Did you mean 'precision'?",
        ),
        (
            "[weights]\nsparsity = 'none'\nedge = {}",
            "weights: must be given either for both halves or in [weights.edge] and [weights.cloud], not mixed.",
        ),
        ("[gate]\nmax_edge_ms = 0", "gate.max_edge_ms: must be above 0, got 0."),
        (
            '[gate]\nmax_edge_bytes = "5M"',
            'gate.max_edge_bytes: must be a number of bytes above 0, or text such as "5MB" or "800KiB" '
            "(B, kB, MB, GB, KiB, MiB, GiB), got '5M'.",
        ),
        ('[gate]\nmax_edge_bytes = "0.5B"', "must be a whole number of bytes above 0, got '0.5B'."),
        (
            "[target.edge]\ncompute_capabilities = [8.9]",
            "must be a list of whole numbers such as [80, 86, 89, 120], got [8.9].",
        ),
        (
            "[target.edge]\ncompute_capabilities = [8]",
            "must hold compute capabilities without the dot, 30 to 199 (8.9 is 89), got [8].",
        ),
        ("[target.edge]\ncompute_capabilities = [80, 80]", "lists 80 twice."),
        (
            "[codec]\ngop = 15",
            "codec.gop: neither quantizer 'step', temporal 'none' nor entropy coder 'rans' has such an",
        ),
        ('[codec]\ntemporal = "dcpm"', "codec.temporal: unknown temporal predictor 'dcpm'. Did you mean 'dpcm'?"),
        ("[weights]\nprune = {}", "weights.prune: must have a share above 0 in conv or in fc."),
        (
            "[weights]\ncluster = {}\nrounding = {}\nprecision = 'int8'",
            'weights: must have one of cluster and rounding and precision = "int8": each gives the',
        ),
        ("[target.left]", "target.left: unknown key 'left'. Known: cloud, edge."),
        ("[codec]\n'a b' = 1", "codec.'a b': unknown key 'a b'."),
    ],
)
def test_one_fault_and_its_line(load, line, message):
    text = f"{MODEL}{line}" if line.startswith("[") else f"{line}\n{MODEL}"
    found = refusal(load, RecipeError, text)
    assert found.count("\n") == 0
    assert message in found
    expected_line = 1 if not line.startswith("[") else 2 + len(line.splitlines())
    if "weights: must" not in message and "[target.left]" not in line:
        assert found.startswith(f"r.toml:{expected_line}  ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('source = "m.pt"', "model.source: must be the path of an .onnx file, or \"zoo:NAME\", got 'm.pt'."),
        ('source = "a\\u0000.onnx"', "model.source: must be text without control characters, and not empty, got"),
        ('source = "m.onnx"\nsha256 = "12"', "model.sha256: must be 64 hexadecimal digits, got '12'."),
        (
            'source = "m.onnx"\nshapes = {i = "1x-3"}',
            "model.shapes: 'i' must be a shape such as \"Nx3x224x224\" or [\"N\", 3, 224, 224], got '1x-3'.",
        ),
        ('source = "m.onnx"\nshapes = {i = [0]}', "model.shapes: 'i' has dimension 0; a dimension is a size from 1 to"),
        ('source = "m.onnx"\nshapes = {i = "maxx3"}', "(write names that hold an x in a list)."),
        ('source = "m.onnx"\nshapes = "1x3"', 'must be a table, or texts such as "image:[1,3,H,W]" or "image:1x3x224'),
        ('source = "m.onnx"\nshapes = ["i:1", "i:2"]', "model.shapes: names 'i' twice."),
        ('source = "m.onnx"\nshapes = 3', "model.shapes: must be a table, got 3."),
        ('source = "m.onnx"\ndims.N = {min = 2, max = 1}', "model.dims.N: must have min <= opt <= max, got 2, 2, 1."),
        ('source = "m.onnx"\ndims.N.mn = 2', "model.dims.N.mn: unknown key 'mn'. Did you mean 'min'?"),
        ('source = "m.onnx"\ndims.N = "x"', "model.dims.N: must be a table, got 'x'."),
    ],
)
def test_model_faults(load, line, message):
    found = refusal(load, RecipeError, f"[model]\n{line}\n")
    assert message in found
    assert found.startswith(f"r.toml:{1 + len(line.splitlines())}  ")


def test_a_byte_order_mark_is_no_fault(load):
    assert load(f"\ufeff{MODEL}").model.source == "m.onnx"


def test_newer_schema(load):
    found = refusal(load, RecipeError, f"schema = 2\n{MODEL}")
    assert found == "r.toml:1  schema: this version of splitc reads recipes of schema 1, got 2."


def test_bad_name(load):
    found = refusal(load, RecipeError, f'name = "a/b"\n{MODEL}')
    assert found == "r.toml:1  name: must be 1 to 64 letters, digits, dots, dashes or underscores, got 'a/b'."


def test_empty_recipe_says_what_is_needed(load):
    assert refusal(load, RecipeError, "") == (
        "r.toml:1  model: is required: model.source names an .onnx file or zoo:NAME."
    )


def test_no_message_names_pydantic_or_repeats_itself(load):
    found = refusal(load, RecipeError, "[weights]\nprecision = 3\nprune = 4\n")
    assert len(set(found.splitlines())) == len(found.splitlines())
    assert "pydantic" not in found
    assert "Input should" not in found


NOT_BUILT = [
    ('[model]\nsource="m.onnx"\nurl="https://x/m.onnx"', "model.url: 'https://x/m.onnx'", "name it in model.source"),
    ('[codec]\nentropy = "hevc"', "codec.entropy: 'hevc'", "use one of rans, zstd"),
    ('[recovery]\nschedule = "dense-sparse-dense"', "recovery.schedule: 'dense-sparse-dense'", "leave it out"),
    ("[recovery]\nlosses = { ce = 1.0 }", "recovery.losses: this table", "the task's own divergence"),
    ("[video]", "video: this table", "leave the table out"),
    ('[target.cloud]\nbackend = "tensorrt"', "target.cloud.backend: 'tensorrt'", "use one of null, onnxruntime"),
]


@pytest.mark.parametrize(("text", "place", "instead"), NOT_BUILT, ids=[place for _, place, _ in NOT_BUILT])
def test_what_is_not_built_is_refused_and_never_ignored(load, text, place, instead):
    text = text if text.startswith("[model]") else f"{MODEL}{text}"
    found = refusal(load, CapabilityError, text)
    line = len(text.splitlines())
    assert found.startswith(f"r.toml:{line}  {place} is not built in this version of splitc; ")
    assert instead in found
    assert found.count("\n") == 0
    assert found.endswith(".")


def test_names_are_not_checked_without_a_list(tmp_path):
    (tmp_path / "r.toml").write_text(f'{MODEL}[codec]\nquantizer = "mine"\n')
    assert load_recipe(tmp_path / "r.toml").codec.quantizer == "mine"


@pytest.mark.parametrize(
    ("override", "get", "value"),
    [
        ("codec.bits=5", lambda r: r.codec.bits, 5),
        ("codec.entropy=zstd", lambda r: r.codec.entropy, "zstd"),
        ('codec.entropy = "zstd"', lambda r: r.codec.entropy, "zstd"),
        ("split.at=layer3.5/out", lambda r: r.split.at, ("layer3.5/out",)),
        ("split.at=[layer3.5/out, 495]", lambda r: r.split.at, ("layer3.5/out", "495")),
        ("split.at=495", lambda r: r.split.at, ("495",)),
        ("gate.max_edge_bytes=5MB", lambda r: r.gate.max_edge_bytes, 5_000_000),
        ("target.edge.compute_capabilities=[89]", lambda r: r.target.edge.compute_capabilities, (89,)),
        ("model.shapes.image=1x3x8x8", lambda r: r.model.shapes, {"image": (1, 3, 8, 8)}),
        ("model.shapes=image:[1,3,H,W]", lambda r: r.model.shapes, {"image": (1, 3, "H", "W")}),
        ('model.shapes."a=b"=[1]', lambda r: r.model.shapes, {"a=b": (1,)}),
        ("codec={bits = 7}", lambda r: r.codec.bits, 7),
        ("name=2020-01-01", lambda r: r.name, "2020-01-01"),
        ("data.calibration=[]", lambda r: r.data.calibration, ()),
    ],
)
def test_overrides(load, override, get, value):
    assert get(load(f"{MODEL}[codec]\nbits = 3\n", override)) == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("codec.bit=4", "--set codec.bit: unknown key 'bit'. Did you mean 'bits'? Known: bits, clip, contexts"),
        ("codec.bits=40", "--set codec.bits: must be at most 16, got 40."),
        ("codec={bit=4}", "--set codec: bit: unknown key 'bit'. Did you mean 'bits'?"),
        ("codec", "--set codec: must look like key=value, for instance codec.bits=4."),
        ("=4", "--set '=4': must look like key=value, for instance codec.bits=4."),
        ("codec.bits=", "--set codec.bits: needs a value after '='."),
        ("model.source.x=4", "--set model.source.x: model.source is not a table."),
        ("name.x=4", "--set name.x: must be text in quotes, got {'x': 4}."),
        ("codec.bits=4\nname=3", "--set codec.bits: must be UTF-8 text without control characters."),
        ("codec.entropy=\udcff", "--set codec.entropy: must be UTF-8 text without control characters."),
    ],
)
def test_override_faults_name_the_override(load, override, message):
    found = refusal(load, RecipeError, MODEL, override)
    assert found.startswith(message)
    assert found.count("\n") == 0


def test_a_later_override_wins_and_a_file_fault_can_be_overridden(load):
    assert load(f"{MODEL}[codec]\nbits = 99\n", "codec.bits=2", "codec.bits=3").codec.bits == 3


def test_unbuilt_override(load):
    found = refusal(load, CapabilityError, MODEL, "codec.entropy=hevc")
    assert found.startswith("--set codec.entropy: 'hevc' is not built in this version of splitc; use one of rans, zstd")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[model]\nsource = \n", "r.toml:2  is not TOML: invalid value."),
        (b"[model]\nsource = 'a", "r.toml:2  is not TOML: "),
        (b"a = 1\na = 2\n", "r.toml:2  is not TOML: cannot overwrite a value."),
        (b"\n\nname = '\xff'\n", "r.toml:3  is not UTF-8 text (byte 0xff)."),
        (b"a = " + b"[" * 100_000, "r.toml: is nested too deeply."),
        (b"a = " + b"9" * 5000, "r.toml: is not TOML: "),
        (b"#" * (1 << 20) + b"##", "r.toml: is larger than 1048576 bytes; a recipe is a small TOML file."),
    ],
    ids=["value", "string", "twice", "utf8", "deep", "digits", "huge"],
)
def test_files_that_are_no_recipe(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_bytes(data)
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.toml")
    assert str(caught.value).startswith(message)


def test_places_that_are_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for path, message in [
        ("absent.toml", "absent.toml: no such file."),
        (".", ".: is a folder; name the .toml file in it."),
        ("pipe", "pipe: is not a regular file."),
        ("a\0b", "'a\\x00b': cannot be read: "),
    ]:
        with pytest.raises(RecipeError) as caught:
            load_recipe(path)
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("file_name", "name"),
    [("resnet 50 (v2).toml", "resnet-50-v2"), ("recipe.lock.toml", "recipe"), ("é.toml", "unnamed")],
)
def test_name_comes_from_the_file(tmp_path, file_name, name):
    (tmp_path / file_name).write_text(MODEL)
    assert load_recipe(tmp_path / file_name).name == name


@pytest.mark.parametrize("base", [None, "elsewhere"], ids=["recipe-s-folder", "base"])
def test_paths_of_overrides_are_those_of_the_current_folder(
    base: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe's own stay relative to the recipe, or to ``base``; in the lock all are."""
    for name in ("here", "recipes", "elsewhere"):
        (tmp_path / name).mkdir()
    text = 'schema = 1\n[model]\nsource = "own.onnx"\n[data]\ncalibration = "own/*.jpg"\n'
    (tmp_path / "recipes/r.toml").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path / "here")
    overrides = [
        "data.verification=[pictures/*.jpg, package:some/a.jpg]",
        "data.labels=../labels.csv",
        "target={edge={device='mine.toml', profile='p.json'}, cloud={device='l4'}}",
    ]
    recipe = load_recipe("../recipes/r.toml", overrides, base=base and tmp_path / base)
    assert recipe.model.source == "own.onnx"
    assert recipe.data.calibration == ("own/*.jpg",)
    assert recipe.data.verification == ("../here/pictures/*.jpg", "package:some/a.jpg")
    assert recipe.data.labels == "../labels.csv"
    assert (recipe.target.edge.device, recipe.target.edge.profile) == ("../here/mine.toml", "../here/p.json")
    assert recipe.target.cloud.device == "l4"
    (tmp_path / "here/pictures").mkdir()
    assert recipe.resolve("../here/pictures").samefile("pictures")
    assert str(tmp_path) not in lock_toml(recipe)
    other = load_recipe("../recipes/r.toml", ["model.source=zoo:mobilenet_v2", "data.calibration=x.npy"])
    assert (other.model.source, other.data.calibration) == ("zoo:mobilenet_v2", ("../here/x.npy",))


@pytest.mark.parametrize("override", ["data=4", "model.source=[a.onnx]", "target.edge.device=1"])
def test_overrides_of_another_type_are_refused_as_ever(override: str, load) -> None:
    with pytest.raises(RecipeError, match=rf"--set {override.partition('=')[0]}"):
        load(MODEL, override)


def test_options_of_the_task_are_a_table_of_its_name(load):
    text = f'{MODEL}[data]\ntask = "detection"\n[data.detection]\nhead = "yolov3"\nanchors = [[1, 2, 3, 4], [5, 6]]'
    recipe = load(text, "data.detection.score=0.5")
    assert recipe.data.task == "detection"
    assert recipe.data.task_options == {"head": "yolov3", "anchors": [[1, 2, 3, 4], [5, 6]], "score": 0.5}
    assert load(MODEL).data.task_options == {}


TASK_FAULTS = [
    ('task = "detecton"', "2  data.task: unknown task 'detecton'. Did you mean 'detection'? Known: classification, "),
    (
        'task = "detection"\n[data.detection]\nheda = "x"',
        "4  data.detection.heda: unknown key 'heda'. Did you mean 'head'? ",
    ),
    (
        'task = "detection"\n[data.detection]\nhead = "yolo8"',
        "4  data.detection.head: 'yolo8' is not a choice. Did you",
    ),
    ('task = "detection"\n[data.detection]\nscore = "0.5"', "4  data.detection.score: must be a number, got '0.5'."),
    ('task = "detection"\n[data.detection]\nscore = 2', "4  data.detection.score: must be below 1, got 2."),
    ('task = "detection"\n[data.detection]\nanchors = 2', "4  data.detection.anchors: must be a list, got 2."),
    ('task = "detection"\ndetection = 2', "3  data.detection: must be a table, of the task's options."),
    ("[data.detection]\nscore = 0.5", "2  data.detection: holds options of the task 'detection', and data.task is "),
    ("[data.detecton]\nscore = 0.5", "2  data.detecton: unknown key 'detecton'. Did you mean 'verification'? Known: "),
]


@pytest.mark.parametrize(
    ("text", "words"), TASK_FAULTS, ids=[words.partition("  ")[2][:40] for _, words in TASK_FAULTS]
)
def test_options_that_the_task_refuses(load, text, words):
    """Above [model], so that the line is the text's own."""
    found = refusal(load, RecipeError, f"[data]\n{text}\n{MODEL}")
    assert found.startswith(f"r.toml:{words}")
    assert found.count("\n") == 0
