"""Find the bottleneck that takes the fewest real bytes where answers move as by the best training-free codec.

training-free codec ──► bytes B, divergence D        held-out samples judge: nothing is fitted or trained on them
the answers' metric ──► basis of blocks ──► pairs of several widths, each trained for a while at a ladder of steps
the best of them, trained at length ──► its step of divergence D ──► fewer bytes than B? kept, else refused
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from splitc.cache import Key, StepCache
from splitc.codec import CodecSpec
from splitc.train.basis import BlockBasis, block_metric, fit_basis
from splitc.train.bottleneck import Bottleneck
from splitc.train.ladder import size_at, steps_between
from splitc.train.measure import Bench, MeasuredDesign
from splitc.train.network import with_weights
from splitc.train.options import BottleneckOptions
from splitc.train.training import Trained, Trainer
from splitc.types import F32

PROBE_SHARE = 4
"""Where several widths are tried, each is first trained for one in so many iterations."""
WIDTHS = (0.5, 1.0, 2.0)
"""Channels of the code that are tried, as shares of the feature's, at stride 2; at stride 1 a quarter to all."""
LADDER_POINTS = 5
"""Steps that a trained pair is measured at."""
METRIC_DRAWS = 2
"""Gradients that are drawn a fitting sample."""
REFINEMENTS = 3
"""Steps that are measured between those, to come to the wanted divergence."""
SAME = 1.02
"""A divergence so many times the wanted one is equal to it."""
LEAST_GAIN = 0.98
"""Share of the training-free bytes from which a bottleneck is not worth its decoder."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A trained pair and what it was measured to do.

    Attributes:
        channels: Of its code.
        trained: The pair.
        sizes, points: Steps in units of the code, ascending, and what was measured at each.
        size, chosen: At the training-free codec's divergence; None: the ladder does not reach down to it.
    """

    channels: int
    trained: Trained
    sizes: list[float]
    points: list[MeasuredDesign]
    size: float | None
    chosen: MeasuredDesign | None


@dataclass(frozen=True, eq=False)
class Recovery:
    """What training came to.

    Attributes:
        bottleneck: None where the training-free codec takes no more bytes: nothing is changed then.
        tail: The tail with its tuned weights; as it was where they stay.
        spec: The codec of what crosses now; its step is the share that ``size`` is of the fitting samples' codes.
        size: Distance of levels in units of the code, which is what was trained for and judged; None: no bottleneck.
        document: For the report: the training-free design, every width, the curve, and what was won.
    """

    bottleneck: Bottleneck | None
    tail: ir.Model
    spec: CodecSpec
    size: float | None
    document: dict[str, Any]


def count_iterations(options: BottleneckOptions, channels: int) -> int:
    """How often :func:`recover` calls its ``step``; ``channels`` are the feature's."""
    tried = len(_widths(options, channels))
    return options.iterations + (tried * _probe_iterations(options) if tried > 1 else 0)


def recover(
    bench: Bench,
    tail: ir.Model,
    options: BottleneckOptions,
    spec: CodecSpec,
    cache: StepCache,
    key: Key,
    step: Callable[[], None] = lambda: None,
) -> Recovery:
    """Train, measure and choose.

    Args:
        bench: Samples, network, judge.
        tail: The graph behind the cut.
        options: Of the bottleneck.
        spec: The recipe's codec, whose divergence is the target.
        cache: Where trained pairs are kept.
        key: Of the bench: features, task and tail.
        step: Called :func:`count_iterations` times.
    """
    free, free_spec = bench.of_codec(training_free(spec))
    basis = answer_basis(bench, options.stride)
    trainer = Trainer(bench, tail, options, cache, key)
    code_spec = of_code(spec)

    def candidate(channels: int, iterations: int) -> Candidate:
        trained = trainer.train(basis.first(channels), iterations, free.payload_bytes, step)
        return _measured(bench, trained, channels, code_spec, free.divergence)

    widths = _widths(options, basis.analysis.shape[1])
    probed = [candidate(one, _probe_iterations(options)) for one in widths] if len(widths) > 1 else []
    best = candidate(_fewest(probed).channels if probed else widths[0], options.iterations)
    document = _document(free, free_spec, probed, best, options)
    if best.chosen is None or best.chosen.payload_bytes > LEAST_GAIN * free.payload_bytes:
        return Recovery(None, tail, spec, None, document)
    tuned = with_weights(tail, best.trained.tail.weights()) if options.tail_rate else tail
    chosen = code_spec.replace(step=best.chosen.step)
    return Recovery(best.trained.pair.learned(), tuned, chosen, best.size, document)


