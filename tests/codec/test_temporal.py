"""Temporal predictors: IFMDC's equations, the fold of differences, the dead zone, and what every entry owes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import temporal as reference

import splitc.codec
from splitc.codec import TEMPORALS, Codec, CodecSpec, FittedTensor
from splitc.codec.bitstream import write_packet
from splitc.codec.packet_header import read_header
from splitc.codec.temporal.difference import Difference
from splitc.codec.temporal.dpcm import Dpcm
from splitc.codec.temporal.ifmdc import Ifmdc
from splitc.errors import BitstreamError, CodecError, UsageError
from splitc.types import F32, Symbols, TensorSpec

FORMAT = Path(splitc.codec.__file__).parent / "FORMAT.md"
SPECS = {
    "none": CodecSpec(),
    "difference": CodecSpec(temporal="difference"),
    "dpcm": CodecSpec(temporal="dpcm"),
    "motion": CodecSpec(temporal="motion"),
    "ifmdc": CodecSpec(temporal="ifmdc", quantizer="clipped", levels=15, reconstruction="midpoint"),
}
"""A spec that each predictor takes."""


def clip(frames: int = 40, shape: tuple[int, ...] = (3, 5, 4), seed: int = 0) -> F32:
    """Features of a slowly changing scene with noise, ``[frames, C, H, W]``."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(0.05 * rng.standard_normal((frames, *shape)), axis=0) + rng.standard_normal(shape)
    return (walk + 0.02 * rng.standard_normal(walk.shape)).astype(np.float32)


def fitted(spec: CodecSpec, x: F32 | None = None) -> FittedTensor:
    """The codec of ``spec``, entropy coder left out."""
    values = clip() if x is None else x
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", *values.shape[1:]))
    return Codec.fit(spec.model_copy(update={"entropy": "range"}), [tensor], [values]).tensors[0]


def ifmdc(levels: int, mode: str = "corrected") -> tuple[Ifmdc, FittedTensor]:
    """Clip range [0, 1], so A = 1 and the key-frame step is ``1 / (levels - 1)``."""
    spec = CodecSpec(
        temporal="ifmdc",
        quantizer="clipped",
        levels=levels,
        bits=8,
        percentile=100,
        scope="tensor",
        reconstruction="midpoint",
        ifmdc_mode=mode,
    )
    predictor = spec.make_temporal()
    assert type(predictor) is Ifmdc
    return predictor, fitted(spec, np.linspace(0, 1, 64, dtype=np.float32).reshape(4, 1, 16))


# -- IFMDC ---------------------------------------------------------------------------------------------------------


def test_ri1_ri3_features_are_clipped_to_the_calibrated_range() -> None:
    spec = CodecSpec(quantizer="clipped", bits=8, percentile=90, scope="tensor", reconstruction="midpoint")
    x = np.linspace(-1, 1, 1001, dtype=np.float32).reshape(1, 1, -1)
    tensor = fitted(spec, x)
    lo, hi = np.percentile(x, [10, 90])
    ends = tensor.quantizer.dequantize(np.array([[[0, tensor.count - 1]]], np.uint8), tensor.params)
    np.testing.assert_allclose(ends.ravel(), [lo, hi], atol=1e-6)  # float32 of the percentiles
    assert tensor.quantize(np.float32([[[-9, 9]]])).ravel().tolist() == [0, 254]


def test_ri4_residual_levels_are_the_papers() -> None:
    """k = 5, A = 1: one step is A / (k - 1) = 0.25."""
    predictor, _ = ifmdc(5)
    residual = np.array([-1, -0.5, 0, 0.5, 1]) / 0.25
    assert predictor.residual_levels(residual, 5).tolist() == [0, 1, 2, 3, 4]
    dequantized = 2 * predictor.residual_levels(residual, 5) / 4 - 1
    np.testing.assert_array_equal(dequantized, residual * 0.25)


@given(st.integers(1, 60).map(lambda half: 2 * half + 1), st.floats(-1, 1))
def test_ri4_error_is_at_most_half_a_residual_step(levels: int, residual: float) -> None:
    got = ifmdc(5)[0].residual_levels(np.array([residual * (levels - 1)]), levels)
    assert abs(2 * got[0] / (levels - 1) - 1 - residual) <= 1 / (levels - 1) + 1e-12


def test_ri4_printed_and_corrected_differ_only_at_ties_of_an_even_k() -> None:
    corrected, printed = ifmdc(5)[0], ifmdc(4, "printed")[0]
    steps = np.linspace(-4, 4, 1601)
    assert np.array_equal(corrected.residual_levels(steps, 5), printed.residual_levels(steps, 5))
    steps = np.linspace(-3, 3, 601)
    differ = corrected.residual_levels(steps, 4) != printed.residual_levels(steps, 4)
    assert differ.any()
    assert set(np.round((steps[differ] + 3) / 2 % 1, 9)) == {0.5}


