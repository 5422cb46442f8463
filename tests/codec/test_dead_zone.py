"""The adaptive dead zone of closed loops: against its definition, and what it saves."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.codec import Codec, CodecSpec
from splitc.errors import CodecError, UsageError
from splitc.native import _core
from splitc.types import F32, F64, Symbols, TensorSpec

SPEC = CodecSpec(temporal="dpcm", dead_zone="adaptive", step=0.5)


def around(changed: F64) -> F64:
    """Changed neighbours in the plane, of ``[C, H, W]``."""
    padded = np.pad(changed, [(0, 0), (1, 1), (1, 1)])
    height, width = changed.shape[1:]
    nine = sum(padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3))
    return np.asarray(nine - changed)


def defined(residual: F64, previous: Symbols, top: int) -> Symbols:
    """``_core.quantize_adaptive`` as its docstring says it, for one sample ``[C, H, W]``."""
    distance = np.abs(residual)
    changed = (distance > 0.6).astype(float)
    for _ in range(2):
        place, plane = changed.mean(0, keepdims=True), changed.mean((1, 2), keepdims=True)
        p = np.clip((around(changed) + 4 * place + 4 * plane + 0.02) / 16.5, 1e-4, 0.6)
        zone = np.clip(0.5 + 0.075 * (np.log2((1 - p) / p) + 1.5), 0.5, 3)
        changed = (distance > zone).astype(float)
    moved = np.where(changed > 0, np.rint(residual), 0)
    return np.asarray(np.clip(previous + moved, 0, top).astype(previous.dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 7), (5, 6, 9)])
def test_symbols_are_those_of_the_definition(shape: tuple[int, int, int], dtype: type) -> None:
    rng = np.random.default_rng(1)
    previous = rng.integers(3, 12, shape).astype(dtype)
    lo, scale = rng.normal(size=shape[0]).astype(np.float32), np.full(shape[0], 2, np.float32)
    residual = rng.laplace(scale=0.7, size=shape)
    x = ((previous + residual) / 2 + lo.reshape(-1, 1, 1)).astype(np.float32)
    found = _core.quantize_adaptive(
        x.reshape(shape[0], -1), previous.reshape(shape[0], -1), lo, scale, 15, shape[0], shape[2]
    )
    wanted = defined((x.astype(float) - lo.reshape(-1, 1, 1)) * 2 - previous, previous, 15)
    # zones come from a table of 4096 shares: a residual at the very edge of one may fall to the other side
    assert (found.reshape(shape) != wanted).mean() < 0.01


def test_samples_do_not_see_each_other() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6, 20)).astype(np.float32)
    previous = rng.integers(0, 4, (6, 20)).astype(np.uint8)
    one = np.ones(1, np.float32)
    both = _core.quantize_adaptive(x, previous, one, one, 7, 3, 5)
    apart = [_core.quantize_adaptive(x[i : i + 3], previous[i : i + 3], one, one, 7, 3, 5) for i in (0, 3)]
    np.testing.assert_array_equal(both, np.concatenate(apart))


@pytest.mark.parametrize(
    ("channels", "width", "rows", "words"),
    [(4, 5, 1, "must divide"), (3, 7, 1, "must divide"), (0, 5, 1, "must divide"), (3, 5, 2, "one a channel")],
)
def test_shapes_that_do_not_fit_are_refused(channels: int, width: int, rows: int, words: str) -> None:
    x, previous, one = np.zeros((6, 20), np.float32), np.zeros((6, 20), np.uint8), np.ones(rows, np.float32)
    with pytest.raises(CodecError, match=words):
        _core.quantize_adaptive(x, previous, one, one, 7, channels, width)
    with pytest.raises(CodecError, match="another shape"):
        _core.quantize_adaptive(x, previous[:3], np.ones(1, np.float32), np.ones(1, np.float32), 7, 3, 5)
    x[0, 0] = np.nan
    with pytest.raises(CodecError, match="NaN"):
        _core.quantize_adaptive(x, previous, np.ones(1, np.float32), np.ones(1, np.float32), 7, 3, 5)


def noisy_clip(shape: tuple[int, ...], frames: int = 16) -> F32:
    """A still scene with noise, and a square that wanders."""
    rng = np.random.default_rng(3)
    x = np.repeat(rng.normal(size=(1, *shape)) * 2, frames, 0) + rng.normal(size=(frames, *shape)) * 0.3
    if len(shape) == 3:
        for index in range(frames):
            x[index, :, 2:5, index % 8 : index % 8 + 3] += 3
    return x.astype(np.float32)


@pytest.mark.parametrize("shape", [(6,), (4, 12), (4, 12, 12), (2, 3, 6, 6)], ids=str)
def test_streams_of_every_rank_decode_to_what_was_sent(shape: tuple[int, ...]) -> None:
    x = noisy_clip(shape)
    codec = Codec.fit(SPEC, [TensorSpec(name="x", dtype="float32", shape=("N", *shape))], [x])
    encoder, decoder = codec.encoder(), codec.decoder()
    for i in range(len(x)):
        got = decoder.decode_symbols(encoder.encode([x[i : i + 1]]))
        np.testing.assert_array_equal(got.symbols[0], encoder.sent.symbols[0])
    assert encoder.state_digest == decoder.state_digest


def test_noise_is_coded_less_and_motion_as_well() -> None:
    x = noisy_clip((4, 12, 12), 32)
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", 4, 12, 12))
    sizes, errors = [], []
    for spec in (SPEC.replace(dead_zone=None), SPEC):
        codec = Codec.fit(spec, [tensor], [x])
        encoder, decoder = codec.encoder(), codec.decoder()
        packets = [encoder.encode([x[i : i + 1]]) for i in range(len(x))]
        restored = np.concatenate([decoder.decode(packet)[0] for packet in packets])
        sizes.append(sum(map(len, packets)))
        errors.append(float(np.abs(restored - x)[:, :, 2:5, 2:5].max()))
    assert sizes[1] < 0.9 * sizes[0]
    step = 0.5 * float(x.std())
    assert errors[1] <= 3.01 * step  # the widest zone there is


def test_a_fixed_zone_beside_an_adaptive_one_is_refused() -> None:
    with pytest.raises(UsageError, match="temporal_rounding goes with dead_zone"):
        CodecSpec(temporal="dpcm", dead_zone="adaptive", temporal_rounding=0.3)
    assert CodecSpec(temporal="dpcm", dead_zone="adaptive", temporal_rounding=0.4)  # as a lock spells it
