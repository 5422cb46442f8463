"""How far float16 moves the outputs of a graph, and which node breaks them: measured in real float16 arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import open_session, run_with
from splitc.passes.float16.convert import with_float16
from splitc.passes.float16.emulate import float16_arithmetic
from splitc.passes.float16.first_fault import first_not_finite
from splitc.passes.float16.operands import is_float
from splitc.types import Array, Feeds

PROBE_SAMPLES = 4
MOST_PROBES = 16
"""Nodes that are measured alone."""
MOST_REPAIRS = 16
PROBE_LIMIT = 2e-3
"""Relative change of an output by one node alone: four roundings of float16."""
ENOUGH = 5e-3
"""Relative change of the outputs, ten roundings of float16, below which no more nodes are looked for."""
PROBE_DIVERGENCE, ENOUGH_DIVERGENCE = 1e-3, 1e-2
"""The same two as the task's divergence: nats a sample, where it is a KL divergence. A codec takes 3e-3 and more."""
GROWN, GROWTH = 4e-3, 4
"""Relative error of a tensor, by itself and as a multiple of what its node reads, from which it is looked at."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a float32 model makes of samples.

    Attributes:
        feeds: The samples.
        expected: Output name -> one array a sample.
        judge: Mean divergence of another model's answers; None: only the outputs' norms count.
    """

    feeds: Sequence[Feeds]
    expected: Mapping[str, Sequence[Array]]
    judge: Callable[[ir.Model], float] | None = None

    def change(self, emulated: ir.Model) -> float:
        """Largest relative change of an output, by norms over the samples; infinite where finite numbers are lost.

        Args:
            emulated: As :func:`splitc.passes.float16_arithmetic` gives it.
        """
        found = outputs_of(emulated, self.feeds)
        return max((_change(found[name], arrays) for name, arrays in self.expected.items()), default=0.0)

    def divergence(self, emulated: ir.Model) -> float:
        """Mean smooth distance of the answers of such a model; 0 without a judge."""
        return 0.0 if self.judge is None else self.judge(emulated)

    def is_near(self, model: ir.Model) -> bool:
        """Whether neither outputs nor answers move enough to look for more nodes."""
        emulated = float16_arithmetic(model)
        return self.change(emulated) <= ENOUGH and self.divergence(emulated) <= ENOUGH_DIVERGENCE

    def grown(self, model: ir.Model, keep: Collection[str]) -> list[str]:
        """Names of nodes where float16's errors become large, the largest first.

        Of a node that is float32 already, those are named whose results it reads: they are what is rounded.

        Args:
            model: In float32.
            keep: Names of its nodes that stay so.
        """
        errors = _tensor_errors(model, with_float16(model, keep), self.feeds)
        found: dict[str, float] = {}
        for node in model.graph:
            before = max((errors.get(value.name or "", 0.0) for value in node.inputs if value is not None), default=0.0)
            after = max((errors.get(value.name or "", 0.0) for value in node.outputs), default=0.0)
            if after > GROWN and after > GROWTH * before:
                blamed = [node] if node.name not in keep else list(node.predecessors())
                found |= {one.name or "": after for one in blamed if one.name not in keep}
        return sorted(found, key=lambda name: -found[name])

    def broken(self, model: ir.Model) -> str | None:
        """Name of the node that first leaves the finite numbers where the float32 outputs are finite; None if none."""
        found = outputs_of(float16_arithmetic(model), self.feeds)
        for index, one in enumerate(self.feeds):
            pairs = [(found[name][index], arrays[index]) for name, arrays in self.expected.items()]
            if any((np.isfinite(exact) & ~np.isfinite(got)).any() for got, exact in pairs):
                fault = first_not_finite(model, one)
                return None if fault is None else fault.node
        return None


def outputs_of(model: ir.Model, feeds: Sequence[Feeds]) -> dict[str, list[Array]]:
    """Floating-point outputs by name, one array a sample."""
    session = open_session(model)
    names = [one.name for one in session.get_outputs() if "float" in one.type and one.type.startswith("tensor")]
    wanted = [one.name for one in session.get_inputs()]
    rows = [session.run(names, {name: one[name] for name in wanted}) for one in feeds]
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def sensitive(model: ir.Model, suspects: Sequence[str], exact: Outputs) -> dict[str, str]:
    """Nodes that by themselves move an output or the answers too far -> by how much.

    The first :data:`MOST_PROBES` are measured.
    """
    every = {node.name or "" for node in model.graph}
    found = {}
    for name in suspects[:MOST_PROBES]:
        alone = float16_arithmetic(with_float16(model, every - {name}))
        change = exact.change(alone)
        if change > PROBE_LIMIT:
            found[name] = f"alone it moves the outputs by {change:.2g} of their size"
        elif (moved := exact.divergence(alone)) > PROBE_DIVERGENCE:
            found[name] = f"alone it moves the answers by a divergence of {moved:.2g}"
    return found


def repaired(model: ir.Model, keep: Collection[str], exact: Outputs) -> dict[str, str]:
    """Nodes that must stay too so that no output is lost -> why."""
    found: dict[str, str] = {}
    for _ in range(MOST_REPAIRS):
        name = exact.broken(with_float16(model, {*keep, *found}))
        more = [] if name is None else _around(model, name, {*keep, *found})
        if not more:
            break
        found |= dict.fromkeys(more, f"{name!r} gives infinities or NaN in float16")
    return found


def _around(model: ir.Model, name: str, kept: Collection[str]) -> list[str]:
    """The node itself, or, where it is float32 or a cast already, what makes and reads its tensors."""
    node = next((one for one in model.graph if one.name == name), None)
    if node is not None and name not in kept:
        return [name]
    near = _near_cast(model, name) if node is None else [*node.predecessors(), *node.successors()]
    return [one.name for one in near if one.name and one.name not in kept and one.graph is model.graph]


def _near_cast(model: ir.Model, name: str) -> list[ir.Node]:
    """The makers and readers of the tensor that a cast is named after."""
    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    named = [value for value in values if name.startswith(f"{value.name}/")]
    if not named:
        return []
    value = max(named, key=lambda one: len(one.name or ""))
    return [*value.consumers(), *([] if (maker := value.producer()) is None else [maker])]


def _tensor_errors(model: ir.Model, lowered: ir.Model, feeds: Sequence[Feeds]) -> dict[str, float]:
    """Relative error of every float32 tensor of the top graph in real float16, by name."""
    made = [value.name or "" for node in model.graph for value in node.outputs if value.name and is_float(value)]
    pairs = zip(run_with(model, made, feeds), run_with(float16_arithmetic(lowered), made, feeds), strict=True)
    found: dict[str, float] = {}
    for exact, got in pairs:
        for name in made:
            if name in got:
                found[name] = max(found.get(name, 0.0), _change([got[name]], [exact[name]]))
    return found


def _change(found: Sequence[Array], expected: Sequence[Array]) -> float:
    moved = total = 0.0
    for got, exact in zip(found, expected, strict=True):
        where = np.isfinite(exact)
        if not np.isfinite(got[where]).all():
            return float("inf")
        wide = exact[where].astype(np.float64)
        moved, total = moved + float(np.square(wide - got[where]).sum()), total + float(np.square(wide).sum())
    return float(np.sqrt(moved / total)) if total else float(moved > 0)