def test_ri4_an_even_number_of_levels_is_refused() -> None:
    with pytest.raises(UsageError, match="needs an odd number of levels, got 8: an even one has none at zero"):
        ifmdc(8)
    assert ifmdc(8, "printed")


def test_ri4_a_static_scene_comes_to_rest() -> None:
    predictor, tensor = ifmdc(7)
    x = np.full((1, 1, 16), 0.4, np.float32)
    state = tensor.quantize(x)
    for _ in range(3):
        state = predictor.choose(x, state, tensor)
    assert not predictor.residual(predictor.choose(x, state, tensor), state, 7).any()


def test_ri5_key_frames_have_half_the_residual_step() -> None:
    _, tensor = ifmdc(5)
    x = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 1, 16)
    assert np.array_equal(tensor.quantize(x), np.rint(x * 4).astype(np.uint8))
    restored = tensor.quantizer.dequantize(tensor.quantize(x), tensor.params)
    assert np.abs(restored - x).max() <= 0.125 + 1e-6  # A / (k - 1) / 2, and float32


@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_ri2_the_loop_is_closed(half: int, seed: int) -> None:
    """Residual against the reconstruction: the error never grows past half a residual step."""
    levels = 2 * half + 1
    predictor, tensor = ifmdc(levels)
    rng = np.random.default_rng(seed)
    state = tensor.quantize(rng.random((1, 1, 16), np.float32))
    for _ in range(20):
        x = rng.random((1, 1, 16), np.float32)
        following = predictor.choose(x, state, tensor)
        residual = predictor.residual(following, state, levels)
        assert np.array_equal(predictor.restore(residual, state, levels), following)
        assert int(residual.max()) < levels
        state = following
        assert np.abs(tensor.quantizer.dequantize(state, tensor.params) - x).max() <= 1 / (levels - 1) + 1e-6


def test_ifmdc_refuses_symbols_of_another_chooser() -> None:
    predictor, tensor = ifmdc(7)
    previous = np.full((1, 1, 16), 2, np.uint8)
    with pytest.raises(CodecError, match="not whole residual levels away"):
        predictor.residual(previous + 1, previous, tensor.count)