def training_free(spec: CodecSpec) -> CodecSpec:
    """The design to beat: the recipe's, of the best transform where it names none."""
    if spec.transform != "none":
        return spec
    return spec.replace(transform="auto", steps=spec.steps or "sensitivity", reconstruction="unbiased")


def of_code(spec: CodecSpec) -> CodecSpec:
    """The recipe's codec for the code of a bottleneck: one step for all channels, no second transform."""
    plain = {"steps": None, "offset": None, "reconstruction": None, "scope": None, "transform_block": None}
    return spec.replace(transform="none", **plain)


def _probe_iterations(options: BottleneckOptions) -> int:
    return max(1, options.iterations // PROBE_SHARE)


def _widths(options: BottleneckOptions, channels: int) -> list[int]:
    """Channels of code that are tried, ascending."""
    if options.channels is not None:
        return [options.channels]
    shares = WIDTHS if options.stride > 1 else tuple(share / 2 for share in WIDTHS)
    return sorted({max(1, round(share * channels)) for share in shares})


def answer_basis(bench: Bench, stride: int) -> BlockBasis:
    """All components of blocks of the fitting samples' features, in units of their spread and the answers' metric."""
    spread = np.float32(bench.store.spread)
    gradients = _gradients(bench)
    metric = None if gradients is None else block_metric(gradients, stride)
    return fit_basis((bench.store.rows([one]) / spread for one in bench.fitting), stride, metric)


def _gradients(bench: Bench) -> list[F32] | None:
    """Drawn gradients of the answers to fitting samples with respect to the feature; None where there are none."""
    judge, found = bench.judge, []
    for sample in range(len(bench.fitting)):
        for draw in range(METRIC_DRAWS):
            one = judge.gradients(sample, draw)
            if one is None:
                return None
            found.append(one[0])
    return found


def _measured(bench: Bench, trained: Trained, channels: int, spec: CodecSpec, divergence: float) -> Candidate:
    """Measured along the ladder, then where lines between its points meet ``divergence``, as often as it takes."""

    def measure(size: float) -> MeasuredDesign:
        return bench.of_pair(trained.pair, trained.tail, spec, size)

    sizes = steps_between(trained.steps, LADDER_POINTS)
    points = [measure(size) for size in sizes]
    tried = dict(zip(sizes, points, strict=True))
    for _ in range(REFINEMENTS):
        ordered = sorted(tried)
        size = size_at(ordered, [tried[one] for one in ordered], divergence)
        if size is None or size in tried:
            break
        tried[size] = measure(size)
        if tried[size].divergence <= SAME * divergence:
            break
    sound = [size for size, one in tried.items() if one.divergence <= SAME * divergence]
    best = min(sound, key=lambda size: tried[size].payload_bytes, default=None)
    return Candidate(channels, trained, sizes, points, best, None if best is None else tried[best])


def _fewest(candidates: Sequence[Candidate]) -> Candidate:
    """The one of fewest bytes at the wanted divergence; where none reaches it, the one that comes nearest."""
    reached = [one for one in candidates if one.chosen is not None]
    if not reached:
        return min(candidates, key=lambda one: min(point.divergence for point in one.points))
    return min(reached, key=lambda one: one.chosen.payload_bytes if one.chosen else np.inf)


def _document(
    free: MeasuredDesign, spec: CodecSpec, probed: Sequence[Candidate], best: Candidate, options: BottleneckOptions
) -> dict[str, Any]:
    chosen = best.chosen
    is_kept = chosen is not None and chosen.payload_bytes <= LEAST_GAIN * free.payload_bytes
    return {
        "is_kept": is_kept,
        "channels": best.channels,
        "options": options.model_dump(mode="json"),
        "training_free": {"codec": spec.model_dump(mode="json"), **asdict(free)},
        "chosen": None if chosen is None else asdict(chosen),
        "bytes_ratio": None if chosen is None else chosen.payload_bytes / free.payload_bytes,
        "ladder": [asdict(one) for one in best.points],
        "widths": [
            {"channels": one.channels, "chosen": None if one.chosen is None else asdict(one.chosen)} for one in probed
        ],
        "curve": [{"divergence": moved, "bits": bits} for moved, bits in best.trained.curve],
    }
