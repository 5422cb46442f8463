"""Every pass on every kind of stranger's network: no traceback, a sound graph, and the answers of the whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import strangers

from splitc import graph, passes
from splitc.errors import GraphError, OwnFault
from splitc.passes import Pass
from splitc.types import Array, Feeds

Make = Callable[[], onnx.ModelProto]
CASES = {f"{kind}-{name}": make for kind, found in strangers.KINDS.items() for name, make in found.items()}
EACH = [pytest.param(make, id=name) for name, make in CASES.items()]
PASSES: dict[str, tuple[Callable[[Sequence[Feeds]], Pass], float]] = {
    "int8": (passes.QuantizeStatic, 0.08),
    "fp16": (passes.ToFloat16, 0.01),
    "2:4": (passes.SparseRuns, 0.6),
    "compensated": (lambda feeds: passes.PruneWeights(0.3, 0.3, "compensated", feeds), 0.35),
    "shared": (lambda feeds: passes.ShareWeights(6, 6), 0.1),
}
"""What is asked, and how far answers may move: INT8 steps are 1/127 of a range and sixteen of them in a row add up;
float16 keeps 11 bits; half and a third of such random weights are no small loss; 63 values serve a layer of 576."""
ALLOWS_MORE = {"float16-overflow": 0.02, "opsets-top-10": 0.4}
"""Where a network itself makes more of an error: a square root of what overflowed; places of equal values that swap."""
QUIET = onnxruntime.SessionOptions()
QUIET.log_severity_level = 4
QUIET.intra_op_num_threads = 1
QUIET.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


def feeds(count: int = 12) -> list[Feeds]:
    """Samples of different loudness, so that every branch is taken."""
    random = np.random.default_rng(3)
    shape = (1, 3, strangers.SIDE, strangers.SIDE)
    return [{"x": (random.standard_normal(shape) * (0.5 + index % 3)).astype(np.float32)} for index in range(count)]


def answers(data: bytes, samples: Sequence[Feeds]) -> list[list[Array]]:
    session = onnxruntime.InferenceSession(data, QUIET, providers=["CPUExecutionProvider"])
    return [session.run(None, dict(one)) for one in samples]


def moved(found: Sequence[Sequence[Array]], expected: Sequence[Sequence[Array]]) -> float:
    """Root mean square difference of the worst output, as a share of its own root mean square."""
    worst = 0.0
    for place in range(len(expected[0])):
        got, exact = (np.concatenate([one[place].ravel() for one in side]) for side in (found, expected))
        assert got.shape == exact.shape
        where = np.isfinite(exact)
        difference = np.linalg.norm((got - exact.astype(np.float64))[where])
        worst = max(worst, float(difference / max(np.linalg.norm(exact[where].astype(np.float64)), 1e-12)))
    return worst


def loaded(make: Make) -> ir.Model:
    return graph.model_from_ir(ir.from_proto(make())).ir_model


def prepared(model: ir.Model) -> ir.Model:
    return graph.model_from_ir(passes.prepare(model, in_graph=True).model).ir_model


@pytest.fixture(params=EACH)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ir.Model, list[list[Array]]]:
    """Its name, the prepared model and what ONNX Runtime answers to the file as it came."""
    name, data = request.node.callspec.id, request.param().SerializeToString()
    path = tmp_path / "stranger.onnx"
    path.write_bytes(data)
    return name, prepared(graph.load(path).ir_model), answers(data, feeds())


def test_preparing_changes_no_bit(case: tuple[str, ir.Model, list[list[Array]]]) -> None:
    _, model, expected = case
    for got, exact in zip(answers(graph.to_bytes(model), feeds()), expected, strict=True):
        for one, other in zip(got, exact, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("asked", PASSES)
def test_no_pass_breaks_it(asked: str, case: tuple[str, ir.Model, list[list[Array]]]) -> None:
    name, model, expected = case
    make, limit = PASSES[asked]
    result = passes.apply(make(feeds()), model)
    changed = passes.float16_arithmetic(result.model) if asked == "fp16" else result.model
    got = answers(graph.to_bytes(changed), feeds())
    key = next((known for known in ALLOWS_MORE if known in name), None)
    assert moved(got, expected) <= (max(limit, ALLOWS_MORE[key]) if key else limit), result.notes
    for place, output in enumerate(model.graph.outputs):
        if output.is_initializer():
            np.testing.assert_array_equal(got[0][place], expected[0][place], err_msg="a weight that is handed out")


def test_the_halves_of_every_cut_are_the_whole(case: tuple[str, ir.Model, list[list[Array]]]) -> None:
    _, model, expected = case
    whole = graph.Model(model)
    cuts = graph.enumerate_cuts(whole, max_tensors=1).candidates
    for cut in cuts[:: max(1, len(cuts) // 3)]:
        halves = graph.split(whole, cut.names)
        features = named(halves.head, [dict(one) for one in feeds(3)])
        got = named(halves.tail, features)
        for one, exact in zip(got, expected, strict=False):
            for place, output in enumerate(model.graph.outputs):
                np.testing.assert_array_equal(one[output.name or ""], exact[place])


def named(model: ir.Model, samples: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    names = [value.name or "" for value in model.graph.outputs]
    session = onnxruntime.InferenceSession(graph.to_bytes(model), QUIET, providers=["CPUExecutionProvider"])
    wanted = [value.name for value in session.get_inputs()]
    results = [session.run(names, {name: one[name] for name in wanted}) for one in samples]
    return [dict(zip(names, one, strict=True)) for one in results]


# -- one weight, many readers ----------------------------------------------------------------------------------------

TWINS = [
    (strangers.branches(["bias", "bias"]), strangers.branches(["bias.a", "bias.b"])),
    (strangers.branches(["bias", "bias", "bias"]), strangers.branches(["bias.a", "bias.b", "bias.c"])),
    (strangers.gemms(1.0, ("bias", "bias")), strangers.gemms(1.0, ("bias.a", "bias.b"))),
    (strangers.gemms(2.5, ("bias", "bias")), strangers.gemms(2.5, ("bias.a", "bias.b"))),
]


@pytest.mark.parametrize("asked", PASSES)
@pytest.mark.parametrize(("shared", "own"), TWINS, ids=["two", "three", "gemm", "gemm-with-beta"])
def test_a_shared_bias_costs_nothing(shared: onnx.ModelProto, own: onnx.ModelProto, asked: str) -> None:
    """Bit for bit what the same network comes to whose layers have biases of their own."""
    make, _ = PASSES[asked]
    models = [graph.model_from_ir(ir.from_proto(one)).ir_model for one in (shared, own)]
    found = [answers(graph.to_bytes(passes.apply(make(feeds()), model).model), feeds()) for model in models]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_a_beta_counts_where_biases_are_corrected() -> None:
    """Means are met as well with a beta of 2.5 as with 1: the error of both is rounding."""
    for beta in (1.0, 2.5):
        model = graph.model_from_ir(ir.from_proto(strangers.gemms(beta, ("bias.a", "bias.b")))).ir_model
        broken = model.clone()
        (bias,) = (value for value in broken.graph.initializers.values() if value.name == "bias.a")
        assert bias.const_value is not None
        bias.const_value = ir.tensor(bias.const_value.numpy() + np.float32(0.5), name=bias.name)
        mended = passes.AlignOutputs(model, feeds())(broken).model
        exact, got = (answers(graph.to_bytes(one), feeds()) for one in (model, mended))
        assert moved(got, exact) < 1e-5, beta


# -- what is said ----------------------------------------------------------------------------------------------------

REFUSED = [
    pytest.param(
        lambda: strangers.imported({}), r"an operator Conv of domain '', and the model has no opset import", id="none"
    ),
    pytest.param(
        lambda: without_import(strangers.contrib(17), "com.microsoft"),
        r"an operator Gelu of domain 'com.microsoft', and the model has no opset import",
        id="contrib-without-import",
    ),
    pytest.param(
        lambda: strangers.imported({"": 17}, "ai.onnx.ml"),
        r"an operator Conv of domain 'ai.onnx.ml', and the model has no opset import",
        id="another-domain-without-import",
    ),
    pytest.param(
        lambda: strangers.imported({"": 17, "ai.onnx": 13}, "ai.onnx"),
        r"imports ONNX's operators twice, opset 17 as '' and 13 as 'ai.onnx'",
        id="two",
    ),
    pytest.param(lambda: strangers.imported({"": 99}), r"opset 99 is newer than this onnx knows", id="newer"),
]


def without_import(model: onnx.ModelProto, domain: str) -> onnx.ModelProto:
    (index,) = (place for place, one in enumerate(model.opset_import) if one.domain == domain)
    del model.opset_import[index]
    return model


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_is_refused_is_refused_at_load(make: Make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        loaded(make)


def test_a_model_of_a_newer_format_is_refused() -> None:
    model = strangers.Stranger().end("r0")
    model.ir_version = 99
    with pytest.raises(GraphError, match=r"IR version 99 is newer than this onnx knows .* export the model with older"):
        loaded(lambda: model)


@pytest.mark.parametrize(
    ("place", "shape", "message"),
    [
        (40, None, "has indices outside its shape"),
        (0, [1 << 40, 1 << 20], "has the shape .* more than"),
        (0, [-8, 5], "has the shape"),
    ],
)
def test_a_sparse_tensor_that_fits_nothing_is_refused(
    place: int, shape: list[int] | None, message: str, tmp_path: Path
) -> None:
    model = strangers.sparse("constant")
    held = model.graph.node[0].attribute[0].sparse_tensor
    held.indices.ClearField("raw_data")
    held.indices.int64_data[:] = [1, 15, place]
    held.dims[:] = shape or held.dims[:]
    path = tmp_path / "sparse.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(GraphError, match=message):
        graph.load(path)


def test_a_value_that_is_not_finite_is_named() -> None:
    result = passes.QuantizeStatic(feeds())(prepared(loaded(strangers.infinite_inside)))
    assert "layers that read 'log' stay float: NaN or infinities on calibration samples" in result.notes


@pytest.mark.parametrize("name", ["w0", "b0", "last.w", "bf"])
def test_a_weight_that_is_not_finite_is_named(name: str) -> None:
    model = loaded(lambda: strangers.Stranger().end("r0"))
    held = model.graph.initializers[name]
    assert held.const_value is not None
    values = held.const_value.numpy().copy()
    values.flat[1] = np.nan
    held.const_value = ir.tensor(values, name=name)
    with pytest.raises(GraphError, match=rf"edge: weight {name!r} of .* holds NaN or infinities; mend it"):
        passes.refuse_not_finite(model, "edge")


# -- names -----------------------------------------------------------------------------------------------------------


def test_fresh_names_are_those_that_nobody_has() -> None:
    model = loaded(lambda: strangers.named_in_a_branch("r0.symbols"))
    names = graph.FreshNames(model)
    assert names("r0.symbols") == "r0.symbols_2"
    assert names("r0.symbols") == "r0.symbols_3"
    assert names("nobody") == "nobody"
    assert names("conv0") == "conv0_2", "names of nodes count"


def test_a_name_is_made_free() -> None:
    """Inner values give way in every graph; inputs and outputs do not."""
    model = loaded(lambda: strangers.named_in_a_branch("taken"))
    graph.free_name(model, "taken", graph.FreshNames(model))
    graph.free_name(model, "x", graph.FreshNames(model))
    inner = [value.name for one in model.graphs() for value in graph.values_of(one)]
    assert "taken" not in inner
    assert "x" in inner
    assert {f"taken_{index}" for index in (2, 3)} <= set(inner)


# -- who reads a value -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "name", "is_read"),
    [
        (lambda: strangers.Stranger().end("r0"), "bf", False),
        (lambda: strangers.handed_out("bf"), "bf", True),
        (lambda: strangers.branches(["bias", "bias"]), "bias", True),
        (strangers.read_by_mul, "ba", True),
        (lambda: strangers.read_in_a_branch("mid.w"), "mid.w", True),
        (strangers.tied, "wt", True),
    ],
    ids=["own", "output", "two-layers", "another-operator", "branch", "tied"],
)
def test_readers_of_every_kind_count(make: Make, name: str, is_read: bool) -> None:
    model = loaded(make)
    value = model.graph.initializers[name]
    reader = next(iter(sorted(graph.operands_that_read(value), key=lambda one: one[0].outputs[0].name or "")))
    assert graph.is_read_beside(value, {reader}) == is_read
    assert graph.is_read_beside(value)


# -- the fault is ours -----------------------------------------------------------------------------------------------


class _Breaks:
    """A pass with a fault of its own."""

    name = "breaks"

    def __init__(self, how: str) -> None:
        self.how = how

    def __call__(self, model: ir.Model) -> passes.PassResult:
        broken = model.clone()
        first, second = itertools.islice(broken.graph, 2)
        if self.how == "order":
            broken.graph.remove(second)
            broken.graph.insert_before(first, second)
        elif self.how == "name":
            second.outputs[0].name = first.outputs[0].name
        else:
            broken.graph.outputs.clear()
        return passes.PassResult(broken, True)


@pytest.mark.parametrize("how", ["order", "name", "outputs"])
def test_an_unsound_result_is_a_fault_of_splitc(how: str) -> None:
    model = loaded(lambda: strangers.Stranger().end("r0"))
    with pytest.raises(OwnFault) as failed:
        passes.apply(_Breaks(how), model)
    said = str(failed.value)
    assert failed.value.exit_code == 70
    assert said.startswith("pass 'breaks' made an unsound graph of a sound one: ")
    assert "This is a fault of splitc, not of the model: please report it" in said
    assert "export" not in said, "nothing is asked of the model's owner"
