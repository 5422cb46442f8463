"""Predicted against measured: how long do heads take that were never timed?

ONNX Runtime on this CPU, one thread, is the edge. Each round profiles every whole model once and times ten heads of
each, one after the other, so that a load from elsewhere on the machine falls on both; a cut's ratio of predicted to
measured is the median over the rounds. Times are of the thread's CPU, which other programs do not lengthen by waiting.

- ``layers``: the head's share of the whole model's measured layers, as ``plan`` prices a model that has a profile.
- ``unseen``: rates fitted to the other models of the round only, as ``plan`` prices a model that nobody has run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import onnxruntime as ort
from bench_data import DATA

from plan_bench.rows import Cell, Row
from splitc import graph
from splitc.codec import CodecSpec
from splitc.device import Link, load_device
from splitc.graph import CandidateCut, Model
from splitc.plan import Option, Places, Prices
from splitc.records import Effort, Measured, fit_device, layer_ms, profile_onnxruntime
from splitc.types import F32

MODELS = ("mobilenet_v2_imagenet", "resnet18_tinyimagenet200", "yolo_fastest_1.1_xl_coco")
HELPERS = ("resnet56_cifar10", "ultraface-rfb-320")
"""Profiled for ``unseen`` only."""
CUTS, ROUNDS, RUNS = 10, 7, 5
LAYERS, UNSEEN = "predicted / measured, own layers", "predicted / measured, from other models"
OPTION, LINK, CPU = Option(CodecSpec()), Link(uplink_mbps=1), load_device("cpu")
CLOCK: Literal["cpu"] = "cpu"


@dataclass(frozen=True, eq=False)
class _Subject:
    """A model with heads to time."""

    name: str
    path: Path
    model: Model
    feeds: Mapping[str, F32]
    cuts: tuple[CandidateCut, ...]
    heads: tuple[ort.InferenceSession, ...]


def rows(quick: bool) -> Iterator[Row]:
    """One row a head; none where the shared models are not there."""
    if not (DATA / "models" / f"{MODELS[0]}.onnx").is_file():
        return
    with TemporaryDirectory() as folder:
        subjects = [_subject(DATA / "models" / f"{name}.onnx", Path(folder), CUTS) for name in MODELS]
        helpers = [_subject(DATA / "models" / f"{name}.onnx", Path(folder), 0) for name in HELPERS]
        every = [_round(subjects, helpers) for _ in range(1 if quick else ROUNDS)]
    for subject in subjects:
        for index, cut in enumerate(subject.cuts):
            times = [one[subject.name][index] for one in every]
            yield Row("predict", f"{subject.name}, {', '.join(cut.names)}", _cells(subject, cut, times))


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Median over all heads of how far the prediction is off."""
    return {
        "predict_median_error": _median_error(rows, LAYERS),
        "predict_unseen_median_error": _median_error(rows, UNSEEN),
    }


def _cells(subject: _Subject, cut: CandidateCut, times: Sequence[tuple[float, float, float]]) -> dict[str, Cell]:
    return {
        "share of FLOPs": cut.head_flops / max(subject.model.flops, 1),
        "measured ms": statistics.median(measured for measured, _, _ in times),
        LAYERS: statistics.median(layers / measured for measured, layers, _ in times),
        UNSEEN: statistics.median(unseen / measured for measured, _, unseen in times),
    }


def _median_error(rows: Sequence[Row], column: str) -> float | None:
    ratios = [float(row.cells[column] or 0) for row in rows]
    return statistics.median(abs(ratio - 1) for ratio in ratios) if ratios else None


def _subject(path: Path, folder: Path, count: int) -> _Subject:
    model = graph.load(path)
    rng = np.random.default_rng(0)
    shapes = {spec.name: [dim if isinstance(dim, int) else 1 for dim in spec.shape] for spec in model.inputs}
    feeds = {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    cuts = _spread(graph.enumerate_cuts(model, 1).candidates, model.flops, count)
    heads = tuple(_head(model, cut, folder / f"{path.stem}-{index}.onnx") for index, cut in enumerate(cuts))
    return _Subject(path.stem, path, model, feeds, cuts, heads)


def _spread(cuts: Sequence[CandidateCut], flops: int, count: int) -> tuple[CandidateCut, ...]:
    """Cuts nearest to equal steps of FLOPs, each once."""
    chosen: dict[tuple[str, ...], CandidateCut] = {}
    for step in range(1, count + 1):
        free = [cut for cut in cuts if cut.names not in chosen]
        nearest = min(free, key=lambda cut: abs(cut.head_flops - flops * step / (count + 1)))
        chosen[nearest.names] = nearest
    return tuple(sorted(chosen.values(), key=lambda cut: cut.position))


def _head(model: Model, cut: CandidateCut, path: Path) -> ort.InferenceSession:
    graph.save(graph.split(model, cut.names).head, path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _round(subjects: Sequence[_Subject], helpers: Sequence[_Subject]) -> dict[str, list[tuple[float, float, float]]]:
    """Per subject and cut: measured, predicted from its layers, predicted from other models; milliseconds."""
    records, measured = {}, {}
    for one in [*subjects, *helpers]:
        records[one.name] = Measured(one.model, profile_onnxruntime(one.path, [one.feeds], Effort(1, 2, RUNS, CLOCK)))
        measured[one.name] = [_head_ms(head, one.feeds) for head in one.heads]
    found = {}
    for one in subjects:
        others = fit_device(CPU, [record for name, record in records.items() if name != one.name])
        own = Prices(one.model, Places(CPU, CPU, LINK, edge_layers={"fp32": layer_ms(records[one.name].record)}))
        fitted = Prices(one.model, Places(others, CPU, LINK))
        found[one.name] = [
            (ms, own.halves_ms(cut, OPTION)[0], fitted.halves_ms(cut, OPTION)[0])
            for cut, ms in zip(one.cuts, measured[one.name], strict=True)
        ]
    return found


def _head_ms(head: ort.InferenceSession, feeds: Mapping[str, F32]) -> float:
    """Median of a few runs after one that does not count."""
    head.run(None, dict(feeds))
    times = []
    for _ in range(RUNS):
        start = time.thread_time_ns()
        head.run(None, dict(feeds))
        times.append((time.thread_time_ns() - start) / 1e6)
    return statistics.median(times)
