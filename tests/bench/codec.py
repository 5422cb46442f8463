"""What the feature codec is worth beside its peers: size at equal fidelity, size on the same symbols, and speed.

    python tests/bench/codec.py [--json FILE] [--quick] [--only stills|symbols|video|floor|frontier|streams]
                                [--network NAME] [--pictures N] [--calibration N]

Three networks (MobileNetV2 and ResNet-18 from the shared data, the quickstart's from the zoo), each cut early, in the
middle and late. Quantizers and tables are calibrated on other pictures than the measured ones. Rates at equal KL are
interpolated in ln KL over at least five operating points. One thread; CPU time; medians. Our rates at equal KL count
whole packets, x265's only slices. ``frontier``: profiles at twelve cuts of seven networks and two divergences, beside
x265, Chen'19, k-bit symbols in zstd-19 and codings of the input. ``streams``: prediction on a static and a moving clip.
Speeds are of symbols to bytes, and count elements (x 4: bytes of float32).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from codec_bench import floor, frontier, networks, stills, streams, symbols, tables, video
from codec_bench.networks import Amount, Cut
from codec_bench.summary import Row, summary

SECTIONS = ("symbols", "stills", "video", "floor", "frontier", "streams")


STREAMS = Amount(30, 48)


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    places: tuple[str, ...]
    pictures: Amount
    clip_networks: tuple[str, ...]
    frames: Amount
    frontier: Amount
    frontier_networks: tuple[str, ...] = ()
    streams: Amount = STREAMS


FULL = Extent(
    ("early", "middle", "late"), Amount(100, 64), ("MobileNetV2", "EfficientNet-Lite0"), Amount(90, 90), Amount(64, 64)
)
QUICK = Extent(
    ("middle",), Amount(16, 6), ("MobileNetV2",), Amount(20, 20), Amount(6, 4), ("MobileNetV2",), Amount(6, 6)
)


def measure(extent: Extent, sections: Sequence[str], names: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of every section asked for, as they come; ``names`` picks networks, none: all."""
    if "floor" in sections:
        yield from floor.floor_rows()
    if "frontier" in sections:
        yield from frontier.frontier_rows((*extent.places, "neck"), extent.frontier, names or extent.frontier_networks)
    if "streams" in sections:
        yield from streams.stream_rows(extent.streams, names or extent.frontier_networks)
    for network, path in networks.available():
        if names and network.name not in names:
            continue
        if {"symbols", "stills"} & set(sections):
            for cut in networks.picture_cuts(network, path, extent.places, extent.pictures):
                yield from _picture_rows(cut, sections)
        if "video" in sections and network.name in extent.clip_networks and networks.has_clip():
            for cut in networks.clip_cuts(network, path, "middle", extent.frames):
                yield from video.video_rows(cut)


def _picture_rows(cut: Cut, sections: Sequence[str]) -> Iterator[Row]:
    if "symbols" in sections:
        yield from symbols.symbol_rows(cut)
    if "stills" in sections:
        yield from stills.still_rows(cut)


def document(rows: Sequence[Row]) -> dict[str, object]:
    """What ``--json`` writes."""
    return {"rows": [asdict(row) for row in rows], "summary": summary(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--quick", action="store_true", help="few pictures and cuts, to see that it runs")
    parser.add_argument("--only", choices=SECTIONS, help="one section")
    parser.add_argument("--network", action="append", default=[], help="one network; may be repeated")
    parser.add_argument("--pictures", type=int, help="of the frontier that are measured")
    parser.add_argument("--calibration", type=int, help="of the frontier that calibrate; absent: as many as measure")
    args = parser.parse_args()
    sections = (args.only,) if args.only else SECTIONS
    start, rows = time.perf_counter(), []
    extent = QUICK if args.quick else FULL
    if args.pictures:
        extent = replace(extent, frontier=Amount(args.calibration or args.pictures, args.pictures))
    for row in measure(extent, sections, args.network):
        rows.append(row)
        print(f"{time.perf_counter() - start:6.0f} s  {row.section}: {tables.title(row)}", file=sys.stderr)
        if args.json:  # what a run that is stopped leaves; a summary needs all rows of a cut
            args.json.write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2) + "\n", encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps(document(rows), indent=2) + "\n", encoding="utf-8")
    print("\n\n".join(tables.all_tables(rows, summary(rows))))


if __name__ == "__main__":
    main()
