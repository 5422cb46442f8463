"""The verdict on the cut: a box above everything else, and the ways without a cut in a table."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from splitc.report.tables import in_bytes, share, table

Numbers = Mapping[str, Any]
STYLE = """
.verdict { border-left: 6px solid; padding: .5rem .9rem; margin: .8rem 0; background: var(--soft); border-radius: 4px; }
.verdict p { margin: .2rem 0; } .verdict.good { border-color: #2f7d6b; } .verdict.poor { border-color: #c0392b; }
.verdict b { font-size: 1.05rem; }
"""


def verdict_box(plan: Numbers) -> str:
    """What must be read first; nothing where a bundle of before has no verdict."""
    if "verdict" not in plan:
        return ""
    verdict = plan["verdict"]
    kind = "good" if verdict["is_worth_it"] and not verdict["warnings"] else "poor"
    warnings = "".join(f"<p>{escape(one)}</p>" for one in verdict["warnings"])
    source = '<p class="note">Of the plan: predicted times, packets of calibration samples.</p>'
    return f'<div class="verdict {kind}"><p><b>{escape(verdict["headline"])}</b></p>{warnings}{source}</div>'


def rivals_table(plan: Numbers) -> str:
    """The cut, then every allowed way without one, the best by the objective first."""
    if "verdict" not in plan or not plan["verdict"]["rivals"]:
        return ""
    best = plan["best_cut"]
    rows = [_row({**best, "name": "this cut", "factor": 1.0}, "<b>{}</b>")]
    rows += [_row(one, "{}") for one in plan["verdict"]["rivals"]]
    head = ["way", "#ms", "#bytes sent", "#fidelity", "#divergence", f"#cut / way, by {plan['objective']}"]
    unit = plan["divergence_unit"]
    words = f"Divergence: mean {unit}. " if unit else ""
    note = (
        f"{words}Codings of the input are interpolated between two settings, at the divergence that the cut has or may "
        "have; on calibration samples. Above 1 in the last column, the way is better than the cut."
    )
    return f'<h2>Is the cut worth it?</h2>{table(head, rows)}<p class="note">{escape(note)}</p>'


def _row(way: Numbers, form: str) -> list[str]:
    factor = "free" if way["factor"] is None else f"{way['factor']:.2f}"
    return [
        form.format(escape(way["name"])),
        f"{way['total_ms']:.2f}",
        in_bytes(way["payload_bytes"]),
        "" if way["fidelity"] is None else share(way["fidelity"]),
        "" if way["divergence"] is None else f"{way['divergence']:.3g}",
        factor,
    ]
