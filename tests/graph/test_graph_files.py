"""Reading and writing: hashes, external data, hostile files, shapes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from graph_halves import assert_same_bits, random_feeds, run

from splitc import graph
from splitc.errors import GraphError
from splitc.profiler import model_sha256

TEXT = """<ir_version: 8, opset_import: ["" : 17]> g (float[N,3,H,W] x) => (float[N,4,H,W] y) {
    f = Conv(x, w)  r = Relu(f)  y = Mul(r, k) }"""


def proto(opset: int = 17) -> onnx.ModelProto:
    model = onnx.parser.parse_model(TEXT.replace("17", str(opset)))
    weight = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    big = np.arange(4 * 300, dtype=np.float32).reshape(1, 4, 300, 1)[:, :, :1]
    model.graph.initializer.extend([onnx.numpy_helper.from_array(weight, "w"), onnx.numpy_helper.from_array(big, "k")])
    return model


def external_model(folder: Path) -> Path:
    path = folder / "m.onnx"
    onnx.save(proto(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def test_external_constants_of_nodes_are_read_in(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    body = "{ k = Constant<value = float[3] {0, 0, 0}>()  y = Mul(x, k) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g (float[3] x) => (float[3] y) {body}')
    raw = onnx.numpy_helper.from_array(np.array([1, 2, 3], np.float32), "k")
    model.graph.node[0].attribute[0].t.CopyFrom(raw)
    onnx.save(model, path, save_as_external_data=True, location="k.bin", size_threshold=0, convert_attribute=True)
    assert (tmp_path / "k.bin").stat().st_size == 12
    loaded = graph.load(path)
    (tmp_path / "k.bin").unlink()
    feeds = {"x": np.ones(3, np.float32)}
    assert run(loaded.ir_model, feeds)["y"].tolist() == [1, 2, 3]


def set_external(path: Path, key: str, value: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value
    path.write_bytes(model.SerializeToString())


def test_hash_of_one_file_is_the_files_own(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(proto(), path)
    assert graph.load(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_hash_covers_external_data(tmp_path: Path) -> None:
    path = external_model(tmp_path)
    before = graph.load(path).sha256
    data = bytearray((tmp_path / "w.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "w.bin").write_bytes(data)
    assert graph.load(path).sha256 != before


def test_external_and_internal_weights_compute_the_same(tmp_path: Path) -> None:
    model = graph.load(external_model(tmp_path))
    inside = graph.model_from_ir(ir.from_proto(proto()))
    feeds = random_feeds(model)
    assert_same_bits(run(model.ir_model, feeds), run(inside.ir_model, feeds), "external")
    for external in (False, True):
        files = graph.save(model.ir_model, tmp_path / f"copy{external}.onnx", external)
        assert len(files) == 1 + external
        assert_same_bits(run(graph.load(files[0]).ir_model, feeds), run(model.ir_model, feeds), "copy")


def test_saving_twice_gives_the_same_bytes_without_paths(tmp_path: Path) -> None:
    contents = []
    for turn in range(2):
        folder = tmp_path / str(turn)
        folder.mkdir()
        halves = graph.split(graph.load(external_model(folder)), ["r"])
        for name, external in (("a.onnx", False), ("b.onnx", True)):
            for side, half in (("head", halves.head), ("tail", halves.tail)):
                graph.save(half, folder / f"{side}-{name}", external)
        contents.append({file.name: file.read_bytes() for file in sorted(folder.iterdir())})
    assert contents[0] == contents[1]
    assert not any(os.fsencode(tmp_path) in data for data in contents[0].values())


def test_saving_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="cannot be written"):
        graph.save(ir.from_proto(proto()), tmp_path / "no" / "m.onnx")


HOSTILE = [
    pytest.param(lambda path: path.unlink(), "no such file; give the path of an ONNX model", id="absent"),
    pytest.param(lambda path: path.write_bytes(b""), "the graph has no nodes or no outputs", id="empty"),
    pytest.param(lambda path: path.write_bytes(b"\xff" * 999), "not a readable ONNX model", id="garbage"),
    pytest.param(lambda path: path.write_bytes(path.read_bytes()[:100]), "not a readable ONNX model", id="truncated"),
    pytest.param(lambda path: (path.parent / "w.bin").unlink(), "'w.bin' is missing; copy it beside", id="data-absent"),
    pytest.param(lambda path: (path.parent / "w.bin").write_bytes(b"1234"), "the file is truncated", id="data-short"),
    pytest.param(lambda path: set_external(path, "location", "../w.bin"), "outside the model's folder", id="escape"),
    pytest.param(
        lambda path: set_external(path, "location", "/etc/passwd"), "outside the model's folder", id="absolute"
    ),
    pytest.param(lambda path: set_external(path, "offset", "99999"), "the file is truncated", id="offset"),
    pytest.param(lambda path: set_external(path, "length", "7"), "grants 7", id="length"),
    pytest.param(
        lambda path: set_external(path, "offset", "-4"), "tensor 'w': external offset is '-4', not", id="negative"
    ),
    pytest.param(lambda path: set_external(path, "offset", "zero"), "external offset is 'zero', not", id="words"),
    pytest.param(lambda path: set_external(path, "length", "1e3"), "external length is '1e3', not", id="exponent"),
    pytest.param(lambda path: os.link(path.parent / "w.bin", path.parent / "2"), "several hard links", id="hard-link"),
]


@pytest.mark.parametrize(("damage", "message"), HOSTILE)
def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path, damage: object, message: str) -> None:
    path = external_model(tmp_path)
    damage(path)  # type: ignore[operator]
    with pytest.raises(GraphError, match=re.escape(message)) as caught:
        graph.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = external_model(inner)
    (inner / "w.bin").rename(tmp_path / "w.bin")
    (inner / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(GraphError, match="outside the model's folder"):
        graph.load(path)


def linked_model(folder: Path, kind: str) -> Path:
    """A model and its weights, stored under other names and reached through links."""
    blobs, place = folder / "blobs", folder / "snapshots/1"
    place.mkdir(parents=True)
    blobs.mkdir()
    path = external_model(place)
    if kind == "weights-only":
        (place / "w.bin").rename(place / "aaa")
        (place / "w.bin").symlink_to("aaa")
        return path
    for file in ("w.bin", path.name):
        (place / file).rename(blobs / file[::-1])
        (place / file).symlink_to(f"../../blobs/{file[::-1]}")
    return path


@pytest.mark.parametrize("kind", ["cache", "weights-only"])
def test_links_as_caches_make_them_are_followed(kind: str, tmp_path: Path) -> None:
    """Models of the hubs are links to files that lie side by side; ONNX Runtime reads them, and so does splitc."""
    model = graph.load(linked_model(tmp_path, kind))
    plain = external_model(tmp_path)
    assert model.sha256 == graph.load(plain).sha256 == model_sha256(model.path)
    feeds = random_feeds(model)
    assert_same_bits(run(model.ir_model, feeds), run(graph.load(plain).ir_model, feeds), kind)
    assert model.external == (model.path.parent.resolve() / "w.bin",)


@pytest.mark.parametrize(
    ("name", "target"),
    [("w.bin", "../elsewhere/w.bin"), ("w.bin", "../../elsewhere/w.bin"), ("m.onnx", "../../blobs/else/m.onnx")],
)
def test_a_link_to_what_is_not_beside_the_model_is_refused(name: str, target: str, tmp_path: Path) -> None:
    path = linked_model(tmp_path, "cache")
    place = path.parent / (name if name == "w.bin" else path.name)
    there = path.parent / target
    there.parent.mkdir(parents=True)
    there.write_bytes(place.read_bytes())
    place.unlink()
    place.symlink_to(target)
    with pytest.raises(GraphError, match="outside the model's folder"):
        graph.load(path)


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_load_or_are_refused(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.onnx"
    data = bytearray(proto().SerializeToString())
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, len(data), 3):
        data[at] = rng.integers(0, 256)
    path.write_bytes(data)
    with contextlib.suppress(GraphError):
        graph.enumerate_cuts(graph.load(path))


SHAPES = [
    pytest.param({"x": (2, 3, 8, "W")}, (2, 3, 8, "W"), id="fix-some"),
    pytest.param({"x": ("batch", 3, "H", "W")}, ("batch", 3, "H", "W"), id="rename"),
    pytest.param({}, ("N", 3, "H", "W"), id="as-is"),
]


@pytest.mark.parametrize(("shapes", "expected"), SHAPES)
def test_shapes_fix_or_name_dimensions(
    shapes: dict[str, tuple[int | str, ...]], expected: tuple[int | str, ...]
) -> None:
    model = graph.model_from_ir(ir.from_proto(proto()), shapes)
    assert model.inputs[0].shape == expected
    assert model.outputs[0].shape == (expected[0], 4, *expected[2:])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        pytest.param({"z": (1,)}, "m: no input is called 'z'. Known: x.", id="unknown"),
        pytest.param({"x": (1, 3)}, "m: input 'x' has 4 dimensions in the model, the given shape 2.", id="rank"),
        pytest.param(
            {"x": (1, 5, 8, 8)},
            "m: input 'x': dimension 1 is 3 in the model and cannot be 5; give 3.",
            id="fixed",
        ),
    ],
)
def test_shapes_that_contradict_the_model_are_refused(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        graph.model_from_ir(ir.from_proto(proto()), shapes, label="m")


def test_one_dimension_cannot_be_two_things() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[N] x, float[N] u) => (float[N] y) { y = Add(x, u) }'
    with pytest.raises(GraphError, match="dimension 'N' is given both as 2 and as 3"):
        graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)), {"x": (2,), "u": (3,)})
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)), {"x": (2,)})
    assert [spec.shape for spec in (*model.inputs, *model.outputs)] == [(2,), (2,), (2,)]


def test_old_opsets_are_refused_and_initializers_listed_as_inputs_are_no_inputs() -> None:
    with pytest.raises(GraphError, match="opset 5 is too old; convert the model to opset 6 or later"):
        graph.model_from_ir(ir.from_proto(proto(opset=5)))
    old = proto(opset=9)
    old.ir_version = 3
    old.graph.input.append(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [4, 3, 1, 1]))
    model = graph.model_from_ir(ir.from_proto(old))
    assert [spec.name for spec in model.inputs] == ["x"]
    assert model.ir_model.opset_imports[""] == 9


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("y = Neg(nowhere)", "reads 'nowhere', which nothing before it produces", id="dangling"),
        pytest.param(
            "c = Cast<to=9>(x) y = If(c) <then_branch = t () => (float[N] p) { p = Neg(lost) },"
            " else_branch = e () => (float[N] q) { q = Neg(x) }>",
            "reads 'lost'",
            id="dangling-in-a-subgraph",
        ),
        pytest.param("a = Neg(b) b = Neg(a) y = Add(a, x)", "cycle", id="cycle"),
        pytest.param("z = Neg(x)", "nothing produces output 'y'", id="no-output"),
    ],
)
def test_unsound_graphs_are_refused(body: str, message: str) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[N] x) => (float[N] y) {{ {body} }}'
    with pytest.raises(GraphError, match=message):
        graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))


def test_verify_accepts_halves_and_refuses_a_broken_graph() -> None:
    model = graph.model_from_ir(ir.from_proto(proto()))
    halves = graph.split(model, ["r"])
    for half in (halves.head, halves.tail, graph.merge(halves.head, halves.tail)):
        graph.verify(half)
    halves.head.graph.node(0).outputs[0].name = "r"
    with pytest.raises(GraphError, match="head: two values are called 'r'"):
        graph.verify(halves.head, "head")
    halves.tail.graph.inputs.clear()
    with pytest.raises(GraphError, match="tail: node Mul"):
        graph.verify(halves.tail, "tail")


def test_nothing_but_a_constant_is_refused() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g () => (float[1] y) { y = Constant<value_floats=[1.0]>() }'
    with pytest.raises(GraphError, match="no data input"):
        graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))


@pytest.mark.slow
def test_a_model_of_more_than_two_gigabytes_is_split_without_reading_it(tmp_path: Path) -> None:
    """A sparse file of 2.5 GB stands for the weights; peak memory of this process may grow by 300 MB at most."""
    import resource

    path = huge_model(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = graph.load(path)
    halves = graph.split(model, ["h11"])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(graph.enumerate_cuts(model).candidates) == 23
    assert grown < 300_000, f"{grown} KB"
    files = graph.save(halves.head, tmp_path / "head.onnx")
    assert [file.name for file in files] == ["head.onnx"], "1.25 GB fit"
    with pytest.raises(GraphError, match="save it with external data"):
        graph.to_bytes(model.ir_model)


def huge_model(folder: Path, layers: int = 24, width: int = 5104) -> Path:
    """A chain of MatMuls whose weights are a file of zeros that occupies no disk."""
    helper, size = onnx.helper, 4 * width * width
    weights, nodes = [], []
    for index in range(layers):
        weight = onnx.TensorProto(name=f"w{index}", data_type=1, dims=[width, width], data_location=1)
        for key, value in (("location", "huge.bin"), ("offset", str(index * size)), ("length", str(size))):
            weight.external_data.add(key=key, value=value)
        weights.append(weight)
        nodes.append(helper.make_node("MatMul", [f"h{index - 1}", f"w{index}"], [f"h{index}"]))
    ends = [helper.make_tensor_value_info(name, 1, ["N", width]) for name in ("h-1", f"h{layers - 1}")]
    body = helper.make_graph(nodes, "huge", ends[:1], ends[1:], weights)
    path = folder / "huge.onnx"
    path.write_bytes(
        helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(layers * size)
    return path
