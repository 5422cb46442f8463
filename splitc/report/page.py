"""One self-contained HTML page from report.json. It computes nothing but layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from splitc.files import write_file
from splitc.report import svg
from splitc.report.drawing import graph_picture, latency_picture
from splitc.report.recovery import recovery_section
from splitc.report.tables import in_bytes, share, table
from splitc.report.worth import STYLE as VERDICT_STYLE
from splitc.report.worth import rivals_table, verdict_box

Numbers = Mapping[str, Any]
STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.lead { margin: .3rem 0 1rem; } p.note { color: #888; font-size: .9rem; margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
th { text-align: left; font-weight: 600; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: .88em; overflow-wrap: anywhere; } .ok { color: #2f7d6b; } .bad { color: #c0392b; font-weight: 600; }
svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: .8rem; }
figure { margin: 0; background: var(--soft); border-radius: 6px; overflow: hidden; font-size: .85rem; }
figure img { width: 100%; display: block; } figcaption { padding: .4rem .5rem; }
details { margin: .5rem 0; } summary { cursor: pointer; }
"""


def page(report: Numbers) -> str:
    """The page.

    Args:
        report: What ``splitc build`` writes to report.json.
    """
    sections = [
        _head(report),
        _flow(report),
        rivals_table(report["plan"]),
        _gates(report["gates"]),
        _stages(report["verification"]),
        _rate(report["verification"], report["symbol_bits"]),
        _graph(report),
        _latency(report["plan"]),
        _examples(report["examples"]),
        recovery_section(report.get("recovery")),
        _weights(report["weights"]),
        _layers(report["layer_precision"]),
        _engines(report["engines"]),
        _notes(report["notes"]),
        _rejected(report["plan"]["rejected"]),
        _provenance(report),
    ]
    title = escape(f"{report['name']}: splitc report")
    body = "\n".join(section for section in sections if section)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{VERDICT_STYLE}{svg.RULES}</style></head>'
        f"<body>{body}</body></html>\n"
    )


def _head(report: Numbers) -> str:
    check = report["verification"]
    before, after = check["feature_bytes"], check["payload_bytes_mean"]
    lead = (
        f"Cut at <code>{escape(', '.join(report['cut']))}</code>. A feature of {in_bytes(before)} crosses "
        f"as {in_bytes(after)} ({before / after:.1f}x less)."
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.get("task_notes", ()))
    title = f"<h1>{escape(report['name'])}</h1>{verdict_box(report['plan'])}"
    return f'{title}<p class="lead">{lead}</p><p class="lead">{_measured(check)}</p>{notes}'


def _measured(check: Numbers) -> str:
    """What was measured of the answers, in the task's own words; bundles of before say a share alone."""
    if "headline" in check:
        return f"<b>{escape(check['task'])}</b>: {escape(check['headline'])}"
    return f"Fidelity on {check['samples']} samples: {share(_stage(check, 'coded')['fidelity'])}."


def _flow(report: Numbers) -> str:
    check, halves, codec = report["verification"], report["halves"], report["codec"]
    wire = svg.Box(
        f"{in_bytes(check['payload_bytes_mean'])} a sample",
        [
            f"{check['rate_bpe']:.2f} bits an element",
            f"{codec['quantizer']} {report['symbol_bits']} bit, {codec['entropy']}",
        ],
    )
    return svg.flow(_half("Edge", halves["edge"]), wire, _half("Cloud", halves["cloud"]))


def _half(title: str, half: Numbers) -> svg.Box:
    return svg.Box(
        f"{title}: {half['device']}",
        [
            f"{half['flops'] / 1e9:.2f} GFLOP",
            f"{half['parameters'] / 1e6:.2f} M weights, {in_bytes(half['weight_bytes'])}",
            f"{in_bytes(half['model_bytes'])} ONNX",
        ],
    )


def _gates(gates: Sequence[Numbers]) -> str:
    if not gates:
        return ""
    rows = [
        [
            escape(gate["name"]),
            _number(gate["value"]),
            _number(gate["limit"]),
            _verdict(gate["ok"]),
            escape(gate["source"]),
        ]
        for gate in gates
    ]
    return "<h2>Gates</h2>" + table(["gate", "#value", "#limit", "", "from"], rows)


def _stages(check: Numbers) -> str:
    rows = [
        [
            escape(stage["name"]),
            share(stage["fidelity"]),
            _optional(stage.get("divergence", stage["kl"]), ".2e"),
            _optional(stage["cosine"], ".5f"),
            _accuracy(stage),
            _optional(stage.get("added_divergence", stage["added_kl"]), ".2e"),
        ]
        for stage in check["stages"]
    ]
    skipped = "".join(f'<p class="note">{escape(s["stage"])}: {escape(s["reason"])}</p>' for s in check["skipped"])
    unit = next((stage["agreement"]["divergence_unit"] for stage in check["stages"] if "agreement" in stage), "")
    is_kl = all(stage["kl"] is not None for stage in check["stages"])
    distance = ("KL (nats)", "KL added") if is_kl else ("distance", "distance added")
    head = ["stage", "#fidelity", f"#{distance[0]}", "#cosine", "#against labels", f"#{distance[1]}"]
    note = f'<p class="note">Against {escape(check["reference"])}, on {check["samples"]} samples.</p>'
    title = "KL" if is_kl else "The distance"
    note += f'<p class="note">{title} is the mean {escape(unit)}.</p>' if unit else ""
    return "<h2>Where the answer changes</h2>" + table(head, rows) + note + skipped


