"""``splitc encode`` and ``splitc decode``: features to a stream file and back, and every way to get it wrong."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from e2e_setting import CUT, Outcome, build, cli, listing, setting
from reference.packet import crc32c, read_varint, varint

from splitc.bundle import open_bundle
from splitc.codec import Codec, CodecSpec, StreamFile, spec_from_text
from splitc.errors import BitstreamError
from splitc.runtime import CloudHalf
from splitc.types import F32, Layout, TensorSpec


def clip(frames: int = 12, seed: int = 0, shape: tuple[int, ...] = (8, 6, 5)) -> F32:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 0.05 * rng.standard_normal((frames, *shape))).astype(np.float32)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", clip())
    return tmp_path / "a.npy"


def encode(*arguments: object) -> Outcome:
    return cli("encode", *arguments, "--json")


def decode(*arguments: object) -> Outcome:
    return cli("decode", *arguments, "--json")


def done(outcome: Outcome) -> dict[str, object]:
    assert outcome.code == 0, outcome.err
    document: dict[str, object] = outcome.document
    return document


def refused(outcome: Outcome, message: str) -> None:
    """Exit code 2 and one sentence."""
    assert (outcome.code, message in outcome.err, outcome.err.count("\n")) == (2, True, 1), outcome.err


# -- files that carry their codec ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "fast,bits=8",
        "balanced,temporal=difference",
        "temporal=dpcm,gop=5",
        "entropy=range,bits=12",
        "quantizer=clipped,levels=9,temporal=ifmdc,reconstruction=midpoint,entropy=nrle",
    ],
)
def test_a_stream_file_describes_itself(spec: str, features: Path, tmp_path: Path) -> None:
    said = done(encode(features, "--codec", spec, "--out", tmp_path / "a.scs"))
    assert list(said) == ["bitstream", "packets", "elements", "bytes", "file_bytes", "rate_bpe", "seconds"]
    assert (said["packets"], said["elements"]) == (12, 12 * 240)
    assert said["rate_bpe"] == 8 * said["bytes"] / said["elements"]
    assert said["file_bytes"] == (tmp_path / "a.scs").stat().st_size
    heard = done(decode(tmp_path / "a.scs", "--out", tmp_path / "b.npy"))
    told = {"output": str(tmp_path / "b.npy"), "shape": [12, 8, 6, 5], "dtype": "float32"}
    assert {key: heard[key] for key in told} == told
    restored = np.load(tmp_path / "b.npy")
    assert restored.dtype == np.float32
    assert np.sqrt(np.square(restored - clip()).mean()) < 0.3
    assert listing(tmp_path) == {"a.npy", "a.scs", "b.npy"}


def test_a_folder_is_its_files_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for number in (1, 2, 10):
        np.save(tmp_path / "clips" / f"part{number}.npy", np.full((1, 2, 3), number, np.float32))
    done(encode(tmp_path / "clips", "--codec", "step=0.1", "--out", tmp_path / "a.scs"))
    done(decode(tmp_path / "a.scs", "--out", tmp_path / "b.npy"))
    np.testing.assert_allclose(np.load(tmp_path / "b.npy")[:, 0, 0], [1, 2, 10], atol=0.3)
    (tmp_path / "nothing").mkdir()
    refused(encode(tmp_path / "nothing", "--out", tmp_path / "c"), "a folder without .npy and .npz files")


def test_the_file_is_what_the_library_makes_of_it(features: Path, tmp_path: Path) -> None:
    done(encode(features, "--codec", "temporal=difference", "--out", tmp_path / "a.scs"))
    tensor = TensorSpec(name="feature", dtype="float32", shape=("N", 8, 6, 5))
    codec = Codec.fit(spec_from_text("temporal=difference", has_tail=False), [tensor], [clip()])
    stream, decoder = codec.encoder(), codec.decoder()
    packets = tuple(stream.encode([x[None]]) for x in clip())
    assert (tmp_path / "a.scs").read_bytes() == StreamFile(packets, codec=codec).to_bytes()
    done(decode(tmp_path / "a.scs", "--out", tmp_path / "b.npy"))
    assert np.array_equal(np.load(tmp_path / "b.npy"), np.concatenate([decoder.decode(p)[0] for p in packets]))


def test_several_files_are_clips_and_calibration_may_be_other_files(features: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", clip(7).astype(np.float64))
    options = ("--calibration", features, "--codec", "temporal=dpcm", "--out", tmp_path / "x")
    assert done(encode(features, tmp_path / "c.npy", *options))["packets"] == 19
    assert done(decode(tmp_path / "x", "--out", tmp_path / "b.npy"))["shape"] == [19, 8, 6, 5]


def test_several_tensors_a_frame(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", left=clip(), right=clip(shape=(3, 4)))
    assert done(encode(tmp_path / "two.npz", "--out", tmp_path / "x"))["elements"] == 12 * (240 + 12)
    shapes = {"left": [12, 8, 6, 5], "right": [12, 3, 4]}
    assert done(decode(tmp_path / "x", "--out", tmp_path / "y.npz"))["shape"] == shapes
    assert {name: list(x.shape) for name, x in np.load(tmp_path / "y.npz").items()} == shapes
    refused(decode(tmp_path / "x", "--out", tmp_path / "y.npy"), "go into an .npz, all 2 tensors; name the file so.")


def test_frames_that_change_their_size_become_an_array_a_run(tmp_path: Path) -> None:
    """Tokens of any number, as bundles have them; the codec's tensors are made here, since --codec fits one size."""
    tokens = TensorSpec(name="tokens", dtype="float32", shape=("N", "T", 8))
    rng = np.random.default_rng(0)
    samples = [rng.standard_normal((1, length, 8)).astype(np.float32) for length in (3, 3, 5, 1, 1, 1, 3)]
    codec = Codec.fit(CodecSpec(), [tokens], [samples], layouts=[Layout(channel_axis=2)])
    (tmp_path / "x").write_bytes(StreamFile(tuple(codec.encode([x]) for x in samples), codec=codec).to_bytes())
    refused(decode(tmp_path / "x", "--out", tmp_path / "y.npy"), "different sizes, which one .npy cannot hold; name an")
    shapes = {"tokens#0": [2, 3, 8], "tokens#1": [1, 5, 8], "tokens#2": [3, 1, 8], "tokens#3": [1, 3, 8]}
    assert done(decode(tmp_path / "x", "--out", tmp_path / "y.npz"))["shape"] == shapes
    back = dict(np.load(tmp_path / "y.npz"))
    assert {name: list(x.shape) for name, x in back.items()} == shapes
    expected = [codec.decode(codec.encode([x]))[0] for x in samples]
    assert np.array_equal(back["tokens#0"], np.concatenate(expected[:2]))
    assert np.array_equal(back["tokens#3"], expected[6])
    assert listing(tmp_path) == {"x", "y.npz"}


