"""Prove that a set of values is a cut, or say through which path data leaks around it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from splitc.errors import CutError
from splitc.graph.model import Model
from splitc.graph.values.flow import Flow, is_random, is_shape, node_label
from splitc.graph.values.tensors import has_named_dims, spec_of, symbols_of, unknown_reason
from splitc.registry import nearest
from splitc.types import TensorSpec

PATH_ENDS = 3
"""Values of a leaking path that a message shows at each end."""


@dataclass(frozen=True)
class Cut:
    """Values that separate every data input from every output, proven.

    Attributes:
        tensors: The values in the order asked for.
        recomputed: Outputs of Shape nodes that the tail works out again from the cut tensors.
    """

    tensors: tuple[TensorSpec, ...]
    recomputed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the values that cross."""
        return tuple(tensor.name for tensor in self.tensors)


@dataclass(frozen=True)
class Leak:
    """What data reaches without passing the cut.

    Attributes:
        came_from: Each value that data reaches around the cut -> the value it came from (None: a source).
        reshaped: Shape nodes whose result the tail can rebuild, and which therefore stop the leak.
    """

    came_from: dict[ir.Value, ir.Value | None]
    reshaped: frozenset[ir.Node]


@dataclass(frozen=True)
class Sides:
    """Positions of the nodes of either half in topological order; shared nodes are in both."""

    head: frozenset[int]
    tail: frozenset[int]
    used: frozenset[ir.Value]


def check_cut(model: Model, names: Sequence[str], exits: Sequence[str] = ()) -> Cut:
    """Prove that removing ``names`` separates every data input from every output.

    Args:
        model: The graph.
        names: The values that cross.
        exits: Outputs that the head answers by itself (early exits); they need not be separated, and do not cross.

    Raises:
        CutError: It does not, with the leaking path; or a name is unknown, constant, inside a subgraph,
            not needed, of unknown shape; or one half would be empty.
    """
    where = cut_label(names)
    flow, ends = _without_exits(model.flow, exits, where)
    values = resolve(flow, names)
    _refuse_exits(flow, values, where)
    _refuse_empty_half(flow, values, where)
    head = ancestors(flow, [*values, *ends])
    leak = leak_around(flow, values, head)
    _refuse_leak(flow, leak, where)
    sides = Sides(head, *_tail_of(flow, values, leak.reshaped))
    _refuse_unused(values, sides, leak.reshaped, where)
    _refuse_shared_random(flow, sides, where)
    for value in values:
        reason = unknown_reason(value)
        if reason:
            raise CutError(f"{where}: {reason}{_shape_advice(flow, value)}")
    recomputed = tuple(node.outputs[0].name or "" for node in flow.nodes if node in leak.reshaped)
    return Cut(tuple(spec_of(value) for value in values), recomputed)


def _without_exits(flow: Flow, exits: Sequence[str], where: str) -> tuple[Flow, tuple[ir.Value, ...]]:
    """The dataflow that ends in the other outputs, and the outputs that the head answers: ``exits``, and those kept."""
    outputs = {value.name: value for value in flow.outputs}
    stranger = next((name for name in exits if name not in outputs), None)
    if stranger is not None:
        known = [name for name in outputs if name]
        raise CutError(f"{where}: exit {stranger!r} is no output of the model.{nearest(stranger, known)}")
    if not exits:
        return flow, flow.exits
    rest = tuple(value for value in flow.outputs if value.name not in exits)
    if not rest:
        raise CutError(f"{where}: every output is an exit, so the tail would be empty; leave one out.")
    return replace(flow, outputs=rest), (*flow.exits, *(outputs[name] for name in exits))


def cut_label(names: Sequence[str]) -> str:
    """``cut [a, b]``, as every message begins."""
    return f"cut [{', '.join(names)}]"


def resolve(flow: Flow, names: Sequence[str]) -> tuple[ir.Value, ...]:
    """The varying values behind ``names``.

    Raises:
        CutError: No name, a name twice, an unknown name or a value that cannot be cut.
    """
    where = cut_label(names)
    if not names:
        raise CutError("cut []: names no value; name at least one.")
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise CutError(f"{where}: value {double!r} is named twice; name it once.")
    return tuple(_resolve_one(flow, name, where) for name in names)


