"""Peers of the rate frontier: picture codecs on tiled channels, k-bit symbols in zstd, and codings of the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codec_bench import x265
from codec_bench.peers import packed_by_what_occurs
from splitc.backends import Runner
from splitc.codec import QUANTIZERS, TILINGS
from splitc.runtime import Sample
from splitc.tasks import BoundTask
from splitc.trials.codings import CODINGS, Coding
from splitc.types import F32, U8, Preprocess, Symbols

if TYPE_CHECKING:
    from codec_bench.frontier import Bench, FrontierRow, Point

X265_TILED = "x265 tiled"
CHEN = "Chen'19"
KBIT_ZSTD19 = "k-bit + zstd-19"
OF_THE_INPUT = {"AVIF": "AVIF of the input", "H.265": "H.265 of the input"}
QPS = (2, 7, 12, 17, 22, 27, 32, 37, 42, 47)
KBITS = (8, 7, 6, 5, 4, 3, 2)
CLIPPED = {"bits": 8, "scope": "tensor", "reconstruction": "midpoint", "clip": "percentile", "percentile": 99.99}
LOG = {"bits": 8, "scope": "sample", "reconstruction": "midpoint"}


@dataclass(frozen=True)
class Whole:
    """The unsplit network, and the samples that are measured."""

    runner: Runner
    task: BoundTask
    samples: tuple[Sample, ...]
    preprocess: Preprocess


def peer_rows(bench: Bench) -> Iterator[FrontierRow]:
    """Every peer at one cut."""
    yield _pictures(bench, X265_TILED, "uniform", CLIPPED, "mosaic")
    yield _pictures(bench, CHEN, "log", LOG, "channel_frames")
    yield _kbit(bench)
    if bench.whole is not None and not bench.subject.is_of_clips:
        yield from _inputs(bench, bench.whole)


def _ladder(bench: Bench, count: int, measure: Callable[[int], Point], start: int) -> list[Point]:
    from codec_bench.frontier import bracketed

    return bracketed(count, measure, bench.subject.levels, start)


def _pictures(bench: Bench, method: str, quantizer: str, options: dict[str, object], tiling: str) -> FrontierRow:
    """Channels as pictures in 8 bits through x265 intra, each tensor by itself; slices and ranges are counted."""
    coded = [_AsPictures(bench, index, quantizer, options, tiling) for index in range(len(bench.tensors))]

    def measure(rung: int) -> Point:
        sizes, restored = zip(*(one.through(QPS[rung]) for one in coded), strict=True)
        rows = [[array[i : i + 1] for array in restored] for i in range(bench.count)]
        return bench.point(sum(sizes), rows)

    return bench.row(method, x265.version(), _ladder(bench, len(QPS), measure, QPS.index(22)))


class _AsPictures:
    """One tensor of all measured samples as 8-bit pictures."""

    def __init__(self, bench: Bench, index: int, quantizer: str, options: dict[str, object], tiling: str) -> None:
        every = np.concatenate(bench.evaluation.samples[index])
        self._quantizer = QUANTIZERS.make(quantizer, options)
        self._params = self._quantizer.fit(np.concatenate(bench.calibration.samples[index]))
        self._side = self._quantizer.side(every)
        symbols = self._quantizer.quantize(every, self._params, self._side)
        self._tiling, self._shape = TILINGS.make(tiling, {}), symbols.shape
        self._pictures = self._tiling.tile(symbols)

    def through(self, qp: int) -> tuple[int, F32]:
        """Bytes, and features decoded."""
        coded = x265.code(self._pictures, qp)
        symbols = self._tiling.untile(coded.pictures, self._shape)
        restored = self._quantizer.dequantize(symbols, self._params, self._side)
        return sum(coded.slice_bytes) + self._side.nbytes, restored


def _kbit(bench: Bench) -> FrontierRow:
    """Clipped uniform symbols, packed as densely as what occurs allows, in zstd-19."""

    def measure(rung: int) -> Point:
        size, columns = 0, []
        for index in range(len(bench.tensors)):
            options = {"bits": KBITS[rung], "scope": "tensor", "reconstruction": "midpoint"}
            quantizer = QUANTIZERS.make("uniform", options)
            params = quantizer.fit(np.concatenate(bench.calibration.samples[index]))
            symbols = [quantizer.quantize(x, params) for x in bench.evaluation.samples[index]]
            size += sum(_zstd_bytes(one) for one in symbols)
            columns.append([quantizer.dequantize(one, params) for one in symbols])
        return bench.point(size, [list(row) for row in zip(*columns, strict=True)])

    version = "zstd-19, packed to the bits of what occurs, or as bytes where that is smaller"
    return bench.row(KBIT_ZSTD19, version, _ladder(bench, len(KBITS), measure, KBITS.index(5)))


def _zstd_bytes(symbols: Symbols) -> int:
    return min(map(len, packed_by_what_occurs(symbols, 19)))


def _inputs(bench: Bench, whole: Whole) -> Iterator[FrontierRow]:
    """Codings of the input itself, which the whole network then reads; pictures one by one."""
    pixels = [_pixels_of(whole, sample) for sample in whole.samples]
    answers = [whole.runner.run(_feeds(whole, one)) for one in pixels]
    for name, method in OF_THE_INPUT.items():
        coding = CODINGS[name]
        settings = coding.settings[::-1]
        if coding.fault(max(pixels[0].shape)):
            continue

        def measure(rung: int, coding: Coding = coding, settings: tuple[int, ...] = settings) -> Point:
            size, moved = 0, 0.0
            for one, answer in zip(pixels, answers, strict=True):
                coded, restored = coding.through(one[None], settings[rung])
                size += coded
                moved += whole.task.divergence(answer, whole.runner.run(_feeds(whole, restored[0])))
            return math.log(max(moved / len(pixels), 1e-9)), math.log(size / len(pixels))

        points = _ladder(bench, len(settings), measure, len(settings) // 3)
        yield bench.row(method, f"{name}, settings {settings[0]} to {settings[-1]}", points)


def _pixels_of(whole: Whole, sample: Sample) -> U8:
    """The input as 8-bit pixels ``[H, W, 3]``."""
    (x,) = sample.feeds.values()
    how = whole.preprocess
    values = (x[0] * _row(how.std) + _row(how.mean)) / how.scale
    found: U8 = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(found.transpose(1, 2, 0))


def _feeds(whole: Whole, pixels: U8) -> dict[str, F32]:
    how = whole.preprocess
    values = (pixels.transpose(2, 0, 1).astype(np.float32) * how.scale - _row(how.mean)) / _row(how.std)
    return {whole.runner.inputs[0].name: np.ascontiguousarray(values[None], np.float32)}


def _row(values: Sequence[float] | float) -> F32:
    return np.asarray(values, np.float32).reshape(-1, 1, 1)
