"""Split a model at a proven cut into two graphs that run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from splitc.graph.cuts.cut import ancestors, check_cut, sides_of
from splitc.graph.files.strip import strip
from splitc.graph.halves.port_order import write_inputs, write_order
from splitc.graph.halves.rebuilt_shapes import rebuild_shapes
from splitc.graph.model import Model
from splitc.graph.values.collector import collector_paused
from splitc.graph.values.flow import Flow
from splitc.graph.values.tensors import spec_of
from splitc.types import Feeds, TensorSpec


@dataclass(frozen=True, eq=False)
class Halves:
    """The two graphs that a cut makes.

    Attributes:
        head: Inputs of the model -> the cut tensors, in the order of ``cut``, then the exits.
        tail: The cut tensors, in that order, then what is given -> outputs of the model that are no exits.
        cut: What crosses.
        exits: Outputs of the model that the head answers by itself.
        given: Inputs of the model that the tail takes as they are.
        duplicated_bytes: Initializers and constants that both halves hold.
    """

    head: ir.Model
    tail: ir.Model
    cut: tuple[TensorSpec, ...]
    duplicated_bytes: int
    exits: tuple[str, ...] = ()
    given: tuple[TensorSpec, ...] = ()

    def head_feeds(self, feeds: Feeds) -> Feeds:
        """What the head takes of a sample."""
        return {value.name or "": feeds[value.name or ""] for value in self.head.graph.inputs}

    def tail_feeds(self, feeds: Feeds, features: Feeds) -> Feeds:
        """What the tail takes of a sample: ``features``, which cross, and of ``feeds`` what it is given."""
        return {spec.name: features[spec.name] for spec in self.cut} | {one.name: feeds[one.name] for one in self.given}


@collector_paused()
def split(model: Model, names: Sequence[str], exits: Sequence[str] = ()) -> Halves:
    """Split at the values ``names``. Weights are shared with ``model``, not copied.

    If, Loop and Scan stay whole; what both halves need and depends on no data is in both. A cut value that is
    an output of the model passes through the tail as input and output of the same name.

    Args:
        model: The whole.
        names: The values that cross.
        exits: Outputs that the head answers by itself, which therefore do not cross; beside those that ``model`` keeps.

    Raises:
        CutError: ``names`` is not a cut; see ``check_cut``.
    """
    cut, flow, whole = check_cut(model, names, exits), model.flow, model.ir_model
    exits = [*exits, *(value.name or "" for value in flow.exits)]
    ends = [value.name or "" for value in flow.outputs if value.name not in exits]
    early = [name for name in exits if name not in cut.names]
    values = [flow.values[name] for name in cut.names]
    head_nodes = ancestors(flow, [*values, *(flow.values[name] for name in early)])
    taken = {*flow.inputs, *_given(flow, head_nodes, [flow.values[name] for name in early])}
    inputs = [value.name or "" for value in whole.graph.inputs if value in taken]
    head = _part(whole, inputs, [*cut.names, *early])
    if cut.recomputed:
        whole = rebuild_shapes(whole, cut.tensors, cut.recomputed)
    answered = replace(flow, outputs=tuple(flow.values[name] for name in ends))
    given = [value.name or "" for value in _given(flow, sides_of(answered, values).tail, answered.outputs)]
    tail = _part(whole, [*cut.names, *given], ends)
    if early:
        write_order(tail, [value.name or "" for value in model.ir_model.graph.outputs])
    if given:
        write_inputs(tail, [value.name or "" for value in model.ir_model.graph.inputs], given)
    specs = tuple(spec_of(flow.values[name]) for name in given)
    return Halves(head, tail, cut.tensors, shared_bytes(head, tail), tuple(early), specs)


def _given(flow: Flow, nodes: Collection[int], ends: Collection[ir.Value]) -> list[ir.Value]:
    """Which of the given inputs some nodes read, or are among the outputs ``ends``."""
    read = {value for index in nodes for value in flow.reads[index]} | {*ends}
    return [value for value in flow.given if value in read]


def shared_bytes(head: ir.Model, tail: ir.Model) -> int:
    """Bytes of the constants that are in both graphs under the same name."""
    ours, theirs = _constants(head.graph), _constants(tail.graph)
    return sum(ours[name] for name in ours.keys() & theirs.keys())


def _part(whole: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> ir.Model:
    graph = ir.convenience.extract(whole.graph, list(inputs), list(outputs))
    _order_initializers(graph, whole.graph)
    _name_dims(graph)
    graph.opset_imports.update(whole.graph.opset_imports)
    return strip(ir.Model(graph, ir_version=whole.ir_version, producer_name="splitc"))


def _order_initializers(graph: ir.Graph, original: ir.Graph) -> None:
    """``extract`` collects them in a set, whose order changes from run to run."""
    found = dict(graph.initializers)
    graph.initializers.clear()
    for name in original.initializers:
        if name in found:
            graph.initializers[name] = found[name]


def _name_dims(graph: ir.Graph) -> None:
    """Give each nameless dimension of inputs and outputs the name that the contract has for it."""
    for value in (*graph.inputs, *graph.outputs):
        if value.shape is not None:
            names = (
                dim if isinstance(dim, int) else dim.value or f"{value.name}_dim{i}"
                for i, dim in enumerate(value.shape)
            )
            value.shape = ir.Shape(list(names))


def _constants(graph: ir.Graph) -> dict[str, int]:
    """Name -> bytes of each initializer and Constant node."""
    sizes = {
        name: int(value.const_value.nbytes)
        for name, value in graph.initializers.items()
        if value.const_value is not None and value.const_value.dtype != ir.DataType.STRING
    }
    for node in graph:
        if node.op_type == "Constant" and node.domain == "" and "value" in node.attributes:
            sizes[node.outputs[0].name or ""] = int(node.attributes["value"].as_tensor().nbytes)
    return sizes


def with_outputs(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """A copy whose outputs are the values ``names``; weights are shared."""
    return _part(model, [value.name or "" for value in model.graph.inputs], names)
