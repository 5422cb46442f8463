"""``transform = "auto"``: the design that costs the fewest bytes at equal answers, measured on calibration samples.

1. Plain steps of the asked size say which divergence is wanted.
2. Each candidate is fitted on one half of the samples, and coded on the other at the step that gives this divergence.
3. The one with the fewest bytes is fitted on all samples; weights that probes measured stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from splitc.codec.calibration import Calibration
from splitc.codec.fitted import FittedTensor
from splitc.codec.fitting import fit_tensors, with_planes
from splitc.codec.quantizers.step import Step
from splitc.codec.sensitivity import WeighedPlanes, on_samples, planes_of
from splitc.codec.spec import CodecSpec
from splitc.codec.stream import Decoder, Encoder, FrameCodec

CANDIDATES: tuple[Mapping[str, object], ...] = (
    {"transform": "none", "offset": 0.5},
    {"transform": "dct"},
    {"transform": "klt"},
)
"""What is tried, each with steps by sensitivity; few, as each takes probes of the tail and several codings."""
STREAM_CANDIDATES: tuple[Mapping[str, object], ...] = ({"transform": "none", "offset": None}, *CANDIDATES)
"""Of streams: predicted frames hold still what levels that moved would hold off, and coarse steps feel that."""
PAYS = 0.02
"""Share of the bytes that a transform must save beside the candidate before it, in its logarithm."""
AROUND = (-0.3, 0.0, 0.3)
"""Steps that are coded around the one where the wanted divergence is expected, in their logarithm."""
SLOPES = (1.0, 3.0)
"""Of ln divergence by ln step: 2 where noise is small; what measurements say is trusted inside these."""
STEPS = (1 / 1024, 16.0)
Make = Callable[[CodecSpec, tuple[FittedTensor, ...]], FrameCodec]
"""A codec of fitted tensors."""


class Design(NamedTuple):
    """A candidate: a spec that chooses nothing, and the planes and weights that were measured for it."""

    spec: CodecSpec
    planes: list[WeighedPlanes]


class CodedAt(NamedTuple):
    """What a design does at one step, as logarithms."""

    step: float
    size: float
    divergence: float


def choose(spec: CodecSpec, subject: Calibration, make: Make) -> tuple[CodecSpec, tuple[FittedTensor, ...]]:
    """The best design as a spec that names it and its step, and the tensors fitted with it.

    Args:
        spec: Asks for a choice.
        subject: What to fit on; at least two samples.
        make: Puts fitted tensors together.

    Raises:
        CodecError: There is no judge, or no candidate can be fitted.
    """
    to_fit, to_code = halves(subject, is_stream=spec.make_temporal().period > 1)
    plain = spec.replace(transform="none", steps=None, offset=None)
    wanted = _coded(make(plain, fit_tensors(plain, to_fit)), to_code, plain.step).divergence
    found = [(one, at_divergence(one, wanted, to_fit, to_code, make)) for one in designs(spec, to_fit)]
    best, at = cheapest(found)
    chosen = best.spec.replace(step=float(np.clip(round(math.exp(at.step), 4), *STEPS))).resolved()
    return chosen, with_planes(chosen, subject, of_all(best, subject).planes)


def of_all(design: Design, subject: Calibration) -> Design:
    """The same of all samples: with their values, and their gradients where there are any."""
    planes = _planes(design.spec, subject) if subject.gradients else on_samples(design.planes, subject)
    return Design(design.spec, planes)


def cheapest(found: Sequence[tuple[Design, CodedAt]]) -> tuple[Design, CodedAt]:
    """The design with the fewest bytes; one that computes more must save :data:`PAYS`."""
    best = found[0]
    for one in found[1:]:
        if one[1].size < best[1].size - PAYS:
            best = one
    return best


def designs(spec: CodecSpec, to_fit: Calibration) -> list[Design]:
    """Every candidate that all tensors' shapes allow, with its basis and weights."""
    wires = [layout.wire_shape(x.shape) for x, layout in zip(to_fit.tensors, to_fit.layouts, strict=True)]
    candidates = STREAM_CANDIDATES if spec.make_temporal().period > 1 else CANDIDATES
    specs = [spec.replace(steps="sensitivity", **changes) for changes in candidates]
    allowed = [one for one in specs if not any(map(one.make_transform().refusal, wires))]
    channels = _planes(allowed[0], to_fit)
    return [Design(one, _planes(one, to_fit, channels)) for one in allowed]


