"""Streams: equal state at both ends, keyframes, lost packets, what a scene change costs, real frames."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from reference.packet import Tensor, read
from reference.streams import LOSSLESS, PAIR, smooth
from reference.temporal import restore

from splitc.codec import ENTROPY_CODERS, TEMPORALS, Codec, CodecSpec, Encoder, StreamFile
from splitc.codec.bitstream import StreamLayout, TensorLayout, read_packet, write_packet
from splitc.codec.packet_header import read_header
from splitc.errors import BitstreamError, BundleError, CodecError, UsageError
from splitc.types import F32, TensorSpec

SHAPE = (4, 6, 5)
SPECS = {
    "none": CodecSpec(),
    "difference": CodecSpec(temporal="difference", gop=7),
    "dpcm": CodecSpec(temporal="dpcm", gop=7),
    "motion": CodecSpec(temporal="motion", gop=7),
    "ifmdc": CodecSpec(temporal="ifmdc", gop=7, quantizer="clipped", reconstruction="midpoint"),
}
PREDICTORS = [name for name in SPECS if name != "none"]


def scene(frames: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> F32:
    """A still picture, drifting slowly, with noise: ``[frames, C, H, W]``."""
    rng = np.random.default_rng(seed)
    still = 2 * rng.standard_normal(shape)
    drift = np.sin(np.arange(frames) / 20).reshape(-1, *[1] * len(shape)) * rng.standard_normal(shape)
    return (still + drift + 0.02 * rng.standard_normal((frames, *shape))).astype(np.float32)


def codec_of(spec: CodecSpec, x: F32 | None = None, lengths: list[int] | None = None) -> Codec:
    values = scene(40) if x is None else x
    tensor = TensorSpec(name="feature", dtype="float32", shape=("N", *values.shape[1:]))
    return Codec.fit(spec, [tensor], [values], lengths)


def is_keyframe(packet: bytes) -> bool:
    return read_header(packet).is_keyframe


def keyframes(encoder: Encoder, frames: F32) -> list[int]:
    """Indices of the frames that ``encoder`` makes keyframes."""
    return [index for index, frame in enumerate(frames) if is_keyframe(encoder.encode([frame[None]]))]


# -- state ---------------------------------------------------------------------------------------------------------


def test_every_predictor_is_tested() -> None:
    assert set(SPECS) == set(TEMPORALS)


@pytest.mark.parametrize("name", list(SPECS))
def test_ri2_no_drift_in_1000_frames(name: str) -> None:
    """States are equal bit for bit after every frame, also across a lost packet and the keyframe that mends it."""
    codec = codec_of(SPECS[name].model_copy(update={"gop": None if name == "none" else 100}))
    encoder, decoder = codec.encoder(), codec.decoder()
    frames, lost = scene(1000, seed=5), {301, 302, 777}
    for index, frame in enumerate(frames):
        if index in {303, 778}:
            encoder.force_keyframe()
        symbols = encoder.quantize([frame[None]])
        packet = encoder.encode_symbols(symbols)
        if index in lost:
            continue
        features = decoder.decode(packet)
        assert decoder.state_digest == encoder.state_digest, index
        assert np.array_equal(features[0], codec.dequantize(symbols)[0])


@pytest.mark.parametrize("entropy", LOSSLESS)
@pytest.mark.parametrize("name", list(SPECS))
def test_every_predictor_works_with_every_coder(name: str, entropy: str) -> None:
    codec = codec_of(SPECS[name].model_copy(update={"entropy": entropy}))
    encoder, decoder = codec.encoder(), codec.decoder()
    for frame in scene(20, seed=2):
        symbols = encoder.quantize([frame[None]])
        got = decoder.decode_symbols(encoder.encode_symbols(symbols))
        assert np.array_equal(got.symbols[0], symbols.symbols[0])


def test_a_codec_from_its_json_continues_streams_alike() -> None:
    codec = codec_of(SPECS["dpcm"])
    again = Codec.from_json(codec.to_json())
    ours, theirs = codec.encoder(), again.encoder()
    for frame in scene(10, seed=3):
        assert ours.encode([frame[None]]) == theirs.encode([frame[None]])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temporal", None),
        ("temporal", "dcpm"),
        ("temporal", "ifmdc"),
        ("gop", 0),
        ("gop", 2**70),
        ("gop", "seven"),
        ("temporal_rounding", -1),
        ("temporal_rounding", float("nan")),
    ],
)
def test_hostile_options_of_prediction_are_refused(key: str, value: object) -> None:
    document = codec_of(SPECS["dpcm"]).to_json()
    with pytest.raises(BundleError, match=r"^contract: "):
        Codec.from_json(document | {"spec": document["spec"] | {key: value}})


@pytest.mark.parametrize("tables", ["AAAA", "!!!", 4, None], ids=repr)
def test_hostile_tables_of_predicted_frames_are_refused(tables: object) -> None:
    document = codec_of(SPECS["dpcm"]).to_json()
    with pytest.raises(BundleError, match=r"^contract: "):
        Codec.from_json(document | {"tensors": [document["tensors"][0] | {"predicted_tables": tables}]})


@pytest.mark.parametrize("key", ["entropy_tables", "predicted_tables"])
def test_a_contract_without_tables_still_codes_streams(key: str) -> None:
    """Chunks of rans then bring their own frequencies."""
    document = codec_of(SPECS["dpcm"]).to_json()
    codec = Codec.from_json(document | {"tensors": [document["tensors"][0] | {key: ""}]})
    encoder, decoder = codec.encoder(), codec.decoder()
    for frame in scene(10, seed=3):
        symbols = encoder.quantize([frame[None]])
        assert np.array_equal(decoder.decode_symbols(encoder.encode_symbols(symbols)).symbols[0], symbols.symbols[0])
        assert decoder.state_digest == encoder.state_digest


# -- keyframes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_keyframe_starts_every_gop(name: str) -> None:
    assert keyframes(codec_of(SPECS[name]).encoder(), scene(20)) == [0, 7, 14]


def test_without_prediction_every_frame_is_a_keyframe() -> None:
    assert keyframes(codec_of(SPECS["none"]).encoder(), scene(5)) == [0, 1, 2, 3, 4]


def test_a_keyframe_can_be_asked_for() -> None:
    encoder = codec_of(SPECS["difference"]).encoder()
    frames = scene(10)
    assert keyframes(encoder, frames[:3]) == [0]
    encoder.force_keyframe()
    assert keyframes(encoder, frames[3:]) == [0]


def test_a_change_of_scene_is_a_keyframe_because_it_is_smaller() -> None:
    frames = np.concatenate([scene(5, seed=0), scene(5, seed=99)])
    assert keyframes(codec_of(SPECS["difference"]).encoder(), frames) == [0, 5]


def test_a_change_of_size_is_a_keyframe() -> None:
    encoder = codec_of(SPECS["difference"]).encoder()
    frames = scene(6)
    packets = [encoder.encode([frames[:1]]), encoder.encode([frames[1:3]]), encoder.encode([frames[3:5]])]
    assert [is_keyframe(packet) for packet in packets] == [True, True, False]


def test_one_shots_are_keyframes() -> None:
    codec, x = codec_of(SPECS["dpcm"]), scene(3)
    packet = codec.encode([x[:1]], sequence=9)
    assert is_keyframe(packet)
    assert np.array_equal(codec.decode(packet)[0], codec.dequantize(codec.quantize([x[:1]]))[0])
    assert read_header(packet).sequence == 9


# -- lost, repeated and foreign packets ----------------------------------------------------------------------------


def packets_of(codec: Codec, frames: F32) -> list[bytes]:
    encoder = codec.encoder()
    return [encoder.encode([frame[None]]) for frame in frames]


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predicted_packet_without_its_predecessor_is_refused(name: str) -> None:
    codec = codec_of(SPECS[name])
    packets, decoder = packets_of(codec, scene(9)), codec.decoder()
    message = "packet 1 is predicted from packet 0, and no packet was decoded last; ask the sender for a keyframe"
    with pytest.raises(BitstreamError, match=message):
        decoder.decode(packets[1])
    with pytest.raises(BitstreamError, match="ask the sender for a keyframe"):
        codec.decode(packets[1])
    decoder.decode(packets[0])
    with pytest.raises(BitstreamError, match="packet 3 is predicted from packet 2, and packet 0 was decoded last"):
        decoder.decode(packets[3])
    decoder.decode(packets[1])  # what was refused has changed nothing
    with pytest.raises(BitstreamError, match="packet 1 is predicted from packet 0, and packet 1 was decoded last"):
        decoder.decode(packets[1])
    decoder.decode(packets[7])


def test_a_damaged_packet_changes_nothing() -> None:
    codec = codec_of(SPECS["difference"])
    packets, decoder = packets_of(codec, scene(3)), codec.decoder()
    decoder.decode(packets[0])
    before = decoder.state_digest
    with pytest.raises(BitstreamError, match="does not match"):
        decoder.decode(packets[1][:-1] + bytes([packets[1][-1] ^ 1]))
    assert decoder.state_digest == before
    decoder.decode(packets[1])


def test_a_packet_of_another_stream_is_refused_at_the_right_number() -> None:
    """Equal pair, equal sequence number, another frame before it: the checksum covers that too."""
    codec = codec_of(SPECS["difference"])
    ours, theirs = packets_of(codec, scene(3)), packets_of(codec, scene(3, seed=1))
    decoder = codec.decoder()
    decoder.decode(ours[0])
    with pytest.raises(BitstreamError):
        decoder.decode(theirs[1])


def test_every_flip_of_a_predicted_packet_is_refused() -> None:
    codec = codec_of(SPECS["dpcm"])
    packets, decoder = packets_of(codec, scene(2)), codec.decoder()
    decoder.decode(packets[0])
    for at in range(len(packets[1]) * 8):
        hostile = bytearray(packets[1])
        hostile[at // 8] ^= 1 << at % 8
        with pytest.raises(BitstreamError):
            decoder.decode(bytes(hostile))
    decoder.decode(packets[1])


def test_the_sequence_number_goes_round() -> None:
    codec = codec_of(SPECS["difference"].model_copy(update={"gop": 1000}))
    encoder, decoder = codec.encoder(), codec.decoder()
    frames = scene(3)
    decoder.decode(encoder.encode([frames[:1]]))
    for end in (encoder, decoder):
        assert end._last is not None
        end._last = end._last._replace(sequence=2**32 - 1)
    packet = encoder.encode([frames[1:2]])
    assert (read_header(packet).sequence, is_keyframe(packet)) == (0, False)
    decoder.decode(packet)
    assert decoder.state_digest == encoder.state_digest


# -- FORMAT.md against the code, and golden streams ----------------------------------------------------------------

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"


def layout_with(quantizer: bytes) -> StreamLayout:
    coder = ENTROPY_CODERS.make("range", {}).open(4, 6, b"")
    return StreamLayout((TensorLayout((None, 6, 5, 7), 4, coder, quantizer=quantizer),), PAIR)


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "motion"])
def test_golden_streams_and_the_reference(name: str, update_golden: bool) -> None:
    """A keyframe and a frame predicted from it, of an alphabet of 15, read by the code and by the slow reader."""
    count, predictor = 15, SPECS[name].make_temporal()
    first, second = (np.minimum(smooth((1, 6, 5, 7), 4, seed), count - 1) for seed in (1, 2))
    if name == "ifmdc":  # whole residual levels away
        second = predictor.restore(np.minimum(second, count - 1), first, count)
    key, predicted = layout_with(b"q"), layout_with(bytes([ord("q"), predictor.wire_id]))
    packets = [write_packet(key, [first], sequence=8)]
    residual = predictor.residual(second, first, count)
    packets.append(write_packet(predicted, [residual], sequence=9, is_keyframe=False, reference=packets[0]))
    data, path = StreamFile(tuple(packets), pair_id=PAIR * 8).to_bytes(), GOLDEN / f"stream_{name}.scs"
    if update_golden:
        path.write_bytes(data)
    assert data == path.read_bytes()
    one, two = StreamFile.from_bytes(path.read_bytes()).packets
    got = read_packet(predicted, two, reference=one).symbols[0]
    assert np.array_equal(predictor.restore(got, first, count), second)
    tensors = [Tensor((0, 6, 5, 7), 1, 4, 2, quantizer=layout.tensors[0].quantizer) for layout in (key, predicted)]
    (before,), (residuals,) = read(tensors[:1], one), read(tensors[1:], two, one)
    pairs = zip(before.ravel().tolist(), residuals.ravel().tolist(), strict=True)
    assert [restore(predictor.wire_id, p, r, count) for p, r in pairs] == second.ravel().tolist()


# -- fitting -------------------------------------------------------------------------------------------------------


def test_keyframes_and_predicted_frames_have_their_own_tables() -> None:
    tensor = codec_of(SPECS["difference"]).tensors[0]
    assert tensor.predicted_tables
    assert tensor.predicted_tables != tensor.tables
    assert not codec_of(SPECS["none"]).tensors[0].predicted_tables


def test_the_frame_before_is_a_context() -> None:
    """Where something moves, it moved before: residuals of the frame before save bits."""
    rng = np.random.default_rng(4)
    frames = np.repeat(rng.standard_normal((1, 4, 32, 32)), 60, axis=0)
    frames[:, :, :, 8:14] += rng.standard_normal((60, 4, 32, 6))
    x = frames.astype(np.float32)
    codec, seen = codec_of(CodecSpec(temporal="difference"), x), []
    encoder, decoder = codec.encoder(), codec.decoder()
    for frame in x[:10]:
        packet = encoder.encode([frame[None]])
        decoder.decode(packet)
        assert encoder._last is not None
        alone = write_packet(codec.predicted_layout, encoder._last.residual, is_keyframe=False)
        seen.append((len(packet), len(alone)))
    assert sum(size for size, _ in seen[2:]) < 0.95 * sum(size for _, size in seen[2:])


def test_other_sizes_than_the_frame_before_are_refused() -> None:
    codec = codec_of(SPECS["difference"])
    encoder, decoder, frames = codec.encoder(), codec.decoder(), scene(4)
    decoder.decode(encoder.encode([frames[:1]]))
    assert encoder._last is not None
    wide = np.zeros((2, *SHAPE), np.uint8)
    layout = codec.layout_after([wide])
    packet = write_packet(layout, [wide], sequence=1, is_keyframe=False, reference=encoder._last.packet)
    with pytest.raises(BitstreamError, match="sizes are not those of the frame it is predicted from"):
        decoder.decode(packet)


def test_sequences_are_fitted_apart() -> None:
    """The jump from one clip to the next teaches nothing."""
    x = np.concatenate([scene(10, seed=seed) for seed in range(4)])
    spec = SPECS["difference"].model_copy(update={"gop": 100})
    apart, joined = codec_of(spec, x, [10] * 4), codec_of(spec, x)
    assert apart.tensors[0].tables == joined.tensors[0].tables
    assert apart.tensors[0].predicted_tables != joined.tensors[0].predicted_tables


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        pytest.param([3, 3], r"sequence_lengths \[3, 3\] are no lengths of clips: .* 40 samples", id="sum"),
        pytest.param([1] * 40, "temporal 'difference' is fitted on consecutive frames, and no two samples", id="lone"),
    ],
)
def test_wrong_sequences_are_refused(lengths: list[int], message: str) -> None:
    with pytest.raises(CodecError, match=message):
        codec_of(SPECS["difference"], lengths=lengths)


def test_wrong_options_are_refused_before_fitting() -> None:
    with pytest.raises(UsageError, match=r"unknown temporal predictor 'dcpm'. Did you mean 'dpcm'\?"):
        codec_of(CodecSpec(temporal="dcpm"))
    with pytest.raises(UsageError, match="temporal predictor 'dpcm': gop: Input should be greater than or equal to 1"):
        codec_of(CodecSpec(temporal="dpcm", gop=0))
    with pytest.raises(UsageError, match="quantizer 'clipped': 40 levels need more than 4 bits"):
        codec_of(CodecSpec(quantizer="clipped", levels=40))


# -- real frames ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def street() -> F32:
    """Block 8 of MobileNetV2 on the first frames of a surveillance clip, ``[120, 64, 14, 14]``."""
    data = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared" / "data"))
    video, network = data / "videos" / "vtest_first300.avi", data / "models" / "mobilenet_v2_imagenet.onnx"
    if not video.exists() or not network.exists():
        pytest.skip("no vtest clip or MobileNetV2 in SPLITC_DATA")
    av = pytest.importorskip("av")
    from splitc import evaluate, graph

    model = graph.load(network)
    cut = "/features/features.8/Add_output_0"
    head = evaluate.open_graph(graph.split(model, (cut,)).head)
    rows = []
    with av.open(str(video)) as file:
        for _, frame in zip(range(120), file.decode(video=0), strict=False):
            picture = np.asarray(frame.to_image().resize((298, 224)).crop((37, 0, 261, 224)), np.float32) / 255
            image = (picture - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
            rows.append(head.run({model.inputs[0].name: image.transpose(2, 0, 1)[None].astype(np.float32)})[cut])
    return np.concatenate(rows)


def test_prediction_pays_on_a_static_camera(street: F32) -> None:
    """Fitted on the first 80 frames, measured on the next 40, keyframes and headers included."""
    calibration, test = street[:80], street[80:]
    rates = {}
    for name in ("none", "difference", "dpcm"):
        codec = codec_of(CodecSpec(temporal=name), calibration)
        encoder, decoder = codec.encoder(), codec.decoder()
        sizes = []
        for frame in test:
            packet = encoder.encode([frame[None]])
            decoder.decode(packet)
            assert decoder.state_digest == encoder.state_digest
            sizes.append(len(packet))
        rates[name] = 8 * sum(sizes) / test.size
    assert rates["dpcm"] < rates["difference"] < rates["none"] / 2, rates