def test_people_get_a_line_each(features: Path, tmp_path: Path) -> None:
    assert "12 packets, " in cli("encode", features, "--out", tmp_path / "x").out
    assert "feature float32 [12, 8, 6, 5]" in cli("decode", tmp_path / "x", "--out", tmp_path / "y.npy").out


# -- files of a bundle ---------------------------------------------------------------------------------------------


def test_a_bundles_codec(bundle: Path, tmp_path: Path) -> None:
    x = np.abs(clip(3, shape=(8, 16, 16)))
    np.savez(tmp_path / "f.npz", **{CUT: x})
    np.save(tmp_path / "f.npy", x)
    done(encode(tmp_path / "f.npz", "--bundle", bundle, "--out", tmp_path / "x"))
    done(encode(tmp_path / "f.npy", "--bundle", bundle, "--out", tmp_path / "y"))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert (tmp_path / "x").stat().st_size < 3 * 2048, "no tables inside"
    assert done(decode(tmp_path / "x", "--bundle", bundle, "--out", tmp_path / "z.npy"))["shape"] == [3, 8, 16, 16]
    refused(decode(tmp_path / "x", "--out", tmp_path / "z.npy"), "was encoded with bundle")


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fats", "unknown codec profile 'fats'. Did you mean 'fast'?"),
        ("fast,bit=3", "codec: unknown key 'bit'. Did you mean 'bits'?"),
        ("fast,bits", "codec: 'bits' is not key=value."),
        ("bits=many", "quantizer 'step': bits: Input should be a valid integer"),
        ("bits=17,entropy=range", "quantizer 'step': bits: Input should be less than or equal to 16."),
        ("bits=12,entropy=huffman", "entropy coder 'huffman' takes at most 8 bits, got 12."),
        ("quantizer=log,step=0.3", "codec.step: neither"),
        ("temporal=dcpm", "unknown temporal predictor 'dcpm'. Did you mean 'dpcm'?"),
        ("temporal=ifmdc", "temporal 'ifmdc' needs an odd number of levels, got 256"),
        ("quantizer=uniform,temporal=ifmdc", "temporal 'ifmdc' needs reconstruction"),
    ],
)
def test_bad_specs(spec: str, message: str, features: Path, tmp_path: Path) -> None:
    refused(encode(features, "--codec", spec, "--out", tmp_path / "x"), message)
    assert not (tmp_path / "x").exists()


