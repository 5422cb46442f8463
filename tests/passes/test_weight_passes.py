"""Passes over the weights of a small network with every kind of layer: what they keep, and what they win."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from splitc import graph, passes
from splitc.errors import CodecError, GraphError
from splitc.passes import align_outputs
from splitc.passes.activation_ranges import ACROSS_FOLDS, FOLDS, RULES, magnitudes_of, ranges_of
from splitc.passes.activations import columns_of, kernel_of, open_session, run_with
from splitc.passes.edit_weights import read_weight
from splitc.passes.layers import layers_of
from splitc.passes.quantization_choice import choose_quantization
from splitc.passes.segments import SegmentRuns
from splitc.types import Array, Feeds
from splitc.weights import container_bytes, smallest_items


@pytest.fixture(scope="module")
def model() -> ir.Model:
    """Conv, depthwise with ReLU6, strided, dilated and padded convs, pool, Gemm."""
    source = np.random.default_rng(0)
    shapes = {"w0": (8, 3, 3, 3), "w1": (8, 1, 3, 3), "w2": (12, 8, 1, 1), "w3": (12, 12, 3, 2), "w4": (5, 12)}
    tensors = {name: source.standard_normal(shape) / np.sqrt(np.prod(shape[1:])) for name, shape in shapes.items()}
    tensors["w0"] *= source.lognormal(0, 1, (8, 1, 1, 1))
    tensors |= {f"b{i}": 0.1 * source.standard_normal(shapes[f"w{i}"][0]) for i in range(5)}
    tensors |= {"low": np.zeros(()), "high": np.full((), 6.0)}
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["a", "low", "high"], ["a6"]),
        helper.make_node("Conv", ["a6", "w1", "b1"], ["d"], group=8, strides=[2, 2], auto_pad="SAME_UPPER"),
        helper.make_node("Clip", ["d", "low", "high"], ["d6"]),
        helper.make_node("Conv", ["d6", "w2", "b2"], ["p"]),
        helper.make_node("Relu", ["p"], ["pr"]),
        helper.make_node("Conv", ["pr", "w3", "b3"], ["q"], dilations=[1, 2], pads=[1, 0, 1, 2]),
        helper.make_node("GlobalAveragePool", ["q"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w4", "b4"], ["y"], transB=1),
    ]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", 1, ["N", 3, 12, 12])],
        [helper.make_tensor_value_info("y", 1, ["N", 5])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in tensors.items()],
    )
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return graph.model_from_ir(ir.from_proto(proto)).ir_model


def feeds(count: int, seed: int) -> list[Feeds]:
    """Smooth inputs, which have few directions."""
    source = np.random.default_rng(seed)
    coarse = source.standard_normal((count, 1, 3, 4, 4)).astype(np.float32)
    return [{"x": 2 * x.repeat(3, 2).repeat(3, 3)} for x in coarse]


def answers(model: ir.Model, samples: list[Feeds]) -> Array:
    session = open_session(model)
    return np.concatenate([session.run(["y"], dict(one))[0] for one in samples])


def moved(model: ir.Model, changed: ir.Model) -> float:
    """Mean square error of the answers on inputs that nothing was calibrated on."""
    samples = feeds(64, 9)
    return float(np.square(answers(model, samples) - answers(changed, samples)).mean())


def test_columns_are_what_convolutions_read(model: ir.Model) -> None:
    """Weights times columns is the convolution, at every output place."""
    names = [layer.input.name or "" for layer in layers_of(model)]
    probe = model.clone()
    wanted = {value.name: value for node in probe.graph for value in node.outputs}
    outputs = [layer.node.outputs[0].name or "" for layer in layers_of(model)]
    for name in [*names[1:], *outputs]:
        if wanted[name] not in probe.graph.outputs:
            probe.graph.outputs.append(wanted[name])
    session = open_session(probe)
    (feed,) = feeds(1, 1)
    values = dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(feed)), strict=True)) | dict(feed)
    for layer, name, output in zip(layers_of(model), names, outputs, strict=True):
        weight = layer.matrix(read_weight(model, layer.weight))
        columns = columns_of(layer, values[name], kernel_of(model, layer), 10**6)
        made = (weight @ columns).reshape(-1, columns.shape[2])
        bias = read_weight(model, layer.bias or "")
        expected = values[output].reshape(len(bias), -1)
        assert np.abs(made + bias[:, None] - expected).max() < 1e-4  # float32 sums in another order


def test_matrix_and_back(model: ir.Model) -> None:
    for layer in layers_of(model):
        weight = read_weight(model, layer.weight)
        assert np.array_equal(layer.weight_from(layer.matrix(weight), weight.shape), weight)


def test_roles(model: ir.Model) -> None:
    assert [layer.role for layer in layers_of(model)] == ["conv"] * 4 + ["fc"]


def test_pruning_by_magnitude_has_exact_counts(model: ir.Model) -> None:
    result = passes.PruneWeights(conv=0.5, fc=0.9)(model)
    for layer in layers_of(result.model):
        weight = read_weight(result.model, layer.weight)
        assert int((weight == 0).sum()) == int(weight.size * (0.9 if layer.role == "fc" else 0.5))
    zeros, size = passes.count_zeros(result.model)
    assert result.notes == (f"pruned (magnitude): {zeros} of {size} weights are zero",)
    assert passes.count_zeros(model)[0] == 0, "the model passed in is unchanged"


def test_compensation_wins(model: ir.Model) -> None:
    plain = passes.PruneWeights(conv=0.5, fc=0.5)(model).model
    best = passes.PruneWeights(0.5, 0.5, "compensated", feeds(64, 2))(model).model
    assert moved(model, best) < 0.3 * moved(model, plain)


def test_compensating_needs_samples(model: ir.Model) -> None:
    with pytest.raises(CodecError, match="needs calibration samples"):
        passes.PruneWeights(0.5, 0.5, "compensated")(model)


def test_two_of_four_with_and_without_samples(model: ir.Model) -> None:
    plain, best = passes.SparseRuns()(model), passes.SparseRuns(feeds(64, 2))(model)
    assert plain.notes == ("2:4 sparsity in 3 of 5 layers",)
    for result in (plain, best):
        for name in ("w2", "w3", "w4"):
            runs = np.moveaxis(read_weight(result.model, name), 1, -1).reshape(-1, 4)
            assert (np.count_nonzero(runs, axis=1) <= 2).all()
    assert moved(model, best.model) < 0.3 * moved(model, plain.model)


def test_runs_outlive_what_comes_after(model: ir.Model) -> None:
    """2:4 is still 2:4 in INT8, shared, and rounded to steps."""
    samples = feeds(64, 2)
    sparse = passes.SparseRuns(samples)(model).model
    rounded = passes.RoundToSteps(1e-3, passes.moments_of(sparse, samples))(sparse).model
    done = passes.ShareWeights(4, 4)(sparse)
    assert done.notes[0].endswith(" times smaller")
    shared = done.model
    quantized = passes.QuantizeStatic(samples)(sparse).model
    for name in ("w2", "w3", "w4"):
        for weight in (
            read_weight(rounded, name),
            read_weight(shared, name),
            read_weight(quantized, f"{name}_quantized"),
        ):
            runs = np.moveaxis(weight, 1, -1).reshape(-1, 4)
            assert (np.count_nonzero(runs, axis=1) <= 2).all()


def test_equalizing_keeps_the_answers(model: ir.Model) -> None:
    """Up to what calibration did not see, which is clipped."""
    samples = feeds(64, 2)
    result = passes.Equalize(samples)(model)
    assert result.notes == ("equalized 4 groups of layers",)
    assert np.abs(answers(model, samples) - answers(result.model, samples)).max() < 1e-4  # float32 factors
    assert moved(model, result.model) < 1e-3 * float(np.var(answers(model, samples)))


def test_int8_is_near_and_typed(model: ir.Model) -> None:
    result = passes.QuantizeStatic(feeds(64, 2))(model)
    made = {node.outputs[0].name: node.op_type for node in result.model.graph}
    for node in result.model.graph:
        if node.op_type in ("Conv", "Gemm"):
            assert [made[value.name] for value in node.inputs[:2] if value] == ["DequantizeLinear"] * 2
    zeros = [v for name, v in result.model.graph.initializers.items() if name.endswith("zero_point")]
    assert all(not zero.const_value.numpy().any() for zero in zeros if zero.const_value)
    assert moved(model, result.model) < 1e-3 * float(np.var(answers(model, feeds(64, 9))))


def test_layers_can_stay_float(model: ir.Model) -> None:
    result = passes.QuantizeStatic(feeds(8, 2), keep_float=frozenset({"w0", "w4"}))(model)
    assert {"w0", "w4"} < set(result.model.graph.initializers)
    assert "w1_quantized" in result.model.graph.initializers


def test_aligning_restores_means(model: ir.Model) -> None:
    """A shift that all samples agree on wholly; what differs from sample to sample as far as they agree."""
    samples = feeds(32, 2)
    shifted, pruned = model.clone(), passes.PruneWeights(conv=0.6, fc=0.0)(model).model
    bias = shifted.graph.initializers["b4"]
    bias.const_value = ir.tensor(bias.const_value.numpy() + np.float32(1), name=bias.name)
    for changed, part in ((shifted, 1e-3), (pruned, 0.6)):
        aligned = passes.AlignOutputs(model, samples)(changed).model
        means = [answers(one, samples).mean(0) for one in (model, changed, aligned)]
        assert np.linalg.norm(means[2] - means[0]) < part * np.linalg.norm(means[1] - means[0])


def test_means_move_no_further_than_samples_agree() -> None:
    spread = np.ones(3)
    made = np.array([[0.0, 1, 1], [0, -1, 1], [0, 1, 1], [0, -1, 1.5]])
    wanted = align_outputs.Moments(np.zeros(3), spread, np.zeros((4, 3)))
    aim = align_outputs._shrunk(wanted, align_outputs.Moments(made.mean(0), spread, made))
    assert np.allclose(aim.mean, [0, 0, 1.125 * (0.125**2 / 1.125**2)])


def test_a_skeleton_is_filled_again(model: ir.Model) -> None:
    bare = passes.Skeleton()(model)
    assert "w0" not in bare.model.graph.initializers
    filled = passes.PutWeights(passes.weights_of(model))(bare.model).model
    assert np.array_equal(answers(model, feeds(2, 1)), answers(filled, feeds(2, 1)))


def test_a_skeleton_gets_all_of_its_weights(model: ir.Model) -> None:
    bare = passes.Skeleton()(model).model
    some = [one for one in passes.weights_of(model) if one.name != "w3"]
    with pytest.raises(GraphError, match="the graph needs weights 'w3', which are not among these"):
        passes.PutWeights(some)(bare)
    bare.metadata_props["splitc.weights"] = "w3"
    with pytest.raises(GraphError, match=r"metadata 'splitc.weights' is no list of names"):
        passes.PutWeights(passes.weights_of(model))(bare)


def test_what_is_not_packed_is_named(model: ir.Model) -> None:
    small = model.clone()
    tensor = ir.tensor(np.ones(4, np.uint8), dtype=ir.DataType.UINT4, name="small")
    small.graph.register_initializer(ir.Value(name="small", const_value=tensor))
    assert (passes.unpacked_of(model), passes.unpacked_of(small)) == ([], ["small"])


def residual() -> ir.Model:
    """Two convolutions added together, which ONNX Runtime's optimizer fuses."""
    source = np.random.default_rng(1)
    tensors = {name: source.standard_normal((4, 4, 3, 3)) / 6 for name in ("w0", "w1")}
    tensors |= {name: source.standard_normal(4) for name in ("b0", "b1")}
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "w1", "b1"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "a"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    sides = [helper.make_tensor_value_info(name, 1, ["N", 4, 8, 8]) for name in ("x", "y")]
    initializers = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in tensors.items()]
    made = helper.make_graph(nodes, "residual", sides[:1], sides[1:], initializers)
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return graph.model_from_ir(ir.from_proto(proto)).ir_model


