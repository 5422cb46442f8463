"""contract.json: equal values give equal bytes, and bytes from a stranger are a contract or a BundleError."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitc.bundle import Contract
from splitc.codec import Codec, CodecSpec
from splitc.errors import BitstreamError, BundleError
from splitc.types import Layout, Preprocess, TensorSpec

FEATURE = TensorSpec(name="block/out", dtype="float32", shape=("N", 3, 4))
SAMPLES = np.random.default_rng(0).random((4, 3, 4), np.float32)
CODEC = Codec.fit(CodecSpec(quantizer="uniform"), [FEATURE], [SAMPLES])


def contract(**changes: Any) -> Contract:
    fields: dict[str, Any] = {
        "name": "tiny",
        "inputs": [TensorSpec(name="image", dtype="float32", shape=("N", 3, 8, 8))],
        "outputs": [TensorSpec(name="logits", dtype="float32", shape=("N", 10))],
        "cut": [FEATURE],
        "wire": [TensorSpec(name="block/out.symbols", dtype="uint8", shape=("N", 3, 4))],
        "codec": CODEC.to_json(),
        "preprocess": Preprocess(resize=8, crop=8, mean=(0.1, 1 / 3, 0.7)),
        "classes": ["cat", "Hündin", "犬"],
    }
    return Contract(**fields | changes)


FINE = Codec.fit(CodecSpec(bits=12, entropy="range"), [FEATURE], [SAMPLES])
ON_THE_HOST = {"quantized_in": "host", "wire": [FEATURE], "codec": FINE.to_json()}
LOG = Codec.fit(CodecSpec(quantizer="log"), [FEATURE], [SAMPLES]).to_json()
LAST = Codec.fit(CodecSpec(quantizer="uniform"), [FEATURE], [SAMPLES], layouts=[Layout(channel_axis=2)]).to_json()
MOVED = {"codec": LAST, "wire": [TensorSpec(name="block/out.symbols", dtype="uint8", shape=("N", 4, 3))]}
TABLE = json.loads(contract().to_bytes())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="full"),
        pytest.param({"classes": None, "task": "features", **ON_THE_HOST}, id="features-on-the-host"),
        pytest.param(MOVED, id="channels-last"),
        pytest.param({"name": 'a"b\\c\n</script>'}, id="hostile-name"),
        pytest.param(
            {"preprocess": Preprocess(resize=(8, 8), fit="letterbox", pad=0, channels="grey", layout="nhwc")}, id="fit"
        ),
        pytest.param({"preprocess": Preprocess(scale=1e-30, std=(1e30, 0.1 + 0.2, 1.0))}, id="numbers"),
    ],
)
def test_round_trip(changes: dict[str, Any]) -> None:
    one = contract(**changes)
    again = Contract.from_bytes(one.to_bytes())
    assert again == one
    assert again.to_bytes() == one.to_bytes()


def test_equal_values_give_equal_bytes() -> None:
    shuffled = json.dumps(dict(reversed(list(TABLE.items())))).encode()
    assert Contract.from_bytes(shuffled).to_bytes() == contract().to_bytes()
    assert contract(codec=dict(reversed(list(CODEC.to_json().items())))).to_bytes() == contract().to_bytes()


def test_the_wire_of_channels_that_lie_last() -> None:
    codec = Contract.from_bytes(contract(**MOVED).to_bytes()).fitted_codec("ab" * 32)
    assert codec.quantize([SAMPLES[:1]]).symbols[0].shape == (1, 4, 3)
    assert codec.decode(codec.encode([SAMPLES[:1]]))[0].shape == (1, 3, 4)


def test_the_codec_works_after_the_trip() -> None:
    codec = Contract.from_bytes(contract().to_bytes()).fitted_codec("ab" * 32)
    assert codec.pair_tag == bytes.fromhex("abababab")
    packet = codec.encode([SAMPLES[:1]])
    np.testing.assert_array_equal(codec.decode(packet)[0], CODEC.dequantize(CODEC.quantize([SAMPLES[:1]]))[0])
    with pytest.raises(BitstreamError, match="abababab"):
        Contract.from_bytes(contract().to_bytes()).fitted_codec("cd" * 32).decode(packet)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"contract_schema": 2}, "contract_schema", id="newer"),
        pytest.param({"task": "../detection"}, "task", id="task"),
        pytest.param({"inputs": []}, "inputs", id="no-inputs"),
        pytest.param({"outputs": []}, "outputs", id="no-outputs"),
        pytest.param({"cut": []}, "cut", id="no-cut"),
        pytest.param({"wire": None}, "wire", id="null"),
        pytest.param({"quantized_in": "cloud"}, "quantized_in", id="place"),
        pytest.param({"extra": 1}, "extra", id="unknown-key"),
        pytest.param({"codec": []}, "codec", id="codec-list"),
        pytest.param({"classes": "cat"}, "classes", id="classes-text"),
        pytest.param({"classes": [1, 2]}, "classes.0", id="classes-numbers"),
        pytest.param({"preprocess": {"resize": 0}}, "preprocess.resize", id="resize"),
        pytest.param({"preprocess": {"scale": "NaN"}}, "preprocess.scale", id="scale-nan"),
        pytest.param({"preprocess": {"interpolation": "best"}}, "preprocess.interpolation", id="interpolation"),
        pytest.param({"preprocess": {"mean": [1, 2]}}, "preprocess.mean.2", id="mean-of-two"),
        pytest.param({"inputs": [{"name": "x"}]}, "inputs.0.dtype", id="spec-without-dtype"),
        pytest.param({"inputs": [{"name": "x", "dtype": "f4", "shape": [1.5]}]}, "inputs.0.shape.0", id="half-a-size"),
    ],
)
def test_fields_that_are_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError) as caught:
        Contract.from_bytes(json.dumps(TABLE | changes).encode())
    assert str(caught.value).startswith(f"contract.json: {words}")
    assert str(caught.value).endswith("rebuild the bundle with this version.")


def packed(*values: float) -> dict[str, Any]:
    array = np.array(values, "<f4")
    return {"shape": [len(array)], "float32": base64.b64encode(array.tobytes()).decode()}


def with_param(name: str, value: dict[str, Any], codec: dict[str, Any]) -> dict[str, Any]:
    (tensor,) = codec["tensors"]
    return codec | {"tensors": [tensor | {"quant_params": tensor["quant_params"] | {name: value}}]}


def with_tensor(**changes: Any) -> dict[str, Any]:
    """The codec of channels that lie last, changed."""
    return LAST | {"tensors": [LAST["tensors"][0] | changes]}


SYMBOLS = TABLE["wire"][0]
THREE = TABLE["codec"]["tensors"][0]["quant_params"]
FALLING = {"shape": [3, 15], "float32": base64.b64encode(np.tile(np.arange(15, 0, -1, "<f4"), 3).tobytes()).decode()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"wire": [SYMBOLS | {"dtype": "float32"}]}, "wire: carries", id="float-wire"),
        pytest.param({"wire": [SYMBOLS | {"shape": ["N", 3, 5]}]}, "wire: carries", id="wire-of-another-shape"),
        pytest.param({"codec": LAST}, "wire: carries", id="wire-of-another-layout"),
        pytest.param({"codec": with_tensor(wire_shape=["N", 3, 4])}, "wire_shape is ['N', 3, 4]", id="wire-shape"),
        pytest.param({"codec": with_tensor(layout={"channel_axis": 3})}, "axis 3 is not one of the 3", id="axis-3"),
        pytest.param({"codec": with_tensor(layout={"batch_axis": 2})}, "not well-formed", id="a-row-a-sample"),
        pytest.param({"codec": with_tensor(layout=7)}, "not well-formed", id="layout-number"),
        pytest.param({"wire": [SYMBOLS, SYMBOLS]}, "wire: names a tensor twice", id="wire-twice"),
        pytest.param({"inputs": TABLE["inputs"] * 2}, "inputs: names a tensor twice", id="input-twice"),
        pytest.param({"inputs": [TABLE["inputs"][0] | {"dtype": "rgb"}]}, "inputs: has an element type", id="dtype"),
        pytest.param({"cut": [TABLE["cut"][0] | {"name": "x"}]}, "codec: its tensors are not", id="another-cut"),
        pytest.param({"quantized_in": "host"}, "quantized_in: is 'host', and", id="host-with-4-bits"),
        pytest.param({"codec": FINE.to_json()}, "quantized_in: is 'graph', and", id="graph-with-12-bits"),
        pytest.param({"preprocess": {"std": [1, 0, 1]}}, "preprocess: holds numbers", id="std-0"),
        pytest.param({"preprocess": {"std": [1, 1e-60, 1]}}, "preprocess: holds numbers", id="std-0-in-float32"),
        pytest.param({"preprocess": {"in_graph": True}}, "preprocess: is in the graph, and no", id="in-graph"),
        pytest.param({"preprocess": {"scale": 1e300}}, "preprocess: holds numbers", id="infinite-in-float32"),
        pytest.param({"codec": {}}, "codec is not one of this version", id="no-codec"),
        pytest.param({"codec": {"spec": [], "tensors": []}}, "codec is not one", id="spec-list"),
        pytest.param({"codec": TABLE["codec"] | {"tensors": 7}}, "codec is not one", id="tensors-number"),
        pytest.param({"codec": TABLE["codec"] | {"tensors": ["x"]}}, "not well-formed", id="tensors-text"),
        pytest.param({"codec": TABLE["codec"] | {"spec": {"bits": 10**30}}}, "codec is not one", id="bits"),
        pytest.param(
            {"codec": with_param("scale", packed(1, 0, 1), TABLE["codec"])}, "scale: must be above 0", id="scale-0"
        ),
        pytest.param(
            {"codec": with_param("lo", packed(0, np.nan, 0), TABLE["codec"])},
            "lo: shape (3,), must be (3,) and finite",
            id="lo-nan",
        ),
        pytest.param(
            {"codec": with_param("levels", packed(1), TABLE["codec"])},
            "levels: shape (1,), must be (3, 16) and finite",
            id="levels-of-another-shape",
        ),
        pytest.param(
            {"codec": with_param("thresholds", FALLING, TABLE["codec"])}, "must be (3, 0)", id="uniform-thresholds"
        ),
        pytest.param(
            {"codec": with_param("thresholds", THREE["thresholds"], LOG)}, "must be (3, 15)", id="log-without"
        ),
        pytest.param({"codec": with_param("thresholds", FALLING, LOG)}, "thresholds: must ascend", id="falling"),
    ],
)
def test_a_contract_that_contradicts_itself(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError) as caught:
        Contract.from_bytes(json.dumps(TABLE | changes).encode())
    assert words in str(caught.value)


@pytest.mark.parametrize("key", ["name", "inputs", "outputs", "cut", "wire", "codec", "preprocess"])
def test_fields_that_are_missing(key: str) -> None:
    with pytest.raises(BundleError, match=f"contract.json: {key}: Field required"):
        Contract.from_bytes(json.dumps({name: value for name, value in TABLE.items() if name != key}).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b"{}",
        b"[" * 100_000,
        b'{"codec":' * 50_000,
        b'{"name": 1e999999}',
        contract().to_bytes()[:-20],
        contract().to_bytes() + b"{}",
        contract().to_bytes().replace(b'"cat"', b'"\\uD800"'),
    ],
    ids=[
        "empty",
        "open",
        "list",
        "null",
        "number",
        "not-utf-8",
        "name-not-utf-8",
        "empty-table",
        "deep-lists",
        "deep-tables",
        "infinite",
        "cut-short",
        "more-after-it",
        "half-a-pair",
    ],
)
def test_what_is_no_contract(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"^contract\.json: "):
        Contract.from_bytes(data)


def test_escaped_pairs_are_text() -> None:
    data = contract().to_bytes().replace(b'"cat"', rb'"\ud83d\ude3a"')
    assert (Contract.from_bytes(data).classes or [])[0] == "\U0001f63a"


def test_a_huge_contract_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BundleError, match="at most 67108864 are read"):
        Contract.from_bytes(b" " * ((64 << 20) + 1))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(position=st.integers(0, len(contract().to_bytes()) - 1), byte=st.integers(0, 255))
def test_any_byte_changed_is_a_contract_or_refused(position: int, byte: int) -> None:
    data = bytearray(contract().to_bytes())
    data[position] = byte
    try:
        found = Contract.from_bytes(bytes(data))
        found.fitted_codec("ab" * 32)
    except BundleError:
        return
    assert Contract.from_bytes(found.to_bytes()) == found


def test_options_of_the_task_stand_there_only_where_there_are_any() -> None:
    options = {"head": "yolov8", "anchors": [[1, 2], [3, 4]], "score": 0.5}
    assert b"task_options" not in contract().to_bytes()
    kept = Contract.from_bytes(contract(task="detection", task_options=options).to_bytes())
    assert (kept.task, kept.task_options) == ("detection", options)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param('"name": ', '"name": "other", "name": ', "occurs twice in one object", id="key-twice"),
        pytest.param('"contract_schema": 1', '"contract_schema": NaN', "NaN is not a JSON number", id="nan"),
        pytest.param('"contract_schema": 1', '"contract_schema": ' + "[" * 100_000, "nested too deeply", id="deep"),
        pytest.param('"contract_schema": 1', '"contract_schema": \ufeff1', "is not JSON", id="mark"),
    ],
)
def test_it_is_read_as_strictly_as_a_manifest(old: str, new: str, words: str) -> None:
    text = contract().to_bytes().decode()
    assert text.count(old) >= 1
    with pytest.raises(BundleError, match=words):
        Contract.from_bytes(text.replace(old, new, 1).encode())
