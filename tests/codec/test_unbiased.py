"""Reconstruction without mean errors: of keyframes, of predicted frames, and in contracts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from quantizer_cases import TENSOR, features

from splitc.codec import Codec, CodecSpec
from splitc.codec.quantizers import MeanError
from splitc.codec.quantizers.step import Step
from splitc.errors import BundleError, CodecError, UsageError
from splitc.native import _core
from splitc.types import F32

UNBIASED = CodecSpec(reconstruction="unbiased", step=1.5)


def one_sided(seed: int, frames: int = 40) -> F32:
    """What a leaky ReLU gives: most values near zero, the rest to one side, channels unlike."""
    x = features(seed, (frames, 5, 4, 3)) * np.float32([1, 2, 3, 4, 5]).reshape(1, 5, 1, 1)
    return np.where(x > 0, x, x / 10).astype(np.float32)


def errors_of(codec: Codec, x: F32) -> F32:
    """Of every channel, ``[C, values]``."""
    error = codec.dequantize(codec.quantize([x]))[0] - x
    return np.moveaxis(error, 1, 0).reshape(error.shape[1], -1)


@pytest.mark.parametrize("offset", [None, 0.5, 1.0])
@pytest.mark.parametrize("bits", [4, 8, 12])
@pytest.mark.parametrize("scope", ["tensor", "channel"])
def test_channels_keep_their_means(scope: str, bits: int, offset: float | None) -> None:
    x = one_sided(0, 400)
    plain = Codec.fit(CodecSpec(step=1.5, scope=scope, bits=bits), [TENSOR], [x])
    codec = Codec.fit(UNBIASED.replace(scope=scope, bits=bits, offset=offset), [TENSOR], [x])
    errors = errors_of(codec, x)
    standard_error = errors.std(1) / np.sqrt(errors.shape[1])
    assert (np.abs(errors.mean(1)) <= 1.001 * standard_error + 1e-5).all()  # float32 levels
    other = one_sided(1, 400)
    # 4,800 values a channel: the standard error of one with the deviation 5 is 0.03, mean errors are 0.1 to 0.5
    assert np.abs(errors_of(codec, other).mean(1)).mean() < 0.4 * np.abs(errors_of(plain, other).mean(1)).mean()


def test_it_costs_no_bit() -> None:
    x = one_sided(2)
    spec = CodecSpec(step=1.5)
    packets = [Codec.fit(each, [TENSOR], [x]).encode([x[:1]]) for each in (spec, UNBIASED)]
    assert len(packets[0]) == len(packets[1])


def test_half_the_way_to_the_mean_of_the_middle_bin_saves_squared_error() -> None:
    x = one_sided(3)
    errors = []
    for offset in (None, 0.5):
        codec = Codec.fit(UNBIASED.replace(offset=offset), [TENSOR], [x])
        errors.append(float(np.square(codec.dequantize(codec.quantize([x]))[0] - x).mean()))
    assert errors[1] < errors[0]


def test_a_constant_channel_is_itself() -> None:
    x = one_sided(4)
    x[:, 2] = 7.25
    codec = Codec.fit(UNBIASED, [TENSOR], [x])
    decoded = codec.dequantize(codec.quantize([x]))[0]
    np.testing.assert_allclose(decoded[:, 2], 7.25, rtol=1e-6)  # two float32 operations


def test_a_mean_of_a_few_values_is_taken_off_in_part() -> None:
    error = MeanError(1)
    error.add(np.float32([[3.0, -1.0]]), np.float32([[0.0, 0.0]]))
    assert error.corrected(np.zeros(1, np.float32)) == 0  # mean 1, standard error sqrt(2)
    sure = MeanError(1)
    sure.add(np.float32([[1.0, 1.0]]), np.float32([[0.0, 0.0]]))
    assert sure.corrected(np.zeros(1, np.float32)) == 1
    assert MeanError(1).corrected(np.float32([5.0])) == 5


def moving(seed: int, frames: int = 24) -> F32:
    """A clip whose values drift upwards inside their bins: a dead zone keeps them low."""
    start = one_sided(seed, 1)
    drift = np.linspace(0, 1, frames, dtype=np.float32).reshape(-1, 1, 1, 1) * np.float32(2.0)
    return np.asarray(start + drift, np.float32)


CLIP = UNBIASED.replace(temporal="dpcm", temporal_rounding=0.2, gop=8, step=1.0)


def decoded_clip(codec: Codec, x: F32) -> F32:
    encoder, decoder = codec.encoder(), codec.decoder()
    return np.concatenate([decoder.decode(encoder.encode([x[i : i + 1]]))[0] for i in range(len(x))])


def test_predicted_frames_have_a_mean_error_of_their_own() -> None:
    x = moving(5)
    codec = Codec.fit(CLIP, [TENSOR], [x])
    (tensor,) = codec.tensors
    assert tensor.predicted_params is not None
    assert (tensor.predicted_params.bias > tensor.params.bias).all()
    shared = replace(codec, tensors=(replace(tensor, predicted_params=None),))
    errors = [abs(float((decoded_clip(one, x) - x).mean())) for one in (codec, shared)]
    assert errors[0] < 0.5 * errors[1]


def test_both_ends_decode_a_predicted_frame_alike() -> None:
    x = moving(6)
    codec = Codec.from_json(Codec.fit(CLIP, [TENSOR], [x]).to_json())
    encoder, decoder = codec.encoder(), codec.decoder()
    for i in range(len(x)):
        packet = encoder.encode([x[i : i + 1]])
        got = decoder.decode_symbols(packet)
        assert got.is_predicted == encoder.sent.is_predicted
        np.testing.assert_array_equal(codec.dequantize(got)[0], codec.dequantize(encoder.sent)[0])
    assert encoder.sent.is_predicted


def test_open_loops_need_no_other_levels() -> None:
    codec = Codec.fit(UNBIASED.replace(temporal="difference"), [TENSOR], [one_sided(7)])
    assert codec.tensors[0].predicted_params is None


def test_coders_without_tables_have_other_levels_too() -> None:
    codec = Codec.fit(CLIP.replace(entropy="range"), [TENSOR], [moving(8)])
    assert codec.tensors[0].predicted_params is not None


@pytest.mark.parametrize("spec", [UNBIASED, CLIP], ids=["keyframes", "predicted"])
def test_contracts_hold_it(spec: CodecSpec) -> None:
    codec = Codec.fit(spec, [TENSOR], [moving(9)])
    again = Codec.from_json(codec.to_json())
    assert again == codec
    assert again.layout.digest == codec.layout.digest


HOSTILE: list[tuple[str, Any, str]] = [
    ("gain", {"shape": [5], "float32": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "gain: must be above 0"),
    ("gain", {"shape": [0], "float32": ""}, "gain: shape"),
    ("bias", {"shape": [1], "float32": "AADAfw=="}, "bias: shape"),
    ("bias", {"shape": [5], "float32": "AADAfwAAAAAAAAAAAAAAAAAAAAA="}, "bias: shape"),
    ("predicted_bias", {"shape": [1], "float32": "AAAAAA=="}, "bias: shape"),
    ("predicted_bias", None, "not well-formed"),
]


@pytest.mark.parametrize(("key", "value", "words"), HOSTILE)
def test_a_stranger_s_gains_are_checked(key: str, value: object, words: str) -> None:
    data = Codec.fit(CLIP, [TENSOR], [moving(10)]).to_json()
    data["tensors"][0]["quant_params"][key] = value
    with pytest.raises(BundleError, match=words):
        Codec.from_json(data)


def test_a_contract_without_gains_is_refused() -> None:
    data = Codec.fit(UNBIASED, [TENSOR], [one_sided(11)]).to_json()
    del data["tensors"][0]["quant_params"]["gain"]
    with pytest.raises(BundleError, match="gain"):
        Codec.from_json(data)


def test_levels_of_plain_steps_stay() -> None:
    with pytest.raises(UsageError, match="offset goes with reconstruction"):
        CodecSpec(offset=0.5, reconstruction="midpoint")
    assert CodecSpec(offset=0.5).resolved().reconstruction == "unbiased"
    with pytest.raises(UsageError, match="less than or equal to 1"):
        UNBIASED.replace(offset=2)


@pytest.mark.parametrize("bits", [8, 16])
def test_native_levels_are_two_float32_operations(bits: int) -> None:
    rng = np.random.default_rng(12)
    symbols = rng.integers(0, 1 << bits, (6, 37)).astype(np.uint8 if bits == 8 else np.uint16)
    gain, bias = rng.random(3).astype(np.float32), rng.normal(size=3).astype(np.float32)
    got = _core.restore_affine(symbols, gain, bias)
    rows = [2 * list(one) for one in (gain, bias)]
    want = symbols.astype(np.float32) * np.float32(rows[0])[:, None] + np.float32(rows[1])[:, None]
    np.testing.assert_array_equal(got, want)


def test_native_levels_refuse_channels_that_do_not_fit() -> None:
    symbols = np.zeros((4, 2), np.uint8)
    with pytest.raises(CodecError, match="gain and bias differ"):
        _core.restore_affine(symbols, np.ones(2, np.float32), np.ones(1, np.float32))
    with pytest.raises(CodecError):
        _core.restore_affine(symbols, np.ones(3, np.float32), np.ones(3, np.float32))


def test_given_steps_are_taken_channel_by_channel() -> None:
    x = one_sided(13)
    steps = np.array([0.5, 1.0, 1.5, 2.0, 2.5])
    quantizer = Step(reconstruction="unbiased", bits=12)
    params = quantizer.fit_steps(np.moveaxis(x, 1, 0).reshape(5, -1), steps)
    error = np.abs(quantizer.dequantize(quantizer.quantize(x, params), params) - x).max((0, 2, 3))
    assert (error <= 1.001 * steps).all()  # half a step, and at most another half of mean error
    np.testing.assert_allclose(params.gain, steps, rtol=1e-6)