def test_int8_of_a_residual_block() -> None:
    model = residual()
    samples: list[Feeds] = [{"x": np.random.default_rng(2).standard_normal((8, 4, 8, 8)).astype(np.float32)}]
    result = passes.QuantizeStatic(samples)(model)
    exact, got = (answers(one, samples) for one in (model, result.model))
    assert np.square(exact - got).mean() < 1e-3 * np.var(exact)


def test_equalizing_takes_a_residual_stream_as_one() -> None:
    """All that is added to it and all that reads it; a stream that leaves the graph is left alone."""
    model = residual()
    samples: list[Feeds] = [{"x": np.random.default_rng(2).standard_normal((8, 4, 8, 8)).astype(np.float32)}]
    assert passes.Equalize(samples)(model).notes == ("equalized 0 groups of layers",)  # all of it is y
    inner = model.clone()
    values = {value.name: value for node in inner.graph for value in node.outputs}
    weight = ir.tensor(np.random.default_rng(3).standard_normal((2, 4, 1, 1)).astype(np.float32), name="w2")
    inner.graph.register_initializer(ir.Value(name="w2", shape=ir.Shape((2, 4, 1, 1)), const_value=weight))
    last = ir.node("Conv", [values["y"], inner.graph.initializers["w2"]], name="last")
    last.outputs[0].name, last.outputs[0].type = "z", ir.TensorType(ir.DataType.FLOAT)
    inner.graph.append(last)
    inner.graph.outputs[0] = last.outputs[0]
    result = passes.Equalize(samples)(inner)
    assert result.notes == ("equalized 1 groups of layers",)
    for name in ("w0", "w1", "b0", "b1", "w2"):
        assert not np.array_equal(read_weight(inner, name), read_weight(result.model, name))
    exact, got = (open_session(one).run(None, dict(samples[0]))[0] for one in (inner, result.model))
    assert np.abs(exact - got).max() < 1e-4 * np.abs(exact).max()  # float32 factors


