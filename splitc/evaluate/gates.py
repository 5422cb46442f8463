"""A recipe's limits against what was measured or predicted."""

from __future__ import annotations

from splitc.evaluate.verify import Verification
from splitc.recipe import GateSection
from splitc.types import Frozen


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
    """Those of a recipe's limits that a verification can measure."""
    fidelity = verification.stage("coded").fidelity
    return [
        *at_least("min_fidelity", fidelity, gate.min_fidelity, "verification"),
        *at_most("max_rate_bpe", verification.rate_bpe, gate.max_rate_bpe, "verification"),
    ]
