"""Byte streams of H.264, HEVC and AV1 taken apart: parameter sets here, pictures there.

Encoders repeat parameter sets at every intra frame, 80 bytes each time, which would drown small features: they are kept
apart from the packets, and a packet that brings any is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from splitc.errors import BitstreamError

# -- H.264 and HEVC: NAL units between start codes ---------------------------------------------------------------------

START = b"\0\0\1"


def nal_units(stream: bytes) -> list[bytes]:
    """The units of an Annex B byte stream, without start codes and the zeros before them."""
    return [unit for part in stream.split(START) if (unit := part.rstrip(b"\0"))]


def split_units(
    stream: bytes, kind: Callable[[bytes], int], sets: Sequence[int], pictures: range
) -> tuple[bytes, bytes]:
    """Parameter sets, each behind a start code; and pictures, with start codes between them. The rest is dropped."""
    units = nal_units(stream)
    parameter_sets = b"".join(START + unit for unit in units if kind(unit) in sets)
    return parameter_sets, START.join(unit for unit in units if kind(unit) in pictures)


def join_units(packet: bytes, name: str, kind: Callable[[bytes], int], pictures: range) -> bytes:
    """A packet's units behind start codes.

    Raises:
        BitstreamError: Something else than pictures is among them, such as parameter sets of another size.
    """
    units = nal_units(packet)
    strangers = sorted({kind(unit) for unit in units} - set(pictures))
    if strangers or not units:
        found = f"NAL units of type {strangers}" if strangers else "no NAL unit"
        raise BitstreamError(f"{name}: a packet holds {found}; only pictures are read.")
    return b"".join(START + unit for unit in units)


# -- AV1: open bitstream units ---------------------------------------------------------------------------------------

SEQUENCE_HEADER = 1
AV1_PICTURES = (3, 4, 6)
"""Frame header, tile group, frame."""


def open_units(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """``(type, unit)`` of every open bitstream unit, whose sizes are in them.

    Raises:
        BitstreamError: A unit without a size, or longer than the stream.
    """
    start = 0
    while start < len(stream):
        head, has_extension, has_size = stream[start], stream[start] >> 2 & 1, stream[start] >> 1 & 1
        at = start + 1 + has_extension
        size = shift = 0
        while at < len(stream):
            byte = stream[at]
            size |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128 or shift > 28:
                break
        if not has_size or at + size > len(stream):
            raise BitstreamError(f"av1: the unit at byte {start} of a packet has no size, or ends after it.")
        yield head >> 3 & 15, stream[start : at + size]
        start = at + size


def split_open_units(stream: bytes) -> tuple[bytes, bytes]:
    """Sequence headers, and pictures; as :func:`split_units`."""
    units = list(open_units(stream))
    headers = b"".join(unit for kind, unit in units if kind == SEQUENCE_HEADER)
    return headers, b"".join(unit for kind, unit in units if kind in AV1_PICTURES)


def join_open_units(packet: bytes) -> bytes:
    """The packet itself, if it holds pictures and nothing else.

    Raises:
        BitstreamError: Other units are among them, or none.
    """
    strangers = sorted({kind for kind, _ in open_units(packet)} - set(AV1_PICTURES))
    if strangers or not packet:
        found = f"units of type {strangers}" if strangers else "no unit"
        raise BitstreamError(f"av1: a packet holds {found}; only pictures are read.")
    return packet