BAD_FEATURES = {
    "integers": (np.zeros((2, 3), np.int32), "'feature' is int32 [2, 3], must be float [frames, channels, ...]."),
    "vector": (np.zeros(3, np.float32), "'feature' is float32 [3], must be float"),
    "empty": (np.zeros((0, 3), np.float32), "must be float [frames, channels, ...]."),
    "nan": (np.full((2, 3), np.nan, np.float32), "holds NaN or infinities, which no codec can be fitted on"),
    "infinite": (np.full((2, 3), np.inf, np.float32), "holds NaN or infinities, which no codec can be fitted on"),
}


@pytest.mark.parametrize("name", list(BAD_FEATURES))
def test_bad_features(name: str, tmp_path: Path) -> None:
    array, message = BAD_FEATURES[name]
    np.save(tmp_path / "f.npy", array)
    refused(encode(tmp_path / "f.npy", "--out", tmp_path / "x"), message)
    assert listing(tmp_path) == {"f.npy"}


def test_bad_files(features: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "other.npy", clip(shape=(8, 6, 6)))
    np.savez(tmp_path / "uneven.npz", left=clip(3), right=clip(4))
    out = ("--out", tmp_path / "x")
    for arguments, message in (
        ([tmp_path / "none.npy", *out], "none.npy: no such file."),
        ([tmp_path / "text.npy", *out], "text.npy: not a readable NumPy file"),
        ([features, tmp_path / "other.npy", *out], "other.npy: 'feature' is ['N', 8, 6, 6], in "),
        ([features, tmp_path / "other.npy", *out], "it is ['N', 8, 6, 5]; a codec that is fitted here has"),
        ([tmp_path / "uneven.npz", features, *out], "uneven.npz: the arrays disagree"),
        ([tmp_path / "uneven.npz", *out], "uneven.npz: the arrays disagree on the number of frames (axis 0)."),
        ([features, "--out", tmp_path], "is a folder; name a file in it."),
        ([features, "--out", tmp_path / "no" / "x"], "cannot be written (No such file or directory)."),
        ([features, "--bundle", bundle, "--codec", "fast", *out], "--bundle brings its own codec"),
        ([features, "--bundle", bundle, *out], "a.npy: features of"),
        ([features, "--bundle", tmp_path / "none", *out], "none"),
    ):
        refused(encode(*arguments), message)
    assert not (tmp_path / "x").exists()


