"""What training won, for which cost: the designs beside each other, and the curve of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from splitc.report import svg
from splitc.report.tables import in_bytes, share, table

Numbers = Mapping[str, Any]
WIDTH, HEIGHT, LEFT, BOTTOM = 690, 220, 60, 30


def recovery_section(recovery: Numbers | None) -> str:
    """Nothing where nothing was trained."""
    if recovery is None:
        return ""
    return f"<h2>Recovery</h2>{_lead(recovery)}{_designs(recovery)}{_curve(recovery['curve'])}{_cost(recovery)}"


def _lead(recovery: Numbers) -> str:
    cut = f"<code>{escape(', '.join(recovery['cut']))}</code>"
    if not recovery["is_kept"]:
        why = "its answers move further at every step" if recovery["chosen"] is None else "it saves no bytes"
        return f"<p>A bottleneck at {cut} was trained and left out: {why}.</p>"
    saved = share(1 - recovery["bytes_ratio"])
    return f"<p>A bottleneck of {recovery['channels']} channels at {cut} saves {saved} of the bytes.</p>"


def _designs(recovery: Numbers) -> str:
    free = recovery["training_free"]
    title = f"training-free, transform {free['codec']['transform']}"
    rows = [_row(title, free)] + [_row(f"{recovery['channels']} channels", one) for one in recovery["ladder"]]
    rows += [_row("<b>at the training-free distance</b>", recovery["chosen"])] if recovery["chosen"] else []
    rows += [
        _row(f"{one['channels']} channels, trained briefly", one["chosen"])
        for one in recovery["widths"]
        if one["chosen"]
    ]
    return table(["design", "#step", "#bytes a sample", "#distance", "#fidelity"], rows)


def _row(title: str, measured: Numbers) -> list[str]:
    size, moved = measured["payload_bytes"], measured["divergence"]
    return [title, f"{measured['step']:.3g}", in_bytes(size), f"{moved:.2e}", share(measured["fidelity"])]


def _curve(curve: Sequence[Numbers]) -> str:
    """The distance along the training, a line."""
    if len(curve) < 2:
        return ""
    values = [point["divergence"] for point in curve]
    top = max(values) or 1.0
    right, height = WIDTH - 20, HEIGHT - BOTTOM - 10
    each = (right - LEFT) / (len(values) - 1)
    path = " ".join(f"{LEFT + each * i:.1f},{10 + height * (1 - value / top):.1f}" for i, value in enumerate(values))
    parts = [
        f'<path d="M{LEFT} 10 V{HEIGHT - BOTTOM} H{right}" stroke="#8a94a3" fill="none"/>',
        f'<polyline points="{path}" stroke="{svg.COLOURS["edge"]}" stroke-width="2" fill="none"/>',
        f'<text x="{LEFT - 6}" y="18" class="end">{top:.2g}</text>',
        f'<text x="{LEFT - 6}" y="{HEIGHT - BOTTOM}" class="end">0</text>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" class="mid">distance along the training</text>',
    ]
    return svg.picture(WIDTH, HEIGHT, "Training curve", parts)


def _cost(recovery: Numbers) -> str:
    asked = recovery["options"]
    text = (
        f"{asked['iterations']:,} iterations of {asked['batch']} unlabelled samples, encoder {asked['encoder']}, tail "
        f"{'trained too' if asked['tail_rate'] else 'as it was'}; measured on samples that were not trained on."
    )
    return f'<p class="note">{text}</p>'
