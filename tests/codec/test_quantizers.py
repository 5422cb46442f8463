"""What every quantizer owes: the registry's promises, refusals, packets and contracts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quantizer_cases import EVERY, TENSOR, f32, features, is_allowed, round_trip

from splitc.codec import QUANTIZERS, Codec, CodecSpec
from splitc.codec.quantizers.log import Log
from splitc.errors import BitstreamError, CodecError, UsageError

FORMAT = Path(__file__).parents[2] / "splitc" / "codec" / "FORMAT.md"


HARD = [
    np.zeros((2, 3, 2, 2), np.float32),
    np.full((2, 3, 2, 2), 7.5, np.float32),
    np.full((2, 3, 2, 2), -1e30, np.float32),
    features(2, (1, 1)),
    features(3, (4,)),
    features(4, (3, 2, 2, 2, 2)),
    features(5) * np.float32(1e-38),
    features(6) * np.float32(1e30),
    features(7) + np.float32(1e6),
]
"""All zero, constant, one value, rank 1, rank 5, tiny, huge, far from zero."""


@pytest.mark.parametrize(("name", "asked"), EVERY)
def test_edge_features_stay_finite_and_in_range(name: str, asked: dict[str, object]) -> None:
    quantizer = QUANTIZERS.make(name, asked)
    for x in HARD:
        params = quantizer.fit(x)
        quantizer.check(params)
        symbols, back = round_trip(quantizer, params, x)
        assert symbols.dtype == (np.uint8 if params.bits <= 8 else np.uint16)
        assert (symbols.shape, back.shape, back.dtype) == (x.shape, x.shape, np.float32)
        assert int(symbols.max()) < params.count
        assert params.bits <= quantizer.bits
        assert np.isfinite(back).all()


@pytest.mark.parametrize("name", [*QUANTIZERS])
def test_a_constant_feature_comes_back(name: str) -> None:
    """Calibrated quantizers keep a constant through centroids."""
    x = np.full((4, 3, 2, 2), 7.5, np.float32)
    quantizer = QUANTIZERS.make(name, {})
    np.testing.assert_array_equal(round_trip(quantizer, quantizer.fit(x), x)[1], x)


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_values_beyond_calibration_clip(name: str) -> None:
    quantizer = QUANTIZERS.make(name, {"scope": "tensor"})
    params = quantizer.fit(f32(0, 1, 2, 3))
    top = params.count - 1
    assert quantizer.quantize(f32(-1e9, -np.inf, 1e9, np.inf), params)[0].tolist() == [0, 0, top, top]


@pytest.mark.parametrize("bits", [1, 8, 16])
@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_nan_and_foreign_channels_are_refused(name: str, bits: int) -> None:
    if not is_allowed(name, {"bits": bits}):
        pytest.skip(f"{name} has no {bits} bits")
    quantizer = QUANTIZERS.make(name, {"bits": bits, "scope": "channel"})
    params = quantizer.fit(features(6))
    with pytest.raises(CodecError, match="feature holds NaN, which has no symbol"):
        quantizer.quantize(np.full((1, 5, 4, 3), np.nan, np.float32), params)
    with pytest.raises(CodecError, match="fitted on 5 channels"):
        quantizer.quantize(features(7, (1, 6, 4, 3)), params)
    with pytest.raises(CodecError, match="fitted on 5 channels"):
        quantizer.dequantize(quantizer.quantize(features(7), params)[:, :4], params)
    with pytest.raises(CodecError, match="calibration features hold infinities"):
        quantizer.fit(np.full((1, 5, 1, 1), np.inf, np.float32))
    with pytest.raises(CodecError, match="no calibration features"):
        quantizer.fit(np.empty((0, 5, 4, 3), np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_without_a_range_is_refused(bad: float) -> None:
    quantizer = Log(scope="sample")
    with pytest.raises(CodecError, match="feature holds NaN or infinities, or a range beyond float32"):
        quantizer.side(f32(0, 1, bad))
    with pytest.raises(CodecError, match="range beyond float32"):
        quantizer.side(f32(-3e38, 3e38))


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_every_entry_keeps_the_registrys_promises(name: str) -> None:
    cls = QUANTIZERS.load(name)
    assert cls.name == name
    assert f"| {cls.wire_id} | `{name}` |" in FORMAT.read_text("utf-8"), "FORMAT.md lists every quantizer's wire id"


def test_wire_ids_are_unique() -> None:
    ids = [QUANTIZERS.load(name).wire_id for name in QUANTIZERS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("log", {"bits": 17}, "quantizer 'log': bits: Input should be less than or equal to 16"),
        ("binary", {"bits": 2}, "quantizer 'binary': bits: Input should be less than or equal to 1"),
        ("lloyd_max", {"bits": 9}, "quantizer 'lloyd_max': bits: Input should be less than or equal to 8"),
        ("uniform", {"scope": "sample"}, "quantizer 'uniform': scope: Input should be 'tensor' or 'channel'"),
        ("log", {"scope": "sample", "maximum": 3.0}, "takes each sample's own maximum; leave maximum out"),
        ("log", {"scope": "sample", "reconstruction": "centroid"}, 'reconstruction must be "midpoint"'),
        ("step", {"step": 0.0}, "quantizer 'step': step: Input should be greater than or equal to 0.0009765625"),
    ],
)
def test_options_out_of_range_are_refused(name: str, asked: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        QUANTIZERS.make(name, asked)
    assert message in str(caught.value)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown quantizer 'unifrom'. Did you mean 'uniform'\? Known: binary, "):
        QUANTIZERS.load("unifrom")


# -- specs and packets ---------------------------------------------------------------------------------------------


def test_a_spec_resolves_to_its_components_defaults() -> None:
    spec = CodecSpec(quantizer="step", entropy="range").resolved()
    assert (spec.bits, spec.scope, spec.step, spec.reconstruction) == (8, "tensor", 0.5, "midpoint")
    assert (spec.clip, spec.maximum) == (None, None)
    assert spec.resolved() == spec
    spec = CodecSpec(quantizer="uniform", clip="percentile").resolved()
    assert (spec.bits, spec.percentile) == (4, 99.9)


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ({"quantizer": "log", "clip": "kl"}, "clip"),
        ({"quantizer": "uniform", "maximum": 3.0}, "maximum"),
        ({"quantizer": "binary", "reconstruction": "centroid"}, "reconstruction"),
    ],
)
def test_an_option_that_no_component_has_is_refused(spec: dict[str, object], key: str) -> None:
    with pytest.raises(UsageError) as caught:
        CodecSpec(**spec)
    assert str(caught.value) == (
        f"codec.{key}: neither quantizer {spec['quantizer']!r}, temporal 'none' nor entropy coder 'rans' has such an "
        "option; leave it out."
    )


@pytest.mark.parametrize(("name", "asked"), EVERY[:: max(1, len(EVERY) // 40)])
def test_packets_and_contracts_of_every_quantizer(name: str, asked: dict[str, object]) -> None:
    x = features(9, (8, 5, 4, 3))
    codec = Codec.fit(CodecSpec.model_validate({"quantizer": name, "entropy": "range", **asked}), [TENSOR], [x])
    other = Codec.from_json(codec.to_json())
    quantized = codec.quantize([x])
    packet = codec.encode_symbols(quantized)
    np.testing.assert_array_equal(other.decode(packet)[0], codec.dequantize(quantized)[0])
    assert other.encode([x]) == packet


def test_the_layouts_checksum_binds_the_quantizers_parameters() -> None:
    """A decoder with other levels refuses the packet instead of restoring other features."""
    x = features(9, (8, 5, 4, 3))
    codec = Codec.fit(CodecSpec(entropy="range"), [TENSOR], [x])
    other = Codec.fit(CodecSpec(entropy="range"), [TENSOR], [x * np.float32(1.01)])
    packet = codec.encode([x[:1]])
    np.testing.assert_array_equal(codec.decode_symbols(packet).symbols[0], codec.quantize([x[:1]]).symbols[0])
    with pytest.raises(BitstreamError):
        other.decode_symbols(packet)
