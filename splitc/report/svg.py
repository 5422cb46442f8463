"""Small pictures as SVG text. Numbers in, markup out; every name is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType

COLOURS = {
    "edge": "#2f7d6b",
    "encode": "#7cb5a5",
    "wire": "#d9a441",
    "decode": "#8fa8d0",
    "cloud": "#3d62a8",
}
GREYS = {"edge": "#8d8d8d", "encode": "#b0b0b0", "wire": "#c9c9c9", "decode": "#b0b0b0", "cloud": "#9b9b9b"}
"""The same stages of what was refused."""
SHOWN = {"wire": "link"}
"""What people read for a stage, where it is not its name."""
LABEL_WIDTH = 290
LABEL_LENGTH = 36
BAR_WIDTH = 420
ROW = 26
OUT_OF_PROPORTION = 4
"""A bar so many times the median is drawn broken."""
RULES = """svg text { fill: currentColor; } svg .light { fill: #fff; }
svg .mid { text-anchor: middle; } svg .end { text-anchor: end; }
svg .strong, .strong { font-weight: 600; } svg .wire { stroke: #d9a441; stroke-width: 4; } svg .tip { fill: #d9a441; }
svg .gap { stroke: Canvas; stroke-width: 3; fill: none; }"""
"""Style of everything drawn here."""
FILE_STYLE = "svg { font: 13px system-ui, sans-serif; background: #fff; color: #1c2430; } " + RULES.replace("\n", " ")


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
    return picture(690, 132, "The edge half, the bitstream and the cloud half", parts)


def stacked_bars(
    rows: Sequence[tuple[str, dict[str, float]]],
    unit: str,
    marked: str | None = None,
    title: str = "Stacked bars",
    greyed: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """One row a name, one coloured piece a stage, the total behind it, and above them what the colours mean.

    A row many times longer than the usual one is drawn broken, so that the others can be told apart.

    Args:
        rows: ``(name, {stage: value})``; stages are keys of ``COLOURS``.
        unit: Written after the total.
        marked: Name of the row to set in bold.
        title: What the picture shows.
        greyed: Why a row is out of the question, by its name.
    """
    longest = _longest([sum(pieces.values()) for _, pieces in rows])
    parts = _key()
    for index, (name, pieces) in enumerate(rows, 1):
        parts.append(_label(index, name, strong=name == marked))
        left, end = float(LABEL_WIDTH), float(LABEL_WIDTH + BAR_WIDTH)
        for stage, value in pieces.items():
            width = min(value / longest * BAR_WIDTH, end - left)
            if value > 0 and left < end:
                why = f"; refused: {greyed[name]}" if name in greyed else ""
                colour = GREYS[stage] if name in greyed else COLOURS[stage]
                parts.append(_rect(left, index, width, colour, f"{stage} {value:.2f} {unit}{why}"))
            left += width
        total = sum(pieces.values())
        parts += [_break(index)] if total > longest else []
        parts.append(_value(left, index, f"{total:.2f} {unit}"))
    return picture(LABEL_WIDTH + BAR_WIDTH + 110, ROW * (len(rows) + 1) + 8, f"{title}, in {unit}", parts)


def _longest(totals: Sequence[float]) -> float:
    """Length of the scale: the longest row that is not out of proportion."""
    usual = sorted(totals)[len(totals) // 2] if totals else 0.0
    return max((total for total in totals if total <= OUT_OF_PROPORTION * usual), default=0.0) or 1.0


def _break(index: int) -> str:
    """Two white strokes through the end of a bar that goes on."""
    x, y = LABEL_WIDTH + BAR_WIDTH - 26, ROW * index + 2
    return f'<path d="M{x} {y + 24} l8 -24 M{x + 8} {y + 24} l8 -24" class="gap"/>'


def _key() -> list[str]:
    """The colours of the stages, in the first row."""
    return [
        f'<rect x="{LABEL_WIDTH + 84 * index}" y="7" width="12" height="12" rx="2" fill="{colour}"/>'
        f'<text x="{LABEL_WIDTH + 84 * index + 18}" y="18">{SHOWN.get(stage, stage)}</text>'
        for index, (stage, colour) in enumerate(COLOURS.items())
    ]


def bars(rows: Sequence[tuple[str, float]], text: str = "{:.3g}", marked: str | None = None) -> str:
    """Plain horizontal bars; ``text`` formats the number behind each."""
    longest = max((value for _, value in rows), default=0.0) or 1.0
    parts = []
    for index, (name, value) in enumerate(rows):
        width = value / longest * BAR_WIDTH
        colour = COLOURS["edge"] if name == marked else "#a9b4c4"
        parts += [_label(index, name, strong=name == marked), _rect(LABEL_WIDTH, index, width, colour, name)]
        parts.append(_value(LABEL_WIDTH + width, index, text.format(value)))
    return picture(LABEL_WIDTH + BAR_WIDTH + 110, ROW * len(rows) + 8, "Bars", parts)


def standalone(drawn: str) -> str:
    """A picture of this module as a file of its own, with its style in it."""
    sized = re.sub(
        r'viewBox="0 0 (\S+) (\S+)"', r'xmlns="http://www.w3.org/2000/svg" \g<0> width="\1" height="\2"', drawn
    )
    return sized.replace("</title>", f"</title><style>{FILE_STYLE}</style>", 1) + "\n"


def picture(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """The parts as one picture that scales with the page."""
    body = "".join(parts)
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img"><title>{escape(title)}</title>{body}</svg>'


def _box(left: int, colour: str, box: Box) -> str:
    lines = "".join(
        f'<text x="{left + 116}" y="{58 + 18 * i}" class="mid light">{escape(line)}</text>'
        for i, line in enumerate(box.lines)
    )
    title = f'<text x="{left + 116}" y="34" class="mid light strong">{escape(box.title)}</text>'
    return f'<rect x="{left}" y="6" width="232" height="118" rx="8" fill="{colour}"/>{title}{lines}'


def _label(index: int, name: str, *, strong: bool) -> str:
    shown = name if len(name) <= LABEL_LENGTH else f"…{name[1 - LABEL_LENGTH :]}"
    weight = " strong" if strong else ""
    return f'<text x="{LABEL_WIDTH - 8}" y="{ROW * index + 19}" class="end{weight}">{escape(shown)}</text>'


def _rect(left: float, index: int, width: float, colour: str, hint: str) -> str:
    place = f'x="{left:.2f}" y="{ROW * index + 5}" width="{max(width, 0.5):.2f}" height="18"'
    return f'<rect {place} fill="{colour}"><title>{escape(hint)}</title></rect>'


def _value(left: float, index: int, text: str) -> str:
    return f'<text x="{left + 6:.2f}" y="{ROW * index + 19}">{escape(text)}</text>'
