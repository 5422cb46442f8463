"""The rate frontier: bytes of every design at two divergences of the answers, beside x265 on the tiled channels.

Designs are fitted, and the choice among them is made, on calibration pictures; all rates are of other pictures, whole
packets, interpolated in logarithms between the steps next to the level. The divergence is the task's own: of
classifiers the KL of their answers in nats, of detectors that of all box scores plus the box error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from codec_bench import x265
from codec_bench.fidelity import F32
from codec_bench.networks import DATA, IMAGENET, SEED, Amount
from splitc import evaluate, graph, trials
from splitc.codec import PROFILES, QUANTIZERS, TILINGS, Codec, CodecSpec
from splitc.codec.calibration import Calibration
from splitc.codec.choosing import Design, at_divergence, cheapest, designs, halves
from splitc.codec.fitting import with_planes
from splitc.codec.sensitivity import on_samples
from splitc.runtime import Reader, find_files
from splitc.tasks import TASKS, BindRequest, BoundTask
from splitc.types import USUAL_LAYOUT, Preprocess, TensorSpec

X265_TILED = "x265 tiled"
BEST = "auto"
"""The design that calibration pictures chose at each level."""
NAMES = {"none": "steps by sensitivity", "dct": "blocks", "klt": "components and blocks"}
CALIBRATED = "even steps, unbiased"
STEPS = (0.16, 0.25, 0.4, 0.65, 1.0, 1.6, 2.4)
QPS = (4, 12, 17, 22, 27, 32, 37, 42)
PROBED = 0.8
"""Step at which weights are measured."""
AUTO = CodecSpec(transform="auto", step=PROBED)
Point = tuple[float, float]
"""ln divergence and ln bytes a picture."""


@dataclass(frozen=True)
class Subject:
    """A network, its task, and where it is cut."""

    name: str
    source: str
    pictures: str
    preprocess: Preprocess
    cuts: Mapping[str, str]
    task: str = "classification"
    options: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[float, float] = (0.003, 0.03)


YOLO_FASTEST_ANCHORS = [[115, 73, 119, 199, 242, 238], [12, 18, 37, 49, 52, 132]]
SUBJECTS = (
    Subject(
        "MobileNetV2",
        "models/mobilenet_v2_imagenet.onnx",
        "images/imagenet_sample",
        Preprocess(crop=224, **IMAGENET),
        {"early": "/features/features.3/Add_output_0", "middle": "/features/features.12/Add_output_0"},
    ),
    Subject(
        "Yolo-Fastest",
        "models/yolo_fastest_1.1_xl_coco.onnx",
        "images/coco_val2017",
        Preprocess(resize=(320, 320)),
        {"middle": "/Add_6_output_0"},
        task="detection",
        options={"anchors": YOLO_FASTEST_ANCHORS},
        levels=(0.25, 1.0),
    ),
    Subject(
        "ResNet-18",
        "models/resnet18_tinyimagenet200.onnx",
        "images/tinyimagenet_val",
        Preprocess(scale=1 / 127.5, mean=(1.0, 1.0, 1.0)),
        {"early": "/layer1/layer1.1/relu_1/Relu_output_0", "middle": "/layer2/layer2.1/relu_1/Relu_output_0"},
    ),
)


@dataclass(frozen=True)
class FrontierRow:
    """One design at one cut: bytes a picture at both levels, None where its points do not reach both sides of one.

    ``chosen`` names the design at each level, of :data:`BEST` alone.
    """

    cut: str
    task: str
    shape: tuple[int, ...]
    method: str
    version: str
    levels: tuple[float, float]
    bytes_mean: tuple[float | None, float | None]
    points: list[tuple[float, float]] = field(default_factory=list)
    chosen: tuple[str, ...] = ()
    section: str = "frontier"


@dataclass(frozen=True)
class Bench:
    """One cut with its features, float32 ``[1, C, H, W]`` a picture, and the tail behind it."""

    subject: Subject
    place: str
    tensor: TensorSpec
    calibration: Calibration
    evaluation: Calibration

    @property
    def label(self) -> str:
        return f"{self.subject.name} {self.place}"

    @cached_property
    def pictures(self) -> int:
        return self.evaluation.count

    def row(self, method: str, version: str, points: Sequence[Point], chosen: tuple[str, ...] = ()) -> FrontierRow:
        found = [at_level(points, level) for level in self.subject.levels]
        plain = [(math.exp(moved), math.exp(size)) for moved, size in sorted(points)]
        shape = tuple(map(int, self.tensor.shape[1:]))
        return FrontierRow(
            self.label,
            self.subject.task,
            shape,
            method,
            version,
            self.subject.levels,
            (found[0], found[1]),
            plain,
            chosen,
        )

    def point(self, size: float, restored: Sequence[Sequence[F32]]) -> Point:
        moved = float(self.evaluation.divergences(restored, range(self.pictures)).mean())
        return math.log(max(moved, 1e-9)), math.log(size / self.pictures)


def at_level(points: Sequence[Point], level: float) -> float | None:
    """Bytes at a divergence, on the line between the points on either side of it; nothing is extrapolated."""
    moved, size = np.array(sorted(points)).T
    if not moved[0] <= math.log(level) <= moved[-1]:
        return None
    return float(math.exp(np.interp(math.log(level), moved, size)))


def frontier_rows(places: Sequence[str], amount: Amount, names: Sequence[str] = ()) -> Iterator[FrontierRow]:
    """Every design at every cut of the subjects called ``names``; none: of all that are here."""
    for subject in SUBJECTS:
        if (names and subject.name not in names) or not (DATA / subject.source).is_file():
            continue
        for place in places:
            if place in subject.cuts:
                yield from _rows(_bench(subject, place, amount))


def _bench(subject: Subject, place: str, amount: Amount) -> Bench:
    model = graph.load(DATA / subject.source)
    parts = graph.split(model, [subject.cuts[place]])
    files = [file for file in find_files([str(DATA / subject.pictures)], DATA) if file.suffix in (".jpg", ".JPEG")]
    order = np.random.default_rng(SEED).permutation(len(files))[: amount.calibration + amount.evaluation]
    samples = list(Reader(model.inputs, subject.preprocess, 1).samples([files[i] for i in order]))
    whole = evaluate.open_optimized(model.ir_model)
    task = TASKS.make(subject.task, subject.options).bind(BindRequest(outputs=model.outputs, inputs=model.inputs))
    task = task.settle([whole.run(sample.feeds) for sample in samples[:8]])
    (features,) = trials.features(parts, samples)
    half = min(amount.calibration, len(files) // 2)
    apart = [_calibration(parts, task, some) for some in (features[:half], features[half:])]
    return Bench(subject, place, parts.cut[0], *apart)


def _calibration(parts: graph.Halves, task: BoundTask, features: Sequence[F32]) -> Calibration:
    judge = trials.TailJudge(evaluate.open_optimized(parts.tail), task, parts.cut, [features])
    return Calibration(tuple(parts.cut), (USUAL_LAYOUT,), (tuple(features),), (1,) * len(features), judge)


def _rows(bench: Bench) -> Iterator[FrontierRow]:
    yield _tiled(bench)
    for method, spec in {"fast": PROFILES["fast"], CALIBRATED: CodecSpec(reconstruction="unbiased")}.items():
        yield bench.row(method, "splitc", [_coded(bench, _plain(bench, spec, step)) for step in STEPS])
    to_fit, to_code = halves(bench.calibration, is_stream=False)
    known = {one.spec.transform: one for one in designs(AUTO, to_fit)}
    points = {}
    for name, design in known.items():
        points[name] = [_coded(bench, codec) for codec in _ladder(design, bench.calibration)]
        yield bench.row(NAMES[name], "splitc", points[name])
    chosen = []
    for level in bench.subject.levels:
        found = [(one, at_divergence(one, math.log(level), to_fit, to_code, Codec)) for one in known.values()]
        chosen.append(cheapest(found)[0].spec.transform)
    best = [at_level(points[name], level) for name, level in zip(chosen, bench.subject.levels, strict=True)]
    row = bench.row(BEST, "splitc", [*points[chosen[0]], *points[chosen[1]]], tuple(NAMES[name] for name in chosen))
    yield FrontierRow(**{**vars(row), "bytes_mean": (best[0], best[1])})


def _plain(bench: Bench, spec: CodecSpec, step: float) -> Codec:
    return Codec.fit(spec.replace(step=step), [bench.tensor], [list(bench.calibration.samples[0])])


def _ladder(design: Design, calibration: Calibration) -> Iterator[Codec]:
    planes = on_samples(design.planes, calibration)
    for step in STEPS:
        spec = design.spec.replace(step=step).resolved()
        yield Codec(spec, with_planes(spec, calibration, planes))


def _coded(bench: Bench, codec: Codec) -> Point:
    packets = [codec.encode(bench.evaluation.row(i)) for i in range(bench.pictures)]
    return bench.point(sum(map(len, packets)), [codec.decode(packet) for packet in packets])


def _tiled(bench: Bench) -> FrontierRow:
    """A mosaic of the channels in 8 bits, x265 intra; slices alone are counted."""
    quantizer = QUANTIZERS.make(
        "uniform",
        {"bits": 8, "scope": "tensor", "reconstruction": "midpoint", "clip": "percentile", "percentile": 99.99},
    )
    every = np.concatenate(bench.evaluation.samples[0])
    params = quantizer.fit(np.concatenate(bench.calibration.samples[0]))
    symbols = quantizer.quantize(every, params)
    tiling = TILINGS.make("mosaic", {})
    pictures = tiling.tile(symbols)

    def point(qp: int) -> Point:
        coded = x265.code(pictures, qp)
        restored = quantizer.dequantize(tiling.untile(coded.pictures, symbols.shape), params)
        return bench.point(sum(coded.slice_bytes), [[restored[i : i + 1]] for i in range(len(restored))])

    return bench.row(X265_TILED, x265.version(), [point(qp) for qp in QPS])