def leak_around(flow: Flow, values: Collection[ir.Value], head: Collection[int] = ()) -> Leak:
    """Push data from the inputs through the graph, stopping at ``values``. Linear time.

    Args:
        flow: The graph.
        values: The cut.
        head: Positions of nodes known to be in the head: a random operator among them is a source too.
    """
    stop = set(values)
    symbols = frozenset[str]().union(*(symbols_of(value) for value in values))
    came_from: dict[ir.Value, ir.Value | None] = {value: None for value in flow.inputs if value not in stop}
    reshaped = set()
    for index, (node, read) in enumerate(zip(flow.nodes, flow.reads, strict=True)):
        origin = next((value for value in read if value in came_from), None)
        if origin is None and not (index in head and is_random(node)):
            continue
        if origin is not None and is_shape(node) and has_named_dims(origin) and symbols_of(origin) <= symbols:
            reshaped.add(node)
            continue
        came_from.update({value: origin for value in node.outputs if value not in stop})
    return Leak(came_from, frozenset(reshaped))


def separates(flow: Flow, values: Collection[ir.Value]) -> bool:
    """Whether no data reaches an output around ``values``."""
    leak = leak_around(flow, values)
    return not any(value in leak.came_from for value in flow.outputs)


def sides_of(flow: Flow, values: Collection[ir.Value]) -> Sides:
    """Which nodes each half needs. ``values`` must be a cut."""
    head = ancestors(flow, values)
    return Sides(head, *_tail_of(flow, values, leak_around(flow, values, head).reshaped))


def ancestors(flow: Flow, values: Collection[ir.Value]) -> frozenset[int]:
    """Positions of the nodes that ``values`` depend on."""
    return _needed(flow, values, set(), frozenset())[0]


def _tail_of(
    flow: Flow, values: Collection[ir.Value], reshaped: frozenset[ir.Node]
) -> tuple[frozenset[int], frozenset[ir.Value]]:
    return _needed(flow, flow.outputs, set(values), reshaped)


def _needed(
    flow: Flow, wanted: Collection[ir.Value], stop: set[ir.Value], cut_off: frozenset[ir.Node]
) -> tuple[frozenset[int], frozenset[ir.Value]]:
    """Walk back from ``wanted``; returns the nodes met and the values of ``stop`` met."""
    nodes: set[int] = set()
    used: set[ir.Value] = set()
    pending = list(wanted)
    while pending:
        value = pending.pop()
        if value in stop:
            used.add(value)
            continue
        node = value.producer()
        if node is None or flow.position[node] in nodes:
            continue
        nodes.add(flow.position[node])
        if node not in cut_off:
            pending.extend(flow.reads[flow.position[node]])
    return frozenset(nodes), frozenset(used)


def _resolve_one(flow: Flow, name: str, where: str) -> ir.Value:
    value = flow.values.get(name)
    if value is None and name in flow.inner_names:
        raise CutError(f"{where}: value {name!r} is a cut inside a subgraph (If, Loop or Scan); choose one outside it.")
    if value is None:
        known = [known for known, one in flow.values.items() if one in flow.varying]
        guess = nearest(name, known).split(" Known:")[0]
        raise CutError(f"{where}: no value is called {name!r}.{guess} 'splitc inspect --cuts' lists the cuts.")
    if value.is_initializer():
        raise CutError(
            f"{where}: value {name!r} is an initializer, which both halves may hold; choose a computed value."
        )
    if value not in flow.varying:
        raise CutError(
            f"{where}: value {name!r} depends on no data input, so both halves can compute it; leave it out."
        )
    return value


def _refuse_empty_half(flow: Flow, values: Collection[ir.Value], where: str) -> None:
    if all(value in flow.inputs for value in values):
        raise CutError(f"{where}: these are inputs of the model, so the head would be empty; choose a computed value.")
    reason = idle_tail(flow, values)
    if reason:
        raise CutError(f"{where}: {reason}; choose earlier values.")


def idle_tail(flow: Flow, values: Collection[ir.Value]) -> str:
    """Why nothing would be left to compute behind a cut; "" where something is. Weights may be outputs too."""
    if all(output in values for output in flow.outputs):
        return "these are all outputs of the model, so the tail would be empty"
    if not flow.given and all(output in values or output not in flow.varying for output in flow.outputs):
        return "all other outputs of the model are constants, so the tail would compute nothing"
    return ""


def exit_fault(flow: Flow, values: Collection[ir.Value]) -> str:
    """Why outputs that are kept on the edge forbid a cut; nothing where they do not."""
    crossing = next((output for output in flow.exits if output in values), None)
    if crossing is not None:
        return f"output {crossing.name!r} is kept on the edge, and would cross"
    late = _late_exit(flow, values) if flow.exits else None
    return f"output {late.name!r} is kept on the edge, and needs what lies behind the cut" if late is not None else ""


