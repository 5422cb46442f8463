"""Picture codecs: what the papers ask of them, honest rates, streams frame by frame, and bytes of strangers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="needs splitc[video]")

from splitc.codec import QUANTIZERS, TILINGS, Codec, CodecSpec  # noqa: E402
from splitc.codec.bitstream import layout_from_header, read_packet, write_packet  # noqa: E402
from splitc.codec.entropy import ENTROPY_CODERS  # noqa: E402
from splitc.codec.entropy.base import hash_of_tables  # noqa: E402
from splitc.codec.entropy.picture_coder import PictureCoder  # noqa: E402
from splitc.codec.entropy.picture_tables import PictureTables  # noqa: E402
from splitc.codec.packet_header import read_header  # noqa: E402
from splitc.codec.papers import PAPERS  # noqa: E402
from splitc.codec.pictures.codecs import EncoderSettings, PictureCodec  # noqa: E402
from splitc.codec.pictures.frames import FrameDecoder, FrameEncoder, decode_frames, encode_frames, probe  # noqa: E402
from splitc.codec.pictures.pixels import pixels_from_symbols, symbols_from_pixels  # noqa: E402
from splitc.errors import BitstreamError, CodecError, UsageError  # noqa: E402
from splitc.types import TensorSpec  # noqa: E402

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared" / "data"))
NAMES = ["av1", "h264", "hevc"]


def codec_of(name: str) -> PictureCodec:
    loaded = ENTROPY_CODERS.load(name)
    assert issubclass(loaded, PictureCoder)
    if name != "hevc" and not probe(loaded.codec):
        pytest.skip(f"this PyAV has no {loaded.codec.encoder}")
    return loaded.codec


def film(count: int = 6, shape: tuple[int, int] = (52, 61), bits: int = 8, motion: float = 1.0) -> np.ndarray:
    """Smooth pictures with noise that brighten slowly, symbols of ``bits`` bits."""
    rng = np.random.default_rng(0)
    still = np.cumsum(rng.normal(0, 6, shape), 1) + 128
    frames = [np.clip(still + motion * (k + rng.normal(0, 2, shape)), 0, 255) for k in range(count)]
    values = np.stack(frames) * (2**bits - 1) / 255
    return np.rint(values).astype(np.uint8 if bits <= 8 else np.uint16)


def features(count: int = 8, shape: tuple[int, ...] = (12, 14, 14)) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.maximum(np.cumsum(rng.standard_normal((count, *shape)), -1), 0).astype(np.float32)


def fitted(x: np.ndarray, **options: object) -> Codec:
    spec = CodecSpec(**{"entropy": "hevc", "bits": 8, "scope": "tensor", "gop": 1} | options)
    return Codec.fit(spec, [TensorSpec(name="x", dtype="float32", shape=("N", *x.shape[1:]))], [x])


# -- sequences -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gop", [1, 4, 15])
@pytest.mark.parametrize("shape", [(52, 61), (16, 16), (7, 7), (1, 1), (90, 64)], ids=str)
def test_rc5_pictures_come_back_near(name: str, gop: int, shape: tuple[int, int]) -> None:
    codec, x = codec_of(name), film(6, shape)
    coded = encode_frames(codec, x, qp=10, gop=gop)
    back = decode_frames(codec, coded)
    assert (back.shape, back.dtype, len(coded.packets)) == (x.shape, x.dtype, 6)
    assert np.abs(back.astype(int) - x).mean() < 4


@pytest.mark.parametrize("name", NAMES)
def test_rc5_the_qp_sweep_is_monotone_in_bytes(name: str) -> None:
    codec, x = codec_of(name), film(2)
    sizes = [encode_frames(codec, x, qp=qp).picture_bytes for qp in (12, 22, 32, 42)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[-1]


@pytest.mark.parametrize("name", NAMES)
def test_rx4_inter_is_never_worse_than_intra_on_static_input(name: str) -> None:
    codec, x = codec_of(name), film(8, motion=0)
    intra, inter = (encode_frames(codec, x, gop=gop).picture_bytes for gop in (1, 15))
    assert inter < 0.4 * intra


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bits", range(1, 13))
def test_rx4_every_width_is_spread_over_the_codec_s_range(name: str, bits: int) -> None:
    codec = codec_of(name)
    x = film(2, bits=bits)
    if bits > max(codec.pixel_formats):
        with pytest.raises(CodecError, match=f"{name}: {bits} bits per symbol, must be 1..10"):
            encode_frames(codec, x, bits)
        return
    back = decode_frames(codec, encode_frames(codec, x, bits, qp=4))
    assert back.dtype == x.dtype
    assert int(back.max()) < 2**bits
    assert np.abs(back.astype(int) - x).mean() <= 0.02 * 2**bits


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_rx4_rescaling_inverts_exactly(depth: int) -> None:
    for bits in range(1, depth + 1):
        every = np.arange(2**bits).astype(np.uint8 if bits <= 8 else np.uint16)
        pixels = pixels_from_symbols(every, bits, depth)
        assert (int(pixels[0]), int(pixels[-1])) == (0, 2**depth - 1)
        assert np.array_equal(symbols_from_pixels(pixels, bits, depth), every)
    assert pixels_from_symbols(np.array([0, 1], np.uint8), 1, 8).tolist() == [0, 255]


@pytest.mark.parametrize("name", NAMES)
def test_parameter_sets_are_counted_once(name: str) -> None:
    coded = encode_frames(codec_of(name), film(6), gop=2)
    assert 8 <= len(coded.parameter_sets) <= 100
    assert coded.stream_bytes == coded.picture_bytes + len(coded.parameter_sets)
    assert all(coded.parameter_sets not in packet for packet in coded.packets)
    if name != "av1":
        assert coded.parameter_sets.count(b"\0\0\1") == {"hevc": 3, "h264": 2}[name]
        assert not any(packet.startswith(b"\0\0") for packet in coded.packets)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gop", [1, 5])
def test_a_stream_gives_one_packet_a_frame_at_once(name: str, gop: int) -> None:
    codec, x = codec_of(name), film(7)
    encoder = FrameEncoder(codec, x.shape[1:], 8, EncoderSettings(qp=20, gop=gop))
    first = encoder.encode(x[0])
    decoder = FrameDecoder(codec, encoder.parameter_sets, x.shape[1:], 8)
    assert np.abs(decoder.decode(first).astype(int) - x[0]).mean() < 8
    for frame in x[1:]:
        assert np.abs(decoder.decode(encoder.encode(frame)).astype(int) - frame).mean() < 8


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduling policies here")
@pytest.mark.parametrize("name", NAMES)
def test_encoders_leave_no_real_time_threads(name: str) -> None:
    """SVT-AV1 makes some, as root; what they start afterwards starves the machine."""
    before = os.sched_getscheduler(0)
    encoder = FrameEncoder(codec_of(name), (52, 61), 8, EncoderSettings(gop=2))
    for frame in film(3):
        encoder.encode(frame)
        assert {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")} == {before}


def test_the_same_frames_give_the_same_bytes() -> None:
    for name in NAMES:
        codec = codec_of(name)
        assert encode_frames(codec, film(4), gop=4) == encode_frames(codec, film(4), gop=4)


def test_frames_that_cannot_be_coded_are_refused() -> None:
    codec = codec_of("hevc")
    with pytest.raises(CodecError, match=r"hevc: frames of shape \[0, 4, 4\]"):
        encode_frames(codec, np.empty((0, 4, 4), np.uint8))
    with pytest.raises(CodecError, match="hevc: symbol 9 does not fit 3 bits"):
        encode_frames(codec, np.full((1, 16, 16), 9, np.uint8), 3)
    with pytest.raises(CodecError, match=r"hevc: pictures of 1 x 9000, sides must be 1..8192"):
        encode_frames(codec, np.zeros((1, 1, 9000), np.uint8))
    encoder = FrameEncoder(codec, (16, 16), 8, EncoderSettings())
    with pytest.raises(CodecError, match=r"hevc: frame of shape \[8, 8\], must be \[16, 16\]"):
        encoder.encode(np.zeros((8, 8), np.uint8))


# -- as entropy coders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_registry_entry_agrees_with_itself(name: str) -> None:
    codec_of(name)
    it = ENTROPY_CODERS.make(name, {})
    assert (it.name, it.is_lossless, it.is_trained, it.is_whole) == (name, False, True, True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tiling", ["mosaic", "quilt", "channel_frames"])
def test_features_come_back_near(name: str, tiling: str) -> None:
    codec_of(name)
    x = features()
    codec = fitted(x, entropy=name, tiling=tiling, hevc_qp=4)
    packet = codec.encode([x[:2]])
    assert not codec.is_lossless
    assert np.abs(codec.decode(packet)[0] - x[:2]).mean() < 0.1 * x.std()


@pytest.mark.parametrize("tiling", ["mosaic", "clip"])
def test_rx4_features_of_clips(tiling: str) -> None:
    x = np.repeat(features(2, (7, 1, 8, 8)), 4, axis=2)  # nothing moves
    codec = fitted(x, tiling=tiling, hevc_qp=10, gop=15)
    assert np.abs(codec.decode(codec.encode([x]))[0] - x).mean() < 0.1 * x.std()
    if tiling == "clip":
        intra = fitted(x, tiling=tiling, hevc_qp=10, gop=1)
        assert len(codec.encode([x])) < 0.6 * len(intra.encode([x]))


def test_a_packet_holds_slices_alone_and_says_so_in_its_size() -> None:
    x = features()
    codec = fitted(x)
    overhead = len(codec.encode([x[:1]])) - len(
        codec.layout.tensors[0].coder.encode(codec.quantize([x[:1]]).symbols[0][0])
    )
    assert overhead <= 16
    symbols = codec.quantize([x[:1]]).symbols[0]
    picture = codec.layout.tensors[0].coder.encode(symbols[0])
    tables = PictureTables.from_bytes(codec.tensors[0].tables)
    assert tables.parameter_sets not in picture
    assert tables.shape == x.shape[1:]


def test_large_tensors_are_one_picture() -> None:
    x = features(1, (64, 56, 56))
    codec = fitted(x)
    assert codec.layout.tensors[0].view((1, 64, 56, 56)).chunks == 1
    assert np.abs(codec.decode(codec.encode([x]))[0] - x).mean() < 0.1 * x.std()


def test_a_self_describing_packet_decodes_with_the_tables_at_hand() -> None:
    x = features()
    codec = fitted(x)
    symbols = codec.quantize([x[:1]]).symbols
    data = write_packet(codec.layout, symbols, inline=True)
    tables = codec.tensors[0].tables
    told = layout_from_header(read_header(data), {hash_of_tables(tables): tables})
    assert np.array_equal(read_packet(told, data).symbols[0], read_packet(codec.layout, data).symbols[0])


def test_contracts_carry_the_parameter_sets() -> None:
    x = features()
    codec = fitted(x, tiling="quilt")
    there = Codec.from_json(codec.to_json())
    assert np.array_equal(there.decode(codec.encode([x]))[0], codec.decode(codec.encode([x]))[0])


def test_what_a_lossy_coder_cannot_do_is_refused() -> None:
    x = features()
    with pytest.raises(UsageError, match="'hevc' predicts between pictures itself"):
        fitted(x, temporal="dpcm", gop=7)
    with pytest.raises(UsageError, match=r"needs a quantizer that uses all 2\*\*bits symbols"):
        fitted(x, quantizer="clipped", levels=5, bits=3)
    with pytest.raises(UsageError, match="'hevc' takes at most 12 bits, got 13"):
        fitted(x, bits=13)


def test_sizes_that_calibration_did_not_see_are_refused() -> None:
    x = features()
    spec = CodecSpec(entropy="hevc", bits=8)
    codec = Codec.fit(spec, [TensorSpec(name="x", dtype="float32", shape=("N", 12, "H", "W"))], [x])
    with pytest.raises(CodecError, match=r"planes of shape \[12, 7, 7\] are not samples of \[12, 14, 14\]"):
        codec.encode([x[:1, :, :7, :7]])


# -- bytes of strangers --------------------------------------------------------------------------------------------


def refused(error: BitstreamError, name: str) -> None:
    """Check that a refusal says where it comes from, in one line."""
    assert str(error).startswith(f"{name}: "), error
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_payloads_are_refused_or_pictures(name: str) -> None:
    codec_of(name)
    coder = ENTROPY_CODERS.make(name, {"tiling": "channel_frames"})
    x = film(3, (9, 11))
    prepared = coder.open(8, 3, coder.fit_tensor([x[None]], 8))
    payload = prepared.encode(x)
    rng = np.random.default_rng(5)
    for _ in range(300):
        damaged = bytearray(payload[: int(rng.integers(1, len(payload) + 1))])
        for _ in range(int(rng.integers(0, 4))):
            damaged[int(rng.integers(0, len(damaged)))] = int(rng.integers(0, 256))
        try:
            decoded = prepared.decode(bytes(damaged), x.shape)
        except BitstreamError as error:
            refused(error, name)
            continue
        assert decoded.shape == x.shape


@pytest.mark.parametrize("name", NAMES)
def test_a_packet_cannot_bring_parameter_sets(name: str) -> None:
    """Larger pictures than agreed would take memory that nobody promised."""
    codec = codec_of(name)
    small, large = encode_frames(codec, film(1, (16, 16))), encode_frames(codec, film(1, (512, 512)))
    decoder = FrameDecoder(codec, small.parameter_sets, (16, 16), 8)
    with pytest.raises(BitstreamError, match=f"{name}: a packet holds (NAL )?units of type .*; only pictures are read"):
        decoder.decode(large.parameter_sets + b"\0\0\1" * (name != "av1") + large.packets[0])


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_another_size_are_refused(name: str) -> None:
    codec = codec_of(name)
    large = encode_frames(codec, film(1, (512, 512)))
    with pytest.raises(
        BitstreamError, match=f"{name}: (the payload does not decode|a picture of 512 x 512|a packet gives 0)"
    ):
        FrameDecoder(codec, large.parameter_sets, (16, 16), 8).decode(large.packets[0])


def test_empty_and_foreign_packets_are_refused() -> None:
    for name in NAMES:
        codec = codec_of(name)
        coded = encode_frames(codec, film(1))
        for packet in (b"", b"\0", b"\xff\xff\xff\xff", b"RIFF"):
            with pytest.raises(BitstreamError, match=f"{name}: "):
                FrameDecoder(codec, coded.parameter_sets, coded.shape, 8).decode(packet)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda d: b"PNG " + d[4:], "Magic at offset 0 is not 'SPIC'", id="magic"),
        pytest.param(lambda d: d[:4] + b"\2" + d[5:], "Version at offset 4 is 2, must be 1", id="version"),
        pytest.param(lambda d: d[:5] + b"\x09" + d[6:], "Tiling_Id at offset 5 is 9, which is no tiling", id="tiling"),
        pytest.param(lambda d: d[:6] + b"\0" + d[7:], r"Rank at offset 6 is 0, must be 1\.\.8", id="rank"),
        pytest.param(lambda d: d[:7] + b"\0" + d[8:], "Size at offset 7 is 0, must be 1..", id="size"),
        pytest.param(lambda d: d[:-1] + b"\0", "Checksum at offset .* does not match", id="checksum"),
        pytest.param(lambda d: d + b"\0", "Checksum at offset .* is followed by extra bytes", id="extra"),
        pytest.param(lambda d: d[:20], "Parameter_Sets needs", id="cut"),
    ],
)
def test_damaged_tables_are_refused(change, message: str) -> None:
    coder = ENTROPY_CODERS.make("hevc", {})
    tables = coder.fit_tensor([film(3)[None]], 8)
    with pytest.raises(CodecError, match=f"picture tables: {message}"):
        coder.open(8, 3, change(tables))
    with pytest.raises(CodecError, match="hevc: tables are for 3 channels, the tensor has 4"):
        coder.open(8, 4, tables)


def test_hostile_parameter_sets_do_not_crash() -> None:
    codec, x = codec_of("hevc"), film(1)
    coded = encode_frames(codec, x)
    rng = np.random.default_rng(9)
    for _ in range(200):
        sets = bytearray(coded.parameter_sets)
        sets[int(rng.integers(3, len(sets)))] = int(rng.integers(0, 256))
        try:
            assert FrameDecoder(codec, bytes(sets), coded.shape, 8).decode(coded.packets[0]).shape == x.shape[1:]
        except BitstreamError as error:
            refused(error, "hevc")


# -- the papers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(PAPERS))
def test_the_papers_codecs_are_fitted_and_code(name: str) -> None:
    spec, shape = PAPERS[name], (6, 2, 8, 8) if PAPERS[name].tiling == "clip" else (12, 14, 14)
    x = features(6, shape)
    codec = Codec.fit(spec, [TensorSpec(name="x", dtype="float32", shape=("N", *shape))], [x])
    stream, back = codec.encoder(), codec.decoder()
    for i in range(len(x)):
        assert back.decode(stream.encode([x[i : i + 1]]))[0].shape == (1, *shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tiling", ["mosaic", "quilt"])
def test_ri8_bytes_are_counted_with_and_without_key_frames(name: str, tiling: str) -> None:
    """GOP 15: of 32 frames 0, 15 and 30 are key frames; no frame waits for a later one."""
    codec, quantizer = codec_of(name), QUANTIZERS.make("uniform", {"bits": 8, "scope": "tensor"})
    x = np.repeat(features(4, (16, 6, 6)), 8, axis=0)
    params = quantizer.fit(x)
    frames = TILINGS.make(tiling, {}).tile(quantizer.quantize(x, params))
    coded = encode_frames(codec, frames, gop=15)
    sizes = [len(packet) for packet in coded.packets]
    assert coded.picture_bytes == sum(sizes)
    assert coded.predicted_bytes == sum(sizes) - sizes[0] - sizes[15] - sizes[30]
    for count in (1, 16, 17):  # what is there so far decodes: no B frames
        part = replace(coded, packets=coded.packets[:count])
        assert np.array_equal(decode_frames(codec, part), decode_frames(codec, coded)[:count])
    other = encode_frames(codec, frames, qp=40, gop=15)  # QP sweeps the baselines
    assert other.predicted_bytes <= coded.predicted_bytes
    assert other.picture_bytes < coded.picture_bytes


@pytest.mark.skipif(not (DATA / "videos" / "vtest_first300.avi").is_file(), reason="no test clip at SPLITC_DATA")
def test_ri8_inter_beats_intra_on_a_static_camera() -> None:
    codec = codec_of("hevc")
    with av.open(str(DATA / "videos" / "vtest_first300.avi")) as clip:
        frames = [frame.to_ndarray(format="gray") for _, frame in zip(range(15), clip.decode(video=0), strict=False)]
    x = np.stack(frames)[:, 100:308, 200:408]
    intra, inter = (encode_frames(codec, x, qp=32, gop=gop) for gop in (1, 15))
    assert inter.picture_bytes < 0.35 * intra.picture_bytes
    assert inter.predicted_bytes == inter.picture_bytes - len(inter.packets[0])
    assert intra.predicted_bytes == 0
