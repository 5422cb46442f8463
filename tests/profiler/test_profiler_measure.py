"""Measuring here, and trtexec's files in and out."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from boards import BOARDS
from onnx import parser

from splitc.errors import BackendError, UsageError
from splitc.profiler import (
    Exports,
    ProfiledModel,
    Runs,
    export_files,
    measure,
    model_feeds,
    model_sha256,
    precision_of,
    record_from_trtexec,
    timing,
)
from splitc.records import layer_ms, read_record, traced_share, write_record

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[N, 64, 32, 32] x) => (float[N, 64, 32, 32] z) { y = Sigmoid(x) z = Softmax(y) }
"""


@pytest.fixture
def half(tmp_path: Path) -> ProfiledModel:
    model = parser.parse_model(TEXT)
    for node in model.graph.node:
        node.name = f"node_of_{node.output[0]}"
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path)
    return ProfiledModel(path, model_sha256(path))


def test_a_measurement_here(half: ProfiledModel, tmp_path: Path) -> None:
    steps: list[None] = []
    runs = Runs(threads=1, warmup=2, samples=7)
    measured = measure(half, model_feeds(half.path, half, []), runs, root=tmp_path, step=lambda: steps.append(None))
    record = measured.record
    assert len(steps) == 9
    assert (record.samples, record.warmup, len(measured.times_ms)) == (7, 2, 7)
    assert record.latency_ms.min == min(measured.times_ms)
    assert record.model_sha256 == hashlib.sha256(half.path.read_bytes()).hexdigest()
    assert {layer.operator: layer.values for layer in record.layers} == {"Sigmoid": ("y",), "Softmax": ("z",)}
    assert sum(layer_ms(record).values()) == pytest.approx(record.latency_ms.p50)
    assert record.peak_memory_mb is not None
    assert record.power_w is None
    assert record.environment["power"] == "not measured: no power monitor"
    assert read_record(write_record(record, tmp_path / "r.json")) == record


