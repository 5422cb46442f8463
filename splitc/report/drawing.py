"""The graph as a picture: blocks from input to output, bytes on every edge, and the cut across.

The column of blocks runs down; beside each edge stand its bytes and a bar of that length, so that the narrow places
show. Edges that pass over blocks are arcs on the left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from splitc.report.svg import COLOURS, picture, stacked_bars
from splitc.report.tables import in_bytes

Numbers = Mapping[str, Any]
BLOCK_LEFT, BLOCK_WIDTH, BLOCK_HEIGHT = 90, 400, 40
GAP, TOP = 30, 34
STEP = BLOCK_HEIGHT + GAP
END_OF_CUT = BLOCK_LEFT + BLOCK_WIDTH - 30
MIDDLE = BLOCK_LEFT + BLOCK_WIDTH / 2
BAR_LEFT, BAR_WIDTH = 570, 170
WIDTH = 830
NAME_LENGTH, LINE_LENGTH = 44, 54


def graph_picture(outline: Numbers, cut: Sequence[str], payload_bytes: float) -> str:
    """The graph with its cut.

    Args:
        outline: Blocks and edges, as the graph room gives them.
        cut: Names of the values that cross.
        payload_bytes: What is sent for them.
    """
    blocks, edges = outline["blocks"], outline["edges"]
    heads = sum(block["is_head"] for block in blocks)
    widest = max((edge["wire_bytes"] for edge in edges), default=0) or 1
    parts = [_end(0, "input"), *(_block(index, block) for index, block in enumerate(blocks))]
    parts.append(_end(len(blocks) + 1, "output"))
    parts += [_edge(edge, widest, is_cut=_crosses(edge, heads)) for edge in edges]
    parts.append(_cut(heads, edges, cut, payload_bytes, widest))
    height = TOP + STEP * (len(blocks) + 1) + 24
    return picture(WIDTH, height, f"The graph, cut at {', '.join(cut)}", parts)


def latency_picture(plan: Numbers) -> str:
    """Edge, encode, link, decode and cloud of every priced cut by depth, then of the ways without a cut.

    A cut with several codecs gets one row: the best cut as it was chosen, others with their fastest allowed codec.
    """
    best = plan["best_cut"]
    shown: dict[str, Numbers] = {}
    for point in plan["points"]:
        if _order(point) <= _order(shown.setdefault(point["name"], point)):
            shown[point["name"]] = point
    ways = [*(shown | {best["name"]: best}).values(), *plan["baselines"]]
    rows = [(_label(way), {stage: way[f"{stage}_ms"] for stage in COLOURS}) for way in ways]
    refused = {_label(way): way["refused"] for way in ways if way["refused"]}
    return stacked_bars(rows, "ms", marked=_label(best), title=_title(plan["link"]), greyed=refused)


def _order(point: Numbers) -> tuple[bool, float]:
    return bool(point["refused"]), point["total_ms"]


def _label(way: Numbers) -> str:
    """The cut and its codec; a way without a cut has its coding in its name."""
    if not way["cut"]:
        return str(way["name"])
    precision = "" if way["edge_precision"] == "fp32" else f", {way['edge_precision']}"
    return f"{way['name']} ({way['codec']}{precision})"


def _title(link: Numbers) -> str:
    return f"Latency of the cuts over {link['uplink_mbps']:g} Mbit/s, round trip {link['rtt_ms']:g} ms"


def _crosses(edge: Numbers, heads: int) -> bool:
    return bool(edge["source"] < heads <= edge["target"])


def _top(row: int) -> float:
    """Upper edge of a block; row 0 is the input, row 1 the first block."""
    return TOP + STEP * (row - 1) + GAP


def _end(row: int, title: str) -> str:
    y = _top(row) + BLOCK_HEIGHT - 6 if row == 0 else _top(row) + 14
    return f'<text x="{MIDDLE}" y="{y:g}" class="mid strong">{title}</text>'


def _block(index: int, block: Numbers) -> str:
    colour = COLOURS["edge" if block["is_head"] else "cloud"]
    y = _top(index + 1)
    return (
        f'<rect x="{BLOCK_LEFT}" y="{y:g}" width="{BLOCK_WIDTH}" height="{BLOCK_HEIGHT}" rx="6" fill="{colour}">'
        f"<title>{escape(block['name'])}: {block['nodes']} nodes</title></rect>"
        f'<text x="{MIDDLE}" y="{y + 17:g}" class="mid light strong">{escape(shorten(block["name"]))}</text>'
        f'<text x="{MIDDLE}" y="{y + 33:g}" class="mid light">{escape(_content(block))}</text>'
    )


def _content(block: Numbers) -> str:
    """The work, and before it as many operators as fit."""
    work = f"{_amount(block['flops'])} FLOP, {_amount(block['parameters'])} weights"
    kinds = [f"{count} {kind}" for kind, count in block["operators"]]
    while kinds and len(", ".join([*kinds, work])) > LINE_LENGTH:
        kinds.pop()
    return ", ".join([*kinds, work])


def _edge(edge: Numbers, widest: int, *, is_cut: bool) -> str:
    if edge["target"] - edge["source"] > 1:
        return _arc(edge, is_cut=is_cut)
    start, end = _top(edge["target"] + 1) - GAP, _top(edge["target"] + 1)
    middle = (start + end) / 2
    colour = COLOURS["wire"] if is_cut else "#8a94a3"
    width = max(BAR_WIDTH * edge["wire_bytes"] / widest, 1)
    several = f" in {edge['count']}" if edge["count"] > 1 else ""
    hint = f"<title>{escape(', '.join(edge['values']))}</title>"
    return (
        f'<path d="M{MIDDLE} {start:g} V{end - 7:g}" stroke="{colour}" stroke-width="2" fill="none"/>'
        f'<path d="M{MIDDLE - 5} {end - 8:g} h10 l-5 7 z" fill="{colour}"/>'
        f'<text x="{BAR_LEFT - 8}" y="{middle + 5:g}" class="end">{in_bytes(edge["wire_bytes"])}{several}</text>'
        f'<rect x="{BAR_LEFT}" y="{middle - 5:g}" width="{width:.1f}" height="10" fill="{colour}">{hint}</rect>'
    )


def _arc(edge: Numbers, *, is_cut: bool) -> str:
    """An edge over blocks: out of the source's left side, into the target's."""
    start, end = _top(edge["source"] + 1) + BLOCK_HEIGHT * 0.75, _top(edge["target"] + 1) + BLOCK_HEIGHT * 0.25
    out = BLOCK_LEFT - 14 - min(10 * (edge["target"] - edge["source"]), 60)
    colour = COLOURS["wire"] if is_cut else "#8a94a3"
    x = BLOCK_LEFT
    line = f"M{x} {start:g} C{out} {start:g} {out} {end:g} {x - 7} {end:g}"
    hint = f"<title>{escape(', '.join(edge['values']))}</title>"
    return (
        f'<path d="{line}" stroke="{colour}" stroke-width="2" fill="none">{hint}</path>'
        f'<path d="M{x - 8} {end - 5:g} v10 l7 -5 z" fill="{colour}"/>'
        f'<text x="{(out + x) / 2 + 2:g}" y="{(start + end) / 2:g}" class="mid">{in_bytes(edge["wire_bytes"])}</text>'
    )


def _cut(heads: int, edges: Sequence[Numbers], cut: Sequence[str], payload_bytes: float, widest: int) -> str:
    y = _top(heads + 1) - GAP / 2
    bar = max((BAR_WIDTH * edge["wire_bytes"] / widest for edge in edges if _crosses(edge, heads)), default=0)
    feature = in_bytes(sum(_cut_bytes(edges, heads)))
    colour = COLOURS["wire"]
    return (
        f'<path d="M6 {y:g} H{END_OF_CUT}" stroke="{colour}" stroke-width="2.5" stroke-dasharray="7 4"/>'
        f'<text x="6" y="{y - 6:g}" class="strong">edge</text><text x="6" y="{y + 17:g}" class="strong">cloud</text>'
        f"<text {_beside(bar, y)}>cut: {feature} sent as {in_bytes(payload_bytes)}"
        f"<title>{escape(', '.join(cut))}</title></text>"
    )


def _beside(bar: float, y: float) -> str:
    """Behind a short bar; above the end of a long one."""
    if bar < 30:
        return f'x="{BAR_LEFT + bar + 8:.1f}" y="{y + 5:g}" class="strong"'
    return f'x="{WIDTH - 6}" y="{y - 9:g}" class="end strong"'


def _cut_bytes(edges: Sequence[Numbers], heads: int) -> list[int]:
    """Of each value that crosses once, whatever it feeds."""
    largest: dict[tuple[str, ...], int] = {}
    for edge in edges:
        if _crosses(edge, heads):
            largest[tuple(edge["values"])] = edge["wire_bytes"]
    return list(largest.values())


def _amount(count: float) -> str:
    """1234567 as ``1.23 M``."""
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return f"{count}"


def shorten(name: str, length: int = NAME_LENGTH) -> str:
    """The end of a long name, which tells it from its neighbours."""
    return name if len(name) <= length else f"…{name[1 - length :]}"
