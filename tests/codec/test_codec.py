"""The fitted codec: features through bytes and back, the contract's JSON, and everything that is refused."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from splitc.codec import PROFILES, Codec, CodecSpec, Quantized, mean_packet_bytes
from splitc.errors import BitstreamError, BundleError, CodecError, UsageError
from splitc.types import TensorSpec

SHAPES = {
    "rank-1": (None,),
    "rank-2": (None, 6),
    "rank-3": (None, 5, 7),
    "rank-4": (None, 3, 4, 5),
    "rank-5": (None, 2, 3, 2, 3),
    "one-channel": (None, 1, 4, 4),
    "one-element": (None, 1),
    "batch-of-1": (1, 3, 4, 4),
    "dynamic-size": (None, 3, None, None),
}
SPECS = {
    "default": CodecSpec(),
    "uniform-1-tensor-zstd": CodecSpec(quantizer="uniform", bits=1, scope="tensor", entropy="zstd"),
    "uniform-8-midpoint": CodecSpec(quantizer="uniform", bits=8, reconstruction="midpoint"),
    "log-4-rans": CodecSpec(quantizer="log"),
    "log-8-tensor-range": CodecSpec(quantizer="log", bits=8, scope="tensor", entropy="range"),
    "uniform-12-zstd": CodecSpec(quantizer="uniform", bits=12, entropy="zstd"),
    "balanced": PROFILES["balanced"].without_tail(),
    "log-16-range": CodecSpec(quantizer="log", bits=16, entropy="range"),
}


def tensor(shape: tuple[int | None, ...], name: str = "feature") -> TensorSpec:
    sizes = tuple(f"D{axis}" if size is None else size for axis, size in enumerate(shape))
    return TensorSpec(name=name, dtype="float32", shape=sizes)


def features(shape: tuple[int | None, ...], count: int = 8, seed: int = 0) -> np.ndarray:
    """Like a feature: after ReLU, some channels larger than others; ``count`` samples where the batch is dynamic."""
    size = [count if axis == 0 else (4 if one is None else one) for axis, one in enumerate(shape)]
    values = np.random.default_rng(seed).standard_normal(size)
    if len(size) > 1:
        values *= np.arange(1, size[1] + 1).reshape(1, -1, *[1] * (len(size) - 2))
    return np.maximum(values, 0).astype(np.float32)


def nothing(symbols: np.ndarray) -> np.ndarray:
    """Side values of symbols that have none."""
    return np.empty((len(symbols), 0), np.float32)


def fit(spec: CodecSpec, *shapes: tuple[int | None, ...]) -> Codec:
    tensors = [tensor(shape, f"feature{index}") for index, shape in enumerate(shapes)]
    return Codec.fit(spec, tensors, [features(shape) for shape in shapes])


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_round_trip(shape: tuple[int | None, ...], spec: CodecSpec) -> None:
    codec = fit(spec, shape)
    for seed in (1, 2):
        sample = features(shape, 1, seed)
        symbols = codec.quantize([sample])
        packet = codec.encode([sample], sequence=seed)
        assert packet == codec.encode_symbols(symbols, sequence=seed)
        (decoded,), (side,), *_ = codec.decode_symbols(packet)
        assert (decoded.dtype, decoded.shape) == (np.uint8 if codec.spec.fits_graph else np.uint16, sample.shape)
        np.testing.assert_array_equal(decoded, symbols.symbols[0])
        np.testing.assert_array_equal(side, symbols.side[0], strict=True)
        (restored,) = codec.decode(packet)
        assert restored.dtype == np.float32
        np.testing.assert_array_equal(restored, codec.dequantize(symbols)[0])


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_json_round_trip(spec: CodecSpec) -> None:
    """Through real JSON text: equal bytes, equal symbols, equal reconstructions, and the same text again."""
    codec = fit(spec, (None, 3, 4, 5), (None, 6))
    text = json.dumps(codec.to_json(), allow_nan=False)
    again = Codec.from_json(json.loads(text))
    assert again.spec == codec.spec
    assert json.dumps(again.to_json()) == text
    samples = [features((None, 3, 4, 5), 1, 3), features((None, 6), 1, 4)]
    assert again.encode(samples) == codec.encode(samples)
    for ours, theirs in zip(codec.decode(again.encode(samples)), again.decode(codec.encode(samples)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    bits=st.integers(1, 8),
    quantizer=st.sampled_from(["uniform", "log"]),
    entropy=st.sampled_from(["rans", "range", "zstd"]),
    scale=st.sampled_from([1e-30, 1e-6, 1.0, 1e6, 1e30]),
    offset=st.sampled_from([0.0, -1.0, 100.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_feature_survives(
    sizes: list[int], bits: int, quantizer: str, entropy: str, scale: float, offset: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    calibration = ((random.standard_normal((4, *sizes)) + offset) * scale).astype(np.float32)
    codec = Codec.fit(
        CodecSpec(quantizer=quantizer, bits=bits, entropy=entropy), [tensor((None, *sizes))], [calibration]
    )
    sample = ((random.standard_normal((1, *sizes)) * 3 + offset) * scale).astype(np.float32)
    decoded = codec.decode_symbols(codec.encode([sample]))
    np.testing.assert_array_equal(decoded.symbols[0], codec.quantize([sample]).symbols[0])
    restored = codec.dequantize(decoded)[0]
    assert np.isfinite(restored).all()


def test_more_bits_restore_more() -> None:
    sample = features((None, 3, 8, 8), 1, 9)
    errors = []
    for bits in (1, 2, 4, 6, 8):
        codec = fit(CodecSpec(quantizer="uniform", bits=bits), (None, 3, 8, 8))
        errors.append(float(np.mean(np.square(codec.decode(codec.encode([sample]))[0] - sample))))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 * errors[0]


@pytest.mark.parametrize("value", [0.0, -3.5, 1e30], ids=str)
@pytest.mark.parametrize("quantizer", ["uniform", "log"])
def test_constant_features(quantizer: str, value: float) -> None:
    constant = np.full((6, 2, 4), value, np.float32)
    codec = Codec.fit(CodecSpec(quantizer=quantizer), [tensor((None, 2, 4))], [constant])
    np.testing.assert_array_equal(codec.decode(codec.encode([constant[:1]]))[0], constant[:1])


def test_features_may_be_a_view_or_of_another_byte_order() -> None:
    codec = fit(CodecSpec(), (None, 3, 4, 4))
    sample = features((None, 3, 4, 4), 1, 5)
    packet = codec.encode([sample])
    assert codec.encode([np.asfortranarray(sample)]) == packet
    assert codec.encode([sample[:, :, ::-1][:, :, ::-1]]) == packet


def test_several_tensors_keep_their_order() -> None:
    shapes = [(None, 2, 3, 3), (None, 5), (None, 1, 4)]
    codec = fit(CodecSpec(bits=6), *shapes)
    samples = [features(shape, 1, 7) for shape in shapes]
    pairs = zip(codec.decode_symbols(codec.encode(samples)).symbols, codec.quantize(samples).symbols, strict=True)
    for decoded, symbols in pairs:
        np.testing.assert_array_equal(decoded, symbols)


@pytest.mark.parametrize("name", ["zstd", "range", "huffman"])
@pytest.mark.parametrize("profile", PROFILES)
def test_with_entropy_codes_the_same_symbols(profile: str, name: str) -> None:
    codec = fit(PROFILES[profile].without_tail(), (None, 3, 8, 8))
    other = codec.with_entropy(name)
    sample = features((None, 3, 8, 8), 1, 6)
    np.testing.assert_array_equal(other.quantize([sample]).symbols[0], codec.quantize([sample]).symbols[0])
    np.testing.assert_array_equal(other.decode(other.encode([sample]))[0], codec.decode(codec.encode([sample]))[0])
    assert (other.spec.entropy, codec.spec.entropy) == (name, PROFILES[profile].entropy)
    with pytest.raises(BitstreamError):
        codec.decode(other.encode([sample]))


def test_with_entropy_rans_sends_frequencies_in_each_packet() -> None:
    codec = fit(CodecSpec(entropy="zstd", temporal="difference"), (None, 3, 8, 8))
    other = codec.with_entropy("rans")
    stream, back = other.encoder(), other.decoder()
    for seed in range(3):
        sample = features((None, 3, 8, 8), 1, seed)
        decoded = back.decode_symbols(stream.encode([sample])).symbols[0]
        np.testing.assert_array_equal(decoded, codec.quantize([sample]).symbols[0])
    assert Codec.from_json(other.to_json()).encode([sample]) == other.encode([sample])


def test_with_entropy_refuses_what_needs_tables() -> None:
    pytest.importorskip("av")
    codec = fit(CodecSpec(entropy="zstd"), (None, 3, 8, 8))
    with pytest.raises(UsageError, match="entropy coder 'hevc' needs tables; fit a codec with it"):
        codec.with_entropy("hevc")
    with pytest.raises(UsageError, match="unknown entropy coder 'zsdt'"):
        codec.with_entropy("zsdt")


def test_mean_packet_bytes_is_that_of_real_packets() -> None:
    codec, samples = fit(CodecSpec(), (None, 3, 8, 8)), features((None, 3, 8, 8), 5, 8)
    sizes = [len(codec.encode([samples[i : i + 1]])) for i in range(5)]
    assert mean_packet_bytes(codec, [samples]) == sum(sizes) / 5


def with_tag(codec: Codec, tag: bytes) -> Codec:
    return Codec.from_json(codec.to_json(), pair_tag=tag)


def test_another_pair_s_packet_names_both_tags() -> None:
    codec = fit(CodecSpec(), (None, 3, 4, 4))
    sample = features((None, 3, 4, 4), 1)
    packet = with_tag(codec, bytes.fromhex("aabbccdd")).encode([sample])
    with pytest.raises(BitstreamError) as caught:
        with_tag(codec, bytes.fromhex("11223344")).decode(packet)
    assert "aabbccdd" in str(caught.value)
    assert "11223344" in str(caught.value)
    assert with_tag(codec, bytes.fromhex("aabbccdd")).decode(packet)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        pytest.param(np.full((1, 3, 4, 4), np.nan, "f4"), "feature holds NaN", id="nan"),
        pytest.param(np.zeros((0, 3, 4, 4), "f4"), r"shape \[0, 3, 4, 4\]", id="no-sample"),
    ],
)
def test_features_that_do_not_fit(sample: np.ndarray, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        fit(CodecSpec(quantizer="uniform"), (None, 3, 4, 4)).encode([sample])


@pytest.mark.parametrize("symbols", [[], [np.zeros((1, 3, 4, 4), "u1")] * 2], ids=["none", "two"])
def test_another_number_of_tensors_is_refused(symbols: list[np.ndarray]) -> None:
    with pytest.raises(CodecError, match=f"packet has {len(symbols)} tensors, the layout 1"):
        fit(CodecSpec(), (None, 3, 4, 4)).encode_symbols(Quantized(tuple(symbols), tuple(nothing(x) for x in symbols)))


def test_symbols_above_the_top_are_refused() -> None:
    symbols = np.full((1, 3, 4, 4), 16, "u1")
    with pytest.raises(CodecError, match="16"):
        fit(CodecSpec(quantizer="uniform"), (None, 3, 4, 4)).encode_symbols(Quantized((symbols,), (nothing(symbols),)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param(np.full((4, 3), np.nan, "f4"), "feature holds NaN", id="nan"),
        pytest.param(np.full((4, 3), np.inf, "f4"), "hold infinities", id="inf"),
        pytest.param(np.zeros((0, 3), "f4"), "no calibration features", id="none"),
    ],
)
@pytest.mark.parametrize("quantizer", ["uniform", "log"])
def test_calibration_that_cannot_be_fitted(quantizer: str, values: np.ndarray, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        Codec.fit(CodecSpec(quantizer=quantizer), [tensor((None, 3))], [values])


def test_a_value_that_cannot_be_fitted_is_named() -> None:
    good, bad = np.ones((4, 3), np.float32), np.full((4, 3), np.inf, np.float32)
    pair = [tensor((None, 3), "good"), tensor((None, 3), "bad")]
    with pytest.raises(CodecError, match="value 'bad': calibration features hold infinities"):
        Codec.fit(CodecSpec(quantizer="uniform"), pair, [good, bad])


def test_a_dynamic_channel_axis_is_refused() -> None:
    with pytest.raises(CodecError, match=r"'feature': axis 1 has no fixed size; fix it in model\.shapes"):
        Codec.fit(CodecSpec(), [tensor((None, None, 4))], [features((None, 3, 4))])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"quantizer": "unifrom"}, "unknown quantizer 'unifrom'"),
        ({"entropy": "rnas"}, "unknown entropy coder 'rnas'"),
        ({"bits": 0}, "quantizer 'step': bits"),
        ({"bits": 17, "entropy": "zstd"}, "quantizer 'step': bits"),
        ({"bits": 9, "entropy": "huffman"}, "entropy coder 'huffman' takes at most 8 bits, got 9"),
        ({"scope": "pixel"}, "quantizer 'step': scope"),
        ({"reconstruction": "median"}, "quantizer 'step': reconstruction"),
    ],
    ids=str,
)
def test_specs_that_nothing_can_do(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Codec.fit(CodecSpec(**spec), [tensor((None, 3))], [features((None, 3))])


Path = tuple[str | int, ...]
FIRST: Path = ("tensors", 0)
FLOATS = base64.b64encode(np.zeros(3, "<f4").tobytes()).decode()
NANS = base64.b64encode(np.full(3, np.nan, "<f4").tobytes()).decode()
REMOVED = object()
HOSTILE: list[tuple[Path, object]] = [
    (("spec",), REMOVED),
    (("spec",), None),
    (("spec",), []),
    (("spec", "quantizer"), "pickle"),
    (("spec", "quantizer"), 7),
    (("spec", "bits"), 0),
    (("spec", "bits"), -4),
    (("spec", "bits"), 5),
    (("spec", "bits"), 2**70),
    (("spec", "bits"), "four"),
    (("spec", "entropy"), "__class__"),
    (("spec", "extra"), 1),
    (("spec", "step"), 0.5),
    (("spec", "huffman_table"), "packet"),
    (("tensors",), REMOVED),
    (("tensors",), None),
    (("tensors",), []),
    (("tensors",), "text"),
    (("tensors",), {"0": {}}),
    (FIRST, None),
    (FIRST, []),
    ((*FIRST, "tensor"), REMOVED),
    ((*FIRST, "tensor"), "feature"),
    ((*FIRST, "tensor", "shape"), []),
    ((*FIRST, "tensor", "shape"), ["N", "C", 4]),
    ((*FIRST, "tensor", "shape"), ["N", -3, 4]),
    ((*FIRST, "tensor", "shape"), ["N", 0, 4]),
    ((*FIRST, "tensor", "shape"), ["N", 4, 4]),
    ((*FIRST, "tensor", "shape"), ["N", 3, 2**62]),
    ((*FIRST, "tensor", "shape"), ["N"] + [3] * 40),
    ((*FIRST, "tensor", "shape"), 3),
    ((*FIRST, "quant_params"), REMOVED),
    ((*FIRST, "quant_params"), []),
    ((*FIRST, "quant_params", "lo"), REMOVED),
    ((*FIRST, "quant_params", "lo"), None),
    ((*FIRST, "quant_params", "lo", "shape"), [4]),
    ((*FIRST, "quant_params", "lo", "shape"), [-1]),
    ((*FIRST, "quant_params", "lo", "shape"), [2**40]),
    ((*FIRST, "quant_params", "lo", "shape"), ["three"]),
    ((*FIRST, "quant_params", "lo", "shape"), [1, 1, 3]),
    ((*FIRST, "quant_params", "lo", "shape"), [3, 1]),
    ((*FIRST, "quant_params", "lo", "shape"), None),
    ((*FIRST, "quant_params", "lo", "shape"), [float("inf")]),
    ((*FIRST, "quant_params", "lo", "float32"), "!!!"),
    ((*FIRST, "quant_params", "lo", "float32"), "AAA="),
    ((*FIRST, "quant_params", "lo", "float32"), 12),
    ((*FIRST, "quant_params", "lo", "float32"), NANS),
    ((*FIRST, "quant_params", "scale", "float32"), NANS),
    ((*FIRST, "quant_params", "levels"), {"shape": [3], "float32": FLOATS}),
    ((*FIRST, "quant_params", "levels"), {"shape": [], "float32": "AAAAAA=="}),
    ((*FIRST, "quant_params", "thresholds"), {"shape": [3, 1], "float32": FLOATS}),
    ((*FIRST, "entropy_tables"), REMOVED),
    ((*FIRST, "entropy_tables"), "AAAA"),
    ((*FIRST, "entropy_tables"), "\N{SNOWMAN}"),
    ((*FIRST, "entropy_tables"), 4),
]


def spoil(document: Any, path: Path, value: object) -> Any:
    """A copy of the document with another value at ``path``."""
    spoilt = copy.deepcopy(document)
    inner = spoilt
    for key in path[:-1]:
        inner = inner[key]
    if value is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return spoilt


DOCUMENT = fit(CodecSpec(quantizer="uniform"), (None, 3, 4)).to_json()


@pytest.mark.parametrize(
    ("path", "value"), HOSTILE, ids=[f"{'.'.join(map(str, path))}={str(value)[:20]}" for path, value in HOSTILE]
)
def test_hostile_documents_are_refused(path: Path, value: object) -> None:
    with pytest.raises(BundleError, match=r"^contract: "):
        Codec.from_json(spoil(DOCUMENT, path, value))


@pytest.mark.parametrize("document", [{}, [], None, "codec", 7], ids=repr)
def test_what_is_no_codec_at_all(document: Any) -> None:
    with pytest.raises(BundleError):
        Codec.from_json(document)


def leaves(value: Any, path: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        return [leaf for key, one in value.items() for leaf in leaves(one, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, one in enumerate(value) for leaf in leaves(one, (*path, index))]
    return [path]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    path=st.sampled_from(leaves(DOCUMENT)),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=4,
    ),
)
def test_any_leaf_replaced_is_refused_or_a_codec(path: Path, value: object) -> None:
    try:
        codec = Codec.from_json(spoil(DOCUMENT, path, value))
    except BundleError:
        return
    sample = features((None, 3, 4), 1)
    _refused_or(lambda: codec.decode(codec.encode([sample])))


def _refused_or(call: Callable[[], object]) -> None:
    """A strange codec may refuse the sample, and may not do anything else."""
    try:
        call()
    except CodecError:
        return


# -- values --------------------------------------------------------------------------------------------------------


def test_codecs_compare_and_hash_by_content() -> None:
    shape = (None, 3, 8, 8)
    one, same = fit(CodecSpec(), shape), fit(CodecSpec(bits=8), shape)
    assert one is not same
    assert (one, hash(one)) == (same, hash(same))
    _ = one.layout.description, one.temporal  # what is kept for later is no part of the value
    again = Codec.from_json(one.to_json())
    assert {one: "one"}[again] == "one"
    others = [
        fit(CodecSpec(step=0.25), shape),
        fit(CodecSpec(scope="channel"), shape),
        fit(CodecSpec(), (None, 3, 8, 4)),
        fit(CodecSpec(entropy="range"), shape),
        Codec(one.spec, one.tensors, b"pair"),
    ]
    assert len({one, same, *others}) == 1 + len(others)
    assert one != "codec"


def test_parameters_are_equal_bit_for_bit() -> None:
    params = fit(CodecSpec(), (None, 3, 8, 8)).tensors[0].params
    assert params == replace(params, lo=params.lo.copy())
    assert params != replace(params, lo=np.nextafter(params.lo, np.float32(9)))
    assert params != replace(params, levels=params.levels.reshape(-1))
    zero = replace(params, lo=np.zeros_like(params.lo))
    assert zero != replace(zero, lo=-zero.lo), "the sign of zero is on the wire's hash too"


# -- specs ---------------------------------------------------------------------------------------------------------


def test_specs_are_values() -> None:
    spec = CodecSpec(quantizer="log", bits="3", maximum=2)
    assert (spec.bits, spec.maximum, spec.scope, spec.hevc_qp) == (3, 2.0, None, None)
    assert dict(spec.options) == {"bits": 3, "maximum": 2.0}
    assert spec == CodecSpec(maximum=2.0, bits=3, quantizer="log", scope=None)
    assert hash(spec) == hash(CodecSpec(maximum=2.0, bits=3, quantizer="log"))
    assert spec != CodecSpec(quantizer="log", bits=3)
    assert spec.replace(maximum=None) == CodecSpec(quantizer="log", bits=3)
    assert CodecSpec.model_validate_json(spec.model_dump_json()) == spec
    assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == spec
    assert repr(spec) == "CodecSpec(quantizer='log', temporal='none', entropy='rans', bits=3, maximum=2.0)"
    with pytest.raises(ValidationError, match="frozen"):
        spec.bits = 4


def test_no_copy_goes_unchecked() -> None:
    spec = CodecSpec(quantizer="log", bits=3)
    for change in (spec.replace, lambda **changes: spec.model_copy(update=changes)):
        with pytest.raises(UsageError, match="quantizer 'log': bits"):
            change(bits=17)
        with pytest.raises(UsageError, match=r"codec\.step: neither quantizer 'log'"):
            change(step=0.5)
        with pytest.raises(UsageError, match=r"codec: unknown key 'bit'\. Did you mean 'bits'\?"):
            change(bit=3)


def test_another_part_takes_its_options_along() -> None:
    spec = CodecSpec(quantizer="uniform", clip="kl", bits=5, temporal="dpcm", gop=7, contexts="wide")
    assert spec.with_part("quantizer", "step") == spec.replace(quantizer="step", clip=None)
    assert spec.with_part("temporal", "difference") == spec.replace(temporal="difference")
    assert spec.with_part("entropy", "range") == spec.replace(entropy="range", contexts=None)
    with pytest.raises(UsageError, match="unknown entropy coder 'rnas'"):
        spec.with_part("entropy", "rnas")


def test_contracts_of_earlier_versions_are_read() -> None:
    """Options that came later, such as zstd's level, are absent there and mean what they meant."""
    codec = fit(CodecSpec(entropy="zstd"), (None, 3, 8, 8))
    document = codec.to_json()
    assert document["spec"].pop("level") == 19
    earlier = Codec.from_json(document)
    assert earlier.to_json() == document
    x = features((None, 3, 8, 8), 2, 5)
    assert earlier.encode([x]) == codec.encode([x])
