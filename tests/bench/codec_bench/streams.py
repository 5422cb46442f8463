"""Streams: bytes a frame of every design at two divergences, static and moving clips, beside x265 inter and H.265.

Calibrated on the first frames of a clip and measured on frames behind them, GOP 15. "H.265 of the input" codes the
network's pictures themselves, 4:2:0, and runs the whole network on what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import CodecContext
from av.video.frame import VideoFrame

from codec_bench import x265
from codec_bench.fidelity import F32
from codec_bench.frontier import Bench, FrontierRow, Point
from codec_bench.networks import DATA, Amount
from codec_bench.subjects import SUBJECTS, Subject
from splitc import evaluate, graph, trials
from splitc.codec import QUANTIZERS, TILINGS, Codec, CodecSpec
from splitc.codec.calibration import Calibration
from splitc.codec.fitting import with_planes
from splitc.codec.sensitivity import planes_of
from splitc.runtime import Sample
from splitc.runtime.pictures import input_from_picture
from splitc.tasks import TASKS, BindRequest, BoundTask
from splitc.types import USUAL_LAYOUT, Preprocess

U8 = npt.NDArray[np.uint8]
CLIPS = {
    "static": "videos/vtest_first300.avi",
    "moving": "videos/mmaction2_demo_arm_wrestling.mp4",
}
NETWORKS = ("MobileNetV2", "Yolo-Fastest")
PLACE = "middle"
GOP = 15
X265_INTER = "x265 inter"
INPUT = "H.265 of the input"
STEPS = (0.12, 0.2, 0.35, 0.6, 1.0, 1.7)
QPS = (4, 10, 16, 22, 28, 34, 40)
CRFS = (2, 8, 14, 20, 26, 32)
PROBED = 0.8
STREAM: dict[str, Any] = {"gop": GOP, "dead_zone": "adaptive", "reconstruction": "unbiased"}
PLAIN = "dpcm"
DESIGNS: Mapping[str, dict[str, Any]] = {
    PLAIN: {"temporal": "dpcm", "gop": GOP},
    "dpcm, adaptive zone, unbiased": {"temporal": "dpcm"} | STREAM,
    "motion": {"temporal": "motion"} | STREAM,
    "motion, steps by sensitivity": {"temporal": "motion", "steps": "sensitivity"} | STREAM,
    "motion, components and blocks": {"temporal": "motion", "transform": "klt", "steps": "sensitivity"} | STREAM,
}


@dataclass(frozen=True)
class StreamRow(FrontierRow):
    """A design on a clip: bytes a frame at both levels; ``cut`` ends with the clip, ``chosen`` is empty."""

    clip: str = ""
    section: str = "streams"


@dataclass(frozen=True)
class Clip:
    """Frames of a clip at one cut, calibration and evaluation apart, and the network's inputs of the latter."""

    bench: Bench
    name: str
    inputs: F32
    parts: graph.Halves

    def row(self, method: str, version: str, points: Sequence[Point]) -> StreamRow:
        row = vars(self.bench.row(method, version, points))
        return StreamRow(**row | {"cut": f"{self.bench.label} {self.name}", "clip": self.name, "section": "streams"})


def stream_rows(amount: Amount, names: Sequence[str] = ()) -> Iterator[StreamRow]:
    """Every design on every clip of the subjects called ``names``; none: of all that are here."""
    for subject in SUBJECTS:
        is_wanted = not names or subject.name in names
        if not is_wanted or subject.name not in NETWORKS or subject.path is None:
            continue
        for name, file in CLIPS.items():
            if (DATA / file).is_file():
                yield from _rows(_clip(subject, name, DATA / file, amount))


def _clip(subject: Subject, name: str, file: Path, amount: Amount) -> Clip:
    subject = replace(subject, preprocess=_whole(subject.preprocess))
    model = graph.load(DATA / subject.source)
    parts = graph.split(model, subject.cuts[PLACE])
    inputs = np.stack(list(islice(_frames(file, subject.preprocess), amount.calibration + amount.evaluation)))
    feed = model.inputs[0].name
    samples = [Sample(name=str(i), feeds={feed: one[None]}) for i, one in enumerate(inputs)]
    task = TASKS.make(subject.task, subject.options).bind(BindRequest(outputs=model.outputs, inputs=model.inputs))
    whole = evaluate.open_optimized(model.ir_model)
    task = task.settle([whole.run(sample.feeds) for sample in samples[:8]])
    (features,) = trials.features(parts, samples)
    some, others = (
        _calibration(parts, task, part) for part in (features[: amount.calibration], features[amount.calibration :])
    )
    bench = Bench(subject, PLACE, parts.cut, some, others)
    return Clip(bench, name, inputs[amount.calibration :], parts)


def _whole(preprocess: Preprocess) -> Preprocess:
    """Frames are larger than pictures that are only cropped."""
    return preprocess if preprocess.resize else preprocess.model_copy(update={"resize": 256})