@pytest.fixture
def stream(features: Path, tmp_path: Path) -> bytes:
    done(encode(features, "--codec", "temporal=difference", "--out", tmp_path / "a.scs"))
    return (tmp_path / "a.scs").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda d: b"", "stream file: Magic needs 4 bytes at offset 0, 0 left (truncated).", id="empty"),
        pytest.param(lambda d: b"RIFF" + d[4:], "Magic at offset 0 is not SCST: not a splitc stream file.", id="magic"),
        pytest.param(lambda d: d[:4] + b"\2" + d[5:], "Version at offset 4 is 2, this splitc reads 1.", id="version"),
        pytest.param(lambda d: d[:5] + b"\7" + d[6:], "Kind at offset 5 is 7, must be 0 or 1.", id="kind"),
        pytest.param(lambda d: d[:20] + bytes([d[20] ^ 1]) + d[21:], "does not match (damaged or", id="codec-flip"),
        pytest.param(lambda d: d[:40], "(truncated)", id="cut-codec"),
        pytest.param(lambda d: d[:-3], "stream file: Packet needs", id="cut-packet"),
        pytest.param(lambda d: d + b"!", "Packet at offset", id="extended"),
        pytest.param(lambda d: d[:-1] + bytes([d[-1] ^ 1]), "packet 11: bitstream: Checksum", id="packet-flip"),
    ],
)
def test_damaged_files(change: Callable[[bytes], bytes], message: str, stream: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(change(stream))
    refused(decode(tmp_path / "bad", "--out", tmp_path / "y.npy"), message)
    assert not (tmp_path / "y.npy").exists()


def resealed(stream: bytes, codec: bytes) -> bytes:
    """The file with other codec bytes and a right checksum: an attacker computes checksums too."""
    size, at = read_varint(stream, 6)
    _, end = read_varint(stream, at + size)
    head = stream[:6] + varint(len(codec)) + codec + stream[at + size : end]
    return head + crc32c(head).to_bytes(4, "little") + stream[end + 4 :]


def test_codecs_from_strangers_never_crash(stream: bytes) -> None:
    size, at = read_varint(stream, 6)
    text = zlib.decompress(stream[at : at + size])
    rng = np.random.default_rng(3)
    refusals = 0
    for _ in range(200):
        data = bytearray(text)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] = rng.choice(list(b'0123456789"[]{},:ABCabc-.e'))
        try:
            file = StreamFile.from_bytes(resealed(stream, zlib.compress(bytes(data), 1)))
            assert file.codec is not None
            decoder = file.codec.decoder()
            for packet in file.packets:
                decoder.decode(packet)
        except BitstreamError:
            refusals += 1
    assert refusals > 150


def test_a_codec_that_inflates_without_end_is_refused(stream: bytes) -> None:
    bomb = zlib.compress(bytes(65 << 20), 1)
    with pytest.raises(BitstreamError, match="Codec at offset 6 is not one zlib stream of at most 67108864 bytes"):
        StreamFile.from_bytes(resealed(stream, bomb))


def test_files_that_cannot_be_decoded(bundle: Path, tmp_path: Path, stream: bytes) -> None:
    out = ("--out", tmp_path / "y.npy")
    (tmp_path / "noise").write_bytes(b"noise")
    refused(decode(tmp_path / "noise", *out), f"{tmp_path / 'noise'}: stream file: Magic at offset 0 is not SCST")
    refused(decode(tmp_path / "none", *out), "none: cannot be read (No such file or directory).")
    refused(decode(tmp_path / "a.scs", "--bundle", bundle, *out), "carries its own codec; leave out --bundle.")
    file = StreamFile.from_bytes(stream)
    (tmp_path / "late").write_bytes(StreamFile(file.packets[1:], codec=file.codec).to_bytes())
    refused(decode(tmp_path / "late", *out), "packet 1 is predicted from packet 0")
    (tmp_path / "nothing").write_bytes(StreamFile((), codec=file.codec).to_bytes())
    refused(decode(tmp_path / "nothing", *out), "holds no packets.")
    (tmp_path / "foreign").write_bytes(StreamFile(file.packets, pair_id=bytes(32)).to_bytes())
    refused(decode(tmp_path / "foreign", "--bundle", bundle, *out), "was encoded with bundle 000000000000...")


