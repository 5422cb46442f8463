"""What cutting graphs and choosing a cut cost, and how right they are.

    python tests/bench/plan.py [--json FILE] [--quick] [--only corpus|chain|big|predict]

``corpus``: every single-tensor cut and 200 random wide ones over all test graphs at hand, split, run and merged,
bit for bit. ``chain``: a graph of 100,000 nodes. ``big``: a transformer with 6 GB of external weights, beside
onnx.utils.extract_model and polygraphy surgeon. Each measurement runs in a process of its own. ``predict``: what heads
take on this CPU beside what a plan predicts for them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from plan_bench import big, chain, corpus, predict
from plan_bench.rows import Cell, Row, markdown, of_section


@dataclass(frozen=True)
class Section:
    """One part of the benchmark: ``rows(quick)`` measures, ``summary`` draws the promised numbers from its rows."""

    rows: Callable[[bool], Iterator[Row]]
    summary: Callable[[Sequence[Row]], Mapping[str, Cell]]


SECTIONS = {
    "corpus": Section(corpus.rows, corpus.summary),
    "chain": Section(chain.rows, chain.summary),
    "big": Section(big.rows, big.summary),
    "predict": Section(predict.rows, predict.summary),
}


def document(rows: Sequence[Row]) -> dict[str, object]:
    """What ``--json`` writes; numbers of sections that did not run are null."""
    summary: dict[str, Cell] = {}
    for name, section in SECTIONS.items():
        summary.update(section.summary(of_section(rows, name)))
    return {"rows": [asdict(row) for row in rows], "summary": summary}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--quick", action="store_true", help="few and small graphs, to see that it runs")
    parser.add_argument("--only", choices=SECTIONS, help="one section")
    args = parser.parse_args()
    start, rows = time.perf_counter(), []
    for name in [args.only] if args.only else SECTIONS:
        for row in SECTIONS[name].rows(args.quick):
            rows.append(row)
            print(f"{time.perf_counter() - start:6.0f} s  {row.section}: {row.name}", file=sys.stderr)
    found = document(rows)
    print(markdown(rows))
    print(f"\n## Summary\n\n```json\n{json.dumps(found['summary'], indent=2)}\n```")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
