"""Pictures: bits per element at equal KL, each method on its own ladder of settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from codec_bench import x265
from codec_bench.clock import Speed, speed
from codec_bench.fidelity import AtKl, Fidelity, Point, around, at_kl
from codec_bench.networks import Cut
from codec_bench.peers import Coder, constriction_ans, ours, rate_bpe, zstd
from codec_bench.symbols import run
from splitc.codec import ENTROPY_CODERS, QUANTIZERS, Codec, CodecSpec
from splitc.codec.tilings import TILINGS
from splitc.types import F32, Symbols

TARGET_KL = 0.01
KBITS = (8, 7, 6, 5, 4, 3, 2, 1)
QPS = (2, 7, 12, 17, 22, 27, 32, 37, 42, 47, 51)
STEPS = tuple(2.0 ** (k / 2) for k in range(-8, 7))
"""In standard deviations of the feature; KL doubles from one to the next."""
KBIT = "k-bit"
KBIT_ZSTD19 = "k-bit + zstd-19"
KBIT_MEANS_ZSTD19 = "k-bit, bin means + zstd-19"
X265_TILED = "x265 tiled"
CHEN = "Chen'19"
SELF = "splitc, whole packets"
EVEN = {"even steps": CodecSpec(), "even steps, more tables": CodecSpec(contexts="wide")}
"""What needs no tail; profiles, which do, are in the frontier."""


@dataclass(frozen=True)
class StillRow:
    """One method at one cut; the values at the target KL are None where its points do not reach both sides of it.

    Speeds are of symbols to bytes and back at the point nearest to the target.
    """

    cut: str
    kind: str
    shape: tuple[int, int, int]
    method: str
    version: str
    target_kl: float
    rate_bpe: float | None
    agreement: float | None
    encode_mels: float
    decode_mels: float
    points: list[Point] = field(default_factory=list)
    section: str = "stills"


def still_rows(cut: Cut) -> Iterator[StillRow]:
    """Every method at one cut."""
    yield from profile_rows(cut)
    yield from kbit_rows(cut)
    yield picture_row(cut, X265_TILED, {"quantizer": "uniform", "scope": "tensor", "tiling": "mosaic"})
    yield picture_row(cut, CHEN, {"quantizer": "log", "scope": "sample", "tiling": "channel_frames"})
    yield copy_row(cut)


# -- codecs of this package ----------------------------------------------------------------------------------------


def profile_rows(cut: Cut) -> Iterator[StillRow]:
    """Even steps to midpoints, with few tables and with more: whole packets, headers included."""
    for name, spec in EVEN.items():
        yield _profile_row(cut, name, spec)


def _profile_row(cut: Cut, name: str, profile: CodecSpec) -> StillRow:
    codecs: dict[str, Codec] = {}
    settings = ladder(profile)

    def measure(rung: int) -> Point:
        setting, spec = settings[rung]
        codecs[setting] = Codec.fit(spec, [cut.spec], [cut.calibration])
        packets, restored = _packets(codecs[setting], cut.evaluation)
        return Point(setting, rate_bpe(packets, cut.evaluation.size), *cut.fidelity(restored))

    points = around(len(settings) // 2, len(settings), measure, TARGET_KL)
    found = at_kl(points, TARGET_KL)
    took = _packet_speed(codecs[_nearest(found, points).setting], cut.evaluation)
    return _row(cut, name, SELF, points, found, took)


def ladder(profile: CodecSpec) -> list[tuple[str, CodecSpec]]:
    """Settings of a profile, gentlest first: its step where it has one, else its bits."""
    if profile.quantizer == "step":
        return [(f"step {step:.3f} sd", profile.model_copy(update={"step": step})) for step in STEPS]
    return [(f"{bits} bits", profile.model_copy(update={"bits": bits})) for bits in KBITS]


def _packets(codec: Codec, features: F32) -> tuple[list[bytes], F32]:
    packets = [codec.encode([features[i : i + 1]]) for i in range(len(features))]
    return packets, np.concatenate([codec.decode(packet)[0] for packet in packets])


def _packet_speed(codec: Codec, features: F32) -> Speed:
    quantized = [codec.quantize([features[i : i + 1]]) for i in range(len(features))]
    packets = [codec.encode_symbols(one) for one in quantized]
    return speed(
        features.size,
        lambda: [codec.encode_symbols(one) for one in quantized],
        lambda: [codec.decode_symbols(packet) for packet in packets],
    )


# -- k-bit symbols, lossless coders --------------------------------------------------------------------------------


def kbit_rows(cut: Cut) -> Iterator[StillRow]:
    """Clipped uniform symbols of 1 to 8 bits under every lossless coder: the width is the setting.

    They decode to the middles of their bins, as integer quantization does; for zstd-19 also to calibrated bin means,
    which is ours to give.
    """
    points: dict[str, list[Point]] = {}
    made: dict[tuple[str, str], tuple[Coder, Symbols]] = {}

    def measure(rung: int) -> Point:
        bits = KBITS[rung]
        quantizer = QUANTIZERS.make("uniform", {"bits": bits, "scope": "tensor", "reconstruction": "midpoint"})
        params = quantizer.fit(cut.calibration)
        symbols = quantizer.quantize(cut.evaluation, params)
        quality = cut.fidelity(quantizer.dequantize(symbols, params))
        for coder in _kbit_coders(quantizer.quantize(cut.calibration, params), bits, cut.shape):
            payloads = [coder.encode(coder.prepare(sample)) for sample in symbols]
            point = Point(f"{bits} bits", rate_bpe(payloads, symbols.size), *quality)
            points.setdefault(f"{KBIT} + {coder.name}", []).append(point)
            made[f"{KBIT} + {coder.name}", point.setting] = coder, symbols
        zstd19 = points[KBIT_ZSTD19][-1]
        means = Point(zstd19.setting, zstd19.rate_bpe, *_quality_of_means(cut, bits))
        points.setdefault(KBIT_MEANS_ZSTD19, []).append(means)
        made[KBIT_MEANS_ZSTD19, means.setting] = made[KBIT_ZSTD19, zstd19.setting]
        return zstd19

    around(KBITS.index(4), len(KBITS), measure, TARGET_KL)
    for name, reached in points.items():
        found = at_kl(reached, TARGET_KL)
        coder, symbols = made[name, _nearest(found, reached).setting]
        _, took = run(coder, symbols)
        yield _row(cut, name, coder.version, reached, found, took)


def _quality_of_means(cut: Cut, bits: int) -> Fidelity:
    """Fidelity of the same symbols decoded to calibrated bin means."""
    quantizer = QUANTIZERS.make("uniform", {"bits": bits, "scope": "tensor", "reconstruction": "centroid"})
    params = quantizer.fit(cut.calibration)
    return cut.fidelity(quantizer.dequantize(quantizer.quantize(cut.evaluation, params), params))


def _kbit_coders(calibration: Symbols, bits: int, shape: tuple[int, int, int]) -> Iterator[Coder]:
    for name in ("rans", "cohen"):
        yield ours(ENTROPY_CODERS.make(name, {}), calibration, bits, shape, name)
    yield from (zstd(level, bits, shape) for level in (1, 3, 19))
    yield constriction_ans(calibration, bits, shape)


# -- picture codecs ------------------------------------------------------------------------------------------------


def picture_row(cut: Cut, method: str, parts: dict[str, str]) -> StillRow:
    """8-bit symbols as pictures, x265 intra; one session for all pictures, slices counted; QP is the setting."""
    options = {"bits": 8, "scope": parts["scope"], "reconstruction": "midpoint"}
    quantizer = QUANTIZERS.make(parts["quantizer"], options)
    params = quantizer.fit(cut.calibration)
    side = quantizer.side(cut.evaluation)
    symbols = quantizer.quantize(cut.evaluation, params, side)
    tiling = TILINGS.make(parts["tiling"], {})
    pictures = tiling.tile(symbols)
    took: dict[str, Speed] = {}

    def measure(rung: int) -> Point:
        coded = x265.code(pictures, QPS[rung])
        restored = quantizer.dequantize(tiling.untile(coded.pictures, symbols.shape), params, side)
        rate = 8 * (sum(coded.slice_bytes) + side.nbytes) / symbols.size
        point = Point(f"QP {QPS[rung]}", rate, *cut.fidelity(restored))
        took[point.setting] = Speed(symbols.size / coded.encode_s / 1e6, symbols.size / coded.decode_s / 1e6)
        return point

    points = around(QPS.index(27), len(QPS), measure, TARGET_KL)
    found = at_kl(points, TARGET_KL)
    return _row(cut, method, x265.version(), points, found, took[_nearest(found, points).setting])


# -- the floor -----------------------------------------------------------------------------------------------------


def copy_row(cut: Cut) -> StillRow:
    """Float32 as it is, copied: 32 bits an element, and a speed that no coder passes."""
    there, back = np.empty_like(cut.evaluation[0]), np.empty_like(cut.evaluation[0])

    def copy(to: F32) -> None:
        for picture in cut.evaluation:
            np.copyto(to, picture)

    took = speed(cut.evaluation.size, lambda: copy(there), lambda: copy(back))
    return StillRow(cut.label, cut.point.kind, cut.shape, "float32 copy", f"numpy {np.__version__}", 0, 32, 1, *took)


def _nearest(found: AtKl | None, points: list[Point]) -> Point:
    return found.nearest if found else min(points, key=lambda point: abs(np.log(point.kl / TARGET_KL)))


def _row(cut: Cut, method: str, version: str, points: list[Point], found: AtKl | None, took: Speed) -> StillRow:
    rate, agreement = (found.rate_bpe, found.agreement) if found else (None, None)
    points = sorted(points, key=lambda point: point.kl)
    return StillRow(cut.label, cut.point.kind, cut.shape, method, version, TARGET_KL, rate, agreement, *took, points)
