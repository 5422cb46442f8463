"""Ten thousand damaged streams of every coder: refused, or unchanged data. Never wrong data, a crash or a flood."""

from __future__ import annotations

import resource

import numpy as np
import pytest
from reference.streams import LOSSLESS, two_tensor_stream

from splitc.codec.bitstream import Packet, StreamLayout, TensorLayout, read_packet, write_packet
from splitc.codec.entropy import ENTROPY_CODERS
from splitc.codec.packet_header import read_header
from splitc.errors import BitstreamError

MUTATIONS = 10_000


def mutated(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Truncate, flip bits, overwrite, extend, or splice two streams."""
    at = int(rng.integers(0, len(data)))
    kind = int(rng.integers(0, 5))
    if kind == 0:
        return data[:at]
    if kind == 1:
        flipped = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            flipped[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
        return bytes(flipped)
    if kind == 2:
        junk = rng.integers(0, 256, int(rng.integers(1, 9)), np.uint8).tobytes()
        return data[:at] + junk + data[at + len(junk) :]
    if kind == 3:
        return data + rng.integers(0, 256, int(rng.integers(1, 9)), np.uint8).tobytes()
    return data[:at] + other[int(rng.integers(0, len(other))) :]


def refused(error: BitstreamError) -> None:
    """Check that a refusal says where it comes from."""
    assert str(error).startswith("bitstream: "), error


def decoded(layout: StreamLayout, data: bytes) -> Packet | None:
    try:
        return read_packet(layout, data)
    except BitstreamError as error:
        return refused(error)


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("inline", [False, True], ids=["bare", "inline"])
def test_damage_is_refused(name: str, inline: bool) -> None:
    layout, symbols, _ = two_tensor_stream(name)
    data = write_packet(layout, symbols, sequence=77, inline=inline)
    other = write_packet(layout, [x[:, ::-1].copy() for x in symbols], sequence=78, inline=inline)
    rng = np.random.default_rng(20240601)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(MUTATIONS // 2):
        hostile = mutated(data, other, rng)
        packet = decoded(layout, hostile)
        assert packet is None or hostile in (data, other)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 256 * 1024, "decoding damaged streams took memory"


@pytest.mark.parametrize("name", LOSSLESS)
def test_damage_behind_a_right_checksum_cannot_crash(name: str) -> None:
    """An attacker computes checksums too: coders see the garbage itself."""
    layout, symbols, _ = two_tensor_stream(name)
    coder = layout.tensors[0].coder
    planes = symbols[0].reshape(-1, 5, 7)
    payload, other = coder.encode(planes), coder.encode(planes[:, ::-1].copy())
    rng = np.random.default_rng(5)
    for _ in range(MUTATIONS // 2):
        try:
            got = coder.decode(mutated(payload, other, rng), planes.shape)
        except BitstreamError:
            continue
        assert got.shape == planes.shape
        assert int(got.max()) < 16


def test_declared_sizes_are_checked_before_allocation() -> None:
    """Five bytes of size must not cost gigabytes."""
    coder = ENTROPY_CODERS.make("range", {}).open(4, 1, b"")
    layout = StreamLayout((TensorLayout((None, None), 4, coder, channel_axis=9),))
    data = write_packet(layout, [np.zeros((2, 2), np.uint8)])
    header, payload = data[:7], data[9:]
    huge = header + b"\xff\xff\xff\x0f\x01" + payload
    with pytest.raises(BitstreamError, match=r"Size of axis 0 of tensor 0 at offset 7 is 33554431, must be 1..1000000"):
        read_packet(layout, huge, max_elements=1_000_000)
    product = header + b"\x80\x80\x10\x40" + payload
    with pytest.raises(BitstreamError, match=r"Shape of tensor 0 .* has 16777216 elements, at most 1000000"):
        read_packet(layout, product, max_elements=1_000_000)


def test_header_alone_survives_noise() -> None:
    rng = np.random.default_rng(8)
    for size in range(200):
        noise = b"\x9d\x31" + rng.integers(0, 256, size, np.uint8).tobytes()
        try:
            read_header(noise)
        except BitstreamError as error:
            refused(error)
