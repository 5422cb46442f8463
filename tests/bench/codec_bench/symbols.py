"""Same symbols: bytes and speed of every lossless coder, one payload a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codec_bench.clock import Speed, speed
from codec_bench.networks import Cut
from codec_bench.peers import Coder, constriction_ans, ours, rate_bpe, zstd
from splitc.codec import PROFILES, CodecSpec
from splitc.types import Symbols

FAST, BALANCED = "fast", "balanced"
FOUR_BITS = "uniform, 4 bits"
ALPHABETS = {FAST: CodecSpec(), FOUR_BITS: CodecSpec(quantizer="uniform", bits=4, scope="tensor")}
"""Whose symbols are coded: those of the profiles as they ship (one quantizer for both), and k-bit ones."""
OTHERS = ("range", "huffman", "cohen")
ZSTD_LEVELS = (1, 3, 19)


@dataclass(frozen=True)
class SymbolRow:
    """One coder at one cut, on the symbols that ``symbols`` names; ``bits`` is their width there."""

    cut: str
    symbols: str
    bits: int
    coder: str
    version: str
    rate_bpe: float
    encode_mels: float
    decode_mels: float
    section: str = "symbols"


def coders(calibration: Symbols, bits: int, shape: tuple[int, int, int]) -> Iterator[Coder]:
    """All of them, ready for pictures of ``shape``; profiles go by their names."""
    for profile, spec in PROFILES.items():
        yield ours(spec.make_entropy(), calibration, bits, shape, profile)
    for name in OTHERS:
        yield ours(CodecSpec(entropy=name).make_entropy(), calibration, bits, shape, name)
    for level in ZSTD_LEVELS:
        yield zstd(level, bits, shape)
    yield constriction_ans(calibration, bits, shape)


def symbol_rows(cut: Cut) -> Iterator[SymbolRow]:
    """Every coder on the symbols of one cut, checked to be lossless."""
    for name, spec in ALPHABETS.items():
        quantizer = spec.make_quantizer()
        params = quantizer.fit(cut.calibration)
        calibration, evaluation = (quantizer.quantize(x, params) for x in (cut.calibration, cut.evaluation))
        for coder in coders(calibration, params.bits, cut.shape):
            payloads, took = run(coder, evaluation)
            rate = rate_bpe(payloads, evaluation.size)
            yield SymbolRow(cut.label, name, params.bits, coder.name, coder.version, rate, *took)


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
