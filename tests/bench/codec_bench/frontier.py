"""The rate frontier: bytes at two divergences of the answers, beside x265 on the tiled channels and other peers.

Designs are fitted, and the choice among them is made, on calibration samples; all rates are of other samples, whole
packets, interpolated in logarithms between the settings next to the level. The divergence is the task's: of classifiers
the KL of their answers in nats, of detectors that of all box scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from codec_bench import frontier_peers
from codec_bench.fidelity import F32
from codec_bench.networks import Amount
from codec_bench.subjects import SUBJECTS, Subject, samples_of
from splitc import evaluate, graph, trials
from splitc.codec import PROFILES, Codec, CodecSpec
from splitc.codec.calibration import Calibration
from splitc.codec.choosing import PAYS, Design, designs, halves, of_all
from splitc.codec.fitting import with_planes
from splitc.runtime import Sample
from splitc.tasks import TASKS, BindRequest, BoundTask
from splitc.types import USUAL_LAYOUT, TensorSpec

NAMES = {"none": "steps by sensitivity", "dct": "blocks", "klt": "components and blocks"}
PLAIN = "even steps"
STEPS = tuple(0.1 * 1.6**rung for rung in range(12))
PROBED = 0.8
"""Step at which weights are measured, where there are no gradients."""
Point = tuple[float, float]
"""ln divergence and ln bytes a sample."""


@dataclass(frozen=True)
class FrontierRow:
    """One method at one cut: bytes a sample at both levels, None where its points do not reach both sides of one.

    ``chosen`` names the design at each level, of profiles that choose.
    """

    cut: str
    task: str
    shape: list[list[int]]
    method: str
    version: str
    levels: tuple[float, float]
    bytes_mean: tuple[float | None, float | None]
    points: list[tuple[float, float]] = field(default_factory=list)
    chosen: tuple[str, ...] = ()
    samples: int = 0
    section: str = "frontier"


class ScoresOnly:
    """A detector whose divergence is that of its scores alone, as the levels are."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def divergence(self, reference: Any, other: Any) -> float:
        """Without the error of boxes."""
        parts: tuple[float, ...] = self._task.divergence_parts(reference, other)
        return parts[0]


@dataclass(frozen=True)
class Bench:
    """One cut with its features, float32 of the cut's axes a sample, and the tail behind it."""

    subject: Subject
    place: str
    tensors: tuple[TensorSpec, ...]
    calibration: Calibration
    evaluation: Calibration
    whole: frontier_peers.Whole | None = None

    @property
    def label(self) -> str:
        return f"{self.subject.name} {self.place}"

    @cached_property
    def count(self) -> int:
        return self.evaluation.count

    def row(self, method: str, version: str, points: Sequence[Point], chosen: tuple[str, ...] = ()) -> FrontierRow:
        """At both levels."""
        found = [at_level(points, level) for level in self.subject.levels]
        plain = [(math.exp(moved), math.exp(size)) for moved, size in sorted(points)]
        shape = [[int(size) for size in spec.shape[1:]] for spec in self.tensors]
        at = found[0], found[1]
        parts = self.label, self.subject.task, shape, method, version, self.subject.levels, at
        return FrontierRow(*parts, plain, chosen, self.count)

    def point(self, size: float, restored: Sequence[Sequence[F32]]) -> Point:
        """Of bytes of all samples, and what was decoded."""
        return point_of(self.evaluation, size, restored)


def point_of(subject: Calibration, size: float, restored: Sequence[Sequence[F32]]) -> Point:
    """Bytes and answers as logarithms."""
    moved = float(subject.divergences(restored, range(subject.count)).mean())
    return math.log(max(moved, 1e-9)), math.log(size / subject.count)


def at_level(points: Sequence[Point], level: float) -> float | None:
    """Bytes at a divergence, on the line between the points on either side of it; nothing is extrapolated."""
    moved, size = np.array(sorted(points)).T
    if not moved[0] <= math.log(level) <= moved[-1]:
        return None
    return float(math.exp(np.interp(math.log(level), moved, size)))


def bracketed(count: int, measure: Callable[[int], Point], levels: tuple[float, float], start: int) -> list[Point]:
    """Points of a ladder of settings, gentlest first, from ``start`` outwards until they reach beyond both levels."""
    points, low, high = [measure(start)], start, start
    while max(points)[0] < math.log(levels[1]) and high + 1 < count:
        high += 1
        points.append(measure(high))
    while min(points)[0] > math.log(levels[0]) and low > 0:
        low -= 1
        points.append(measure(low))
    return points


def frontier_rows(places: Sequence[str], amount: Amount, names: Sequence[str] = ()) -> Iterator[FrontierRow]:
    """Every method at every cut of the subjects called ``names``; none: of all that are here."""
    for subject in SUBJECTS:
        if (names and subject.name not in names) or subject.path is None:
            continue
        for place in subject.cuts:
            if place in places:
                yield from _rows(_bench(subject, place, amount))


