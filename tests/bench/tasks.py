"""Tasks: INT8 of detectors and classifiers beside their peers, planted FP16 damage, the plan's JPEG row.

    python tests/bench/tasks.py --json tasks.json

Networks and pictures are the shared ones (``$SPLITC_DATA``, else ``../shared/data``; SOURCES.md there says where they
are from). INT8 is calibrated on 24 COCO pictures without their labels and judged on 40 other, labelled ones: the loss
of mAP50-95 in points with its standard error (paired bootstrap over pictures), F1 and number of boxes and KL of the
scores against the float network. 40 pictures tell a loss to about half a point.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codec_bench.networks import available
from tasks_bench import float16, int8_boxes, int8_classes, jpeg_row
from tasks_bench.detectors import DETECTORS

PEERS = (*int8_boxes.ORT_WAYS, "NNCF")


@dataclass(frozen=True)
class JpegRow:
    """How much the plan's JPEG row differs between links and sets: share of the bytes, steps of 5 of the quality."""

    spread: float
    quality_steps: float
    section: str = "jpeg_row"


@dataclass(frozen=True)
class LieRow:
    """A planted FP16 network; see :class:`tasks_bench.float16.PlantedRow`."""

    network: str
    onnxruntime_error: float
    float16_error: float
    lowered_error: float
    is_named: bool
    is_caught: bool
    section: str = "float16"


def boxes(networks: Sequence[str], peers: Sequence[str]) -> Iterator[Any]:
    for detector in DETECTORS:
        if networks and detector.key not in networks:
            continue
        if not detector.path.is_file():
            print(f"{detector.name}: no {detector.path} (set SPLITC_DATA); left out.", file=sys.stderr)
            continue
        yield from int8_boxes.rows(detector, peers)


def classes(networks: Sequence[str], peers: Sequence[str]) -> Iterator[Any]:
    for network, path in available():
        if network.name in int8_classes.AMOUNTS and (not networks or network.name in networks):
            yield from int8_classes.rows(network, path)


def lies(networks: Sequence[str], peers: Sequence[str]) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow is what is measured
        for one in float16.rows():
            yield LieRow(**asdict(one), is_caught=one.is_caught)


def links(networks: Sequence[str], peers: Sequence[str]) -> Iterator[Any]:
    if why := jpeg_row.missing():
        print(f"jpeg_row: not here: {why}; left out.", file=sys.stderr)
        return
    yield JpegRow(jpeg_row.spread(), jpeg_row.most_steps())


SECTIONS: Mapping[str, Callable[[Sequence[str], Sequence[str]], Iterator[Any]]] = {
    "int8_boxes": boxes,
    "int8_classes": classes,
    "float16": lies,
    "jpeg_row": links,
}


def summary(rows: Sequence[Any]) -> dict[str, object]:
    """The numbers of the acceptance; None where a section was left out."""
    names = {detector.name: detector.key for detector in DETECTORS}
    ours = {names[row.network]: row for row in rows if row.section == "int8_boxes" and row.way == int8_boxes.OURS}
    planted = [row for row in rows if row.section == "float16"]
    losses = {f"int8_map_loss_{key}": ours[key].map_loss if key in ours else None for key in names.values()}
    return {
        **losses,
        "int8_f1_yolo11n": ours["yolo11n"].f1 if "yolo11n" in ours else None,
        "fp16_lies_caught": f"{sum(row.is_caught for row in planted)}/{len(planted)}" if planted else None,
        "jpeg_row_spread": next((row.spread for row in rows if row.section == "jpeg_row"), None),
    }


def tables(rows: Sequence[Any]) -> str:
    """Every section as Markdown."""
    parts = []
    for section in dict.fromkeys(row.section for row in rows):
        chosen = [{k: v for k, v in asdict(row).items() if k != "section"} for row in rows if row.section == section]
        lines = [list(chosen[0]), ["---"] * len(chosen[0]), *([_cell(v) for v in one.values()] for one in chosen)]
        parts.append(f"## {section}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts)


def _cell(value: object) -> str:
    return "-" if value in (None, "") else f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--only", choices=tuple(SECTIONS), action="append", help="this section; may be given again")
    parser.add_argument("--network", action="append", default=[], help="this network; may be given again")
    parser.add_argument("--no-peers", action="store_true", help="splitc alone")
    parser.add_argument("--summary", action="store_true", help="print the last line alone")
    args = parser.parse_args()
    start, rows = time.perf_counter(), []
    for section in args.only or SECTIONS:
        for row in SECTIONS[section](args.network, () if args.no_peers else PEERS):
            rows.append(row)
            print(f"{time.perf_counter() - start:6.0f} s  {row}", file=sys.stderr, flush=True)
    numbers = summary(rows)
    if not args.summary:
        print(tables(rows) + "\n")
    if args.json:
        document = {"rows": [asdict(row) for row in rows], "summary": numbers}
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"summary {json.dumps(numbers)}")


if __name__ == "__main__":
    main()
