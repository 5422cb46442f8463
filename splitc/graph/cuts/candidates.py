"""List the cuts of a model, and the reasons why other values are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import onnx_ir as ir

from splitc.errors import CutError
from splitc.graph.cost.boundaries import Boundary, Totals, Uses, boundaries, totals_of, uses_of
from splitc.graph.cost.flops import node_flops
from splitc.graph.cuts.blocks import BlockMaker
from splitc.graph.cuts.cut import Cut, cut_label, exit_advice, exit_fault, idle_tail, resolve, shorten, sides_of
from splitc.graph.cuts.wide import WideCut, wide_cuts
from splitc.graph.model import Model
from splitc.graph.values.axis_roles import CutLayout
from splitc.graph.values.collector import collector_paused
from splitc.graph.values.flow import Flow
from splitc.graph.values.tensors import (
    dims_of,
    dtype_name,
    parameters_of,
    spec_of,
    symbols_of,
    uncodable_reason,
    unknown_reason,
    wire_bytes_of,
)
from splitc.types import Layout, TensorSpec

Refuse: TypeAlias = Callable[[TensorSpec, Layout], str | None]
"""Why a codec cannot take a tensor of that layout, or None; what it says goes on behind ``value 'x'``."""
WIDE_LIMIT = 256
"""Most cuts of several tensors that are listed, those with the fewest bytes."""


@dataclass(frozen=True)
class CandidateCut:
    """One cut that a codec can take.

    Attributes:
        names, shapes, dtypes: Of the tensors that cross.
        wire_bytes: Of all of them as float32, dynamic dimensions taken as 1.
        head_flops, tail_flops: Of either half, 2 per multiply-accumulate.
        head_parameters, tail_parameters: Of either half; shared initializers count in both.
        position: Topological position of the last node of the head; orders the list.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int | str, ...], ...]
    dtypes: tuple[str, ...]
    wire_bytes: int
    head_flops: int
    tail_flops: int
    head_parameters: int
    tail_parameters: int
    position: int


@dataclass(frozen=True)
class RejectedCut:
    """Values that are no cut for a codec, and why."""

    names: tuple[str, ...]
    reason: str


class CutCandidates(NamedTuple):
    """Every cut found, by position, and every one refused."""

    candidates: tuple[CandidateCut, ...]
    rejected: tuple[RejectedCut, ...]


def cut_layouts(model: Model, names: Sequence[str]) -> tuple[CutLayout, ...]:
    """The layouts that a codec is to give the tensors of a cut.

    Raises:
        CutError: A name is not one of a value that can be cut.
    """
    return tuple(map(model.flow.layout, resolve(model.flow, names)))


def takes_all(spec: TensorSpec, layout: Layout) -> str | None:
    """Accepts every tensor: a codec that refuses nothing."""
    return None


@collector_paused()
def enumerate_cuts(model: Model, max_tensors: int = 4, refuse: Refuse = takes_all) -> CutCandidates:
    """All single-tensor cuts, and minimal cuts of up to ``max_tensors`` tensors.

    Single-tensor cuts are complete. For each value inside a block between two of them, the cheapest cut through that
    value is found (``wide.py``); in graphs of many thousands of nodes under one skip, through evenly spread ones.
    Close to linear: a graph of 100,000 nodes takes seconds.

    Args:
        model: The graph.
        max_tensors: Most that may cross.
        refuse: What the codec cannot take; such cuts are listed as rejected.
    """
    flow, uses = model.flow, uses_of(model.flow)
    totals, ends, blocks = totals_of(flow, uses), _Ends(flow, uses), BlockMaker(flow, uses)
    found: list[CandidateCut] = []
    rejected: list[RejectedCut] = []
    for boundary in boundaries(flow, uses):
        blocks.add(boundary)
        for value in boundary.new:
            reason = _single_reason(flow, ends, boundary, value)
            if reason:
                rejected.append(RejectedCut((value.name or "",), reason))
        if boundary.count == 1 and not _single_reason(flow, ends, boundary, boundary.new[0]):
            found.append(_single(boundary, totals, boundary.new[0]))
    found, late = _allowed_by_exits(flow, found)
    rejected += late
    more, refused = _wide(flow, totals, wide_cuts(flow, uses, totals, blocks.finished(), max_tensors))
    more, late = _allowed_by_exits(flow, more)
    rejected += late
    rejected += [RejectedCut((value,), _INNER) for value in sorted(flow.inner_names)]
    taken, untaken = _taken(flow, sorted([*found, *more], key=_order), refuse)
    return CutCandidates(tuple(taken), (*rejected, *refused, *untaken))