def test_equalized_only_where_it_pays(model: ir.Model) -> None:
    """Three samples leave none to judge by; channels of unlike ranges and many samples alike make it pay."""
    every = frozenset(layer.weight for layer in layers_of(model))
    few = choose_quantization(model, every, feeds(3, 2)).equal
    assert few.model is model
    assert few.notes == ("no channels equalized: fewer than 4 samples, none to judge by",)
    assert choose_quantization(model, every, feeds(64, 2)).equal.changed


def test_ranges_leave_room_where_folds_differ() -> None:
    """Few large values that each fold has others of: the range reaches past the largest; many alike: it need not."""
    model = residual()
    rare, common = np.zeros((16, 4, 8, 8), np.float32), np.ones((16, 4, 8, 8), np.float32)
    rare[:, 0, 0, 0] = 1.3 ** np.arange(16)
    for x, least, most in ((rare, 1.1, 2.0), (common, 0.97, 1.05)):
        found = ranges_of(magnitudes_of(model, ["x"], [{"x": x[:8]}, {"x": x[8:]}], FOLDS), RULES[ACROSS_FOLDS])["x"]
        assert least <= found / x.max() <= most


def test_lifted_layers_are_float_again(model: ir.Model) -> None:
    samples = feeds(16, 2)
    done = passes.QuantizeStatic(samples)(model)
    assert done.original is not None
    assert [name for _, name in passes.quantized_layers(done.model)] == [f"w{i}" for i in range(5)]
    some = passes.LiftLayers(done.original, frozenset({"w1", "w4", "no such"}))(done.model).model
    assert [name for _, name in passes.quantized_layers(some)] == ["w0", "w2", "w3"]
    assert not {"w1_quantized", "a6_scale"} & set(some.graph.initializers)
    whole = passes.LiftLayers(done.original, frozenset(f"w{i}" for i in range(5)))(done.model).model
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in whole.graph}
    assert np.array_equal(answers(whole, feeds(4, 9)), answers(done.original, feeds(4, 9)))
    assert 0 < moved(model, some) < moved(model, done.model)