# -- what a review found -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entropy", ["rans", "range", "cohen", "huffman", "nrle", "zstd"])
@pytest.mark.parametrize("quantizer", ["binary", "uniform,bits=2"])
def test_packets_of_nothing_but_the_top_symbol(tmp_path: Path, entropy: str, quantizer: str) -> None:
    """Adaptive coders need no byte for them: the smallest packets there are."""
    np.save(tmp_path / "cal.npy", clip(8))
    np.save(tmp_path / "top.npy", np.full((20, 8, 6, 5), 9, np.float32))
    spec = f"entropy={entropy},quantizer={quantizer}"
    stream, back = tmp_path / "top.scs", tmp_path / "back.npy"
    done(encode(tmp_path / "top.npy", "--calibration", tmp_path / "cal.npy", "--codec", spec, "--out", stream))
    done(decode(stream, "--out", back))
    assert len(np.unique(np.load(back))) <= 8  # one level a channel


def test_only_plain_files_are_written(tmp_path: Path, features: Path) -> None:
    pipe = tmp_path / "pipe.scs"
    os.mkfifo(pipe)
    refused(encode(features, "--out", pipe), "is no plain file")
    assert pipe.is_fifo()
    target, link = tmp_path / "target.scs", tmp_path / "link.scs"
    link.symlink_to(target)
    done(encode(features, "--out", link))
    assert link.is_symlink()
    assert target.stat().st_size > 0
    before = features.read_bytes()
    refused(encode(features, "--out", features), "is one of the features")
    assert features.read_bytes() == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_named_with_their_file(tmp_path: Path, value: float) -> None:
    array = clip(4)
    array[2, 0, 0, 0] = value
    np.save(tmp_path / "bad.npy", array)
    refused(encode(tmp_path / "bad.npy", "--out", tmp_path / "x.scs"), "bad.npy: holds NaN or infinities")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path, features: Path) -> None:
    refused(encode(features, "--out", tmp_path / "x.scs", "--codec", "bits=4,bits=5"), "bits stands twice")


def test_a_codec_of_endless_lists_is_refused_before_it_is_parsed(tmp_path: Path, features: Path) -> None:
    packed = zlib.compress(b"[" + b"[]," * 2_000_000 + b"[]]", 9)
    head = b"SCST\1\0" + varint(len(packed)) + packed + varint(0)
    (tmp_path / "x.scs").write_bytes(head + crc32c(head).to_bytes(4, "little"))
    refused(decode(tmp_path / "x.scs", "--out", tmp_path / "x.npy"), "lists and objects")


# -- axes ----------------------------------------------------------------------------------------------------------

AXES: dict[str, tuple[tuple[int, ...], list[str]]] = {
    # name: order of the axes of a clip [frames, channels, rows, columns] in the file, options
    "channel-last": ((0, 2, 3, 1), ["--channel-axis", "-1"]),
    "frames-second": ((2, 0, 3, 1), ["--batch-axis", "1", "--channel-axis", "3"]),
    "frames-last": ((1, 2, 3, 0), ["--batch-axis", "-1", "--channel-axis", "0"]),
}


def packets_of(path: Path) -> tuple[bytes, ...]:
    return StreamFile.from_bytes(path.read_bytes()).packets


