"""The way back through a graph, node by node from the outputs.

    cut ──► tail ──► outputs                     d(pull . output)
     │        ╲                        gradient = ───────────────
    gradient ◄── rules, last node first ◄── pull     d cut

Rules know one operator each; the values they need are those of the way there, which the graph computes as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError
from splitc.gradients import elementwise, layers, shaping
from splitc.gradients.builder import BackStep, Builder, Pulls
from splitc.types import Shape

RULES = {**elementwise.RULES, **layers.RULES, **shaping.RULES}
PULL = "pull/"
"""Begins the names of inputs that pull an output, unless such a name is taken."""
SCATTER_ADDS = 16
"""First opset whose ScatterElements adds."""
CHANGED_BY_16 = frozenset({"RoiAlign", "GridSample"})
"""Operators that mean something else, or nothing, from opset 16 on than from 13."""
QUANTIZES = frozenset({"QuantizeLinear"})
HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True)
class GradientModel:
    """A graph that takes the inputs of another and pulls of its outputs, float32 of their shapes.

    Attributes:
        model: The graph; outputs are the gradients alone.
        inputs: Names of the inputs that have gradients, in the order of the outputs.
        gradients: Names of the outputs.
        pulls: Output of the other graph -> name of the input that pulls it.
    """

    model: ir.Model
    inputs: tuple[str, ...]
    gradients: tuple[str, ...]
    pulls: Mapping[str, str]


def gradient_model(
    model: ir.Model, inputs: Sequence[str], outputs: Sequence[str], shapes: Mapping[str, Shape]
) -> GradientModel:
    """Vector-Jacobian products of a graph, as a graph.

    Args:
        model: Is left unchanged.
        inputs: Whose gradients are wanted.
        outputs: Which are pulled, each by an input; also one that depends on none of ``inputs``, whose pull is not
            read.
        shapes: Of all inputs, whole numbers.

    Raises:
        GraphError: An operator between them has no rule, or a size is not known; the message names the node.
    """
    known = graph.model_from_ir(model.clone(), shapes)
    made = known.ir_model
    body = made.graph
    graph.fold_shape_arithmetic(made)
    _raise_opset(made)
    names = graph.FreshNames(made)
    build = Builder(names)
    sources = {value.name: value for value in body.inputs}
    reached = _reached(body, [sources[name] for name in inputs])
    pulled = {value: _pull_of(value, names) for value in body.outputs if value.name in outputs}
    body.inputs.extend(pulled.values())
    pulls = {value: pull for value, pull in pulled.items() if value in reached}
    for node in reversed(list(body)):
        _back(node, reached, pulls, build)
    found = [pulls.get(sources[name]) for name in inputs]
    if any(one is None for one in found):
        raise GraphError("no output that is read depends on the cut.")
    _finish(body, build, [one for one in found if one is not None])
    asked = {value.name or "": pull.name or "" for value, pull in pulled.items()}
    return GradientModel(made, tuple(inputs), tuple(value.name or "" for value in body.outputs), asked)


def _pull_of(value: ir.Value, names: graph.FreshNames) -> ir.Value:
    return ir.Value(name=names(f"{PULL}{value.name}"), shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT))


def _raise_opset(model: ir.Model) -> None:
    """Opsets 13 to 15 read as 16, where the operators that follow them do not change."""
    version = model.opset_imports.get("", 0)
    if version >= SCATTER_ADDS:
        return
    if version < 13 or any(node.op_type in CHANGED_BY_16 for node in model.graph):
        raise GraphError(f"gradients need opset {SCATTER_ADDS}, the graph has {version}.")
    model.opset_imports[""] = SCATTER_ADDS


def _reached(body: ir.Graph, sources: Iterable[ir.Value]) -> set[ir.Value]:
    """Float values that depend on the sources."""
    reached = set(sources)
    for node in body:
        if any(value in reached for value in node.inputs if value is not None):
            reached |= {value for value in node.outputs if _carries(value)}
    return reached


def _carries(value: ir.Value) -> bool:
    """Whole numbers between a quantizer and its inverse do too."""
    node = value.producer()
    return value.dtype is None or value.dtype.is_floating_point() or (node is not None and node.op_type in QUANTIZES)


def _back(node: ir.Node, reached: set[ir.Value], pulls: dict[ir.Value, ir.Value], build: Builder) -> None:
    """Add what one node hands on to the pulls of its inputs."""
    wanted = frozenset(index for index, value in enumerate(node.inputs) if value is not None and value in reached)
    if not wanted or not any(value in pulls for value in node.outputs):
        return
    for index, pull in _handed_on(node, wanted, pulls, build).items():
        value = node.inputs[index]
        if value is not None and index in wanted:
            pulls[value] = build.op("Add", pulls[value], pull) if value in pulls else pull


def _handed_on(node: ir.Node, wanted: frozenset[int], pulls: Mapping[ir.Value, ir.Value], build: Builder) -> Pulls:
    if node.op_type == "Split" and node.domain == "":
        return {0: _joined([_pull_or_zeros(one, pulls, build) for one in node.outputs], node, build)}
    step = BackStep(node, pulls.get(node.outputs[0], node.outputs[0]), wanted, build)
    if node.domain != "" or node.op_type not in RULES:
        raise step.refusal("no rule")
    if node.outputs[0] not in pulls or any(value in pulls for value in node.outputs[1:]):
        raise step.refusal("several outputs")
    halves = any(value.dtype in HALVES for value in (*node.inputs, *node.outputs) if value is not None)
    if halves and node.op_type != "Cast":
        raise step.refusal("it computes in half precision")
    return RULES[node.op_type](step)


def _joined(parts: Sequence[ir.Value], node: ir.Node, build: Builder) -> ir.Value:
    axis = node.attributes.get("axis")
    return build.op("Concat", *parts, axis=0 if axis is None else axis.as_int())


def _pull_or_zeros(value: ir.Value, pulls: Mapping[ir.Value, ir.Value], build: Builder) -> ir.Value:
    return pulls[value] if value in pulls else build.op("Mul", value, build.constant(0.0))


def _finish(body: ir.Graph, build: Builder, found: Sequence[ir.Value]) -> None:
    """Add the nodes, and make the gradients the only outputs; each has a node of its own."""
    outputs = [build.op("Identity", one) for one in found]
    for value in build.constants:
        body.register_initializer(value)
    body.extend(build.nodes)
    body.outputs.clear()
    for value in outputs:
        value.type = ir.TensorType(ir.DataType.FLOAT)
        body.outputs.append(value)
