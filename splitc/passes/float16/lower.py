"""FP16 weights and arithmetic between float32 inputs and outputs, for all nodes whose numbers fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError
from splitc.passes.answer_judge import AnswerJudge
from splitc.passes.base import PassResult, require_sound
from splitc.passes.float16.convert import with_float16
from splitc.passes.float16.emulate import float16_arithmetic
from splitc.passes.float16.measure import PROBE_SAMPLES, Outputs, outputs_of, repaired, sensitive
from splitc.passes.float16.operands import float16_ports, is_float
from splitc.passes.float16.ranges import calibrated_ranges
from splitc.passes.float16.rules import Facts, damaged, suspects
from splitc.types import Feeds

RANGE_SAMPLES = 8
"""Samples that ranges are taken from."""
MOST_ROUNDS = 4
MOST_NAMES = 12
"""Nodes that a note lists by name."""


@dataclass(frozen=True, eq=False)
class ToFloat16:
    """FP16 weights and arithmetic; what float16 would damage stays float32.

    1. Operators without float16 stay: by ONNX's schema in the model's opset, and by a list of what engines lack.
    2. Nodes that overflow or lose small numbers stay: by weights, attributes and ranges on calibration samples.
    3. Suspects are measured, each alone in float16; those that move the outputs stay, and those that move the answers.
    4. The result runs in real float16 arithmetic: no output may be lost, and the notes say how far they move.
    5. Behind a cut, numbers are not those of calibration: a variance that is the difference of two coded features may
       come out as zero, and what is divided by its root a thousand times as large. So ranges are taken, and outputs
       kept, on coded features too.

    Attributes:
        feeds: Calibration samples of the graph's inputs; without them only weights and attributes are looked at.
        coded: Some of these samples as a codec gives them back; none where the graph reads no coded features.
        judge: Judges answers of the network; without it only the outputs' norms count.
        decided: What :meth:`stays` found for a model that this one is a part of; then only ``coded`` is run.
    """

    name: ClassVar[str] = "to_float16"
    feeds: Sequence[Feeds] = ()
    decided: Mapping[str, str] | None = None
    judge: AnswerJudge | None = None
    coded: Sequence[Feeds] = ()

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: float16 loses the outputs, whatever stays float32; or samples do not run."""
        named = model.clone()
        graph.fix_names(named)
        keep = self.stays(named) if self.decided is None else self._repaired(named, _decided(named, self.decided))
        lowered = with_float16(named, keep)
        if _halves(lowered) == _halves(named):
            found = "the half computes in it already" if _halves(named) else "no node computes in it"
            return PassResult(model, False, (f"FP16: {found}", *_said(keep)))
        require_sound(lowered, f"pass {self.name!r}")
        return PassResult(lowered, True, (self._moved(named, lowered), *_said(keep)))

    def stays(self, model: ir.Model) -> dict[str, str]:
        """Names of nodes that stay float32 -> why.

        Args:
            model: Whose nodes have names of their own.

        Raises:
            GraphError: Samples do not run.
        """
        ports = {node.name or "" for node in model.graph if _is_float_node(node)}
        keep = _without_float16(model)
        seen = [*_spread(self.feeds, RANGE_SAMPLES), *_spread(self.coded, RANGE_SAMPLES)]
        facts = Facts(calibrated_ranges(model, seen))
        keep |= {name: why for name, why in damaged(model, facts).items() if name in ports and name not in keep}
        if not self.feeds:
            return keep
        exact = self._exact(model)
        asked = [name for name in suspects(model, facts) if name in ports and name not in keep]
        keep |= sensitive(model, asked, exact)
        keep |= repaired(model, keep, exact)
        keep = self._repaired(model, keep)
        return keep | _grown(model, keep, exact)

    def _repaired(self, model: ir.Model, keep: dict[str, str]) -> dict[str, str]:
        """``keep``, and what must stay too so that no output is lost on coded features."""
        if not self.coded:
            return keep
        feeds = _spread(self.coded, PROBE_SAMPLES)
        return keep | repaired(model, keep, Outputs(feeds, outputs_of(float16_arithmetic(model), feeds)))

    def _exact(self, model: ir.Model) -> Outputs:
        feeds, emulated = _spread(self.feeds, PROBE_SAMPLES), float16_arithmetic(model)
        judge = None if self.judge is None else self.judge.against(emulated, feeds)
        return Outputs(feeds, outputs_of(emulated, feeds), judge)

    def _moved(self, model: ir.Model, lowered: ir.Model) -> str:
        """Raises: GraphError: outputs are lost."""
        if not self.feeds:
            return "FP16 weights and arithmetic"
        exact = self._exact(model)
        moved = exact.change(float16_arithmetic(lowered))
        if moved == float("inf"):
            raise GraphError(
                f"FP16: node {exact.broken(lowered)!r} gives infinities or NaN on calibration samples whatever stays "
                "float32; use precision fp32 for this half."
            )
        return f"FP16 weights and arithmetic: outputs move by {moved:.2g} of their size in real float16"


def _grown(model: ir.Model, keep: Mapping[str, str], exact: Outputs) -> dict[str, str]:
    """More nodes that move outputs or answers, found where errors grow -> why; none where these hardly move."""
    found: dict[str, str] = {}
    for _ in range(MOST_ROUNDS):
        if exact.is_near(with_float16(model, {*keep, *found})):
            break
        more = sensitive(model, exact.grown(model, {*keep, *found}), exact)
        if not more:
            break
        found |= more
    return found


def _decided(model: ir.Model, decided: Mapping[str, str]) -> dict[str, str]:
    """The part of ``decided`` that is about this model's nodes, and what no engine decides."""
    names = {node.name for node in model.graph}
    return _without_float16(model) | {name: why for name, why in decided.items() if name in names}


def _without_float16(model: ir.Model) -> dict[str, str]:
    """Names of nodes that some engine cannot compute in float16 -> why."""
    opset = model.opset_imports.get("", 1)
    ports = {node.name or "": float16_ports(node, opset) for node in model.graph if _is_float_node(node)}
    return {name: why for name, why in ports.items() if isinstance(why, str)}


def _halves(model: ir.Model) -> int:
    """How many results of the top graph are float16."""
    return sum(value.dtype == ir.DataType.FLOAT16 for node in model.graph for value in node.outputs)


def _is_float_node(node: ir.Node) -> bool:
    return any(is_float(value) for value in (*node.inputs, *node.outputs))


def _spread(feeds: Sequence[Feeds], most: int) -> list[Feeds]:
    kept = min(len(feeds), most)
    return [feeds[index * len(feeds) // kept] for index in range(kept)]


def _said(keep: Mapping[str, str]) -> list[str]:
    """One sentence a reason, with the nodes that it holds for."""
    reasons: dict[str, list[str]] = {}
    for name, why in keep.items():
        reasons.setdefault(why, []).append(repr(name))
    return [f"stays float32: {_listed(names)} ({why})" for why, names in reasons.items()]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
