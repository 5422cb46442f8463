"""What the mixing coder promises beyond what all coders do: channels that tell of each other, and tables checked."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from splitc.codec.entropy import ChunkCoder
from splitc.codec.entropy.mix import Mix
from splitc.codec.entropy.rans import Rans
from splitc.errors import BitstreamError, CodecError
from splitc.native import _core
from splitc.types import F32, Symbols


def like_others(count: int, planes: int = 12, side: int = 16) -> list[Symbols]:
    """Smooth 6-bit planes; each is the one before it, moved by little, and some noise."""
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((count, planes, side + 1, side + 1))
    smooth = noise[..., 1:, 1:] + noise[..., :-1, 1:] + noise[..., 1:, :-1]
    mixed: F32 = smooth.copy()
    for plane in range(1, planes):
        mixed[:, plane] = 0.9 * mixed[:, plane - 1] + 0.4 * smooth[:, plane]
    return list(np.clip(np.rint(32 + 3 * mixed), 0, 63).astype(np.uint8))


def opened(samples: list[Symbols], references: int = 24) -> ChunkCoder:
    mix = Mix(references=references)
    return mix.open(6, len(samples[0]), mix.fit(samples, 6))


def test_channels_that_tell_of_each_other_take_fewer_bytes() -> None:
    """On symbols not trained on; a plane explains most of the next one's variance, which is worth over half a bit."""
    samples = like_others(9)
    rans = Rans()
    static = len(rans.open(6, 12, rans.fit(samples[1:], 6)).encode(samples[0]))
    alone, together = (len(opened(samples[1:], references).encode(samples[0])) for references in (0, 24))
    assert alone < static
    assert together < alone - 0.5 * samples[0].size / 8


def test_training_is_deterministic() -> None:
    samples = like_others(4)
    assert Mix().fit(samples, 6) == Mix().fit(samples, 6)


def test_samples_of_other_sizes_are_learnt_from_too() -> None:
    samples = [*like_others(3), *like_others(2, side=9)]
    prepared = opened(samples)
    for x in samples:
        assert np.array_equal(prepared.decode(prepared.encode(x), x.shape), x)


def test_a_chunk_may_begin_within_a_sample() -> None:
    """References before its first plane are left out; those of the next sample are its own."""
    x = np.concatenate(like_others(3))
    prepared = opened(like_others(4))
    for first, count in ((0, 36), (5, 20), (11, 2), (35, 1)):
        part = x[first : first + count]
        assert np.array_equal(prepared.decode(prepared.encode(part, first), part.shape, first), part)


def test_a_previous_frame_tells_of_the_next() -> None:
    """Residual symbols that go on as they were."""
    frames = [np.minimum(frame, 40) for frame in like_others(6)]
    rng = np.random.default_rng(0)
    nearly = [np.where(rng.random(f.shape) < 0.1, 3, f).astype(np.uint8) for f in frames]
    mix = Mix()
    prepared = mix.open(6, 12, mix.fit_predicted(frames[1:], nearly[1:], 6))
    after = mix.following(prepared, nearly[0])
    payload = after.encode(frames[0])
    assert np.array_equal(after.decode(payload, frames[0].shape), frames[0])
    assert len(payload) < 0.7 * len(prepared.encode(frames[0]))
    with pytest.raises(CodecError, match="the previous frame's chunk has another shape"):
        mix.following(prepared, nearly[0][:5].copy()).encode(frames[0])
    with pytest.raises(BitstreamError, match="the packet's sizes are not those of the frame"):
        mix.following(prepared, nearly[0][:5].copy()).decode(payload, frames[0].shape)


def test_frames_that_do_not_belong_to_the_samples_are_refused() -> None:
    samples = like_others(3)
    with pytest.raises(CodecError, match="mix: the frames before the samples differ from them in number or shape"):
        Mix().fit_predicted(samples, samples[1:], 6)


def damaged(at: int, field: bytes) -> bytes:
    """Tables of one channel with other bytes at an offset, and the checksum of those."""
    tables = Mix(references=2).fit([sample[:1] for sample in like_others(2)], 6)
    body = tables[:at] + field + tables[at + len(field) : -4]
    return body + struct.pack("<I", _core.crc32c(body))


