"""TensorRT-RTX plans of whole networks and of both halves of the quickstart: built twice, seconds, sizes, equal bytes.

    python tests/bench/engines.py [--json FILE] [--only build|int8] [--network NAME]

``build`` compiles each model for SM 80 + 86 + 89 + 120 twice, each in a process of its own, without a GPU. ``int8``
builds INT8 pairs and compares their top-1 with ONNX Runtime's own static quantization of the whole network, calibrated
on the same pictures and asked about the same others. Nothing is run on a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import onnxruntime as ort
from bench_data import DATA
from engines_bench import int8
from engines_bench.networks import Network, models

from splitc.backends import BACKENDS, EngineRecord, EngineTarget

CAPABILITIES = (80, 86, 89, 120)
DIMS = {"N": (1, 1, 8)}


@dataclass(frozen=True)
class BuildRow:
    """One model, built twice."""

    section: str
    network: str
    precision: str
    onnx_bytes: int
    plan_bytes: int
    first_seconds: float
    second_seconds: float
    sha256: str
    is_identical: bool
    reason: str | None


def build_row(network: Network, folder: Path) -> BuildRow:
    """Build into two folders and compare."""
    backend = BACKENDS.make("tensorrt_rtx", {})
    target = EngineTarget("l4", "edge", CAPABILITIES, dict.fromkeys(network.dims, (1, 1, 8)) or DIMS)
    records: list[EngineRecord] = []
    seconds: list[float] = []
    for run in ("first", "second"):
        start = time.perf_counter()
        records.append(backend.build(network.path, target, folder / run))
        seconds.append(time.perf_counter() - start)
    first, second = records
    return BuildRow(
        section="build",
        network=network.name,
        precision=network.precision,
        onnx_bytes=sum(file.stat().st_size for file in network.path.parent.glob(f"{network.path.name}*")),
        plan_bytes=first.engine_bytes or 0,
        first_seconds=round(seconds[0], 2),
        second_seconds=round(seconds[1], 2),
        sha256=first.sha256 or "",
        is_identical=first.status == second.status == "built" and first.sha256 == second.sha256,
        reason=first.reason or second.reason,
    )


def build_table(rows: Sequence[BuildRow]) -> str:
    """Markdown."""
    lines = ["| model | precision | ONNX MB | plan MB | build s, twice | identical |", "|---|---|---:|---:|---:|---|"]
    for row in rows:
        sizes = f"{row.onnx_bytes / 1e6:.1f} | {row.plan_bytes / 1e6:.1f}"
        times = f"{row.first_seconds:.1f}, {row.second_seconds:.1f}"
        same = "yes" if row.is_identical else row.reason or "no"
        lines.append(f"| {row.network} | {row.precision} | {sizes} | {times} | {same} |")
    return "\n".join(lines)


def int8_table(rows: Sequence[int8.Row]) -> str:
    """Markdown."""
    lines = [
        "| network | calibrated from the | pictures | float32 | ONNX Runtime INT8, whole: top-1, agreement "
        "| split INT8 pair: top-1, agreement | wire | bits/element |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    for row in rows:
        peer = f"{row.peer_top1:.1%}, {row.peer_agreement:.1%}"
        ours = f"{row.pair_top1:.1%}, {row.pair_agreement:.1%}"
        which = f"| {row.network}, cut {row.cut} | {row.first}. | {row.pictures} | {row.float_top1:.1%}"
        lines.append(f"{which} | {peer} | {ours} | {row.wire} | {row.rate_bpe:.2f} |")
    return "\n".join(lines)


def summary(builds: Sequence[BuildRow], pairs: Sequence[int8.Row]) -> dict[str, object]:
    """What the benchmark is worth in a line."""
    return {
        "peer": f"onnxruntime {ort.__version__}, quantize_static, symmetric, per channel, Percentile",
        "toolkit": f"tensorrt-rtx-cu12-bindings {version('tensorrt-rtx-cu12-bindings')}" if builds else None,
        "plans": len(builds),
        "plans_identical": sum(row.is_identical for row in builds),
        "least_top1_against_peer": min((row.pair_top1 - row.peer_top1 for row in pairs), default=None),
        "least_agreement_against_peer": min((row.pair_agreement - row.peer_agreement for row in pairs), default=None),
        "gpu": "not measured on a GPU",
    }


def measure(sections: Sequence[str], only: str | None, say: Callable[[str], None]) -> Iterator[BuildRow | int8.Row]:
    """Rows as they come."""
    with tempfile.TemporaryDirectory() as scratch:
        for network in models(Path(scratch)) if "build" in sections else ():
            if only in (None, network.name):
                say(f"build {network.name} {network.precision}")
                with tempfile.TemporaryDirectory() as folder:
                    yield build_row(network, Path(folder))
    for pair in int8.PAIRS if "int8" in sections else ():
        if only in (None, pair.network):
            say(f"int8 {pair.network}")
            yield int8.measure(pair)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--only", choices=("build", "int8"), help="one section")
    parser.add_argument("--network", help="one network")
    args = parser.parse_args()
    if not (DATA / "models").is_dir():
        raise SystemExit(f"engines: no models in {os.fspath(DATA)}; set SPLITC_DATA")
    start = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - start:6.0f} s  {text}", file=sys.stderr, flush=True)

    rows = list(measure((args.only,) if args.only else ("build", "int8"), args.network, say))
    builds = [row for row in rows if isinstance(row, BuildRow)]
    pairs = [row for row in rows if isinstance(row, int8.Row)]
    tables = [build_table(builds)] * bool(builds) + [int8_table(pairs)] * bool(pairs)
    found = summary(builds, pairs)
    print("\n\n".join([*tables, "## Summary", *(f"{name}: {value}" for name, value in found.items())]))
    if args.json:
        document = {"rows": [asdict(row) for row in rows], "summary": found}
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
