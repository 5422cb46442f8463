"""``splitc split`` and ``merge``: halves in files, what crosses, what is refused, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from e2e_setting import cli
from onnx import parser
from refusals import assert_refused, unchanged

from splitc.evaluate.random_runs import both_ways
from splitc.types import Array, TensorSpec

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
RESIDUAL = f"""{HEADER} g (float[N,4] x) => (float[N,4] y) <float[4] w = {{1, 2, 3, 4}}> {{
    a = Relu(x)  b = Mul(a, w)  c = Add(a, b)  y = Mul(c, w) }}"""
QDQ = f"""{HEADER} g (float[N,4] x) => (float[N,4] y) <float s = {{0.05}}, int8 z = {{3}}> {{
    a = Relu(x)  q = QuantizeLinear(a, s, z)  d = DequantizeLinear(q, s, z)  y = Tanh(d) }}"""
SHAPES = f"""{HEADER} g (float[N,4] x) => (float[M] y) <int64[1] flat = {{-1}}, int64[1] zero = {{0}}> {{
    a = Relu(x)  s = Shape(a)  n = Gather(s, zero)  t = Concat<axis=0>(n, flat)  b = Tanh(a)  c = Reshape(b, t)
    y = Reshape(c, flat) }}"""
EXITS = f"""{HEADER} g (float[N,4] x) => (float[N,4] early, float[N,4] late) {{
    a = Relu(x)  e = Neg(a)  early = Abs(e)  b = Tanh(a)  late = Exp(b) }}"""

BRANCHES = f"""{HEADER} g (float[N,4] x, bool c) => (float[N,4] y) <float[4] w = {{1, 2, 3, 4}}> {{
    a = Mul(x, w)
    z = If (c) <then_branch = t () => (float[N,4] p) {{ p = Neg(a) }},
                else_branch = e () => (float[N,4] q) {{ q = Abs(a) }}>
    y = Tanh(z) }}"""


def write(folder: Path, text: str) -> Path:
    path = folder / "m.onnx"
    onnx.save(parser.parse_model(text), path)
    return path


def run(path: Path, feeds: dict[str, Array]) -> dict[str, Array]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def split(path: Path, out: Path, *arguments: str) -> dict[str, object]:
    outcome = cli("split", path, *arguments, "-o", out, "--json")
    assert outcome.code == 0, outcome.err
    document: dict[str, object] = json.loads(outcome.out)
    assert (document["equal"], document["max_abs_diff"]) == (True, 0)
    return document


def assert_holds(path: Path, out: Path, merged: Path) -> None:
    """Halves in a row, and the merged file, answer as the model does."""
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)}
    whole = run(path, feeds)
    feature = run(out / "head.onnx", feeds)
    inputs = {value.name for value in onnx.load(out / "tail.onnx").graph.input}
    answers = feature | run(out / "tail.onnx", {name: feature[name] for name in inputs})
    assert cli("merge", out / "head.onnx", out / "tail.onnx", "-o", merged).code == 0
    for found in (answers, run(merged, feeds)):
        assert all(found[name].tobytes() == whole[name].tobytes() for name in whole)


@pytest.mark.parametrize(
    ("text", "arguments", "cut"),
    [
        pytest.param(RESIDUAL, ["--at", "c"], ["c"], id="tensor"),
        pytest.param(RESIDUAL, ["--at", "a,b"], ["a", "b"], id="several"),
        pytest.param(RESIDUAL, ["--cut", "b", "--cut", "a"], ["b", "a"], id="twice-named-option"),
        pytest.param(QDQ, ["--at", "d"], ["q"], id="dequantized"),
        pytest.param(QDQ, ["--at", "a"], ["q"], id="about-to-be-quantized"),
        pytest.param(SHAPES, ["--at", "b,t"], ["b"], id="shape-arithmetic-is-recomputed"),
        pytest.param(EXITS, ["--at", "b", "--exit", "early"], ["b"], id="early-exit"),
        pytest.param(EXITS, ["--at", "early,b"], ["early", "b"], id="output-crosses"),
    ],
)
def test_halves_make_the_whole(tmp_path: Path, text: str, arguments: list[str], cut: list[str]) -> None:
    path, out = write(tmp_path, text), tmp_path / "halves"
    document = split(path, out, *arguments)
    assert document["cut"] == cut
    assert_holds(path, out, tmp_path / "merged.onnx")
    assert {file.name for file in out.iterdir()} == {"head.onnx", "tail.onnx"}


def test_quantized_tensor_costs_a_quarter(tmp_path: Path) -> None:
    document = split(write(tmp_path, QDQ), tmp_path / "halves", "--at", "d")
    assert document["wire_bytes"] == 4
    assert document["notes"] == ["'q' crosses in place of 'd': the same numbers, quantized"]


def test_rebuilt_shapes_are_proven_by_running(tmp_path: Path) -> None:
    document = split(write(tmp_path, SHAPES), tmp_path / "halves", "--at", "b")
    assert (document["proof"], document["recomputed"]) == ("ran", ["s"])


def test_what_only_a_run_would_prove_is_run_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, BRANCHES)
    monkeypatch.setattr("splitc.graph.is_same_computation", lambda one, other: False)
    assert split(path, tmp_path / "halves", "--at", "z")["proof"] == "ran"
    monkeypatch.setattr("splitc.driver.proof.MOST_BYTES", 0)
    assert_refused(cli("split", path, "--at", "z", "-o", tmp_path / "new"), 1, "only a run would prove")
    assert not (tmp_path / "new").exists()


def test_bool_inputs_are_run_both_ways() -> None:
    specs = [TensorSpec(name="x", dtype="float32", shape=(2,)), TensorSpec(name="c", dtype="bool", shape=())]
    assert {bool(feeds["c"]) for feeds in both_ways(specs)} == {False, True}
    assert len(both_ways(specs[:1])) == 1


def test_shapes_of_big_models_are_taken_from_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitc.driver.proof.CHEAP_BYTES", 0)
    document = split(write(tmp_path, SHAPES), tmp_path / "halves", "--at", "b")
    assert document["proof"] == "expression"
    assert "which was not run" in str(document["notes"])


def test_a_node_stands_for_its_outputs(tmp_path: Path) -> None:
    model = parser.parse_model(RESIDUAL)
    model.graph.node[2].name = "join"
    onnx.save(model, tmp_path / "m.onnx")
    assert split(tmp_path / "m.onnx", tmp_path / "halves", "--at", "join")["cut"] == ["c"]


def test_weights_outside_the_model_stay_outside(tmp_path: Path) -> None:
    model = parser.parse_model(
        RESIDUAL.replace("float[N,4]", "float[N,400]").replace("<float[4] w = {1, 2, 3, 4}>", "")
    )
    weight = np.random.default_rng(0).standard_normal(400).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    path, out = tmp_path / "m.onnx", tmp_path / "halves"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    document = split(path, out, "--at", "c")
    assert document["duplicated_bytes"] == 1600
    assert {file.name for file in out.iterdir()} == {"head.onnx", "head.onnx.data", "tail.onnx", "tail.onnx.data"}
    assert (out / "tail.onnx.data").read_bytes() == weight.tobytes()
    merged = tmp_path / "merged.onnx"
    for _ in range(2):  # the second replaces the first
        assert cli("merge", out / "head.onnx", out / "tail.onnx", "-o", merged).code == 0
    assert (tmp_path / "merged.onnx.data").read_bytes() == weight.tobytes()
    feeds = {"x": np.ones((2, 400), np.float32)}
    assert run(merged, feeds)["y"].tobytes() == run(path, feeds)["y"].tobytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--at", "b"], ["cut [b]", "x -> a -> c -> y"], id="leak"),
        pytest.param(["--at", "zz"], ["no value is called 'zz'"], id="unknown"),
        pytest.param(["--at", "w"], ["is an initializer"], id="constant"),
        pytest.param(["--at", "c", "--exit", "z"], ["exit 'z' is no output"], id="exit"),
        pytest.param(["--at", "c", "--exit", "y"], ["every output is an exit"], id="all-exits"),
        pytest.param(["--at", ","], ["names no value"], id="nothing"),
    ],
)
def test_what_is_no_cut_is_refused(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    path = write(tmp_path, RESIDUAL)
    with unchanged(tmp_path):
        assert_refused(cli("split", path, *arguments, "-o", tmp_path / "new" / "halves"), 2, *words)
    assert not (tmp_path / "new").exists()


def test_a_leak_comes_with_the_cheapest_cut_through_the_value(tmp_path: Path) -> None:
    path = write(tmp_path, RESIDUAL.replace("c = Add(a, b)", "k = Tanh(a)  c = Add(k, b)"))
    words = ["cut [b]", "around it", "The cheapest cut through it is --at b,k, 32 bytes."]
    assert_refused(cli("split", path, "--at", "b", "-o", tmp_path / "halves"), 2, *words)


TOP = f"""{HEADER} g (float[2,4] x) => (float[2,2] y) <int64[1] two = {{2}}> {{
    a = Relu(x)  v, i = TopK(a, two)  j = Cast<to=1>(i)  w = Neg(v)  y = Add(w, j) }}"""
LOOP = f"""{HEADER} g (float[2] x) => (float[2] y) <int64 three = {{3}}, bool go = {{1}}> {{
    a = Relu(x)
    p, q = Loop(three, go, a, a) <body = l (int64 i, bool k, float[2] v, float[2] u) =>
        (bool k2, float[2] v2, float[2] u2) {{ k2 = Identity(k)  v2 = Add(v, a)  u2 = Add(u, v) }}>
    y = Add(p, q) }}"""


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        pytest.param(
            TOP, "i", "A cut that has all before it in the head is --at v,i, 32 bytes.", id="no-codec-takes-it"
        ),
        pytest.param(BRANCHES, "a", "A cut that has all before it in the head is --at c,a, 20 bytes.", id="condition"),
        pytest.param(LOOP, "p", "choose another place: 'splitc inspect --cuts' lists them", id="shapes-not-known"),
    ],
)
def test_a_leak_comes_with_another_place(tmp_path: Path, text: str, at: str, words: str) -> None:
    outcome = cli("split", write(tmp_path, text), "--at", at, "-o", tmp_path / "halves")
    assert_refused(outcome, 2, "around it", words)


def test_nothing_of_others_is_replaced(tmp_path: Path) -> None:
    path, out = write(tmp_path, RESIDUAL), tmp_path / "halves"
    split(path, out, "--at", "c")
    split(path, out, "--at", "a,b")
    (out / "notes.txt").write_text("mine")
    with unchanged(tmp_path):
        assert_refused(cli("split", path, "--at", "c", "-o", out), 2, "'notes.txt'", "no split wrote")
        assert_refused(cli("split", path, "--at", "c", "-o", path), 2, "is not a folder")
        assert_refused(cli("merge", out / "head.onnx", path, "-o", tmp_path / "new.onnx"), 2, "not of one split")
        assert_refused(cli("merge", out / "head.onnx", out / "tail.onnx", "-o", out), 2, "is a folder")


def test_nothing_that_is_read_is_overwritten(tmp_path: Path) -> None:
    path, out = write(tmp_path, RESIDUAL), tmp_path / "halves"
    split(path, out, "--at", "c")
    head, tail = out / "head.onnx", out / "tail.onnx"
    for half in (tail, head):
        model = onnx.load(half)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(9, np.float32), f"unused_{half.stem}"))
        data = "joined.onnx.data" if half is head else "tail.bin"
        onnx.save(model, half, save_as_external_data=True, location=data, size_threshold=0)
    with unchanged(tmp_path):
        for merged in (head, tail, out / ".." / "halves" / "head.onnx", out / "tail.bin", out / "joined.onnx"):
            assert_refused(cli("merge", head, tail, "-o", merged), 2, "is read here and would be overwritten")
        assert_refused(cli("split", head, "--at", "b", "-o", out), 2, "would be overwritten")


def test_text_for_people(tmp_path: Path) -> None:
    outcome = cli("split", write(tmp_path, EXITS), "--at", "b", "--exit", "early", "-o", tmp_path / "halves")
    assert outcome.out.splitlines()[:3] == [
        "crosses  b  float32 ['N', 4]",
        "exit     early",
        "wire     16 bytes a sample, before any codec",
    ]


FOLDABLE = f"""{HEADER} g (float[N,4] x) => (float[N,4] y)
    <float[4] w = {{1, 2, 3, 4}}, int64[1] zero = {{0}}, int64[1] four = {{4}}> {{
    a = Relu(x)  e = Exp(w)  f = Neg(e)  i = Identity(a)  b = Mul(i, f)  s = Shape(w)  t = Add(s, zero)
    m = Concat<axis=0>(zero, t)  c = Reshape(b, m)  y = Tanh(c) }}"""


def test_simplified_models_have_fewer_nodes_and_the_same_bits(tmp_path: Path) -> None:
    path, out = write(tmp_path, FOLDABLE), tmp_path / "halves"
    before = json.loads(cli("inspect", path, "--json").out)
    after = json.loads(cli("inspect", path, "--simplify", "--json").out)
    assert (before["nodes"], after["nodes"]) == (10, 4)
    assert before["sha256"] == after["sha256"]
    document = split(path, out, "--at", "b", "--simplify")
    assert document["duplicated_bytes"] == 0
    assert_holds(path, out, tmp_path / "merged.onnx")


@pytest.mark.parametrize("opset", [9, 11, 13, 15, 17, 19, 21, 23, 24, 25, 26])
def test_opsets(tmp_path: Path, opset: int) -> None:
    path, out = write(tmp_path, RESIDUAL.replace('"" : 17', f'"" : {opset}')), tmp_path / "halves"
    split(path, out, "--at", "c")
    assert onnx.load(out / "tail.onnx").opset_import[0].version == opset
    assert_holds(path, out, tmp_path / "merged.onnx")


HALF = (
    f"""{HEADER} g (float16[N,64] x) => (float16[N,64] y) {{ a = Exp(x)  b = Sqrt(a)  c = Mul(b, b)  y = Add(c, b) }}"""
)


def test_float16_is_equal_in_float16_and_the_rest_is_said(tmp_path: Path) -> None:
    """ONNX Runtime's CPU keeps float32 between the operators of the whole, and rounds where it is cut."""
    path = write(tmp_path, HALF)
    document = split(path, tmp_path / "halves", "--at", "b")
    assert document["arithmetic"] == "bit for bit, node by node, every float16 result rounded to float16"
    feeds = both_ways([TensorSpec(name="x", dtype="float16", shape=("N", 64))])[0]
    feature = run(tmp_path / "halves/head.onnx", feeds)
    halves = run(tmp_path / "halves/tail.onnx", {name: feature[name] for name in ("a", "b") if name in feature})
    measured = np.max(np.abs(run(path, feeds)["y"].astype("f4") - halves["y"].astype("f4")))
    assert document["optimized_max_abs_diff"] == measured > 0
    assert f"differ by up to {measured:.2g}" in str(document["notes"])


def test_float16_halves_that_must_run_are_equal(tmp_path: Path) -> None:
    text = SHAPES.replace("float[N,4]", "float16[N,4]").replace("float[M]", "float16[M]")
    assert split(write(tmp_path, text), tmp_path / "halves", "--at", "b")["proof"] == "ran"


def test_float32_is_proven_as_before(tmp_path: Path) -> None:
    document = split(write(tmp_path, RESIDUAL), tmp_path / "halves", "--at", "c")
    assert (document["arithmetic"], document["optimized_max_abs_diff"]) == ("bit for bit, node by node", None)
    assert document["notes"] == []
