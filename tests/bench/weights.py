"""Weights: T-C3D's pipeline, our levels at equal fidelity, speeds, updates, INT8 and zeros.

    python tests/bench/weights.py --json weights.json

Sizes are of whole containers, headers and hashes included. Ratios name their peer, measured in the same run. Rates at
equal KL are interpolated in ln KL over at least five operating points, on pictures that were not calibrated on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import zstandard
from codec_bench.networks import NETWORKS, available
from weights_bench import int8, networks, rates, sparse, speed, tc3d

SECTIONS = ("tc3d", "speed", "rates", "int8", "sparse")
CLASSIFIERS = {"I3D": (400, 1024, 1, 1, 1)}
ON_PICTURES: dict[str, tuple[Callable[..., Iterator[Any]], dict[str, tuple[int, int]], tuple[int, int]]] = {
    "rates": (
        rates.rows,
        {"MobileNetV2": (48, 100), "ResNet-18": (96, 200), "EfficientNet-Lite0": (48, 100)},
        (16, 24),
    ),
    "int8": (int8.rows, {"MobileNetV2": (40, 160), "ResNet-18": (100, 900)}, (8, 12)),
    "sparse": (sparse.rows, {"MobileNetV2": (40, 160), "ResNet-18": (100, 900)}, (8, 12)),
}
"""Section -> its rows of a network; pictures that calibrate and that are measured, by network; the same for --quick."""


def measure(sections: Sequence[str], *, quick: bool) -> Iterator[Any]:
    """Rows of every section asked for, as they come."""
    if not networks.I3D.is_file():
        print(f"no {networks.I3D} (set SPLITC_DATA); I3D and speeds left out.", file=sys.stderr)
    elif {"tc3d", "speed"} & set(sections):
        i3d = networks.real_weights(networks.I3D)
        if "tc3d" in sections:
            classifier = next(one.name for one in i3d if one.shape == CLASSIFIERS["I3D"])
            yield from tc3d.rows("I3D", i3d, classifier)
        if "speed" in sections:
            yield from speed.rows("I3D", i3d)
    if "tc3d" in sections and not quick:
        yield from tc3d.rows("R3D-18-shaped", networks.r3d18_shaped(), "fc")
    for section in (one for one in ON_PICTURES if one in sections):
        rows_of, amounts, few = ON_PICTURES[section]
        for network, path in available():
            if network.name in amounts and not (quick and network.name != NETWORKS[0].name):
                yield from rows_of(network, path, *(few if quick else amounts[network.name]))


def summary(rows: Sequence[Any]) -> dict[str, object]:
    """The numbers of the acceptance; None where a section was left out."""
    huffman = {row.network: row for row in rows if row.section == "tc3d" and row.step == "Huffman"}
    speeds = {row.operation: row.mweights for row in rows if row.section == "speed"}
    equal = [row for row in rows if row.section == "equal"]
    ratios = [row.ratio for row in equal if row.ratio is not None]
    nncodec_ratios = [row.nncodec_ratio for row in equal if row.nncodec_ratio is not None]
    int8s = {row.network: row for row in rows if row.section == "int8" and row.technique.endswith("(the pass)")}
    zeros = {row.pattern: row.agreement for row in rows if row.section == "sparse" and row.network == "ResNet-18"}
    deltas = [row.ratio for row in rows if row.section == "delta"]
    return {
        "tc3d_i3d_ratio": huffman["I3D"].ratio if "I3D" in huffman else None,
        "tc3d_over_entropy": max((row.over_entropy for row in huffman.values()), default=None),
        "ours_vs_int8_zstd19": geometric_mean(ratios) if ratios else None,
        "ours_vs_nncodec": geometric_mean(nncodec_ratios) if nncodec_ratios else None,
        "decode_mweights": speeds.get("bytes to float32"),
        "encode_mweights": speeds.get("levels to bytes"),
        "delta_1pct_ratio": deltas[0] if deltas else None,
        "int8_mobilenet_agreement": int8s["MobileNetV2"].agreement if "MobileNetV2" in int8s else None,
        "int8_resnet18_agreement": int8s["ResNet-18"].agreement if "ResNet-18" in int8s else None,
        "sparse_resnet18_2_of_4": zeros.get(sparse.RUNS_MADE_UP),
        "sparse_resnet18_half": zeros.get(sparse.HALF_MADE_UP),
        "peers": {
            "ours_vs_int8_zstd19": f"k bits a channel, zstandard {zstandard.__version__} level 19, at KL {rates.KL}",
            "ours_vs_nncodec": f"NNCodec, dependent quantization, at KL {rates.KL}"
            if nncodec_ratios
            else "set SPLITC_NNCODEC to the Python of an environment that has NNCodec",
            "tc3d_i3d_ratio": "float32",
            "tc3d_over_entropy": "entropy of the streams, and all other bytes",
            "delta_1pct_ratio": "the base's container",
            "sparse_resnet18_2_of_4": f"agreement; the largest of each run alone: {zeros.get(sparse.RUNS)}",
            "sparse_resnet18_half": f"agreement; the largest of each layer alone: {zeros.get(sparse.HALF)}",
        },
    }


def tables(rows: Sequence[Any], numbers: dict[str, object]) -> str:
    """Every section as Markdown."""
    parts = []
    for section in dict.fromkeys(row.section for row in rows):
        chosen = [{k: v for k, v in asdict(row).items() if k != "section"} for row in rows if row.section == section]
        parts.append(f"## {section}\n\n" + _table(list(chosen[0]), [list(one.values()) for one in chosen]))
    peers = numbers["peers"]
    assert isinstance(peers, dict)
    lines = [[key, value, peers.get(key, "")] for key, value in numbers.items() if key != "peers"]
    return "\n\n".join([*parts, "## summary\n\n" + _table(["number", "value", "peer"], lines)])


def _table(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(one) for one in row] for row in body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--quick", action="store_true", help="one network and few pictures, to see that it runs")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="this section; may be given again")
    args = parser.parse_args()
    start, rows = time.perf_counter(), []
    for row in measure(args.only or SECTIONS, quick=args.quick):
        rows.append(row)
        print(f"{time.perf_counter() - start:6.0f} s  {row}", file=sys.stderr)
    numbers = summary(rows)
    print(tables(rows, numbers))
    if args.json:
        document = {"rows": [asdict(row) for row in rows], "summary": numbers}
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