def check_codable(model: Model, cut: Cut | Sequence[str], refuse: Refuse = takes_all) -> None:
    """Refuse a cut with a tensor that a codec cannot take, and name a usable cut nearby.

    Raises:
        CutError: A tensor that crosses is not floating point, or one that ``refuse`` refuses.
    """
    names = cut.names if isinstance(cut, Cut) else tuple(cut)
    values = resolve(model.flow, names)
    reason = next(filter(None, map(uncodable_reason, values)), None)
    reason = reason if len(values) > 1 else _alone(reason)
    reason = reason or _refusal(model.flow, names, refuse)
    if reason is None:
        return
    usable = enumerate_cuts(model, refuse=refuse).candidates
    if not usable:
        kind = "of float tensors" if refuse is takes_all else "that the codec takes"
        raise CutError(f"{cut_label(names)}: {reason}; this model has no cut {kind}.")
    place = _last_position(model.flow, values)
    near = min(usable, key=lambda one: (abs(one.position - place), len(one.names)))
    raise CutError(f"{cut_label(names)}: {reason}: choose {', '.join(near.names)}.")


_TOO_MANY = f"{WIDE_LIMIT} cheaper cuts of several tensors are listed"
_INNER = "inside a subgraph (If, Loop or Scan), which is never cut"


class _Ends:
    """For messages: the input that a value comes from, and the output that each reader leads to."""

    def __init__(self, flow: Flow, uses: Uses) -> None:
        self.root: dict[ir.Value, ir.Value] = {value: value for value in flow.inputs}
        self.reader: dict[ir.Value, ir.Value] = {}
        self.sink: dict[ir.Value, ir.Value] = {value: value for value in flow.outputs}
        for node, read in zip(flow.nodes, flow.reads, strict=True):
            origin = next((self.root[value] for value in read if value in self.root), None)
            if origin is not None:
                self.root.update(dict.fromkeys(node.outputs, origin))
        for node, read in zip(reversed(flow.nodes), reversed(flow.reads), strict=True):
            end = next((value for value in node.outputs if value in self.sink), None)
            if end is None:
                continue
            for value in read:
                if value in uses.made and value not in self.reader:  # the last reader comes first in this order
                    self.reader[value] = end
                    self.sink.setdefault(value, self.sink[end])

    def path(self, value: ir.Value) -> str:
        """``input -> value -> reader -> output``, the steps between left out."""
        steps = [self.root.get(value), value, self.reader.get(value), self.sink.get(value)]
        names = list(dict.fromkeys(step.name or "?" for step in steps if step is not None))
        return shorten(names)


def _single_reason(flow: Flow, ends: _Ends, boundary: Boundary, value: ir.Value) -> str | None:
    """Why the newest value of a boundary is no cut by itself, or None."""
    unknown = unknown_reason(value)
    if unknown:
        return unknown
    if boundary.count > 1:
        other = boundary.witness or next(one for one in boundary.new if one is not value)
        advice = exit_advice(flow, other)
        return f"leaks via {ends.path(other)}: value {other.name!r} also crosses" + (f"; {advice}" if advice else "")
    if not boundary.wanted <= symbols_of(value):
        missing = sorted(boundary.wanted - symbols_of(value))
        return (
            f"the tail needs the dynamic dimension {missing[0]!r} as an int64 shape, which value {value.name!r} lacks"
        )
    if all(output is value for output in flow.outputs):
        return "it is the only output of the model, so the tail would be empty"
    if idle := idle_tail(flow, [value]):
        return idle
    return _alone(uncodable_reason(value))


def _allowed_by_exits(flow: Flow, cuts: list[CandidateCut]) -> tuple[list[CandidateCut], list[RejectedCut]]:
    """Cuts that outputs kept on the edge allow, and the others."""
    if not flow.exits:
        return cuts, []
    faults = [exit_fault(flow, [flow.values[name] for name in cut.names]) for cut in cuts]
    kept = [cut for cut, fault in zip(cuts, faults, strict=True) if not fault]
    return kept, [RejectedCut(cut.names, fault) for cut, fault in zip(cuts, faults, strict=True) if fault]


