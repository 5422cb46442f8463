"""Choose among priced ways, and say of every other why it was not chosen."""

from __future__ import annotations

from collections.abc import Sequence

from splitc.graph import RejectedCut
from splitc.plan.ask import Ask
from splitc.plan.confidence import fidelity_text
from splitc.plan.objective import cost, price, rank, with_pareto
from splitc.plan.point import Point, distance
from splitc.plan.worth import USUAL_FIDELITY, answers_reason, answers_text, has_limit, keeps_answers

TOLERANCE = 0.1
"""How much dearer by the objective a way may be that keeps the limits, where the cheapest may keep them if few samples
mislead."""


def best_of(ways: Sequence[Point], ask: Ask) -> Point:
    """The cheapest way whose answers are good enough.

    With a limit on answers, that is the cheapest which is not surely below it; but a way that keeps it as measured goes
    first where it costs at most ``TOLERANCE`` more. Without a limit, it is the cheapest with the usual fidelity,
    however much it costs; where none has it, the best answers win.
    """
    objective = ask.split.objective
    allowed = [way for way in ways if not way.refused]
    if not allowed:
        return min(ways, key=lambda way: rank(way, objective))
    keeping = [way for way in allowed if keeps_answers(way, ask)]
    if not has_limit(ask):
        return min(keeping, key=lambda way: rank(way, objective)) if keeping else min(allowed, key=distance)
    cheapest = min(allowed, key=lambda way: rank(way, objective))
    most = (1 + TOLERANCE) * cost(cheapest, objective)[0]
    near = [way for way in keeping if cost(way, objective)[0] <= most]
    return min(near, key=lambda way: rank(way, objective)) if near else cheapest


def judged(ways: Sequence[Point], ask: Ask) -> list[Point]:
    """All ways: the chosen one without a reason, every other with its own.

    Where none is good enough, the best of those is chosen that nothing but their answers speaks against.
    """
    eligible = [way for way in ways if not way.refused or way.refused == answers_reason(way, ask)]
    chosen = best_of(eligible, ask)
    why = {id(way): beaten(way, chosen, ask) for way in eligible}
    return with_pareto([way if way is chosen else way.because(why.get(id(way), way.refused)) for way in ways])


def losers(points: Sequence[Point], best: Point, ask: Ask) -> list[RejectedCut]:
    """Every measured cut but the best, by its best option."""
    names = dict.fromkeys(point.cut for point in points if point.cut != best.cut)
    cuts = [best_of([one for one in points if one.cut == cut], ask) for cut in names]
    return [RejectedCut(point.cut, beaten(point, best, ask)) for point in cuts]


def beaten(point: Point, best: Point, ask: Ask) -> str:
    """Why ``best`` and not this one; a refusal that both share is no reason."""
    objective = ask.split.objective
    if point.refused and not best.refused:
        return point.refused
    if best.refused and point.fidelity is not None and best.fidelity is not None and point.fidelity != best.fidelity:
        words = f"its fidelity is {fidelity_text(point.fidelity, point.samples)}, {best.name} has"
        return f"{words} {fidelity_text(best.fidelity, best.samples)}, and neither is enough"
    if not keeps_answers(point, ask) and distance(point) > distance(best):
        return _worse(point, best, ask)
    found = "measured bytes give" if point.is_measured else "predicted"
    return f"{found} {price(point, objective)}, {best.name} gives {price(best, objective)}"


def _worse(point: Point, best: Point, ask: Ask) -> str:
    """Its answers, which are the reason."""
    known = "the gate" if has_limit(ask) else f"the usual fidelity of {USUAL_FIDELITY:g}"
    return f"its answers are below {known} ({answers_text(point, ask)}); {best.name} has {answers_text(best, ask)}"