def _bench(subject: Subject, place: str, amount: Amount) -> Bench:
    model = graph.load(subject.path or "", subject.shapes or None)
    parts = graph.split(model, subject.cuts[place])
    samples = samples_of(subject, model, amount)
    whole = evaluate.open_optimized(model.ir_model)
    task = TASKS.make(subject.task, subject.options).bind(BindRequest(outputs=model.outputs, inputs=model.inputs))
    task = task.settle([whole.run(sample.feeds) for sample in samples[:4]])
    judged: Any = ScoresOnly(task) if subject.task == "detection" else task
    half = len(samples) * amount.calibration // (amount.calibration + amount.evaluation)
    apart = [_calibration(parts, judged, some) for some in (samples[:half], samples[half:])]
    peers = frontier_peers.Whole(whole, judged, tuple(samples[half:]), subject.preprocess)
    return Bench(subject, place, parts.cut, *apart, peers)


def _calibration(parts: graph.Halves, task: BoundTask, samples: Sequence[Sample]) -> Calibration:
    rows = trials.features(parts, samples)
    judge = trials.TailJudge(evaluate.open_optimized(parts.tail), task, parts.cut, rows, tail_graph=parts.tail)
    layouts = (USUAL_LAYOUT,) * len(parts.cut)
    return Calibration(parts.cut, layouts, tuple(map(tuple, rows)), (1,) * len(samples), judge)


def _rows(bench: Bench) -> Iterator[FrontierRow]:
    yield from frontier_peers.peer_rows(bench)
    plain = CodecSpec()
    yield bench.row(PLAIN, "splitc", _ladder(bench, lambda step: _fitted(bench, plain.replace(step=step))))
    to_fit, to_code = halves(bench.calibration, is_stream=False)
    known = designs(PROFILES["balanced"].replace(step=PROBED), to_fit)
    ranked = [_choice_points(bench, one, to_fit, to_code) for one in known]
    done: dict[tuple[str, CodecSpec], list[Point]] = {}
    for name, profile in PROFILES.items():
        chosen = [_cheapest(known, ranked, level) for level in bench.subject.levels]
        if not profile.make_transform().is_choice:
            chosen = [known[0], known[0]]
        points = []
        for one in chosen:
            spec = one.spec.replace(contexts=profile.contexts, entropy=profile.entropy)
            key = spec.transform, spec
            done[key] = done.get(key) or _ladder(bench, _maker(bench, Design(spec, one.planes)))
            points.append(done[key])
        best = [at_level(one, level) for one, level in zip(points, bench.subject.levels, strict=True)]
        names = tuple(NAMES[one.spec.transform] for one in chosen)
        row = bench.row(name, "splitc", [*points[0], *points[1]], names if len({*names}) > 1 else names[:1])
        yield replace(row, bytes_mean=(best[0], best[1]))


def _ladder(bench: Bench, make: Callable[[float], Codec]) -> list[Point]:
    """Of codecs by step, on the samples that are measured."""
    return _ladder_on(bench.evaluation, make, bench.subject.levels)


def _ladder_on(subject: Calibration, make: Callable[[float], Codec], levels: tuple[float, float]) -> list[Point]:
    def measure(rung: int) -> Point:
        codec = make(STEPS[rung])
        packets = [codec.encode(subject.row(i)) for i in range(subject.count)]
        return point_of(subject, sum(map(len, packets)), [codec.decode(packet) for packet in packets])

    return bracketed(len(STEPS), measure, levels, start=4)


def _fitted(bench: Bench, spec: CodecSpec) -> Codec:
    return Codec.fit(spec, bench.tensors, [list(one) for one in bench.calibration.samples])


def _maker(bench: Bench, design: Design) -> Callable[[float], Codec]:
    """Codecs of a design by step, levels and tables of all calibration samples."""
    planes = of_all(design, bench.calibration).planes
    return lambda step: _of_planes(design.spec.replace(step=step), bench.calibration, planes)


def _of_planes(spec: CodecSpec, subject: Calibration, planes: Any) -> Codec:
    return Codec(spec.resolved(), with_planes(spec, subject, planes))


def _choice_points(bench: Bench, design: Design, to_fit: Calibration, to_code: Calibration) -> list[Point]:
    """Of a design that is fitted on one half of the calibration samples and coded on the other."""
    return _ladder_on(
        to_code, lambda step: _of_planes(design.spec.replace(step=step), to_fit, design.planes), bench.subject.levels
    )


def _cheapest(known: Sequence[Design], ranked: Sequence[Sequence[Point]], level: float) -> Design:
    """As :func:`splitc.codec.choosing.cheapest`: a design that computes more must save a share."""
    best, size = known[0], at_level(ranked[0], level) or math.inf
    for one, points in zip(known[1:], ranked[1:], strict=True):
        found = at_level(points, level) or math.inf
        if found < size * math.exp(-PAYS):
            best, size = one, found
    return best