@pytest.mark.parametrize("spec", ["quantizer=uniform,bits=4", "temporal=dpcm,gop=5"])
@pytest.mark.parametrize("name", AXES)
def test_other_axes_give_the_packets_of_the_usual_ones(name: str, spec: str, tmp_path: Path) -> None:
    order, options = AXES[name]
    frames = clip() * np.geomspace(0.1, 10, 8, dtype=np.float32)[:, None, None]
    np.save(tmp_path / "usual.npy", frames)
    np.save(tmp_path / "moved.npy", frames.transpose(order))
    done(encode(tmp_path / "usual.npy", "--codec", spec, "--out", tmp_path / "usual.scs"))
    done(encode(tmp_path / "moved.npy", "--codec", spec, "--out", tmp_path / "moved.scs", *options))
    assert packets_of(tmp_path / "usual.scs") == packets_of(tmp_path / "moved.scs")
    done(decode(tmp_path / "usual.scs", "--out", tmp_path / "usual-back.npy"))
    assert done(decode(tmp_path / "moved.scs", "--out", tmp_path / "moved-back.npy"))["shape"] == [
        frames.shape[axis] for axis in order
    ]
    back = np.load(tmp_path / "moved-back.npy").transpose(np.argsort(order))
    assert np.array_equal(np.load(tmp_path / "usual-back.npy"), back)


def test_axes_that_are_not_there(features: Path, bundle: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "uneven.npz", left=clip(shape=(3, 4)), right=clip(shape=(3, 5)))
    out = ("--out", tmp_path / "x")
    for arguments, message in (
        ([features, "--channel-axis", "4", *out], "axis 4 is not one of the 4 axes of [12, 8, 6, 5]; see --batch-axis"),
        ([features, "--channel-axis", "-5", *out], "axis -5 is not one of the 4 axes"),
        ([features, "--batch-axis", "1", *out], "axis 1 cannot be both the samples' and the channels'"),
        ([features, "--bundle", bundle, "--channel-axis", "2", *out], "--bundle knows the axes of its tensors"),
        (
            [tmp_path / "uneven.npz", "--batch-axis", "2", *out],
            "uneven.npz: the arrays disagree on the number of frames (axis 2).",
        ),
    ):
        refused(encode(*arguments), message)
    assert not (tmp_path / "x").exists()


def test_a_picture_becomes_the_packet_that_the_edge_sends(source: Path, bundle: Path, tmp_path: Path) -> None:
    picture, out = sorted((source / "pictures").iterdir())[0], tmp_path / "packet"
    outcome = cli("encode", "--bundle", bundle, picture, "--out", out, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["bytes"] == out.stat().st_size
    half = CloudHalf(open_bundle(bundle))
    (answer,) = half.answer(half.decode(out.read_bytes())).values()
    ran = cli("run", bundle, picture, "--save-outputs", tmp_path / "outputs")
    assert ran.code == 0
    (saved,) = (tmp_path / "outputs").iterdir()
    assert np.array_equal(np.load(saved)["logits"], answer)


@pytest.mark.parametrize("temporal", ["none", "difference"])
def test_pictures_become_the_input_of_perf_analyzer(source: Path, tmp_path: Path, temporal: str) -> None:
    """Frames that are predicted lie in one sequence for each clip."""
    built, out = tmp_path / "bundle", tmp_path / "load.json"
    assert build(source, built, *setting(f"codec.temporal={temporal}")).code == 0
    pictures = sorted((source / "pictures").iterdir())[:3]
    assert cli("encode", "--bundle", built, *pictures, "--out", out).code == 0
    data = json.loads(out.read_text())["data"]
    steps = data if temporal == "none" else data[0]
    assert len(steps) == 3
    half = CloudHalf(open_bundle(built))
    for step in steps:
        packet = base64.b64decode(step["packet"]["b64"])
        assert step["packet"]["shape"] == [len(packet)]
        assert half.decode(packet).symbols


def test_several_pictures_are_no_packet(source: Path, bundle: Path, tmp_path: Path) -> None:
    pictures = sorted((source / "pictures").iterdir())[:2]
    outcome = cli("encode", "--bundle", bundle, *pictures, "--out", tmp_path / "packet")
    assert (outcome.code, "holds one packet, and these are 2 requests" in outcome.err) == (2, True)
    assert not (tmp_path / "packet").exists()
    same = cli("encode", "--bundle", bundle, pictures[0], "--out", pictures[0])
    assert (same.code, "is one of the pictures" in same.err) == (2, True)
