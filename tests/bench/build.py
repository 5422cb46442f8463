"""What builds cost.

    python tests/bench/build.py [--json FILE] [--quick] [--only memory|steps]

``memory``: peak memory of building and verifying on thousands of pictures and on a long clip, beyond that of a process
that only opens the network and runs one sample. Each measurement runs in a process of its own.

``steps``: seconds of a first build, of the same again, and after a change of ``codec.step``, with the steps of the
earlier ones kept; and of the stages of INT8 beside float.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_data import DATA
from build_bench import memory, steps
from plan_bench.rows import Cell, Row, markdown, of_section


@dataclass(frozen=True)
class Section:
    """One part of the benchmark.

    Attributes:
        rows: Measures in a scratch folder; the flag asks for few samples, to see that it runs.
        summary: Draws the promised numbers from its rows; null where nothing was measured.
    """

    rows: Callable[[Path, bool], Iterator[Row]]
    summary: Callable[[Sequence[Row]], Mapping[str, Cell]]


SECTIONS = {"steps": Section(steps.rows, steps.summary), "memory": Section(memory.rows, memory.summary)}


def document(rows: Sequence[Row]) -> dict[str, object]:
    """What ``--json`` writes; numbers of sections that did not run are null."""
    summary: dict[str, Cell] = {}
    for name, section in SECTIONS.items():
        summary.update(section.summary(of_section(rows, name)))
    return {"rows": [asdict(row) for row in rows], "summary": summary}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--quick", action="store_true", help="few samples, to see that it runs")
    parser.add_argument("--only", choices=SECTIONS, help="one section")
    args = parser.parse_args()
    if not (DATA / "models").is_dir():
        raise SystemExit(f"build: no models in {DATA}; set SPLITC_DATA")
    start, rows = time.perf_counter(), []
    for name in [args.only] if args.only else SECTIONS:
        with TemporaryDirectory() as folder:
            for row in SECTIONS[name].rows(Path(folder), args.quick):
                rows.append(row)
                print(f"{time.perf_counter() - start:6.0f} s  {row.section}: {row.name}", file=sys.stderr)
    found = document(rows)
    print(markdown(rows))
    print(f"\n## Summary\n\n```json\n{json.dumps(found['summary'], indent=2)}\n```")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