def _accuracy(stage: Numbers) -> str:
    """Measures against labels, the first one first."""
    measured = stage["agreement"]["accuracy"] if "agreement" in stage else []
    if not measured:
        return "" if stage["top1"] is None else share(stage["top1"])
    return "<br>".join(
        f"{escape(one['name'])} {share(one['other']) if one['is_share'] else _number(one['other'])}" for one in measured
    )


def _rate(check: Numbers, bits: int) -> str:
    rows = [
        (f"{bits}-bit symbols, packed", float(bits)),
        ("zstd-19", check["baseline_rate_bpe"]),
        ("splitc", check["rate_bpe"]),
    ]
    note = '<p class="note">Bits per feature element, from real packets including their headers.</p>'
    return "<h2>Rate</h2>" + svg.bars(rows, "{:.3f}", marked="splitc") + note


def _graph(report: Numbers) -> str:
    sent = report["verification"]["payload_bytes_mean"]
    note = '<p class="note">Bytes of the tensors between blocks, as float32 of one sample.</p>'
    return "<h2>The graph and its cut</h2>" + graph_picture(report["outline"], report["cut"], sent) + note


def _latency(plan: Numbers) -> str:
    note = f'<p class="note">{escape(plan["note"])}</p>'
    return "<h2>Latency of the cuts</h2>" + latency_picture(plan) + note


def _examples(examples: Sequence[Numbers]) -> str:
    if not examples:
        return ""
    figures = "".join(map(_figure, examples))
    return f'<h2>Pictures, before and after</h2><div class="pictures">{figures}</div>'


def _figure(example: Numbers) -> str:
    verdict = "ok" if example["before"] == example["after"] else "bad"
    shown = [example[key] for key in ("before_jpeg_base64", "jpeg_base64") if key in example]
    pictures = "".join(f'<img alt="" src="data:image/jpeg;base64,{escape(one)}">' for one in shown)
    return (
        f"<figure>{pictures}<figcaption>"
        f"full: <b>{escape(example['before'])}</b> {_sure(example['before_share'])}<br>"
        f'split: <b class="{verdict}">{escape(example["after"])}</b> {_sure(example["after_share"])}<br>'
        f"{escape(example['name'])}, {example['payload_bytes']:,} bytes</figcaption></figure>"
    )


def _sure(certainty: float | None) -> str:
    """How sure an answer is, where the task says it."""
    return "" if certainty is None else share(certainty)


def _weights(steps: Sequence[Numbers]) -> str:
    if not steps:
        return ""
    rows = [
        [
            escape(step["side"]),
            escape(step["step"]),
            f"{in_bytes(step['packed_bytes_before'])} &rarr; {in_bytes(step['packed_bytes'])}",
            f"{in_bytes(step['memory_bytes_before'])} &rarr; {in_bytes(step['memory_bytes'])}",
            escape(step["time"]),
        ]
        for step in steps
    ]
    return "<h2>Weights</h2>" + table(
        ["side", "step", "#packed, to send or store", "#in model.onnx and in memory", "time of an inference"], rows
    )


def _layers(layers: Sequence[Numbers]) -> str:
    """Where precision is mixed: the most sensitive layer first."""
    if not layers:
        return ""
    rows = [
        [
            escape(one["side"]),
            f"<code>{escape(one['layer'])}</code>",
            escape(one["precision"]),
            f"{one['sensitivity_kl']:.2e}",
        ]
        for one in layers
    ]
    listed = table(["side", "layer", "computes in", "#KL with this layer alone in INT8, nats"], rows)
    floats = sum(one["precision"] == "fp32" for one in layers)
    lead = f"{floats} of {len(layers)} quantized layers were returned to float; sensitivity of every layer"
    return f"<details><summary>{lead}</summary>{listed}</details>"


def _engines(engines: Sequence[Numbers]) -> str:
    rows = [
        [
            escape(engine["side"]),
            escape(engine["target"]),
            escape(engine["backend"]),
            escape(engine["status"]),
            f"<code>{escape(engine['path'] or engine['command'] or '')}</code> {escape(engine['reason'] or '')}",
        ]
        for engine in engines
    ]
    return "<h2>Engines</h2>" + table(
        ["side", "target", "backend", "status", "engine, or the command that builds it"], rows
    )


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<details><summary>Changes made to the graphs</summary><ul>{items}</ul></details>" if notes else ""


def _rejected(rejected: Sequence[Numbers]) -> str:
    if not rejected:
        return ""
    rows = [[f"<code>{escape(', '.join(cut['names']))}</code>", escape(cut["reason"])] for cut in rejected]
    listed = table(["cut", "reason"], rows)
    return f"<details><summary>{len(rejected)} rejected cuts, with reasons</summary>{listed}</details>"


def _provenance(report: Numbers) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(report["versions"].items()))
    return f'<p class="note">model sha256 <code>{escape(report["model_sha256"])}</code><br>{escape(versions)}</p>'


def _stage(check: Numbers, name: str) -> Numbers:
    found: Numbers = next(stage for stage in check["stages"] if stage["name"] == name)
    return found


def _verdict(ok: bool) -> str:
    return '<span class="ok">holds</span>' if ok else '<span class="bad">missed</span>'


def _optional(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def write_page(text: str, out: Path) -> Path:
    """Write the page, whole or not at all.

    Raises:
        UsageError: The folder is missing or full, or ``out`` is a folder.
    """
    write_file(out, text.encode("utf-8", "backslashreplace"))  # names of files may hold bytes that are not UTF-8
    return out