@pytest.mark.parametrize(
    ("at", "field", "message"),
    [
        pytest.param(0, b"SRNS", "Magic at offset 0 is not 'SMIX'", id="magic"),
        pytest.param(4, b"\2", r"Version at offset 4 is 2, must be 1\.\.1", id="version"),
        pytest.param(5, b"\x11", r"Bits at offset 5 is 17, must be 1\.\.16", id="bits"),
        pytest.param(6, b"\2", r"Is_Residual at offset 6 is 2, must be 0\.\.1", id="kind"),
        pytest.param(6, b"\1", r"Centre at offset 10 is \d+, must be 0\.\.0", id="centre of residuals"),
        pytest.param(7, b"\x21", r"Reference_Count at offset 7 is 33, must be 0\.\.32", id="most references"),
        pytest.param(8, b"\0\0", r"Channel_Count at offset 8 is 0, must be 1\.\.65535", id="channels"),
        pytest.param(10, b"\x40\0", r"Centre at offset 10 is 64, must be 0\.\.63", id="centre"),
        pytest.param(14, b"\3", r"References at offset 14 is 3, must be 0\.\.2", id="references"),
        pytest.param(14, b"\1\1\0", r"Reference at offset 15 is 1, must be 0\.\.0", id="a later channel"),
        pytest.param(27, b"\x21", "Node_Counts at offset 27 has a row of more than 32 nodes", id="nodes"),
    ],
)
def test_damaged_tables_are_refused(at: int, field: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=f"mix tables: {message}"):
        Mix().open(6, 1, damaged(at, field))


def test_weights_that_could_overflow_are_refused() -> None:
    body = b"SMIX" + struct.pack("<BBBBH", 1, 6, 0, 32, 1) + struct.pack("<HHB", 0, 0, 32)
    body += bytes(64) + struct.pack("<166h", *[32767] * 166) + bytes(3585)
    with pytest.raises(CodecError, match=r"Weight .* and the channel's others are 5439322 together, must be at most"):
        Mix().open(6, 1, body + struct.pack("<I", _core.crc32c(body)))


def test_rows_are_stored_without_the_zeros_at_their_ends() -> None:
    body = b"SMIX" + struct.pack("<BBBBH", 1, 6, 0, 0, 1) + bytes(5) + bytes(12) + b"\2" + bytes(3584)
    for logits, message in (
        (b"\1\0\0\0", "is 0 at the end of its row"),
        (b"\0\0\0\x10", r"is 4096, must be -4095\.\.4095"),
    ):
        with pytest.raises(CodecError, match=f"mix tables: Logit at offset 3614 {message}"):
            Mix().open(6, 1, body + logits + struct.pack("<I", _core.crc32c(body + logits)))


def test_truncated_tables_are_refused() -> None:
    tables = Mix().fit(like_others(2), 6)
    for size in (*range(0, 200, 7), *range(200, len(tables), 1009)):
        with pytest.raises(CodecError, match=r"mix tables: .*(truncated|Checksum|does not match)"):
            Mix().open(6, 12, tables[:size])


def test_tables_of_another_tensor_are_refused() -> None:
    with pytest.raises(CodecError, match=r"mix: tables are for 6 bits and 12 channels, the tensor has 5 bits and 12"):
        Mix().open(5, 12, Mix().fit(like_others(2), 6))


def test_too_many_channels_are_refused() -> None:
    assert "has tables for at most 65,535" in str(Mix().refusal(("N", 70_000, 1)))
    with pytest.raises(CodecError, match="mix: 70000 channels, at most 65535 have tables"):
        Mix().fit([np.zeros((70_000, 1, 1), np.uint8)], 6)


def test_symbols_beyond_the_alphabet_are_refused() -> None:
    """An empty payload goes on with zeros: every decision is a one, beyond every bucket."""
    prepared = opened(like_others(2))
    with pytest.raises(BitstreamError, match=r"mix: symbol -6\d+ does not fit 6 bits"):
        prepared.decode(b"", (12, 1, 1))
