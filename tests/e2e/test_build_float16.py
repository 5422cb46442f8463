"""Float16 networks as torch exports them, built at every cut; and FP16 halves whose numbers do not fit."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from e2e_setting import CUT, Net, build, cli, features_to_logits, setting, write_setting

from splitc import graph

RECIPE = """\
name = "half"
[model]
source = "half.onnx"
[data]
calibration = "samples/*.npy"
task = "features"
"""


def export(folder: Path, network: object, shape: tuple[int, ...]) -> Path:
    """``network.half()`` and eight samples of its input."""
    torch = pytest.importorskip("torch")
    folder.mkdir()
    (folder / "samples").mkdir()
    random = np.random.default_rng(0)
    for index in range(8):
        np.save(folder / f"samples/{index}.npy", random.standard_normal(shape).astype(np.float16))
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")
    axes = {"x": {0: "N"}, "y": {0: "N"}}
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": axes}
    torch.onnx.export(
        network.half().eval(), torch.zeros(shape).half(), folder / "half.onnx", dynamo=False, opset_version=17, **names
    )
    return folder


def convolutional() -> object:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Hardswish())

        def forward(self, x: object) -> object:
            return x + self.body(x)

    stem = (nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6())
    return nn.Sequential(*stem, Residual(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


def transformer() -> object:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, width: int = 32, heads: int = 4) -> None:
            super().__init__()
            self.heads, self.width = heads, width
            self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

        def forward(self, x: object) -> object:
            parts = self.qkv(self.before(x)).reshape(-1, 16, 3, self.heads, self.width // self.heads)
            q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
            scores = (q @ k.transpose(-1, -2)) * (self.width // self.heads) ** -0.5
            mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 16, self.width)
            x = x + self.out(mixed)
            return x + self.mlp(self.between(x))

    return nn.Sequential(nn.Linear(12, 32), Block(), Block(), nn.LayerNorm(32), nn.Flatten(), nn.Linear(512, 5))


NETWORKS = [
    pytest.param(convolutional, (1, 3, 32, 32), id="convolutional"),
    pytest.param(transformer, (1, 16, 12), id="transformer"),
]


@pytest.mark.parametrize(("make", "shape"), NETWORKS)
def test_a_half_network_builds_at_every_cut(make: object, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Splitting changes no bit in float16; the codec is all that moves the answers."""
    folder = export(tmp_path / "net", make(), shape)
    cuts = [cut.names for cut in graph.enumerate_cuts(graph.load(folder / "half.onnx"), max_tensors=1).candidates]
    assert len(cuts) >= 5
    for names in ["auto", *cuts]:
        at = json.dumps(names if isinstance(names, str) else list(names))
        outcome = build(folder, tmp_path / "out", *setting(f"split.at={at}", "codec.bits=8"))
        assert outcome.code == 0, (names, outcome.err)
        stages = {one["name"]: one for one in json.loads((tmp_path / "out/verify.json").read_text())["stages"]}
        assert stages["split"]["max_abs_diff"] == 0
        assert stages["coded"]["cosine"] > 0.9  # noise through untrained weights, clipped as six samples say
        if at != '"auto"':
            halves = cli("split", folder / "half.onnx", "--cut", ",".join(names), "--out", tmp_path / "s", "--json")
            assert halves.document["equal"], halves.err


