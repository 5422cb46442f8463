"""Small pictures as SVG text. Numbers in, markup out; every name is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = {
    "edge": "#2f7d6b",
    "encode": "#7cb5a5",
    "wire": "#d9a441",
    "decode": "#8fa8d0",
    "cloud": "#3d62a8",
}
LABEL_WIDTH = 270
BAR_WIDTH = 420
ROW = 26


@dataclass(frozen=True)
class Box:
    """One half in the flow picture: a title and a few lines."""

    title: str
    lines: Sequence[str]


def flow(edge: Box, wire: Box, cloud: Box) -> str:
    """Edge box, arrow with the bitstream, cloud box."""
    parts = [
        _box(0, COLOURS["edge"], edge),
        '<line x1="232" y1="62" x2="440" y2="62" class="wire"/><path d="M440 56 l12 6 l-12 6 z" class="tip"/>',
        f'<text x="342" y="44" class="mid strong">{escape(wire.title)}</text>',
        *(f'<text x="342" y="{86 + 18 * i}" class="mid">{escape(line)}</text>' for i, line in enumerate(wire.lines)),
        _box(456, COLOURS["cloud"], cloud),
    ]
    return _svg(690, 132, "The edge half, the bitstream and the cloud half", parts)


def stacked_bars(rows: Sequence[tuple[str, dict[str, float]]], unit: str, marked: str | None = None) -> str:
    """One row a name, one coloured piece a stage, the total behind it.

    Args:
        rows: ``(name, {stage: value})``; stages are keys of ``COLOURS``.
        unit: Written after the total.
        marked: Name of the row to set in bold.
    """
    longest = max((sum(pieces.values()) for _, pieces in rows), default=0.0) or 1.0
    parts = []
    for index, (name, pieces) in enumerate(rows):
        parts.append(_label(index, name, strong=name == marked))
        left = float(LABEL_WIDTH)
        for stage, value in pieces.items():
            width = value / longest * BAR_WIDTH
            parts.append(_rect(left, index, width, COLOURS[stage], f"{stage} {value:.2f} {unit}"))
            left += width
        parts.append(_value(left, index, f"{sum(pieces.values()):.2f} {unit}"))
    return _svg(LABEL_WIDTH + BAR_WIDTH + 110, ROW * len(rows) + 8, f"Stacked bars in {unit}", parts)


def bars(rows: Sequence[tuple[str, float]], text: str = "{:.3g}", marked: str | None = None) -> str:
    """Plain horizontal bars; ``text`` formats the number behind each."""
    longest = max((value for _, value in rows), default=0.0) or 1.0
    parts = []
    for index, (name, value) in enumerate(rows):
        width = value / longest * BAR_WIDTH
        colour = COLOURS["edge"] if name == marked else "#a9b4c4"
        parts += [_label(index, name, strong=name == marked), _rect(LABEL_WIDTH, index, width, colour, name)]
        parts.append(_value(LABEL_WIDTH + width, index, text.format(value)))
    return _svg(LABEL_WIDTH + BAR_WIDTH + 110, ROW * len(rows) + 8, "Bars", parts)


def legend() -> str:
    """The colours of the stages, as HTML."""
    items = (f'<span><i style="background:{colour}"></i>{stage}</span>' for stage, colour in COLOURS.items())
    return f'<p class="legend">{"".join(items)}</p>'


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {width} {height}" role="img"><title>{escape(title)}</title>{body}</svg>'


def _box(left: int, colour: str, box: Box) -> str:
    lines = "".join(
        f'<text x="{left + 116}" y="{58 + 18 * i}" class="mid light">{escape(line)}</text>'
        for i, line in enumerate(box.lines)
    )
    title = f'<text x="{left + 116}" y="34" class="mid light strong">{escape(box.title)}</text>'
    return f'<rect x="{left}" y="6" width="232" height="118" rx="8" fill="{colour}"/>{title}{lines}'


def _label(index: int, name: str, *, strong: bool) -> str:
    shown = name if len(name) <= 30 else f"{name[:11]}…{name[-18:]}"
    weight = " strong" if strong else ""
    return f'<text x="{LABEL_WIDTH - 8}" y="{ROW * index + 19}" class="end{weight}">{escape(shown)}</text>'


def _rect(left: float, index: int, width: float, colour: str, hint: str) -> str:
    place = f'x="{left:.2f}" y="{ROW * index + 5}" width="{max(width, 0.5):.2f}" height="18"'
    return f'<rect {place} fill="{colour}"><title>{escape(hint)}</title></rect>'


def _value(left: float, index: int, text: str) -> str:
    return f'<text x="{left + 6:.2f}" y="{ROW * index + 19}">{escape(text)}</text>'
