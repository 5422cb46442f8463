"""Merge two halves into one graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx_ir as ir
import onnx_ir.passes.common as common
from onnx_ir.passes.common import naming

from splitc.errors import GraphError
from splitc.graph.files.external import same_bytes
from splitc.graph.halves.port_order import NotedInputs, in_order, noted_inputs, sorted_by
from splitc.graph.values.collector import collector_paused
from splitc.graph.values.names import FreshNames


@collector_paused()
def merge(head: ir.Model, tail: ir.Model) -> ir.Model:
    """``join`` of copies: neither argument is changed.

    Raises:
        GraphError: See ``join``.
    """
    return join(head.clone(), tail.clone())


@collector_paused()
def join(head: ir.Model, tail: ir.Model) -> ir.Model:
    """One graph that computes ``tail(head(x))``, made of both: neither can be used afterwards.

    Outputs of the head that the tail does not take (early exits) become outputs: where they were before the split,
    which the tail knows, else behind those of the tail. Equal initializers of the same name are shared again; other
    names that collide get a number. Inputs that the tail is given, and notes, are inputs of the whole.

    Raises:
        GraphError: The tail needs what the head does not give, its notes are damaged, or the operator sets differ.
    """
    noted = noted_inputs(tail)
    _refuse_strangers(head, tail, noted.given)
    _share_initializers(head.graph, tail.graph, FreshNames(head, tail))
    given = {value.name: value for value in (*head.graph.inputs, *head.graph.outputs)}
    outputs = [given.get(value.name, value) if value.is_graph_input() else value for value in tail.graph.outputs]
    taken = {value.name for value in tail.graph.inputs}
    outputs += [value for value in head.graph.outputs if value.name not in taken]
    outputs = in_order(tail, outputs)
    names = [value.name for value in outputs]
    tail.graph.outputs.clear()
    head.graph.outputs.clear()
    _join_inputs(head.graph, tail.graph, given, noted)
    _move(tail.graph, head.graph)
    head.graph.outputs.extend(outputs)
    head.opset_imports.update({**tail.opset_imports, **head.opset_imports})
    fix_names(head)
    if [value.name for value in head.graph.outputs] != names:
        raise GraphError("merge: an output of the tail has the name of an input of the head; rename one of them.")
    return head


def fix_names(model: ir.Model) -> bool:
    """Make names unique and name what has none, by operator and order; omitted outputs stay omitted."""
    omitted = [value for graph in model.graphs() for node in graph for value in node.outputs if value.name == ""]
    changed = common.NameFixPass(_ByOperator())(model).modified
    for value in omitted:
        value.name = ""
    return changed


class _ByOperator(naming.NameGenerator):
    def generate_node_name(self, node: ir.Node) -> str:
        return node.name or node.op_type

    def generate_value_name(self, value: ir.Value) -> str:
        return value.name or "value"


def _join_inputs(ours: ir.Graph, theirs: ir.Graph, known: Mapping[str | None, ir.Value], noted: NotedInputs) -> None:
    """The tail reads what the head makes, or is given; what it alone is given becomes an input of the whole."""
    inputs = list(theirs.inputs)
    theirs.inputs.clear()
    for value in inputs:
        if value.name in known:
            ir.convenience.replace_all_uses_with(value, known[value.name])
        else:
            ours.inputs.append(value)
    ours.inputs[:] = sorted_by(noted.order, list(ours.inputs))


def _refuse_strangers(head: ir.Model, tail: ir.Model, noted: Collection[str]) -> None:
    given = {value.name for value in head.graph.outputs} | {*noted}
    lacking = [
        value.name or "" for value in tail.graph.inputs if value.name not in given and not value.is_initializer()
    ]
    if lacking:
        raise GraphError(
            f"merge: the tail needs {lacking}, which the head does not provide; these halves are not of one split."
        )
    for domain in head.opset_imports.keys() & tail.opset_imports.keys():
        ours, theirs = head.opset_imports[domain], tail.opset_imports[domain]
        if ours != theirs:
            raise GraphError(f"merge: the head has opset {ours} and the tail {theirs}; convert one of them.")


def _move(source: ir.Graph, target: ir.Graph) -> None:
    """Move nodes and initializers to the end of another graph."""
    initializers, nodes = dict(source.initializers), list(source)
    source.initializers.clear()
    source.remove(nodes)
    target.extend(nodes)
    target.initializers.update(initializers)


def _share_initializers(ours: ir.Graph, theirs: ir.Graph, names: FreshNames) -> None:
    """Point ``theirs`` at our equal constants; give the unequal ones of the same name another."""
    for name, value in list(theirs.initializers.items()):
        twin = ours.initializers.get(name)
        if twin is not None and value.is_graph_output():
            twin.name = names(name)
        elif twin is not None and _same_tensor(twin.const_value, value.const_value):
            ir.convenience.replace_all_uses_with(value, twin)
            del theirs.initializers[name]
        elif twin is not None:
            value.name = names(name)


def _same_tensor(one: ir.TensorProtocol | None, other: ir.TensorProtocol | None) -> bool:
    if one is None or other is None or one is other:
        return one is other
    if one.dtype != other.dtype or list(one.shape) != list(other.shape) or one.dtype == ir.DataType.STRING:
        return False
    return same_bytes(one, other)
