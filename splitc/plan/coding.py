"""Coding times before they are measured on the devices: each coder's own figures, for every device."""

from __future__ import annotations

from splitc.codec import ENTROPY_CODERS, CodecSpec
from splitc.device import codec_ms


def coding_ms(spec: CodecSpec, elements: int) -> tuple[float, float]:
    """Milliseconds to encode and to decode so many feature elements."""
    encode, decode = ENTROPY_CODERS.load(spec.entropy).speed_mels
    return codec_ms(elements, encode), codec_ms(elements, decode)


def coding_words(spec: CodecSpec) -> str:
    """What a plan says about these times."""
    encode, decode = ENTROPY_CODERS.load(spec.entropy).speed_mels
    return (
        f"Encoding is assumed to run at {encode:g} and decoding at {decode:g} million elements a second "
        f"({spec.entropy} on one core of a server CPU) on every device."
    )