def _late_exit(flow: Flow, values: Collection[ir.Value]) -> ir.Value | None:
    """An output kept on the edge that the head could only answer by computing what lies behind the cut."""
    before = ancestors(flow, values)
    behind = sides_of(flow, values).tail - before
    behind = frozenset(index for index in behind if not flow.varying.isdisjoint(flow.nodes[index].outputs))
    return next((output for output in flow.exits if not behind.isdisjoint(ancestors(flow, [output]))), None)


def _refuse_exits(flow: Flow, values: Collection[ir.Value], where: str) -> None:
    fault = exit_fault(flow, values)
    if fault:
        raise CutError(f"{where}: {fault}; cut later, or leave it to the cloud.")


def _refuse_leak(flow: Flow, leak: Leak, where: str) -> None:
    output = next((value for value in flow.outputs if value in leak.came_from), None)
    if output is None:
        return
    path: list[ir.Value] = []
    step: ir.Value | None = output
    while step is not None:
        path.append(step)
        step = leak.came_from[step]
    shown = shorten([value.name or "?" for value in reversed(path)])
    via = path[0].producer()
    last = f" (last node {node_label(via)})" if via is not None else ""
    raise CutError(
        f"{where}: data reaches output {output.name!r} around it: {shown}{last}; "
        f"add a value of this path, or choose a value that every path passes{_keep_advice(flow, path[-1])}."
    )


def exit_advice(flow: Flow, value: ir.Value) -> str:
    """For an input that is an output as it is, which crosses every cut; "" for any other value."""
    if value not in flow.inputs or value not in flow.outputs:
        return ""
    name = f"{value.name!r}"
    return f"let the edge answer {name}, an input that is an output too (split.keep = {{ {name} = 'edge' }}, --exit)"


def _keep_advice(flow: Flow, source: ir.Value) -> str:
    """For an input that is an output too, and for ids and masks, which no codec takes."""
    if advice := exit_advice(flow, source):
        return f", or {advice}"
    if source not in flow.inputs or source.dtype not in (ir.DataType.INT32, ir.DataType.INT64):
        return ""
    return f", or let the tail be given {source.name!r} as it is (split.keep, --keep)"


def shorten(path: Sequence[str]) -> str:
    """``x -> a -> b -> ... 7 more ... -> c -> y``."""
    if len(path) <= 2 * PATH_ENDS + 1:
        return " -> ".join(path)
    hidden = f"... {len(path) - 2 * PATH_ENDS} more ..."
    return " -> ".join([*path[:PATH_ENDS], hidden, *path[-PATH_ENDS:]])


def _refuse_unused(values: Sequence[ir.Value], sides: Sides, reshaped: frozenset[ir.Node], where: str) -> None:
    """Every member must feed the tail, by its elements or by the only copy of a dynamic dimension."""
    dims_needed = {name for node in reshaped for read in node.inputs if read is not None for name in symbols_of(read)}
    for value in values:
        others = [other for other in values if other is not value]
        dims_elsewhere = frozenset[str]().union(*(symbols_of(other) for other in others))
        if value in sides.used or symbols_of(value) & dims_needed - dims_elsewhere:
            continue
        if not others:
            raise CutError(f"{where}: value {value.name!r} reaches no output; choose a value that one depends on.")
        raise CutError(
            f"{where}: value {value.name!r} is not needed: everything it feeds passes through the other "
            "members or reaches no output; leave it out."
        )


def _shape_advice(flow: Flow, value: ir.Value) -> str:
    """What made the shape of ``value`` unknown, and what to do about it."""
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        return "; choose another value."
    node = value.producer()
    while node is not None:
        unknown = next((read for read in node.inputs if read is not None and unknown_reason(read)), None)
        if unknown is None:
            break
        value, node = unknown, unknown.producer()
    if node is None:
        return f"; give the shape of input {value.name!r}."
    if node.domain:
        return (
            f": no shape inference knows {node.domain}.{node_label(node)}; choose a value before it, or export the "
            "model with the shapes of its values."
        )
    if any(map(symbols_of, flow.inputs)):
        return f": {node_label(node)} leaves it open; give the shapes of the inputs, or choose another value."
    return f": {node_label(node)} leaves it open, although the inputs are fixed; choose a value before it."


def _refuse_shared_random(flow: Flow, sides: Sides, where: str) -> None:
    for index in sorted(sides.head & sides.tail):
        if is_random(flow.nodes[index]):
            raise CutError(
                f"{where}: both halves would need {node_label(flow.nodes[index])}, which gives other numbers "
                "each time; choose a cut with it on one side."
            )
