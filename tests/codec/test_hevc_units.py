"""What x265 was really told: read back from the sequence parameter set that it wrote (ITU-T H.265, 7.3.2.2)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("av", reason="needs splitc[video]")

from splitc.codec.pictures.codecs import HEVC
from splitc.codec.pictures.frames import encode_frames

SPS = 33


class Bits:
    """Fields of a unit, most significant bit first; emulation prevention is taken out."""

    def __init__(self, unit: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in unit.replace(b"\0\0\3", b"\0\0"))
        self._at = 0

    def u(self, count: int) -> int:
        self._at += count
        return int(self._bits[self._at - count : self._at], 2)

    def ue(self) -> int:
        zeros = self._bits.index("1", self._at) - self._at
        self._at += zeros
        return self.u(zeros + 1) - 1


def sequence(parameter_sets: bytes) -> dict[str, int]:
    (unit,) = [unit for unit in parameter_sets.split(b"\0\0\1") if unit and unit[0] >> 1 & 63 == SPS]
    bits = Bits(unit)
    bits.u(16 + 4)
    assert bits.u(3) == 0  # sublayers
    bits.u(1 + 96)  # profile, tier and level
    bits.ue()
    found = {"chroma": bits.ue(), "width": bits.ue(), "height": bits.ue()}
    if bits.u(1):
        _window = [bits.ue() for _ in range(4)]
    found["depth"] = 8 + bits.ue()
    bits.ue()
    bits.ue()
    assert bits.u(1) == 1
    _buffers = [bits.ue() for _ in range(3)]
    least = 3 + bits.ue()
    return found | {"least_block": 1 << least, "tree": 1 << (least + bits.ue())}


@pytest.mark.parametrize(("bits", "depth"), [(8, 8), (10, 10), (12, 12)])
def test_ri8_trees_of_16_and_pictures_without_colour(bits: int, depth: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 2**bits, (2, 52, 60)).astype(np.uint8 if bits <= 8 else np.uint16)
    coded = encode_frames(HEVC, pictures, bits)
    said = sequence(coded.parameter_sets)
    assert said["tree"] == 16
    assert said["least_block"] == 8
    assert (said["chroma"], said["depth"]) == (0, depth)
    assert said["width"] >= 60
    assert said["height"] >= 52