def _taken(flow: Flow, cuts: Sequence[CandidateCut], refuse: Refuse) -> tuple[list[CandidateCut], list[RejectedCut]]:
    """Cuts that the codec takes, and the others."""
    reasons = [_refusal(flow, cut.names, refuse) for cut in cuts]
    taken = [cut for cut, reason in zip(cuts, reasons, strict=True) if not reason]
    return taken, [RejectedCut(cut.names, reason) for cut, reason in zip(cuts, reasons, strict=True) if reason]


def _refusal(flow: Flow, names: Sequence[str], refuse: Refuse) -> str | None:
    """Why the codec cannot take one of the tensors, or None."""
    if refuse is takes_all:
        return None
    for name in names:
        value = flow.values[name]
        if reason := refuse(spec_of(value), flow.layout(value).layout):
            return f"value {name!r} {reason}"
    return None


def _alone(reason: str | None) -> str | None:
    return None if reason is None else reason.replace("also crosses and is", "is")


class _Load(NamedTuple):
    head_flops: int
    tail_flops: int
    head_parameters: int
    tail_parameters: int


def _candidate(values: Sequence[ir.Value], load: _Load, position: int) -> CandidateCut:
    return CandidateCut(
        names=tuple(value.name or "" for value in values),
        shapes=tuple(dims_of(value) or () for value in values),
        dtypes=tuple(dtype_name(value.dtype) for value in values),
        wire_bytes=sum(map(wire_bytes_of, values)),
        **load._asdict(),
        position=position,
    )


def _single(boundary: Boundary, totals: Totals, value: ir.Value) -> CandidateCut:
    at = boundary.position
    load = _Load(totals.head_flops[at], totals.tail_flops[at], totals.head_parameters[at], totals.tail_parameters[at])
    return _candidate((value,), load, at)


def _wide(flow: Flow, totals: Totals, cuts: Iterable[WideCut]) -> tuple[list[CandidateCut], list[RejectedCut]]:
    """The cuts of several values that are of use, cheapest first up to the limit, and the others."""
    useful: list[CandidateCut] = []
    refused: list[RejectedCut] = []
    for cut in sorted(cuts, key=lambda one: one.wire_bytes):
        reason = cut.reason or (_TOO_MANY if len(useful) == WIDE_LIMIT else "")
        if reason:
            refused.append(RejectedCut(tuple(value.name or "" for value in cut.values), reason))
            continue
        tail_flops = totals.head_flops[-1] - cut.head_flops
        load = _Load(cut.head_flops, tail_flops, cut.head_parameters, cut.tail_parameters)
        useful.append(_candidate(cut.values, load, _last_position(flow, cut.values)))
    return useful, refused


def describe_cut(flow: Flow, values: Sequence[ir.Value]) -> CandidateCut:
    """A proven cut with its bytes, FLOPs and parameters."""
    return _describe(flow, [node_flops(node) for node in flow.nodes], values)


def _describe(flow: Flow, flops: Sequence[int], values: Sequence[ir.Value]) -> CandidateCut:
    return _candidate(values, _load(flow, flops, values), _last_position(flow, values))


def _load(flow: Flow, flops: Sequence[int], values: Sequence[ir.Value]) -> _Load:
    sides = sides_of(flow, values)
    return _Load(
        sum(flops[index] for index in sides.head),
        sum(flops[index] for index in sides.tail),
        _parameters(flow, sides.head),
        _parameters(flow, sides.tail),
    )


def _parameters(flow: Flow, nodes: Iterable[int]) -> int:
    return sum(map(parameters_of, {value for index in nodes for value in flow.reads[index] if value.is_initializer()}))


def _last_position(flow: Flow, values: Iterable[ir.Value]) -> int:
    """Topological position of the last producer; -1 for inputs of the model."""
    return max(-1 if (node := value.producer()) is None else flow.position[node] for value in values)


def _order(candidate: CandidateCut) -> tuple[int, int, tuple[str, ...]]:
    return candidate.position, len(candidate.names), candidate.names