def planted(kind: str) -> onnx.ModelProto:
    """The small network of these tests with something behind the cut that float16 cannot hold."""
    net = Net(3)
    x = net.op("Relu", [net.conv("image", "stem", (3, 8), stride=2)], CUT)
    one = net.constant("big", np.array(1000, np.float32))
    if kind == "square":
        x = net.op("Mul", [x, one], "grown")
        x = net.op("Sqrt", [net.op("Mul", [x, x], "square")], "root")
        x = net.op("Div", [x, one], "shrunk")
    elif kind == "epsilon":
        x = net.op("InstanceNormalization", [x, *(net.constant(n, np.ones(8, "f4")) for n in "sb")], "n", epsilon=1e-12)
    elif kind == "weight":
        x = net.op("Mul", [x, net.constant("huge", np.array(1e5, np.float32))], "grown")
        x = net.op("Mul", [x, net.constant("tiny", np.array(1e-5, np.float32))], "shrunk")
    else:
        x = net.op("Cast", [net.op("Mul", [x, one], "many")], "whole", to=onnx.TensorProto.INT64)
        x = net.op("Cast", [net.op("Mul", [x, net.constant("k", np.array(99, np.int64))], "more")], "f", to=1)
        x = net.op("Div", [x, net.constant("back", np.array(99000, np.float32))], "shrunk")
    features_to_logits(net, x)
    return net.model([("image", ["N", 3, 32, 32])], [("logits", ["N", 10])])


@pytest.mark.parametrize(
    ("kind", "names"),
    [("square", ["/square"]), ("epsilon", ["/n"]), ("weight", ["/grown"]), ("cast", ["/f", "/shrunk"])],
)
def test_planted_damage_stays_float32_by_name(kind: str, names: list[str], tmp_path: Path) -> None:
    folder = write_setting(tmp_path / kind, planted(kind))
    outcome = build(folder, tmp_path / "out", *setting("weights.precision=fp16", "codec.bits=8"))
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "out/report.json").read_text())
    said = [note for note in report["notes"] if note.startswith("cloud: stays float32")]
    for name in names:
        assert any(repr(name) in note for note in said), report["notes"]
    stages = {one["name"]: one for one in json.loads((tmp_path / "out/verify.json").read_text())["stages"]}
    assert stages["lowered"]["max_abs_diff"] > 0
    assert stages["lowered"]["cosine"] > 0.99999
    assert stages["lowered"]["fidelity"] == 1.0


@pytest.mark.trt
@pytest.mark.parametrize("kind", ["square", "epsilon"])
def test_mixed_halves_compile(kind: str, tmp_path: Path) -> None:
    """Strongly typed: casts stand between float16 and what stays float32."""
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("the trt-rtx extra is not installed")
    folder = write_setting(tmp_path / kind, planted(kind))
    target = [f"target.{side}.{key}" for side in ("edge", "cloud") for key in ("backend=tensorrt_rtx", "device=l4")]
    outcome = build(folder, tmp_path / "out", *setting("weights.precision=fp16", *target))
    assert outcome.code == 0, outcome.err
    assert [one["status"] for one in outcome.document["engines"]] == ["built", "built"]


@pytest.mark.parametrize(("precision", "kind"), [("fp32", "float16"), ("fp16", "float")])
def test_what_only_verification_overflows_is_named(precision: str, kind: str, tmp_path: Path) -> None:
    """Calibration reaches 10, verification 300: its square is beyond float16, in a float16 network or a lowered one."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g ({kind}[N, 8] x) => ({kind}[N, 8] y) {{
        [first] a = Sin(x) [add] b = Add(a, x) [square] c = Mul(b, b) [root] y = Sqrt(c) }}"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "half.onnx")
    dtype = np.float16 if kind == "float16" else np.float32
    random = np.random.default_rng(0)
    for name, count, scale in (("samples", 8, 3.0), ("others", 2, 300.0)):
        (tmp_path / name).mkdir()
        for index in range(count):
            np.save(tmp_path / name / f"{index}.npy", (random.random((1, 8)) * scale + scale).astype(dtype))
    (tmp_path / "recipe.toml").write_text(RECIPE, "utf-8")
    extra = [f"weights.precision={precision}", f'data.verification="{tmp_path}/others/*.npy"', 'split.at="b"']
    outcome = build(tmp_path, tmp_path / "out", *setting(*extra))
    assert outcome.code == 1
    stage = "full" if precision == "fp32" else "lowered"
    assert f"stage '{stage}' holds NaN or infinities" in outcome.err
    assert "which cannot be compared; node 'square' is the first to give them" in outcome.err