def test_segments_are_the_whole_run(model: ir.Model) -> None:
    """Changed in place, what a segment made is what the next ones read."""
    nodes = [layer.node for layer in layers_of(model)]
    samples = feeds(3, 1)
    probe = model.clone()
    made = {node.outputs[0].name: arrays for node, arrays in SegmentRuns(model, nodes, samples)}
    for name, arrays in made.items():
        for values, array in zip(run_with(probe, [name or ""], samples, only=True), arrays, strict=True):
            assert np.abs(values[name or ""] - array).max() < 1e-4  # float32 sums in another order
    for _, arrays in SegmentRuns(model, nodes, samples):
        for array in arrays:
            array[...] = 0
    assert not any(array.any() for array in arrays)


def test_every_step_is_called(model: ir.Model) -> None:
    count = [0]

    def step() -> None:
        count[0] += 1

    passes.QuantizeStatic(feeds(4, 2), step=step)(model)
    assert count[0] == passes.quantizing_steps(model)


def test_what_compensates_tells_of_every_layer(model: ir.Model) -> None:
    samples, calls = feeds(8, 2), list[None]()
    seen = passes.moments_of(model, samples)

    def step() -> None:
        calls.append(None)

    passes.PruneWeights(0.5, 0.0, "compensated", samples, step)(model)
    passes.SparseRuns(samples, step=step)(model)
    passes.measure_sensitivity(model, seen, samples, step=step)
    passes.RoundToSteps(0.01, seen, step=step)(model)
    assert len(calls) == 4 * len(passes.layers_of(model))


def test_rounding_to_steps_costs_fewer_bytes_and_moves_answers_by_the_noise(model: ir.Model) -> None:
    samples = feeds(64, 2)
    seen = passes.moments_of(model, samples)
    sensitivity = passes.measure_sensitivity(model, seen, samples[:16])
    assert sensitivity.keys() == {f"w{i}" for i in range(5)}
    before, sizes, errors = len(container_bytes(smallest_items(passes.weights_of(model)))), [], []
    for noise in (1e-5, 1e-3, 1e-1):
        changed = passes.RoundToSteps(noise, seen, sensitivity)(model).model
        items = smallest_items(passes.weights_of(changed))
        assert all(item.encoding.name == "levels" for item in items if item.tensor.values.size > 100)
        sizes.append(len(container_bytes(items)))
        errors.append(moved(model, changed))
    assert before > sizes[0] > sizes[1] > sizes[2]
    assert errors[0] < errors[1] < errors[2]
    assert errors[1] < 0.05 * np.var(answers(model, feeds(64, 9)))
