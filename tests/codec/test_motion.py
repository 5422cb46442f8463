"""Motion between frames: against FORMAT.md section 11a, what it saves, and hostile fields."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.motion import FLAT, predict
from reference.packet import Tensor, read
from reference.streams import PAIR, smooth
from reference.temporal import restore

from splitc.codec import ENTROPY_CODERS, Codec, CodecSpec, StreamFile
from splitc.codec.bitstream import StreamLayout, TensorLayout, read_packet, write_packet
from splitc.codec.temporal.difference import Difference
from splitc.codec.temporal.fields import field_shape
from splitc.errors import BitstreamError, BundleError, CodecError, UsageError
from splitc.native import _core
from splitc.types import F32, Symbols, TensorSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
SPEC = CodecSpec(temporal="motion", gop=30)

TOOLS = CodecSpec(temporal="dpcm", dead_zone="adaptive", reconstruction="unbiased", gop=30)
"""What motion has beside vectors."""


def drifting(frames: int, shape: tuple[int, int, int] = (4, 12, 14), step: float = 0.5, seed: int = 0) -> F32:
    """Smooth maps that move to the right by ``step`` places a frame, ``[frames, C, H, W]``."""
    channels, height, width = shape
    rng = np.random.default_rng(seed)
    y, x = np.indices((height, width))
    phase, speed = rng.uniform(0, 6, (2, channels, 5, 1, 1)), rng.uniform(0.3, 1.2, (2, channels, 5, 1, 1))
    at = [np.sin(speed[0] * (x - step * t) + phase[0]) * np.cos(speed[1] * y + phase[1]) for t in range(frames)]
    return np.stack([each.sum(1) for each in at]).astype(np.float32)


def codec_of(spec: CodecSpec, x: F32) -> Codec:
    return Codec.fit(spec, [TensorSpec(name="x", dtype="float32", shape=("N", *x.shape[1:]))], [x])


def fields(shape: tuple[int, int, int, int], seed: int) -> np.ndarray:
    """Any legal field of symbols ``shape``."""
    rng = np.random.default_rng(seed)
    field = rng.integers(0, 31, field_shape(shape)).astype(np.uint8)
    is_flat = rng.random(field[:, 0].shape) < 0.2
    field[:, 0][is_flat], field[:, 1][is_flat] = FLAT, 0
    return field


# -- the format ----------------------------------------------------------------------------------------------------


@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 99),
)
def test_predictions_are_the_references(shape: tuple[int, int, int, int], dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    zeros = rng.integers(0, 256, shape[1]).astype(np.int32)
    field = fields(shape, seed)
    flat_planes = [each.reshape(each.shape[0] * each.shape[1], -1) for each in (before, field)]
    got = _core.predict_moved(*flat_planes, zeros, shape[3]).reshape(shape)
    wanted = [predict(one, vectors, zeros.tolist()) for one, vectors in zip(before, field, strict=True)]
    assert np.array_equal(got, np.stack(wanted))


def test_a_still_field_predicts_the_frame_before() -> None:
    x = drifting(4)
    codec = codec_of(SPEC, x)
    (before,) = codec.quantize([x[:1]]).symbols
    still = np.zeros(field_shape(before.shape), np.uint8)
    assert np.array_equal(codec.temporal.predict(before, still, codec.tensors[0]), before)


def test_golden_stream_and_the_reference(update_golden: bool) -> None:
    """A keyframe and a moved frame behind it, of an alphabet of 15, read by the code and by the slow reader."""
    count, shape, zeros = 15, (1, 6, 5, 7), [2] * 6
    first, second = (np.minimum(smooth(shape, 4, seed), count - 1) for seed in (1, 2))
    field = np.minimum(smooth(field_shape(shape), 5, 3), 30)
    field[0, :, 1, 2] = FLAT, 0
    coder = ENTROPY_CODERS.make("range", {})
    maps, vectors = coder.open(4, 6, b""), coder.open(5, 2, b"")
    key = StreamLayout((TensorLayout((None, 6, 5, 7), 4, maps, quantizer=b"q"),), PAIR)
    entries = (TensorLayout((None, 6, 5, 7), 4, maps, quantizer=b"q\x04"), TensorLayout((None, 2, 3, 4), 5, vectors))
    predicted = StreamLayout(entries, PAIR)
    packets = [write_packet(key, [first], sequence=8)]
    residual = Difference().residual(second, predict(first[0], field[0], zeros)[None], count)
    packets.append(write_packet(predicted, [residual, field], sequence=9, is_keyframe=False, reference=packets[0]))
    data, path = StreamFile(tuple(packets), pair_id=PAIR * 8).to_bytes(), GOLDEN / "stream_motion.scs"
    if update_golden:
        path.write_bytes(data)
    assert data == path.read_bytes()
    one, two = StreamFile.from_bytes(path.read_bytes()).packets
    got = read_packet(predicted, two, reference=one).symbols
    assert np.array_equal(got[0], residual)
    assert np.array_equal(got[1], field)
    tables = [Tensor((0, 6, 5, 7), 1, 4, 2, quantizer=mark) for mark in (b"q", b"q\x04")]
    (before,) = read(tables[:1], one)
    residuals, vectors_read = read([tables[1], Tensor((0, 2, 3, 4), 1, 5, 2)], two, one)
    pairs = zip(predict(before[0], vectors_read[0], zeros).ravel().tolist(), residuals.ravel().tolist(), strict=True)
    assert [restore(4, p, r, count) for p, r in pairs] == second.ravel().tolist()


def test_motion_brings_its_other_tools_along() -> None:
    resolved = SPEC.resolved()
    assert (resolved.dead_zone, resolved.reconstruction) == ("adaptive", "unbiased")
    assert CodecSpec(temporal="motion", dead_zone="fixed", temporal_rounding=0.3).resolved().temporal_rounding == 0.3
    assert CodecSpec(temporal="motion", reconstruction="midpoint").resolved().reconstruction == "midpoint"
    assert CodecSpec(temporal="motion", quantizer="uniform").resolved().quantizer == "uniform"
    with pytest.raises(UsageError, match="temporal_rounding goes with"):
        CodecSpec(temporal="motion", temporal_rounding=0.3)


# -- the search ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "folded"), [(0.5, 2), (1.0, 4), (-0.5, 1), (2.0, 8)])
def test_the_search_finds_how_far_everything_moved(step: float, folded: int) -> None:
    """The place that was ``step`` to the left is where a map that moves right comes from: -1 half place is 2."""
    x = drifting(2, step=step, shape=(8, 20, 24))
    codec = codec_of(SPEC.replace(step=0.1), drifting(8, step=step, shape=(8, 20, 24)))
    previous = codec.quantize([x[:1]]).symbols
    (field,) = codec.quantize_after([x[1:]], previous, codec.after_keyframe(previous)[1:]).fields
    inside = field[0, :, 2:-2, 2:-2]
    assert (inside[1] == folded).mean() > 0.9
    assert (inside[0] == 0).mean() > 0.9


def test_noise_without_motion_is_left_where_it_is() -> None:
    rng = np.random.default_rng(3)
    x = drifting(1)[[0] * 12] + 0.01 * rng.standard_normal((12, 4, 12, 14)).astype(np.float32)
    codec = codec_of(SPEC, x)
    previous = codec.quantize([x[:1]]).symbols
    (field,) = codec.quantize_after([x[1:2]], previous, codec.after_keyframe(previous)[1:]).fields
    assert not field.any()


def test_blocks_that_are_empty_again_are_flat() -> None:
    """Something bright leaves, and nothing around it looks like what it uncovers."""
    rng = np.random.default_rng(5)
    frames = [4 * rng.standard_normal((4, 12, 14)), np.zeros((4, 12, 14))] * 6
    x = np.stack(frames).astype(np.float32)
    codec = codec_of(SPEC, x)
    previous = codec.quantize([x[:1]]).symbols
    found = codec.quantize_after([x[1:2]], previous, codec.after_keyframe(previous)[1:])
    assert (found.fields[0][:, 0] == FLAT).mean() > 0.9
    never = codec_of(SPEC.replace(flat_blocks=False), x)
    assert not (never.quantize_after([x[1:2]], previous, found.fields).fields[0][:, 0] == FLAT).any()


def digest() -> str:
    found = hashlib.sha256()
    for channels, seed in ((1, 1), (3, 2), (40, 3)):
        x = drifting(3, (channels, 9, 11), 0.7, seed)
        codec = codec_of(SPEC.replace(step=0.3, entropy="range"), x)
        encoder = codec.encoder()
        found.update(b"".join(encoder.encode([frame[None]]) for frame in x))
    return found.hexdigest()


@pytest.mark.parametrize("level", ["scalar", "avx2", "avx512"])
def test_every_instruction_set_finds_the_same_fields(level: str) -> None:
    order = ["scalar", "avx2", "avx512"]
    if _core.simd_name() not in order[order.index(level) :]:
        pytest.skip(f"{_core.simd_name()} is the most that this processor has")
    folders = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    program = f"import sys; sys.path[:0] = {folders!r}; import test_motion; print(test_motion.digest())"
    environment = {**os.environ, "SPLITC_SIMD": level}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest()


# -- streams -------------------------------------------------------------------------------------------------------


def stream_bytes(spec: CodecSpec, x: F32, test: F32) -> int:
    codec = codec_of(spec, x)
    encoder, decoder = codec.encoder(), codec.decoder()
    total = 0
    for frame in test:
        packet = encoder.encode([frame[None]])
        assert np.array_equal(decoder.decode_symbols(packet).symbols[0], encoder.sent.symbols[0])
        assert encoder.state_digest == decoder.state_digest
        total += len(packet)
    return total


def test_motion_pays_where_maps_move_and_costs_little_where_they_do_not() -> None:
    moving = drifting(60, (8, 20, 24))
    sizes = {name: stream_bytes(TOOLS.replace(temporal=name), moving[:40], moving[40:]) for name in ("dpcm", "motion")}
    assert sizes["motion"] < 0.7 * sizes["dpcm"], sizes
    rng = np.random.default_rng(1)
    still = moving[:1] + 0.3 * rng.standard_normal(moving.shape).astype(np.float32)
    sizes = {name: stream_bytes(TOOLS.replace(temporal=name), still[:40], still[40:]) for name in ("dpcm", "motion")}
    assert sizes["motion"] < sizes["dpcm"] + 20 * 20, sizes  # a checksum, a size and an empty field a frame


def test_what_was_sent_can_be_sent_again_by_another_coder() -> None:
    """As verification does for its baseline."""
    x = drifting(12)
    codec = codec_of(SPEC, x)
    encoder, again = codec.encoder(), codec.with_entropy("zstd").encoder()
    decoder = codec.with_entropy("zstd").decoder()
    for frame in x:
        encoder.encode([frame[None]])
        decoder.decode(again.encode_symbols(encoder.sent))
        assert decoder.state_digest == encoder.state_digest


def test_several_tensors_of_other_strides_move_by_themselves() -> None:
    x = [drifting(12, (3, 8, 10)), drifting(12, (5, 4, 5), 0.25)]
    tensors = [TensorSpec(name=f"x{i}", dtype="float32", shape=("N", *one.shape[1:])) for i, one in enumerate(x)]
    codec = Codec.from_json(Codec.fit(SPEC, tensors, x).to_json())
    encoder, decoder = codec.encoder(), codec.decoder()
    for pair in zip(*x, strict=True):
        features = [one[None] for one in pair]
        decoder.decode(encoder.encode(features))
        assert encoder.state_digest == decoder.state_digest


def test_symbols_of_more_than_eight_bits_move_too() -> None:
    x = drifting(12)
    assert stream_bytes(SPEC.replace(step=0.005, bits=12), x, x) > 0


def test_dynamic_sizes_have_dynamic_fields() -> None:
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", 3, "H", "W"))
    small, large = drifting(6, (3, 7, 9)), drifting(6, (3, 10, 4))
    codec = Codec.fit(SPEC, [tensor], [[one[None] for one in [*small, *large]]], [6, 6])
    encoder, decoder = codec.encoder(), codec.decoder()
    for frame in [*small, *large]:
        decoder.decode(encoder.encode([frame[None]]))
        assert encoder.state_digest == decoder.state_digest


# -- hostile -------------------------------------------------------------------------------------------------------


def predicted_packet(field: Symbols, residual: Symbols | None = None) -> tuple[Codec, bytes, bytes]:
    """A keyframe, and a packet behind it that holds ``field``."""
    x = drifting(8)
    codec = codec_of(SPEC.replace(entropy="range"), x)
    encoder = codec.encoder()
    first = encoder.encode([x[:1]])
    still = codec.after_keyframe(codec.quantize([x[:1]]).symbols)
    held = [still[0] if residual is None else residual, field]
    layout = codec.layout_after(still)
    return codec, first, write_packet(layout, held, sequence=1, is_keyframe=False, reference=first)


@pytest.mark.parametrize(("vertical", "horizontal"), [(31, 1), (31, 31), (0, 31), (30, 31)])
def test_components_that_are_no_vector_are_refused(vertical: int, horizontal: int) -> None:
    field = np.zeros((1, 2, 6, 7), np.uint8)
    field[0, :, 3, 4] = vertical, horizontal
    codec, first, packet = predicted_packet(field)
    decoder = codec.decoder()
    decoder.decode(first)
    before = decoder.state_digest
    with pytest.raises(BitstreamError, match=f"motion field holds {vertical} and {horizontal}, which is no vector"):
        decoder.decode(packet)
    assert decoder.state_digest == before


@pytest.mark.parametrize("corner", [(29, 29), (30, 30), (29, 30)])
def test_vectors_that_lead_outside_stay_at_the_border(corner: tuple[int, int]) -> None:
    field = np.zeros((1, 2, 6, 7), np.uint8)
    field[0, 0], field[0, 1] = corner
    codec, first, packet = predicted_packet(field)
    decoder = codec.decoder()
    symbols = decoder.decode_symbols(first).symbols[0]
    moved = predict(symbols[0], field[0], [0] * 4)
    assert np.array_equal(decoder.decode_symbols(packet).symbols[0][0], moved)


def test_a_field_of_another_size_is_refused() -> None:
    codec, first, packet = predicted_packet(np.zeros((2, 2, 6, 7), np.uint8))
    decoder = codec.decoder()
    decoder.decode(first)
    with pytest.raises(BitstreamError, match="sizes are not those of the frame"):
        decoder.decode(packet)


def test_a_predicted_frame_without_its_field_is_refused() -> None:
    x = drifting(8)
    encoder = codec_of(SPEC, x).encoder()
    encoder.encode([x[:1]])
    with pytest.raises(CodecError, match="without motion fields"):
        encoder.encode_symbols(encoder.quantize([x[1:2]])._replace(fields=()))


def test_what_is_no_map_is_refused() -> None:
    tokens = np.zeros((8, 5, 6), np.float32) + np.arange(8, dtype=np.float32).reshape(-1, 1, 1)
    with pytest.raises(CodecError, match=r"'x' has 3 axes .* use temporal = .dpcm."):
        codec_of(SPEC, tokens)
    many = [TensorSpec(name=f"x{i}", dtype="float32", shape=("N", 1, 4, 4)) for i in range(9)]
    with pytest.raises(CodecError, match="9 tensors cross, motion takes at most 8"):
        Codec.fit(SPEC, many, [drifting(4, (1, 4, 4))] * 9)


@pytest.mark.parametrize("change", [{"field_tables": "!!"}, {"field_tables": "AAAA"}, {"field_tables": 3}])
def test_hostile_tables_of_fields_are_refused(change: dict[str, object]) -> None:
    document = codec_of(SPEC, drifting(8)).to_json()
    with pytest.raises(BundleError, match=r"^contract: "):
        Codec.from_json(document | {"tensors": [document["tensors"][0] | change]})


def test_a_contract_of_tokens_cannot_ask_for_motion() -> None:
    tokens = np.random.default_rng(0).standard_normal((8, 5, 6)).astype(np.float32)
    document = codec_of(TOOLS, tokens).to_json()
    with pytest.raises(BundleError, match="moves maps of four"):
        Codec.from_json(document | {"spec": document["spec"] | {"temporal": "motion", "flat_blocks": True}})


@pytest.mark.parametrize(
    ("planes", "values", "blocks", "words"),
    [(3, 18, 6, "must divide"), (4, 20, 6, "must divide"), (3, 20, 5, "another shape"), (6, 20, 6, "another shape")],
)
def test_native_shapes_that_do_not_fit_are_refused(planes: int, values: int, blocks: int, words: str) -> None:
    """Three channels of maps five wide."""
    one, flat = np.ones(1, np.float32), np.zeros(3, np.int32)
    x, previous = np.zeros((planes, values), np.float32), np.zeros((planes, values), np.uint8)
    field = np.zeros((2, blocks), np.uint8)
    with pytest.raises(CodecError, match=words):
        _core.search_motion(x, previous, one, one, flat, field, 5, True)
    with pytest.raises(CodecError, match=words):
        _core.predict_moved(previous, field, flat, 5)


def test_native_arguments_that_do_not_fit_are_refused() -> None:
    one, flat, field = np.ones(1, np.float32), np.zeros(3, np.int32), np.zeros((2, 6), np.uint8)
    x, previous = np.zeros((3, 20), np.float32), np.zeros((3, 20), np.uint8)
    with pytest.raises(CodecError, match="does not fit the alphabet"):
        _core.predict_moved(previous, field, flat - 1, 5)
    with pytest.raises(CodecError, match="another shape"):
        _core.search_motion(x, previous[:, :15].copy(), one, one, flat, field, 5, True)
    with pytest.raises(CodecError, match="neither one value nor one a channel"):
        _core.search_motion(x, previous, np.ones(2, np.float32), np.ones(2, np.float32), flat, field, 5, True)
    x[0, 0] = np.nan
    with pytest.raises(CodecError, match="NaN"):
        _core.search_motion(x, previous, one, one, flat, field, 5, True)