# -- difference and dpcm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 8, 15, 16, 255, 256, 1000])
def test_fold_is_a_permutation_that_grows_with_distance(count: int) -> None:
    every = np.arange(count, dtype=np.uint8 if count <= 256 else np.uint16)
    for previous in {0, 1, count // 2, count - 2, count - 1}:
        before = np.full_like(every, previous)
        folded = Difference().residual(every, before, count)
        assert folded.dtype == every.dtype
        assert np.array_equal(Difference().restore(folded, before, count), every)
        assert [reference.restore(1, previous, int(r), count) for r in folded] == every.tolist()
        assert sorted(folded.tolist()) == every.tolist()
        assert folded[previous] == 0
        assert (np.diff(np.abs(every.astype(int) - previous)[np.argsort(folded)]) >= 0).all()


def test_fold_of_the_docstring() -> None:
    symbols = np.arange(8, dtype=np.uint8)
    assert Difference().residual(symbols, np.full_like(symbols, 2), 8).tolist() == [4, 2, 0, 1, 3, 5, 6, 7]


def test_dpcm_with_rounding_one_half_is_difference() -> None:
    tensor, x = fitted(CodecSpec()), clip(2, seed=3)
    previous = tensor.quantize(x[:1])
    assert np.array_equal(Dpcm(temporal_rounding=0.5).choose(x[1:], previous, tensor), tensor.quantize(x[1:]))


def test_dpcm_keeps_what_moved_less_than_its_dead_zone() -> None:
    tensor = fitted(CodecSpec(quantizer="clipped", levels=11, percentile=100, scope="tensor"), np.float32([[[0, 10]]]))
    previous = np.full((1, 1, 6), 5, np.uint8)
    x = np.float32([[[4.45, 5.55, 5.65, 6.55, 6.65, 99]]])
    assert Dpcm().choose(x, previous, tensor).ravel().tolist() == [5, 5, 6, 6, 7, 10]


@pytest.mark.parametrize("rounding", [0.3, 0.4])
def test_dpcm_error_stays_below_the_dead_zone(rounding: float) -> None:
    spec = CodecSpec(quantizer="clipped", bits=6, percentile=100, scope="tensor", reconstruction="midpoint")
    x = clip(30)
    tensor, predictor = fitted(spec, x), Dpcm(temporal_rounding=rounding)
    state, step = tensor.quantize(x[:1]), float(1 / tensor.params.scale[0])
    for frame in x[1:]:
        state = predictor.choose(frame[None], state, tensor)
        restored = tensor.quantizer.dequantize(state, tensor.params)
        assert np.abs(restored - frame).max() <= (1 - rounding) * step * 1.0001  # float32


@pytest.mark.parametrize("temporal", ["dpcm", "ifmdc"])
def test_uneven_levels_are_refused(temporal: str) -> None:
    with pytest.raises(UsageError, match=f"temporal '{temporal}' needs even levels .* quantizer 'log' has not"):
        CodecSpec(quantizer="log", temporal=temporal).make_temporal()


# -- the registry --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(TEMPORALS))
def test_every_entry_keeps_the_registrys_promises(name: str) -> None:
    cls = TEMPORALS.load(name)
    assert cls.name == name
    assert f"| {cls.wire_id} | `{name}` |" in FORMAT.read_text("utf-8"), "FORMAT.md lists every predictor's wire id"
    assert SPECS[name].make_temporal().period == (1 if name == "none" else 15)


def test_wire_ids_are_unique() -> None:
    ids = [TEMPORALS.load(name).wire_id for name in TEMPORALS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", [name for name in TEMPORALS if name != "none"])
@pytest.mark.parametrize("bits", [1, 4, 8, 11])
def test_every_prediction_inverts(name: str, bits: int) -> None:
    levels = {"levels": (1 << bits) - 1 if bits > 1 else None, "ifmdc_mode": "printed"} if name == "ifmdc" else {}
    spec = SPECS[name].model_copy(update={"bits": bits} | levels)
    predictor, tensor, x = spec.make_temporal(), fitted(spec), clip(2, seed=9)
    previous = tensor.quantize(x[:1])
    symbols = predictor.choose(x[1:], previous, tensor)
    residual = predictor.residual(symbols, previous, tensor.count)
    assert residual.dtype == symbols.dtype == previous.dtype
    assert int(residual.max()) < tensor.count
    assert np.array_equal(predictor.restore(residual, previous, tensor.count), symbols)
    assert not predictor.residual(previous, previous, tensor.count).any() or tensor.count % 2 == 0


@pytest.mark.parametrize("name", [name for name in TEMPORALS if name != "none"])
def test_nan_is_refused(name: str) -> None:
    tensor = fitted(SPECS[name])
    x = np.full((1, 3, 5, 4), np.nan, np.float32)
    with pytest.raises(CodecError, match="holds NaN"):
        SPECS[name].make_temporal().choose(x, tensor.quantize(clip(1)), tensor)


def test_difference_of_wide_symbols() -> None:
    rng = np.random.default_rng(1)
    symbols, previous = (rng.integers(0, 4096, (50, 3)).astype(np.uint16) for _ in range(2))
    residual: Symbols = Difference().residual(symbols, previous, 4096)
    assert np.array_equal(Difference().restore(residual, previous, 4096), symbols)


def test_symbols_outside_an_alphabet_that_does_not_fill_its_bits_are_refused() -> None:
    """What a decoder looks up must exist: 15 levels have no level 15."""
    x = clip()
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", 3, 5, 4))
    codec = Codec.fit(CodecSpec(quantizer="clipped", entropy="range"), [tensor], [x])
    quantized = codec.quantize([x[:1]])
    outside = np.full((1, 3, 5, 4), 15, np.uint8)
    with pytest.raises(CodecError, match=r"symbol 15 is outside the quantizer's 0\.\.14"):
        codec.encode_symbols(quantized._replace(symbols=(outside,)))
    packet = write_packet(codec.layout, [outside], quantized.side)
    with pytest.raises(BitstreamError, match=r"symbol 15 is outside the quantizer's 0\.\.14"):
        codec.decode(packet)


@pytest.mark.parametrize("temporal", ["ifmdc", "dpcm"])
def test_ri5_a_keyframe_at_a_scene_change_is_quantized_by_itself(temporal: str) -> None:
    """Key frames have the key-frame quantizer's error, wherever they fall."""
    rng = np.random.default_rng(4)
    one, two = (rng.standard_normal((1, 3, 12, 12)).astype(np.float32) for _ in range(2))
    frames = [one] * 5 + [two] * 3
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", 3, 12, 12))
    spec = CodecSpec(quantizer="clipped", levels=15, temporal=temporal, gop=50, reconstruction="midpoint")
    codec = Codec.fit(spec, [tensor], [np.concatenate(frames)])
    stream, receiver = codec.encoder(), codec.decoder()
    for index, frame in enumerate(frames):
        packet = stream.encode([frame])
        decoded = receiver.decode_symbols(packet)
        assert np.array_equal(decoded.symbols[0], stream.sent.symbols[0])
        if index == 5:
            assert read_header(packet).is_keyframe
            assert np.array_equal(decoded.symbols[0], codec.quantize([frame]).symbols[0])
