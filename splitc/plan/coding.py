"""How long coding takes, before it is measured on the devices: one table, the same for every device."""

from __future__ import annotations

from collections.abc import Mapping

from splitc.codec import CodecSpec
from splitc.device import codec_ms

CODING_MELS: Mapping[str, tuple[float, float]] = {
    # Entropy coder: 10**6 elements a second, encode and decode. Measured once on one core of an AMD EPYC (Zen 5) with
    # AVX-512, on one smooth 4-bit feature; not scaled to any device, so a weak edge codes slower than is said here.
    "rans": (415.0, 170.0),
    "range": (28.0, 26.0),
    "zstd": (3.3, 388.0),
    "hevc": (2.5, 29.0),
    "huffman": (281.0, 220.0),
    "cohen": (45.0, 43.0),
    # Not measured: the slowest number of a like coder above.
    "nrle": (28.0, 26.0),
    "h264": (2.5, 29.0),
    "av1": (2.5, 29.0),
}


def coding_ms(spec: CodecSpec, elements: int) -> tuple[float, float]:
    """Milliseconds to encode and to decode so many feature elements."""
    encode, decode = CODING_MELS[spec.entropy]
    return codec_ms(elements, encode), codec_ms(elements, decode)


def coding_words(spec: CodecSpec) -> str:
    """What a plan says about these times."""
    encode, decode = CODING_MELS[spec.entropy]
    return (
        f"Coding is counted at {encode:g} and decoding at {decode:g} million elements a second ({spec.entropy} on one "
        "core of a server CPU), whatever the device."
    )