def _calibration(parts: graph.Halves, task: BoundTask, features: Sequence[F32]) -> Calibration:
    judge = trials.TailJudge(evaluate.open_optimized(parts.tail), task, parts.cut, [features], tail_graph=parts.tail)
    return Calibration(tuple(parts.cut), (USUAL_LAYOUT,), (tuple(features),), (len(features),), judge)


def _frames(file: Path, preprocess: Preprocess) -> Iterator[F32]:
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            yield input_from_picture(frame.to_image(), preprocess)


def _rows(clip: Clip) -> Iterator[StreamRow]:
    yield clip.row(X265_INTER, x265.version(), [*_x265_points(clip.bench)])
    yield clip.row(INPUT, x265.version(), [*_input_points(clip)])
    for method, options in DESIGNS.items():
        yield clip.row(method, "splitc", [_coded(clip.bench, codec) for codec in _ladder(clip.bench, options)])


def _ladder(bench: Bench, options: Mapping[str, Any]) -> Iterator[Codec]:
    """Codecs of every step; weights of planes are measured once."""
    spec, planes = CodecSpec(**options, step=PROBED), None
    if spec.needs_judge:
        planes = planes_of(spec.make_transform(), spec.make_quantizer(), bench.calibration)
    for step in STEPS:
        at = spec.replace(step=step).resolved()
        if planes is None:
            yield Codec.fit(at, bench.tensors, [list(bench.calibration.samples[0])])
        else:
            yield Codec(at, with_planes(at, bench.calibration, planes))


def _coded(bench: Bench, codec: Codec) -> Point:
    encoder, decoder = codec.encoder(), codec.decoder()
    packets = [encoder.encode(bench.evaluation.row(i)) for i in range(bench.count)]
    return bench.point(sum(map(len, packets)), [decoder.decode(packet) for packet in packets])


def _x265_points(bench: Bench) -> Iterator[Point]:
    """A mosaic of the channels in 8 bits; slices alone are counted."""
    options = {"bits": 8, "scope": "tensor", "reconstruction": "midpoint", "clip": "percentile", "percentile": 99.99}
    quantizer, tiling = QUANTIZERS.make("uniform", options), TILINGS.make("mosaic", {})
    params = quantizer.fit(np.concatenate(bench.calibration.samples[0]))
    symbols = quantizer.quantize(np.concatenate(bench.evaluation.samples[0]), params)
    pictures = tiling.tile(symbols)
    for qp in QPS:
        coded = x265.code(pictures, qp, x265.INTER)
        restored = quantizer.dequantize(tiling.untile(coded.pictures, symbols.shape), params)
        yield bench.point(sum(coded.slice_bytes), [[restored[i : i + 1]] for i in range(len(restored))])


def _input_points(clip: Clip) -> Iterator[Point]:
    preprocess, feed = clip.bench.subject.preprocess, clip.parts.head.graph.inputs[0].name or ""
    pixels = _pixels(clip.inputs, preprocess)
    for crf in CRFS:
        size, decoded = _h265(pixels, crf)
        inputs = [_inputs(one, preprocess)[None] for one in decoded]
        samples = [Sample(name=str(i), feeds={feed: one}) for i, one in enumerate(inputs)]
        (features,) = trials.features(clip.parts, samples)
        yield clip.bench.point(size, [[one] for one in features])


def _scaling(preprocess: Preprocess) -> tuple[F32, F32]:
    return tuple(np.array(value, np.float32).reshape(3, 1, 1) for value in (preprocess.mean, preprocess.std))


def _pixels(inputs: F32, preprocess: Preprocess) -> U8:
    """Network inputs ``[n, 3, H, W]`` back to pictures ``[n, H, W, 3]``."""
    mean, std = _scaling(preprocess)
    levels = np.rint((inputs * std + mean) / preprocess.scale)
    return np.ascontiguousarray(np.clip(levels, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1))


def _inputs(picture: U8, preprocess: Preprocess) -> F32:
    mean, std = _scaling(preprocess)
    return ((picture.transpose(2, 0, 1) * np.float32(preprocess.scale) - mean) / std).astype(np.float32)


def _h265(pictures: U8, crf: int) -> tuple[int, list[U8]]:
    """Slice bytes of a clip, 4:2:0, and what comes out."""
    encoder = CodecContext.create("libx265", "w")
    encoder.height, encoder.width, encoder.pix_fmt = *pictures.shape[1:3], "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    how = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0:pools=none:frame-threads=1:log-level=none:info=0"
    encoder.options = {"preset": "medium", "x265-params": f"crf={crf}:{how}"}
    packets = []
    for index, picture in enumerate(pictures):
        frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = CodecContext.create("hevc", "r")
    decoded = [*(frame for packet in packets for frame in decoder.decode(packet)), *decoder.decode(None)]
    decoded.sort(key=lambda frame: frame.pts)
    return sum(x265.slice_bytes(bytes(p)) for p in packets), [f.to_ndarray(format="rgb24") for f in decoded]
