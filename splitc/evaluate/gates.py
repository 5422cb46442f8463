"""A recipe's limits against what was measured or predicted."""

from __future__ import annotations

from statistics import NormalDist

from splitc.errors import UsageError
from splitc.evaluate.verify import Verification
from splitc.recipe import GateSection
from splitc.tasks import TaskAgreement
from splitc.types import Frozen

ANSWER_GATES = ("max_kl", "max_divergence", "max_top1_drop", "max_map_drop", "max_miou_drop")
"""Limits on how far answers may move; which of them exist is the task's to say."""


class Gate(Frozen):
    """One limit: ``ok`` when ``value`` keeps it."""

    name: str
    value: float
    limit: float
    ok: bool
    source: str


def at_least(name: str, value: float, limit: float | None, source: str) -> list[Gate]:
    """The gate of a lower limit; empty without a limit."""
    return [] if limit is None else [Gate(name=name, value=value, limit=limit, ok=value >= limit, source=source)]


def at_most(name: str, value: float, limit: float | None, source: str) -> list[Gate]:
    """The gate of an upper limit; empty without a limit."""
    return [] if limit is None else [Gate(name=name, value=value, limit=limit, ok=value <= limit, source=source)]


def measured_gates(verification: Verification, gate: GateSection) -> list[Gate]:
    """Those of a recipe's limits that a verification measured; drops are, where there are labels.

    With ``gate.confidence`` the worse bound of the interval of that confidence is judged in place of the value.

    Raises:
        UsageError: A bound is asked for, and too few samples tell none; or a drop's labels find nothing right.
    """
    found, confidence = verification.stage("coded").agreement, gate.confidence
    fidelity = found.fidelity.value if confidence is None else found.fidelity.lower_at(confidence)
    gates = at_least("min_fidelity", fidelity, gate.min_fidelity, _source("lower", confidence))
    for name in ANSWER_GATES:
        limit = getattr(gate, name)
        if limit is not None and (name in found.gates or found.labelled):
            _require_measured(found, name)
            gates += at_most(name, _upper(found, name, confidence), limit, _source("upper", confidence))
    return [*gates, *at_most("max_rate_bpe", verification.rate_bpe, gate.max_rate_bpe, "verification")]


def unmeasured_gates(verification: Verification, gate: GateSection) -> list[str]:
    """Names of a recipe's limits on answers that were not measured: drops, without labels."""
    found = verification.stage("coded").agreement.gates
    return [name for name in ANSWER_GATES if getattr(gate, name) is not None and name not in found]


def _require_measured(found: TaskAgreement, name: str) -> None:
    if name in found.gates:
        return
    why = "the unsplit network scores 0 against the labels" if found.accuracy else "no two labels are alike"
    raise UsageError(f"gate.{name}: {why} ({found.labelled} labelled), so no loss can show; look at data.labels.")


def _upper(found: TaskAgreement, name: str, confidence: float | None) -> float:
    """The value, or the upper bound of its interval: by its standard error over the samples."""
    if confidence is None:
        return found.gates[name]
    if name not in found.gate_errors:
        raise UsageError(
            f"gate.confidence: too few samples ({found.samples}) tell no interval of {name}; verify on more, or leave "
            "it out."
        )
    return found.gates[name] + NormalDist().inv_cdf((1 + confidence) / 2) * found.gate_errors[name]


def _source(side: str, confidence: float | None) -> str:
    if confidence is None:
        return "verification"
    return f"verification: {side} bound, {100 * confidence:g} % interval"
