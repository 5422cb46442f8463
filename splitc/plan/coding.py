"""How long coding takes, before it is measured on the devices: what each coder says of itself, on every device."""

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
        f"Coding is counted at {encode:g} and decoding at {decode:g} million elements a second ({spec.entropy} on one "
        "core of a server CPU), whatever the device."
    )