def _planes(spec: CodecSpec, subject: Calibration, channels: Sequence[WeighedPlanes] = ()) -> list[WeighedPlanes]:
    quantizer = spec.make_quantizer()
    assert isinstance(quantizer, Step), "checked with the spec"
    return planes_of(spec.make_transform(), quantizer, subject, channels)


def halves(subject: Calibration, *, is_stream: bool) -> tuple[Calibration, Calibration]:
    """Samples to fit on and samples to code: every other one, of a stream the first half and the second.

    Clips keep their ends; the one in the middle becomes two. Both are all samples where a half would not do.
    """
    if not is_stream:
        every = range(subject.count)
        parts = [list(every[start::2]) or list(every) for start in (0, 1)]
        return subject.some(parts[0], [1] * len(parts[0])), subject.some(parts[1], [1] * len(parts[1]))
    middle = subject.count // 2
    lengths = _lengths_within(subject.lengths, 0, middle), _lengths_within(subject.lengths, middle, subject.count)
    if any(max(each, default=0) < 2 for each in lengths):  # a predicted frame needs one before it
        return subject, subject
    return subject.some(range(middle), lengths[0]), subject.some(range(middle, subject.count), lengths[1])


def _lengths_within(lengths: Sequence[int], start: int, stop: int) -> list[int]:
    """How much of each clip lies from ``start`` to ``stop``; clips without any are left out."""
    ends = np.cumsum(lengths).tolist()
    inside = [min(end, stop) - max(end - length, start) for end, length in zip(ends, lengths, strict=True)]
    return [length for length in inside if length > 0]


def at_divergence(design: Design, wanted: float, to_fit: Calibration, to_code: Calibration, make: Make) -> CodedAt:
    """A design at the step that gives the wanted divergence, as logarithms.

    Divergences of a few samples are noisy, and steps apart from each other draw other noise: lines through several of
    them say more than the one that comes nearest.
    """

    def at(step: float) -> CodedAt:
        spec = design.spec.replace(step=float(np.clip(math.exp(step), *STEPS)))
        return _coded(make(spec, with_planes(spec, to_fit, design.planes)), to_code, spec.step)

    points = [at(math.log(design.spec.step))]
    if abs(_expected(points[0], wanted) - points[0].step) > AROUND[-1]:
        points = [at(_expected(points[0], wanted))]
    centre = _expected(points[0], wanted)
    return _on_lines([*points, *(at(centre + apart) for apart in AROUND)], wanted)


def _expected(point: CodedAt, wanted: float) -> float:
    """Where a divergence is to be expected: it grows with the square of the step where noise is small."""
    return point.step + (wanted - point.divergence) / 2


def _on_lines(points: Sequence[CodedAt], wanted: float) -> CodedAt:
    """Step and size at the wanted divergence, on lines of least squares."""
    steps, sizes, moved = (np.array(column) for column in zip(*points, strict=True))
    if np.ptp(steps) == 0:
        return points[0]
    rise = float(np.clip(np.polyfit(steps, moved, 1)[0], *SLOPES))
    step = float(steps.mean() + (wanted - moved.mean()) / rise)
    return CodedAt(step, float(np.polyval(np.polyfit(steps, sizes, 1), step)), wanted)


def _coded(codec: FrameCodec, subject: Calibration, step: float) -> CodedAt:
    """Real packets of all samples, and the answers after them."""
    encoder, decoder = Encoder(codec), Decoder(codec)
    size, restored = 0, []
    for length, start in zip(subject.lengths, np.cumsum([0, *subject.lengths[:-1]]).tolist(), strict=True):
        encoder.force_keyframe()
        for sample in range(start, start + length):
            packet = encoder.encode(subject.row(sample))
            size += len(packet)
            restored.append(decoder.decode(packet))
    moved = float(subject.divergences(restored, range(subject.count)).mean())
    least = np.finfo(np.float64).tiny
    return CodedAt(math.log(step), math.log(size), math.log(max(moved, least)) if moved < math.inf else math.log(1e300))
