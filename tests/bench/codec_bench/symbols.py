"""Same symbols: bytes and speed of every lossless coder on 4-bit uniform symbols, one payload a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codec_bench.clock import Speed, speed
from codec_bench.networks import Cut
from codec_bench.peers import Coder, constriction_ans, ours, rate_bpe, zstd
from splitc.codec import ENTROPY_CODERS, QUANTIZERS
from splitc.types import Symbols

BITS = 4
OURS = ("rans", "range", "huffman", "cohen")
ZSTD_LEVELS = (1, 3, 19)


@dataclass(frozen=True)
class SymbolRow:
    """One coder at one cut."""

    cut: str
    coder: str
    version: str
    rate_bpe: float
    encode_mels: float
    decode_mels: float
    section: str = "symbols"


def uniform_symbols(cut: Cut, bits: int) -> tuple[Symbols, Symbols]:
    """Calibration and evaluation symbols ``[n, C, H, W]`` of the clipped uniform quantizer, one range a tensor."""
    quantizer = QUANTIZERS.make("uniform", {"bits": bits, "scope": "tensor"})
    params = quantizer.fit(cut.calibration)
    calibration, evaluation = (quantizer.quantize(x, params) for x in (cut.calibration, cut.evaluation))
    return calibration, evaluation


def coders(calibration: Symbols, bits: int, shape: tuple[int, int, int]) -> Iterator[Coder]:
    """All of them, ready for pictures of ``shape``."""
    for name in OURS:
        if name in ENTROPY_CODERS:
            yield ours(name, calibration, bits, shape)
    for level in ZSTD_LEVELS:
        yield zstd(level, bits, shape)
    yield constriction_ans(calibration, bits, shape)


def symbol_rows(cut: Cut) -> Iterator[SymbolRow]:
    """Every coder on the symbols of one cut, checked to be lossless."""
    calibration, evaluation = uniform_symbols(cut, BITS)
    for coder in coders(calibration, BITS, cut.shape):
        payloads, took = run(coder, evaluation)
        yield SymbolRow(cut.label, coder.name, coder.version, rate_bpe(payloads, evaluation.size), *took)


def run(coder: Coder, evaluation: Symbols) -> tuple[list[bytes], Speed]:
    """Payloads of every picture of ``[n, C, H, W]``, and how fast they came and went."""
    samples = [coder.prepare(sample) for sample in evaluation]
    payloads = [coder.encode(sample) for sample in samples]
    for payload, sample in zip(payloads, samples, strict=True):
        assert np.array_equal(coder.decode(payload), sample), f"{coder.name} is not lossless"
    took = speed(
        evaluation.size,
        lambda: [coder.encode(sample) for sample in samples],
        lambda: [coder.decode(payload) for payload in payloads],
    )
    return payloads, took
