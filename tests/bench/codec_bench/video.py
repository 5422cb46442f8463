"""A static camera: bits per element at equal KL of everything that uses the frame before, GOP 15."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codec_bench import x265
from codec_bench.clock import Speed, timed
from codec_bench.fidelity import Point, around, at_kl
from codec_bench.networks import Cut
from splitc.codec import QUANTIZERS, Codec, CodecSpec
from splitc.codec.packet_header import read_header
from splitc.codec.tilings import TILINGS
from splitc.types import F32

TARGETS_KL = (0.001, 0.003, 0.01)
MIDDLE_KL = 0.003
EACH_SIDE = 3
GOP = 15
DPCM = "dpcm"
ADAPTIVE = "dpcm, adaptive zone, unbiased"
X265_INTER = "x265 inter"
IFMDC = "IFMDC, N-run-length"
QPS = (2, 7, 12, 17, 22, 27, 32, 37, 42, 47)
STEPS = tuple(2.0 ** (k / 2) for k in range(-10, 7))
LEVELS = (255, 191, 127, 95, 63, 47, 31, 23, 15, 11, 7, 5, 3)


@dataclass(frozen=True)
class VideoRow:
    """One method on the clip at one cut.

    Attributes:
        rates_bpe: All frames, at each target KL; None where its points do not reach both sides of it.
        predicted_rates_bpe: Without the bits and the elements of key frames.
        encode_mels: Float32 features to packets; x265: pictures to slices.
    """

    cut: str
    kind: str
    shape: tuple[int, int, int]
    method: str
    version: str
    targets_kl: tuple[float, ...]
    rates_bpe: list[float | None]
    predicted_rates_bpe: list[float | None]
    encode_mels: float
    decode_mels: float
    points: list[Point]
    section: str = "video"


@dataclass(frozen=True)
class Clip:
    """A coded clip at one setting: bytes of each frame, which are key frames, what came out and how fast."""

    setting: str
    frame_bytes: list[int]
    is_key: list[bool]
    restored: F32
    speed: Speed


def video_rows(cut: Cut) -> Iterator[VideoRow]:
    """Every method; the evaluation features are consecutive frames."""
    yield _x265_row(cut, "x265 intra", x265.INTRA)
    yield _x265_row(cut, X265_INTER, x265.INTER)
    yield _ladder_row(cut, "step, no prediction", _steps({}), STEPS.index(0.5))
    for method, temporal in (("difference", "difference"), (DPCM, "dpcm")):
        yield _ladder_row(cut, method, _steps({"temporal": temporal, "gop": GOP}), STEPS.index(0.5))
    zone = {"temporal": "dpcm", "gop": GOP, "dead_zone": "adaptive", "reconstruction": "unbiased"}
    yield _ladder_row(cut, ADAPTIVE, _steps(zone), STEPS.index(0.5))
    yield _ladder_row(cut, IFMDC, [_ifmdc(levels) for levels in LEVELS], LEVELS.index(63))


def _steps(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Profile fast and ``options``."""
    return [CodecSpec().model_dump() | {"step": step} | options for step in STEPS]


def _ifmdc(levels: int) -> dict[str, Any]:
    """The percentile is the best of 99.9 to 100 on these clips."""
    bits = (levels - 1).bit_length()
    return {
        "quantizer": "clipped",
        "levels": levels,
        "bits": bits,
        "percentile": 99.99,
        "scope": "tensor",
        "reconstruction": "midpoint",
        "temporal": "ifmdc",
        "gop": GOP,
        "entropy": "nrle",
    }


def _ladder_row(cut: Cut, method: str, options: Sequence[dict[str, Any]], start: int) -> VideoRow:
    def code(rung: int) -> Clip:
        spec = CodecSpec(**options[rung])
        codec = Codec.fit(spec, [cut.spec], [cut.calibration], [len(cut.calibration)])
        setting = f"{spec.levels} levels" if spec.levels else f"step {options[rung]['step']:.3f} sd"
        return _coded(codec, setting, cut.evaluation)

    return _row(cut, method, "splitc, whole packets", code, start, len(options))


def _coded(codec: Codec, setting: str, features: F32) -> Clip:
    encoder, decoder = codec.encoder(), codec.decoder()
    frames = [features[i : i + 1] for i in range(len(features))]
    packets, encode_s = timed(lambda: [encoder.encode([frame]) for frame in frames])
    restored, decode_s = timed(lambda: [decoder.decode(packet)[0] for packet in packets])
    took = Speed(features.size / encode_s / 1e6, features.size / decode_s / 1e6)
    is_key = [read_header(packet).is_keyframe for packet in packets]
    return Clip(setting, [len(packet) for packet in packets], is_key, np.concatenate(restored), took)


def _x265_row(cut: Cut, method: str, how: str) -> VideoRow:
    quantizer = QUANTIZERS.make("uniform", {"bits": 8, "scope": "tensor", "reconstruction": "midpoint"})
    params = quantizer.fit(cut.calibration)
    symbols = quantizer.quantize(cut.evaluation, params)
    mosaic = TILINGS.make("mosaic", {})
    pictures = mosaic.tile(symbols)

    def code(rung: int) -> Clip:
        coded = x265.code(pictures, QPS[rung], how)
        restored = quantizer.dequantize(mosaic.untile(coded.pictures, symbols.shape), params)
        took = Speed(symbols.size / coded.encode_s / 1e6, symbols.size / coded.decode_s / 1e6)
        return Clip(f"QP {QPS[rung]}", coded.slice_bytes, coded.is_key, restored, took)

    return _row(cut, method, x265.version(), code, QPS.index(27), len(QPS))


def _row(cut: Cut, method: str, version: str, code: Callable[[int], Clip], start: int, count: int) -> VideoRow:
    """Walk the ladder around the middle KL; interpolate at all of them."""
    predicted: list[Point] = []
    speeds: dict[str, Speed] = {}

    def measure(rung: int) -> Point:
        clip = code(rung)
        quality = cut.fidelity(clip.restored)
        each = cut.evaluation[0].size
        speeds[clip.setting] = clip.speed
        follow = [size for size, key in zip(clip.frame_bytes, clip.is_key, strict=True) if not key]
        if follow:
            predicted.append(Point(clip.setting, 8 * sum(follow) / (each * len(follow)), *quality))
        return Point(clip.setting, 8 * sum(clip.frame_bytes) / cut.evaluation.size, *quality)

    points = around(start, count, measure, MIDDLE_KL, EACH_SIDE)
    nearest = min(points, key=lambda point: abs(np.log(point.kl / MIDDLE_KL)))
    rates, predicted_rates = (
        [found.rate_bpe if found else None for found in (at_kl(some, kl) for kl in TARGETS_KL)]
        for some in (points, predicted)
    )
    points.sort(key=lambda point: point.kl)
    took = speeds[nearest.setting]
    return VideoRow(
        cut.label, cut.point.kind, cut.shape, method, version, TARGETS_KL, rates, predicted_rates, *took, points
    )
