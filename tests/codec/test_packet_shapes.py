"""A packet's sizes, before anything of it is decoded."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.codec import Codec, CodecSpec
from splitc.errors import BitstreamError
from splitc.types import TensorSpec


@pytest.fixture(scope="module")
def codec() -> Codec:
    spec = TensorSpec(name="x", dtype="float32", shape=("N", 4, "H", 3))
    features = [np.random.default_rng(0).standard_normal((2, 4, 5, 3)).astype(np.float32)]
    return Codec.fit(CodecSpec(), [spec], [features])


@pytest.mark.parametrize("shape", [(1, 4, 1, 3), (7, 4, 5, 3), (300, 4, 9, 3)])
def test_shapes_are_those_of_the_symbols(codec: Codec, shape: tuple[int, ...]) -> None:
    packet = codec.encode([np.zeros(shape, np.float32)])
    assert codec.packet_shapes(packet) == [shape]
    assert codec.packet_shapes(packet[:12] + b"what follows is not read") == [shape]


def test_what_is_no_packet_of_this_codec_is_refused(codec: Codec) -> None:
    packet = codec.encode([np.zeros((2, 4, 5, 3), np.float32)])
    for bad in (b"", packet[:3], packet[:7], b"\0" + packet[1:], packet[:2] + b"abcd" + packet[6:]):
        with pytest.raises(BitstreamError):
            codec.packet_shapes(bad)


def test_more_elements_than_any_packet_may_have_are_refused(codec: Codec) -> None:
    packet = codec.encode([np.zeros((1, 4, 5, 3), np.float32)])
    head = packet[:7]
    for sizes in (b"\xff\xff\xff\x1f\x05", b"\xff\xff\xff\xff\xff\xff\xff\x7f\x05", b"\x00\x05"):
        with pytest.raises(BitstreamError, match=r"elements|Size of axis"):
            codec.packet_shapes(head + sizes)
