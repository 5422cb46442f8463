"""What became of the corpus, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from corpus_bench.table import CorpusModel

FAULTS = ("wrong", "traceback")
"""Outcomes that must not be."""
BUILDS = ("fp32", "fp16", "int8")
INTRODUCTION = """\
# Networks of strangers

`python tests/bench/corpus.py --folder DIR --page docs/corpus.md` writes this page. It fetches the networks below by
package name, and for each of them runs `splitc inspect`, `splitc split` at up to four cuts of its list, and
`splitc build` on random samples that fit: in float where `split.at = "auto"` chooses, in FP16 and in INT8 at the middle
cut of the list. Masks, caches and settings that the last table names are given to the cloud (`--keep`, `split.keep`).
Every pair of halves is run by ONNX Runtime alone, from the files. Halves of a split must give the bits of the whole (of
FP16 networks: within 2 % of the largest value, since ONNX Runtime wraps FP16 operators into casts that a cut moves).
The fidelity that a build reports, the mean cosine similarity of the outputs on samples that calibration did not use,
must be what the files give, within 0.03; of a build in FP16, which ONNX Runtime's CPU computes in float32, within 0.03
and a tenth of what the fidelity lacks.

Samples are noise, so a fidelity says nothing about the quality of a coded network on real inputs; it must only be true.
"""
LEGEND = """\
A build's number is its fidelity. `refused` is a message with the exit code 2 or 3, `check` one with 1: both are listed
below in full. `-`: there was no cut to split at.
"""


def table(models: Sequence[CorpusModel], found: Mapping[str, list[dict[str, Any]]]) -> str:
    """One row a network."""
    lines = ["| network | family | cuts | splits | float | FP16 | INT8 |", "|---|---|---:|---|---|---|---|"]
    for model in models:
        steps = found.get(model.name)
        if steps is None:
            continue
        by_name = {step["name"]: step for step in steps}
        cuts = by_name.get("inspect", {}).get("facts", {}).get("cuts", "-")
        cells = [_splits(steps), *(_build(by_name.get(name)) for name in BUILDS)]
        lines.append(f"| {model.name} | {model.family} | {cuts} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
    """How many networks and steps there are, and how many steps of each outcome."""
    outcomes = Counter(step["outcome"] for steps in found.values() for step in steps)
    kinds = ("done", "refused", "failed", "unfinished", *FAULTS)
    return {"networks": len(found), "steps": outcomes.total(), **{kind: outcomes[kind] for kind in kinds}}


def page(every: Sequence[CorpusModel], models: Sequence[CorpusModel], found: Mapping[str, list[dict[str, Any]]]) -> str:
    """The whole page: what was found, what was refused and why, and where the networks come from."""
    counts = summary(found)
    said = (
        f"Of {len(every)} networks in the table, {counts['networks']} were run: {counts['steps']} steps: "
        f"{counts['done']} done, {counts['refused']} refused, {counts['failed']} failed checks, "
        f"{counts['unfinished']} unfinished, {counts['wrong']} wrong answers, {counts['traceback']} tracebacks."
    )
    parts = [INTRODUCTION, "## Found\n", said + "\n", table(models, found) + "\n", LEGEND, "## Refusals\n"]
    parts += [_refusals(models, found), "## Where they come from\n", _sources(every)]
    return "\n".join(parts)


def _splits(steps: Sequence[Mapping[str, Any]]) -> str:
    splits = [step["outcome"] for step in steps if step["name"].startswith("split")]
    if not splits:
        return "-"
    good = splits.count("done")
    return f"{good} equal" if good == len(splits) else f"{good} of {len(splits)} equal"


def _build(step: Mapping[str, Any] | None) -> str:
    if step is None:
        return "-"
    if step["outcome"] == "done":
        return f"{step['facts']['fidelity']:.4f}"
    return {"failed": "check"}.get(step["outcome"], str(step["outcome"]))


def _refusals(models: Sequence[CorpusModel], found: Mapping[str, list[dict[str, Any]]]) -> str:
    lines = []
    for model in models:
        texts: dict[str, list[str]] = {}
        for step in found.get(model.name, []):
            if step["outcome"] != "done":
                texts.setdefault(_plain(step["text"]), []).append(step["name"])
        lines += [f"- {model.name}, {', '.join(names)}: {text}" for text, names in texts.items()]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """One line without places of the machine that ran it; tracebacks by their end."""
    last = text.strip().splitlines()[-1] if text.strip() else "no message"
    words = [word.rpartition("/")[2] if word.startswith("/") and word.count("/") > 2 else word for word in last.split()]
    return " ".join(words)[:600].replace("|", "\\|")


def _sources(models: Sequence[CorpusModel]) -> str:
    lines = ["| network | package | file | sha256 | kept in the cloud |", "|---|---|---|---|---|"]
    for model in models:
        package = {"data": "`$SPLITC_DATA`", "export": "made here, weights random where none are trained"}.get(
            model.package, model.package
        )
        kept = ", ".join(f"`{name}`" for name in model.keep) or "-"
        lines.append(f"| {model.name} | {package} | `{model.file}` | {model.sha256 or '-'} | {kept} |")
    return "\n".join(lines) + "\n"
