"""``splitc pack``, ``unpack`` and ``delta``: the model's own weights back, and every way to get it wrong."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import Net, Outcome, cli, listing
from onnx import numpy_helper

from splitc.weights import WeightTensor, container_bytes, lossless_items


def done(outcome: Outcome) -> dict[str, object]:
    assert outcome.code == 0, outcome.err
    document: dict[str, object] = outcome.document
    return document


def refused(outcome: Outcome, message: str, code: int = 2) -> None:
    assert (outcome.code, message in outcome.err, outcome.err.count("\n")) == (code, True, 1), outcome.err


def initializers(path: Path) -> dict[str, np.ndarray]:
    return {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}


@pytest.fixture
def model(source: Path) -> Path:
    return next(source.glob("*.onnx"))


@pytest.fixture
def packed(model: Path, tmp_path: Path) -> Path:
    done(cli("pack", model, "--out", tmp_path / "weights.scw", "--skeleton", tmp_path / "graph.onnx", "--json"))
    return tmp_path / "weights.scw"


def test_a_skeleton_and_its_container_make_the_model(model: Path, packed: Path, tmp_path: Path) -> None:
    onnx.checker.check_model(onnx.load(tmp_path / "graph.onnx"))
    done(cli("unpack", packed, "--model", tmp_path / "graph.onnx", "--out", tmp_path / "again.onnx", "--json"))
    again, first = initializers(tmp_path / "again.onnx"), initializers(model)
    assert again.keys() == first.keys()
    assert all(again[name].tobytes() == first[name].tobytes() for name in first)
    names = [one.name for one in onnx.load(tmp_path / "again.onnx").graph.input]
    assert names == [one.name for one in onnx.load(model).graph.input]


def test_document(model: Path, tmp_path: Path) -> None:
    document = done(cli("pack", model, "--out", tmp_path / "w.scw", "--json"))
    ledger = document["ledger"]
    assert isinstance(ledger, dict)
    assert set(ledger) == {"values", "indices", "codebooks", "tables", "header", "dense"}
    assert sum(ledger.values()) == document["bytes"] == (tmp_path / "w.scw").stat().st_size
    assert document["source_bytes"] == sum(x.nbytes for x in initializers(model).values())


def test_arrays(model: Path, packed: Path, tmp_path: Path) -> None:
    done(cli("unpack", packed, "--out", tmp_path / "w.npz", "--json"))
    with np.load(tmp_path / "w.npz") as arrays:
        assert {name: arrays[name].tobytes() for name in arrays} == {
            name: x.tobytes() for name, x in initializers(model).items()
        }


def test_update_and_back(model: Path, packed: Path, tmp_path: Path) -> None:
    changed = onnx.load(model)
    weights = max(changed.graph.initializer, key=lambda one: len(one.raw_data))
    values = numpy_helper.to_array(weights).copy()
    values.reshape(-1)[::100] += 0.5
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    onnx.save(changed, tmp_path / "new.onnx")
    done(cli("pack", tmp_path / "new.onnx", "--out", tmp_path / "new.scw", "--json"))
    made = done(cli("delta", "make", packed, tmp_path / "new.scw", "--out", tmp_path / "update.scd", "--json"))
    assert made["bytes"] == (tmp_path / "update.scd").stat().st_size
    before = packed.read_bytes()
    refused(cli("delta", "apply", packed, tmp_path / "update.scd", "--max-bytes", 10), "the limit is 10", 1)
    assert packed.read_bytes() == before
    assert done(cli("delta", "apply", packed, tmp_path / "update.scd", "--json"))["changed_tensors"] == 1
    assert packed.read_bytes() == (tmp_path / "new.scw").read_bytes()
    refused(cli("delta", "apply", packed, tmp_path / "update.scd"), "the delta is for a base of content")
    done(cli("delta", "rollback", packed, "--json"))
    assert packed.read_bytes() == before


def test_refusals_leave_nothing(model: Path, packed: Path, tmp_path: Path) -> None:
    files = listing(tmp_path)
    refused(cli("unpack", packed, "--out", tmp_path / "x.onnx"), "an .onnx needs --model")
    refused(cli("unpack", model, "--out", tmp_path / "x.npz"), "this is no weight container")
    refused(cli("unpack", tmp_path / "absent", "--out", tmp_path / "x.npz"), "cannot be read")
    refused(cli("pack", model, "--out", tmp_path / "absent" / "x.scw"), "cannot be written")
    refused(cli("delta", "rollback", packed), "there is no update")
    assert listing(tmp_path) == files


def test_what_is_read_is_never_overwritten(model: Path, packed: Path, tmp_path: Path) -> None:
    before = [model.read_bytes(), packed.read_bytes()]
    message = "is read here and would be overwritten"
    refused(cli("pack", model, "--out", model), message)
    refused(cli("pack", model, "--out", tmp_path / "x.scw", "--skeleton", model), message)
    refused(cli("pack", model, "--out", tmp_path / "x", "--skeleton", tmp_path / "x"), "a name of its own")
    refused(cli("delta", "make", packed, packed, "--out", packed), message)
    refused(cli("unpack", packed, "--model", model, "--out", model), message)
    assert [model.read_bytes(), packed.read_bytes()] == before


def test_folders_are_no_place_to_write(model: Path, packed: Path, tmp_path: Path) -> None:
    message = "is a folder; name a file in it"
    for place in (Path(), tmp_path, Path("/")):
        refused(cli("pack", model, "--out", place), message)
        refused(cli("pack", model, "--out", tmp_path / "x.scw", "--skeleton", place), message)
        refused(cli("delta", "make", packed, packed, "--out", place), message)
        refused(cli("delta", "rollback", place), "there is no update")
    (tmp_path / "x.onnx").mkdir()
    refused(cli("unpack", packed, "--model", model, "--out", tmp_path / "x.onnx"), message)
    assert listing(tmp_path) == {"weights.scw", "graph.onnx", "x.onnx"}


def test_no_container_without_its_skeleton(model: Path, tmp_path: Path) -> None:
    skeleton = tmp_path / "absent" / "graph.onnx"
    refused(cli("pack", model, "--out", tmp_path / "x.scw", "--skeleton", skeleton), "absent/graph.onnx: cannot be")
    assert listing(tmp_path) == set()


def test_a_skeleton_has_no_weights_to_pack(packed: Path, tmp_path: Path) -> None:
    refused(cli("pack", tmp_path / "graph.onnx", "--out", tmp_path / "x.scw"), "is a skeleton, its weights are in a")


def test_weights_in_a_file_of_their_own(model: Path, tmp_path: Path) -> None:
    onnx.save(onnx.load(model), tmp_path / "m.onnx", save_as_external_data=True, location="w.onnx", size_threshold=0)
    before = (tmp_path / "w.onnx").read_bytes()
    message = "is read here and would be overwritten"
    refused(cli("pack", tmp_path / "m.onnx", "--out", tmp_path / "w.onnx"), message)
    done(cli("pack", tmp_path / "m.onnx", "--out", tmp_path / "x.scw", "--json"))
    filled = "unpack", tmp_path / "x.scw", "--model", tmp_path / "m.onnx", "--out"
    refused(cli(*filled, tmp_path / "w.onnx"), message)
    assert (tmp_path / "w.onnx").read_bytes() == before
    done(cli(*filled, tmp_path / "again.onnx", "--json"))
    again, first = initializers(tmp_path / "again.onnx"), initializers(model)
    assert all(again[name].tobytes() == first[name].tobytes() for name in first)


def test_too_big_for_one_file(model: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitc.graph.files.onnx_files.EXTERNAL_ABOVE_BYTES", 1000)  # stands for 2 GB
    done(cli("unpack", packed, "--model", tmp_path / "graph.onnx", "--out", tmp_path / "big.onnx", "--json"))
    assert {"big.onnx", "big.onnx.data"} <= listing(tmp_path)
    again, first = initializers(tmp_path / "big.onnx"), initializers(model)
    assert all(again[name].tobytes() == first[name].tobytes() for name in first)


def test_a_missed_limit_has_its_numbers(packed: Path, tmp_path: Path) -> None:
    outcome = cli("delta", "make", packed, packed, "--out", tmp_path / "u.scd", "--max-bytes", 10, "--json")
    assert (outcome.code, outcome.document["bytes"] > 10) == (1, True)
    assert "the limit is 10; nothing was written." in outcome.err
    assert not (tmp_path / "u.scd").exists()


def test_a_delta_is_not_unpacked(packed: Path, tmp_path: Path) -> None:
    update = tmp_path / "update.scd"
    done(cli("delta", "make", packed, packed, "--out", update, "--json"))
    refused(cli("unpack", update, "--out", tmp_path / "x.npz"), f"{update}: weights: this is a delta")


def test_arrays_of_any_name(tmp_path: Path) -> None:
    named = {name: np.full(40, 1.5, np.float32) for name in ("file", "a/b", "../c", "self")}
    tensors = [WeightTensor(name, "float32", values) for name, values in named.items()]
    (tmp_path / "w.scw").write_bytes(container_bytes(lossless_items(tensors)))
    done(cli("unpack", tmp_path / "w.scw", "--out", tmp_path / "w.npz", "--json"))
    with np.load(tmp_path / "w.npz") as arrays:
        assert {name: arrays[name].tolist() for name in arrays} == {k: v.tolist() for k, v in named.items()}


def test_arrays_are_written_one_by_one(tmp_path: Path) -> None:
    """Sixteen tensors of 4 MB that a few bytes stand for never lie in memory together."""
    zeros = [WeightTensor(f"w{index}", "float32", np.zeros((16, 1 << 16), np.float32)) for index in range(16)]
    (tmp_path / "w.scw").write_bytes(container_bytes(lossless_items(zeros)))
    zeros.clear()
    tracemalloc.start()
    try:
        done(cli("unpack", tmp_path / "w.scw", "--out", tmp_path / "w.npz", "--json"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    with np.load(tmp_path / "w.npz") as arrays:
        assert len(arrays) == 16
    assert peak < 8 * (4 << 20)  # one tensor: its values, its bits, its planes and what they are made of


def test_weights_of_another_model(packed: Path, tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    sides = [onnx.helper.make_tensor_value_info(name, 1, [1, 4]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([node], "other", sides[:1], sides[1:])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "o.onnx",
    )
    refused(
        cli("unpack", packed, "--model", tmp_path / "o.onnx", "--out", tmp_path / "x.onnx"),
        f"{tmp_path / 'o.onnx'}: the graph has no initializer",
    )


@pytest.mark.parametrize("shared", [True, False], ids=["update", "other-weights"])
def test_a_delta_that_saves_nothing_offers_the_container(shared: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal((64, 64)).astype(np.float32)
    second = first + np.float32(1e-3) * (rng.random((64, 64)) < 0.01) if shared else rng.standard_normal((64, 64))
    for name, weight in (("a", first), ("b", second)):
        net = Net(2)
        net.op("MatMul", ["x", net.constant("w", weight.astype(np.float32))], "y")
        onnx.save(net.model([("x", ["N", 64])], [("y", ["N", 64])], opset=17), tmp_path / f"{name}.onnx")
        done(cli("pack", tmp_path / f"{name}.onnx", "--out", tmp_path / f"{name}.scw", "--json"))
    outcome = cli("delta", "make", tmp_path / "a.scw", tmp_path / "b.scw", "--out", tmp_path / "u.scd", "--json")
    document = done(outcome)
    assert ("little of it is in the base; send" in outcome.err) == (document["bytes"] >= document["target_bytes"])
    assert (document["bytes"] < document["target_bytes"]) == shared


SMALL = {
    "int8": lambda rng, shape: rng.integers(-128, 128, shape).astype(np.int8),
    "int8-few": lambda rng, shape: rng.integers(-2, 3, shape).astype(np.int8),
    "uint8": lambda rng, shape: rng.integers(0, 256, shape).astype(np.uint8),
    "float16": lambda rng, shape: rng.standard_normal(shape).astype(np.float16),
    "float32": lambda rng, shape: rng.standard_normal(shape).astype(np.float32),
}


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize(("count", "side"), [(1, 4), (30, 8), (6, 40), (2, 128)])
def test_packing_grows_weights_by_a_header_at_most(kind: str, count: int, side: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    net = Net(2)
    x = "x"
    for index in range(count):
        name = net.constant(f"w{index}", SMALL[kind](rng, (side, side)))
        x = net.op("Add", [x, net.op("Cast", [name], f"c{index}", to=1)], f"y{index}")
    onnx.save(net.model([("x", [side, side])], [(x, [side, side])], opset=17), tmp_path / "m.onnx")
    document = done(cli("pack", tmp_path / "m.onnx", "--out", tmp_path / "m.scw", "--json"))
    assert document["bytes"] <= document["source_bytes"] + document["ledger"]["header"]
