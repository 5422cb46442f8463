"""The pair at work: two processes on loopback, many clients, batches, and a slow link.

    python tests/bench/runtime.py [--json FILE] [--quick] [--only one|many|batch|link|attack] [--seconds 60]

``one``: MobileNetV2 on 200 photographs and Yolo-Fastest on 300 frames, bit for bit beside one process. ``many``: 64
clients over mixed bundles for ``--seconds``. ``batch``: the same packets with and without dynamic batching. ``link``:
the pair beside edge-only and cloud-only over a slow link. ``attack``: a client with a token beside hostile ones.
Clients and server share this machine's cores; where others do too, root may go first: ``setsid -w sh -c 'echo -18 >
/proc/self/autogroup; exec nice -n -18 python ...'`` (``nice`` by itself counts only within one session).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_data import DATA
from plan_bench.rows import Cell, Row, markdown
from runtime_bench import attack, batching, link, many, single
from runtime_bench.pairs import FRAMES, PICTURES, dense, mobilenet, yolo


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    pictures: int = PICTURES
    frames: int = FRAMES
    rounds: int = 11
    seconds: float = 60.0
    clients: int = many.CLIENTS
    attackers_nice: int = 19


@dataclass(frozen=True)
class Section:
    """One part of the benchmark: ``rows`` measures in a scratch folder, ``summary`` draws the promised numbers."""

    rows: Callable[[Path, Effort], Iterator[Row]]
    summary: Callable[[Sequence[Row]], Mapping[str, Cell]]


def _one(folder: Path, effort: Effort) -> Iterator[Row]:
    yield from single.rows([mobilenet(folder, effort.pictures), yolo(folder, effort.frames)], effort.rounds)


def _many(folder: Path, effort: Effort) -> Iterator[Row]:
    pairs = [mobilenet(folder, 40), yolo(folder, 40), dense(folder, 400)]
    yield from many.rows(pairs, effort.seconds, effort.clients)


def _batch(folder: Path, effort: Effort) -> Iterator[Row]:
    yield from batching.rows([mobilenet(folder, 40), dense(folder, 400)], effort.seconds / 12, 3)


def _link(folder: Path, effort: Effort) -> Iterator[Row]:
    yield from link.rows(mobilenet(folder, effort.pictures), effort.pictures)


def _attack(folder: Path, effort: Effort) -> Iterator[Row]:
    yield from attack.rows(mobilenet(folder, 40), folder, effort.seconds / 12, effort.attackers_nice)


SECTIONS = {
    "one": Section(_one, single.summary),
    "many": Section(_many, many.summary),
    "batch": Section(_batch, batching.summary),
    "link": Section(_link, link.summary),
    "attack": Section(_attack, attack.summary),
}


def summary(rows: Mapping[str, Sequence[Row]]) -> dict[str, Cell]:
    """The promised numbers; those of sections that did not run are null."""
    found: dict[str, Cell] = {}
    for name, section in SECTIONS.items():
        found.update(section.summary(rows.get(name, [])))
    wrong = [value for value in (found.pop("wrong_one"), found.pop("wrong_many")) if value is not None]
    return found | {"answers_wrong": sum(int(value) for value in wrong) if wrong else None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--quick", action="store_true", help="few samples and seconds, to see that it runs")
    parser.add_argument("--only", choices=SECTIONS, help="one section")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long many clients send; 600 to be thorough")
    parser.add_argument("--attackers-nice", type=int, default=19, help="0: at the server's priority, on its cores")
    args = parser.parse_args()
    if not (DATA / "models").is_dir():
        raise SystemExit(f"runtime: no models in {DATA}; set SPLITC_DATA")
    effort = Effort(12, 12, 1, 6.0, 8) if args.quick else Effort(seconds=args.seconds)
    effort = replace(effort, attackers_nice=args.attackers_nice)
    start, rows = time.perf_counter(), dict[str, list[Row]]()
    for name in [args.only] if args.only else SECTIONS:
        with TemporaryDirectory() as folder:
            for row in SECTIONS[name].rows(Path(folder), effort):
                rows.setdefault(name, []).append(row)
                print(f"{time.perf_counter() - start:6.0f} s  {row.section}: {row.name}", file=sys.stderr)
    every, found = [row for some in rows.values() for row in some], summary(rows)
    print(markdown(every))
    print(f"\n## Summary\n\n```json\n{json.dumps(found, indent=2)}\n```")
    if args.json:
        document = {"rows": [asdict(row) for row in every], "summary": found}
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