def test_layers_that_optimizers_renamed(tmp_path: Path) -> None:
    """ONNX Runtime calls what it fused after the output, with an end of its own; nodes need no name."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 16, 32, 32] x) => (float[1, 16, 32, 32] z) {
        y = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w) z = Relu(y) }"""
    model = parser.parse_model(text)
    weight = np.random.default_rng(0).standard_normal((16, 16, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save_model(model, tmp_path / "model.onnx")
    half = ProfiledModel(tmp_path / "model.onnx", model_sha256(tmp_path / "model.onnx"))
    layers = measure(half, model_feeds(half.path, half, []), Runs(1, 1, 5)).record.layers
    assert ("z",) in [layer.values for layer in layers]
    assert all(layer.mean_ms is not None for layer in layers)


def test_power_while_it_runs(half: ProfiledModel, tmp_path: Path) -> None:
    root = BOARDS["orin-nx-jetpack6"].write(tmp_path / "board")
    record = measure(half, model_feeds(half.path, half, []), Runs(1, 1, 60), "jetson-orin-nx", root=root).record
    assert record.power_w == pytest.approx(8.0768)
    assert record.energy_mj == pytest.approx(8.0768 * record.latency_ms.mean)
    assert record.environment["power_mode"] == "MAXN_SUPER"
    assert record.environment["gpu_mhz"] == "1173"
    assert record.environment["VDD_IN_w"] == "8.077"


def test_power_without_all_rails_says_so(half: ProfiledModel, tmp_path: Path) -> None:
    root = BOARDS["agx-thor-jetpack7"].write(tmp_path / "board")
    for path in root.rglob("in1_label"):
        path.unlink()
    record = measure(half, model_feeds(half.path, half, []), Runs(1, 1, 60), root=root).record
    assert record.power_w is None
    assert record.environment["power"] == "not measured: no rail VDD_GPU"


def test_feeds_that_do_not_fit(half: ProfiledModel) -> None:
    with pytest.raises(BackendError, match="input 'x' is missing"):
        measure(half, [{}], Runs(1, 0, 1))
    with pytest.raises(UsageError, match="at least 1 thread"):
        Runs(samples=0)


QUERY = {"startEnqMs": 0.0, "h2dMs": 0.1, "computeMs": 1.5, "d2hMs": 0.1, "latencyMs": 1.7}
BROKEN = """[
  { "count" : 40 }
, { "name" : "node_of_y", "timeMs" : 40, "averageMs" : 1, "medianMs" : 0.9, "percentage" : 66.6 }
, { "name" : "a "quoted" name", "timeMs" : 20, "averageMs" : 0.5, "medianMs" : 0.4, "percentage" : nan }
, { "name" : "Reformatting CopyNode", "timeMs" : 4, "averageMs" : 0.1, "medianMs" : 0.1, "percentage" : 6.6 }
]
"""
LAYERS = {
    "Layers": [
        {"Name": "node_of_y", "LayerType": "kgen", "Metadata": "[ONNX Layer: node_of_y]\x1e[ONNX Layer: node_of_z]"},
        {"Name": "Reformatting CopyNode", "LayerType": "Reformat", "Metadata": ""},
    ],
    "Bindings": ["x", "z"],
}


def exports(folder: Path, times: object, profile: str | None = None, layers: str | None = None) -> Exports:
    paths = {"times": json.dumps(times) if not isinstance(times, str) else times, "profile": profile, "layers": layers}
    for name, text in paths.items():
        if text is not None:
            (folder / f"{name}.json").write_text(text, "utf-8")
    files = [folder / f"{name}.json" if paths[name] is not None else None for name in ("profile", "layers")]
    return Exports(folder / "times.json", files[0], files[1], "10.3.0", "jetson-orin-nx", "--useSpinWait")


def test_what_trtexec_measured(half: ProfiledModel, tmp_path: Path) -> None:
    record = record_from_trtexec(half, exports(tmp_path, [QUERY] * 40, BROKEN, json.dumps(LAYERS)))
    assert (record.samples, record.latency_ms.p50, record.backend_version) == (40, 1.7, "10.3.0")
    assert record.device_ms is not None
    assert record.device_ms.p99 == 1.5
    assert [(layer.name, layer.operator, layer.median_ms, layer.values) for layer in record.layers] == [
        ("node_of_y", "kgen", 0.9, ("y", "z")),
        ('a "quoted" name', "", 0.4, ()),
        ("Reformatting CopyNode", "Reformat", 0.1, ()),
    ]
    assert record.environment == {"tensorrt": "10.3.0", "trtexec_flags": "--useSpinWait", "layer_runs": "40"}


def rows(*names: str, ms: float = 0.5) -> str:
    """An --exportProfile of these layers."""
    one = {"timeMs": 40 * ms, "averageMs": ms, "medianMs": ms, "percentage": 50.0}
    return json.dumps([{"count": 40}, *({"name": name, **one} for name in names)])


@pytest.mark.parametrize(
    ("profile", "share"),
    [
        (rows("node_of_y", "node_of_z"), 1.0),
        (rows("node_of_y", "Reformatting CopyNode"), 0.5),
        (rows("node_of_y", "node_of_z", "Total"), 1.0),
        (rows("{ForeignNode[node_of_y...node_of_z]}"), 0.0),
        (rows("__myl_Conv_0x1f", "node_of_y", "__myl_Relu_0x2e"), 1 / 3),
        (rows("conv1", "conv2"), 0.0),
        (rows("PWN(node_of_y, node_of_z)"), 1.0),
        (rows("PWN(PWN(node_of_y), node_of_z) + other"), 1.0),
        (rows("PWN(other, another)"), 0.0),
        (rows("node_of_y", "node_of_z", ms=0.0), 0.0),
    ],
    ids=[
        "whole",
        "half",
        "total",
        "foreign",
        "myelin",
        "another-model",
        "pointwise",
        "nested",
        "other-pointwise",
        "zero",
    ],
)
def test_what_of_a_profile_is_the_model_s(profile: str, share: float, half: ProfiledModel, tmp_path: Path) -> None:
    record = record_from_trtexec(half, exports(tmp_path, [QUERY], profile))
    assert traced_share(record) == pytest.approx(share)
    assert "Total" not in [layer.name for layer in record.layers]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_times_with_a_byte_order_mark(encoding: str, half: ProfiledModel, tmp_path: Path) -> None:
    asked = exports(tmp_path, [QUERY])
    asked.times.write_bytes(json.dumps([QUERY]).encode(encoding))
    assert record_from_trtexec(half, asked).samples == 1


def test_times_of_nothing(half: ProfiledModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"times\.json: every inference took 0 ms"):
        record_from_trtexec(half, exports(tmp_path, [{**QUERY, "latencyMs": 0.0}] * 3))


def test_nodes_without_names(tmp_path: Path) -> None:
    """TensorRT's parser calls them after their output."""
    onnx.save_model(parser.parse_model(TEXT), tmp_path / "model.onnx")
    plain = ProfiledModel(tmp_path / "model.onnx", model_sha256(tmp_path / "model.onnx"))
    metadata = {"Layers": [{"Name": "y", "Metadata": "[ONNX Layer: node_of_y]"}, {"Name": "node_of_z", "Metadata": ""}]}
    record = record_from_trtexec(plain, exports(tmp_path, [QUERY], rows("y", "node_of_z"), json.dumps(metadata)))
    assert [layer.values for layer in record.layers] == [("y",), ("z",)]


def test_layers_without_the_inspector(half: ProfiledModel, tmp_path: Path) -> None:
    fused = BROKEN.replace("node_of_y", "node_of_y + node_of_z")
    record = record_from_trtexec(half, exports(tmp_path, [QUERY], fused))
    assert record.layers[0].values == ("y", "z")
    eleven = {"Layers": ["node_of_y + node_of_z"], "I/O Tensors": [{"Name": "x"}]}
    again = record_from_trtexec(half, exports(tmp_path, [QUERY], fused, json.dumps(eleven)))
    assert again.layers == record.layers
    broken = '{"Layers": [{"Name": "node_of_y + node_of_z", "LayerType": "kgen", "x": "a "b" c"}]}'
    assert record_from_trtexec(half, exports(tmp_path, [QUERY], fused, broken)).layers[0].operator == "kgen"


@pytest.mark.parametrize(
    ("times", "profile", "layers", "message"),
    [
        ("{", None, None, "is not JSON"),
        ([], None, None, "not what trtexec --exportTimes writes"),
        ([{"latencyMs": 1.0}], None, None, "not what trtexec --exportTimes writes"),
        ([{"latencyMs": "x", "computeMs": 1}], None, None, "not what trtexec --exportTimes writes"),
        ([QUERY], "[]", None, "not what trtexec --exportProfile writes"),
        ([QUERY], BROKEN, "[1]", "no Layers in it"),
        ([QUERY], BROKEN, '{"Layers": [1, 2, null]}', "Layers holds 1"),
        ([QUERY], BROKEN, '{"Layers": [null]}', "Layers holds None"),
        ([QUERY], BROKEN, '{"Layers": []}', "no layer is in .*profile.json, which has 'node_of_y'"),
        ([QUERY], BROKEN, '{"Layers": ["a"]}', "none of its layers, such as 'a', is in .*profile.json"),
        ([QUERY], BROKEN, '{"Layers": [{ "Name": "a "q" b", "LayerType": "Conv" }]}', "such as 'a \"q\" b', is in"),
        (
            [QUERY],
            BROKEN,
            json.dumps(LAYERS).replace("Layer: node_of", "Layer: its"),
            "nodes such as 'its_y', and this",
        ),
        ([QUERY], rows("node_of_y", ms=-1.0), None, "finite and from 0 on"),
        ([QUERY], BROKEN, "{", "no layer in it"),
    ],
)
def test_files_of_something_else(
    times: object, profile: str | None, layers: str | None, message: str, half: ProfiledModel, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        record_from_trtexec(half, exports(tmp_path, times, profile, layers))


QUERIES = [QUERY]


@pytest.mark.parametrize(
    ("times", "profile", "layers"),
    [
        ([{"latencyMs": 1e12, "computeMs": 1}], None, None),
        ('[{"latencyMs": 1' + "0" * 400 + ', "computeMs": 1}]', None, None),
        ('[{"latencyMs": 1' + "0" * 5000 + ', "computeMs": 1}]', None, None),
        ('[{"latencyMs": 1e400, "computeMs": 1}]', None, None),
        ('[{"latencyMs": NaN, "computeMs": 1}]', None, None),
        ('[{"latencyMs": true, "computeMs": 1}]', None, None),
        ([{"latencyMs": -1, "computeMs": 1}], None, None),
        ("[" * 100_000, None, None),
        ("5", None, None),
        (QUERIES, BROKEN.replace("node_of_y", ""), None),
        (QUERIES, BROKEN.replace("node_of_y", "n" * 5000), None),
        (QUERIES, BROKEN.replace("node_of_y", "\\ud800"), None),
        (QUERIES, BROKEN.replace("0.9", "1e12"), None),
        (QUERIES, BROKEN, "[" * 100_000),
        (QUERIES, BROKEN, json.dumps(LAYERS).replace("kgen", "k" * 300)),
        (QUERIES, BROKEN, json.dumps(LAYERS)[:-1].replace("kgen", "k" * 300)),
    ],
    ids=range(16),
)
def test_hostile_files_are_one_sentence(
    times: object, profile: str | None, layers: str | None, half: ProfiledModel, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"\.json: "):
        record_from_trtexec(half, exports(tmp_path, times, profile, layers))


def test_long_numbers_and_nothing_that_matches_end_soon(half: ProfiledModel, tmp_path: Path) -> None:
    """Reading backs up over no text twice: these took hours."""
    start = time.monotonic()
    counted = BROKEN.replace("40 }", "9" * 5000 + " }")
    assert "layer_runs" in record_from_trtexec(half, exports(tmp_path, QUERIES, counted)).environment
    for unit in ('"name" : "', '"name" : "x", "timeMs" : 1, "averageMs"', '"timeMs" : 1' + "0" * 99):
        with pytest.raises(UsageError, match="no layer with timeMs"):
            record_from_trtexec(half, exports(tmp_path, QUERIES, unit * 100_000))
    for unit in ('"Name" : "', '"Name" : "x", "LayerType"', '"LayerType" : "'):
        with pytest.raises(UsageError, match="no layer in it"):
            record_from_trtexec(half, exports(tmp_path, QUERIES, BROKEN, unit * 100_000))
    metadata = {"Layers": [{"Name": "node_of_y", "LayerType": "k", "Metadata": "[ONNX Layer: " * 100_000}]}
    record_from_trtexec(half, exports(tmp_path, QUERIES, BROKEN, json.dumps(metadata)))
    assert time.monotonic() - start < 30


def test_memory_is_of_the_runs_and_not_of_the_layers(half: ProfiledModel, monkeypatch: pytest.MonkeyPatch) -> None:
    kilobytes = 1024
    monkeypatch.setattr(timing.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=kilobytes))

    def layers(*arguments: object) -> tuple[()]:
        nonlocal kilobytes
        kilobytes = 1 << 20
        return ()

    monkeypatch.setattr(timing, "_layers", layers)
    assert measure(half, model_feeds(half.path, half, []), Runs(1, 0, 1)).record.peak_memory_mb == 1


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        (TEXT, "fp32"),
        (TEXT.replace("float[", "float16["), "fp16"),
        (TEXT.replace("y = Sigmoid(x)", "q = QuantizeLinear(x, s, o) y = DequantizeLinear(q, s, o)"), "int8"),
    ],
    ids=["fp32", "fp16", "int8"],
)
def test_precision_is_the_graph_s(text: str, precision: str, tmp_path: Path) -> None:
    onnx.save_model(parser.parse_model(text), tmp_path / "model.onnx")
    assert precision_of(tmp_path / "model.onnx") == precision


def test_what_is_exported_is_read_back(half: ProfiledModel, tmp_path: Path) -> None:
    measured = measure(half, model_feeds(half.path, half, []), Runs(1, 0, 5))
    times, profile = export_files(measured, tmp_path / "out")
    record = record_from_trtexec(half, Exports(times, profile, None, "10.3.0", "cpu"))
    assert record.latency_ms == measured.record.latency_ms
    assert [(layer.name, layer.median_ms) for layer in record.layers] == [
        (layer.name, layer.median_ms) for layer in measured.record.layers
    ]
