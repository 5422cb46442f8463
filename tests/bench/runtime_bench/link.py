"""The pair beside edge-only and cloud-only over a slow link: end-to-end milliseconds, one photograph after the other.

Client and server are processes in two network namespaces (``tests/link``): rate by tc's tbf, delay and loss of IP
packets by a relay, so that the kernels' TCP meets them. Cloud-only sends each photograph as a JPEG of the lowest
quality at which the whole network is right as often as the pair is, and of the usual 75 beside it. Both ends run on the
same CPU, one thread each: on a real edge its own work takes longer, and edge-only most of all.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from bench_data import DATA
from plan_bench.rows import Cell, Row

from runtime_bench import jpeg_cloud
from runtime_bench.pairs import MOBILENET, Pair, pictures
from runtime_bench.processes import served
from splitc.runtime import Sample

sys.path.append(str(Path(__file__).parents[2] / "link"))
from namespaces import CLOUD_ADDRESS, namespaces, why_not

MBPS, ROUND_TRIP_MS, LOSS = 20.0, 30.0, 0.01
QUALITIES = (*range(5, 100, 5), 99)
USUAL = 75
PORT, JPEG_PORT = 8001, 8002
CLIENT_S = 600.0
SECTION = f"over {MBPS:g} Mbit/s, {ROUND_TRIP_MS:g} ms round trip, {LOSS:.0%} loss"
HERE = Path(__file__).parent


def rows(pair: Pair, count: int) -> Iterator[Row]:
    """Edge-only, the pair, cloud-only; none where this machine cannot emulate a link."""
    if why_not():
        print(f"link: {why_not()}", file=sys.stderr)
        return
    files = pictures()[: len(pair.samples)]
    trial = Trial(files, [_labels()[file.name] for file in files])
    top1 = trial.share(int(np.argmax(one["logits"])) for one in pair.expected)
    with namespaces(MBPS, ROUND_TRIP_MS / 2, loss=LOSS) as link:
        yield _row("edge-only", _asked((), "edge", MOBILENET, count), trial.whole(pair.samples))
        with served([pair.path], "--insecure", listen=f"{CLOUD_ADDRESS}:{PORT}", within=link.cloud) as server:
            yield _row("split pair", _asked(link.edge, "pair", pair.path, count, server.address), top1)
        with jpeg_cloud.served(link.cloud, f"{CLOUD_ADDRESS}:{JPEG_PORT}") as address:
            for quality in sorted({USUAL, trial.quality_for(top1)}):
                found = _asked(link.edge, "cloud", quality, count, address)
                yield _row(f"cloud-only, JPEG quality {quality}", found, trial.of_jpeg(quality))


@dataclass(frozen=True)
class Trial:
    """Photographs and their classes."""

    files: Sequence[Path]
    wanted: Sequence[int]
    network: ort.InferenceSession = field(default_factory=jpeg_cloud.network)

    def share(self, answers: Iterable[int]) -> float:
        """How often they are right."""
        return float(np.mean([answer == label for answer, label in zip(answers, self.wanted, strict=True)]))

    def whole(self, samples: Sequence[Sample]) -> float:
        """Top-1 of the whole network."""
        return self.share(int(np.argmax(self.network.run(None, sample.feeds)[0])) for sample in samples)

    def of_jpeg(self, quality: int) -> float:
        """Top-1 of the whole network on JPEG files."""
        packets = (jpeg_cloud.packed(file, quality) for file in self.files)
        return self.share(int(np.argmax(jpeg_cloud.answered(self.network, packet))) for packet in packets)

    def quality_for(self, top1: float) -> int:
        """The lowest quality that is as often right; the highest where none is."""
        return next((quality for quality in QUALITIES if self.of_jpeg(quality) >= top1), QUALITIES[-1])


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Medians."""
    return {f"link_p50_ms, {row.name}": row.cells["p50 ms"] for row in rows}


def _row(name: str, answers: Sequence[Mapping[str, Any]], top1: float) -> Row:
    ms = [answer["ms"] for answer in answers]
    ranks = {f"p{rank} ms": float(np.percentile(ms, rank)) for rank in (50, 95, 99)}
    sent = float(np.mean([answer["bytes"] for answer in answers]))
    return Row(SECTION, name, {"photographs": len(ms), "bytes up": sent, **ranks, "top-1": top1})


def _asked(within: Sequence[str], *words: object) -> list[dict[str, Any]]:
    """What a client in a process of its own measured."""
    command = [*within, sys.executable, str(HERE / "link_client.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CLIENT_S)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return list(json.loads(done.stdout))


def _labels() -> dict[str, int]:
    with (DATA / "images/imagenet_sample/labels.csv").open(encoding="utf-8") as file:
        return {row["file"]: int(row["class_index_ilsvrc1000"]) for row in csv.DictReader(file)}
