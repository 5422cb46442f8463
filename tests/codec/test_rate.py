"""Several steps of one pair, and streams held to a rate by choosing among them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference.packet import Tensor, read
from reference.streams import PAIR, smooth

from splitc.codec import ENTROPY_CODERS, Codec, CodecSpec, RateControl, StreamFile, bytes_a_frame
from splitc.codec.bitstream import StreamLayout, TensorLayout, packet_rung, read_packet, write_packet
from splitc.codec.steps import WIDER
from splitc.errors import BitstreamError, BundleError, CodecError, UsageError
from splitc.types import F32, TensorSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
SHAPE = (6, 16, 18)
RUNGS = 6
SPECS = {
    "dpcm": CodecSpec(temporal="dpcm", reconstruction="unbiased", rungs=RUNGS, step=0.2),
    "motion": CodecSpec(temporal="motion", rungs=RUNGS, step=0.2),
    "dct": CodecSpec(temporal="dpcm", transform="dct", rungs=3, step=0.2),
}


def walk(frames: int, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> F32:
    """A scene that changes everywhere a little, ``[frames, C, H, W]``."""
    rng = np.random.default_rng(seed)
    steps = 0.2 * rng.standard_normal((frames, *shape))
    return (np.cumsum(steps, axis=0) + rng.standard_normal(shape)).astype(np.float32)


@pytest.fixture(scope="module")
def codecs() -> dict[str, Codec]:
    x = walk(45)
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", *SHAPE))
    return {name: Codec.fit(spec, [tensor], [x]) for name, spec in SPECS.items()}


# -- steps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_every_step_is_wider_by_one_factor(codecs: dict[str, Codec], name: str) -> None:
    codec = codecs[name]
    assert codec.rungs == SPECS[name].rungs
    for rung in range(1, codec.rungs):
        finer, coarser = (codec.at(r).tensors[0].params.scale for r in (rung - 1, rung))
        np.testing.assert_allclose(finer / coarser, WIDER, rtol=1e-5)  # float32


@pytest.mark.parametrize("name", SPECS)
def test_steps_change_from_frame_to_frame(codecs: dict[str, Codec], name: str) -> None:
    """States are equal after every frame, errors stay those of the step, and frames stay predicted."""
    codec = Codec.from_json(codecs[name].to_json())
    encoder, decoder, keyframes = codec.encoder(), codec.decoder(), 0
    for index, frame in enumerate(walk(40, seed=3)):
        encoder.rung = index * 5 // 3 % codec.rungs
        packet = encoder.encode([frame[None]])
        got = decoder.decode_symbols(packet)
        assert encoder.state_digest == decoder.state_digest
        assert got.rung == encoder.rung == encoder.sent.rung
        keyframes += not got.is_predicted
        (restored,) = codec.dequantize(got)
        planes = codec.tensors[0].to_wire(restored - frame[None])
        inside = np.abs(planes) * codec.at(got.rung).tensors[0].params.scale.reshape(1, -1, 1, 1)
        assert np.median(inside) < 0.6  # of the step; few are beyond it: clipped ones, and those in the dead zone
    assert keyframes < 10  # 3 for the GOPs, and where one is smaller than a frame at a much finer step


def test_a_coarser_step_takes_fewer_bytes(codecs: dict[str, Codec]) -> None:
    sizes = []
    for rung in range(RUNGS):
        encoder = codecs["dpcm"].encoder()
        encoder.rung = rung
        sizes.append(sum(len(encoder.encode([frame[None]])) for frame in walk(20, seed=3)))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.5 * sizes[0]


def test_a_codec_of_one_step_has_the_bytes_that_it_had() -> None:
    x = walk(20)
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", *SHAPE))
    spec = CodecSpec(temporal="dpcm", reconstruction="unbiased", step=0.2)
    one, several = (Codec.fit(spec.replace(rungs=rungs), [tensor], [x]) for rungs in (None, 2))
    assert "coarser" not in one.to_json()
    packets = [codec.encode([x[:1]]) for codec in (one, several)]
    assert len(packets[1]) == len(packets[0]) + 1
    assert one.tensors == several.tensors


def test_shapes_are_read_at_every_step(codecs: dict[str, Codec]) -> None:
    codec = replace(codecs["motion"], pair_tag=b"pair")
    encoder = codec.encoder()
    for rung in (0, 3, 5):
        encoder.rung = rung
        packet = encoder.encode([walk(1)])
        assert codec.packet_shapes(packet) == [(1, *SHAPE)]


def test_stream_files_keep_every_step(codecs: dict[str, Codec]) -> None:
    codec = codecs["motion"]
    encoder = codec.encoder()
    packets = []
    for rung, frame in enumerate(walk(4)):
        encoder.rung = rung
        packets.append(encoder.encode([frame[None]]))
    read = StreamFile.from_bytes(StreamFile(tuple(packets), codec).to_bytes())
    assert read.codec is not None
    decoder = read.codec.decoder()
    for packet in read.packets:
        decoder.decode(packet)
    assert decoder.state_digest == encoder.state_digest


def test_golden_stream_and_the_reference(update_golden: bool) -> None:
    """A keyframe of rung 2, and a packet of more bits behind it at rung 0; read by the slow reader too."""
    coder, shape = ENTROPY_CODERS.make("range", {}), (1, 6, 5, 7)
    first, residual = (smooth(shape, bits, seed) for bits, seed in ((3, 4), (4, 5)))
    key = StreamLayout((TensorLayout((None, 6, 5, 7), 3, coder.open(3, 6, b""), quantizer=b"r"),), PAIR, 2)
    finest = StreamLayout((TensorLayout((None, 6, 5, 7), 4, coder.open(4, 6, b""), quantizer=b"q\x02"),), PAIR, 0)
    packets = [write_packet(key, [first], sequence=300)]
    packets.append(write_packet(finest, [residual], sequence=301, is_keyframe=False, reference=packets[0]))
    data, path = StreamFile(tuple(packets), pair_id=PAIR * 8).to_bytes(), GOLDEN / "stream_rungs.scs"
    if update_golden:
        path.write_bytes(data)
    assert data == path.read_bytes()
    one, two = StreamFile.from_bytes(path.read_bytes()).packets
    assert [packet_rung(packet, 3) for packet in (one, two)] == [2, 0]
    assert np.array_equal(read_packet(key, one).symbols[0], first)
    assert np.array_equal(read_packet(finest, two, reference=one).symbols[0], residual)
    assert np.array_equal(read([Tensor((0, 6, 5, 7), 1, 3, 2, quantizer=b"r")], one, rung=2)[0], first)
    assert np.array_equal(read([Tensor((0, 6, 5, 7), 1, 4, 2, quantizer=b"q\x02")], two, one, 0)[0], residual)


# -- hostile -------------------------------------------------------------------------------------------------------


def test_a_step_that_is_not_there_is_refused(codecs: dict[str, Codec]) -> None:
    codec = codecs["dpcm"]
    packet = bytearray(codec.encode([walk(1)]))
    assert packet[7] == 0  # behind the sequence number of one byte
    for rung, message in ((RUNGS, f"Rung at offset 7 is {RUNGS}, must be 0..{RUNGS - 1}"), (255, "Rung at offset 7")):
        packet[7] = rung
        with pytest.raises(BitstreamError, match=message):
            codec.decode(bytes(packet))
    packet[7] = 1
    with pytest.raises(BitstreamError):
        codec.decode(bytes(packet))
    with pytest.raises(BitstreamError, match=r"Rung needs 1 bytes .* \(truncated\)"):
        codec.decode(bytes(packet[:7]))
    encoder = codec.encoder()
    encoder.rung = RUNGS
    with pytest.raises(CodecError, match=f"step {RUNGS} is asked for, the codec has 0..{RUNGS - 1}"):
        encoder.encode([walk(1)])


def test_every_flip_of_a_packet_at_another_step_is_refused(codecs: dict[str, Codec]) -> None:
    codec, frames = codecs["motion"], walk(2)
    encoder, decoder = codec.encoder(), codec.decoder()
    decoder.decode(encoder.encode([frames[:1]]))
    encoder.rung = RUNGS - 1
    packet, before = encoder.encode([frames[1:]]), decoder.state_digest
    rng = np.random.default_rng(0)
    for at in [*range(8 * 12), *rng.integers(0, 8 * len(packet), 200).tolist()]:
        hostile = bytearray(packet)
        hostile[at // 8] ^= 1 << at % 8
        with pytest.raises(BitstreamError):
            decoder.decode(bytes(hostile))
    assert decoder.state_digest == before
    decoder.decode(packet)


def test_a_keyframe_read_as_one_of_another_step_is_refused(codecs: dict[str, Codec]) -> None:
    codec = codecs["dpcm"]
    coarse = codec.at(2)
    packet = write_packet(coarse.layout, coarse.quantize([walk(1)]).symbols)
    assert np.array_equal(codec.decode(packet)[0], coarse.dequantize(coarse.quantize([walk(1)]))[0])


def _without(document: dict[str, Any]) -> None:
    document["coarser"].pop()


def _twice(document: dict[str, Any]) -> None:
    document["coarser"][0] = document["coarser"][0] * 2


def _renamed(document: dict[str, Any]) -> None:
    document["coarser"][1][0]["tensor"]["name"] = "other"


def _wordless(document: dict[str, Any]) -> None:
    document["coarser"][1] = "abc"


def _tables(document: dict[str, Any]) -> None:
    document["coarser"][1][0]["entropy_tables"] = "AAAA"


def _many(document: dict[str, Any]) -> None:
    document["spec"]["rungs"] = 9


@pytest.mark.parametrize("change", [_without, _twice, _renamed, _wordless, _tables, _many])
def test_hostile_steps_in_contracts_are_refused(codecs: dict[str, Codec], change: Any) -> None:
    document = copy.deepcopy(codecs["dpcm"].to_json())
    change(document)
    with pytest.raises(BundleError, match=r"^contract: "):
        Codec.from_json(document)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rungs": 9}, "less than or equal to 8"),
        ({"rungs": 1}, "greater than or equal to 2"),
        ({"rungs": 2}, "rungs = 2 needs a quantizer with several steps"),
        ({"rungs": 2, "quantizer": "uniform"}, "rungs = 2 needs a quantizer with several steps"),
    ],
)
def test_steps_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CodecSpec(temporal="dpcm", **options)


# -- rate ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"), [("200 kbit/s", 1000), ("0.2Mbit/s", 1000), ("8 bit/s", 0.04), ("2000 B/frame", 2000)]
)
def test_rates_are_read(text: str, wanted: float) -> None:
    assert bytes_a_frame(text, 25) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", "200", "kbit/s", "-1 kbit/s", "0 kbit/s", "1e3 kbit/s", "200 kB/s", "nan bit/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not like '200 kbit/s'"):
        bytes_a_frame(text, 25)


def test_a_rate_needs_several_steps_and_a_number(codecs: dict[str, Codec]) -> None:
    encoder = Codec(codecs["dpcm"].spec.replace(rungs=None), codecs["dpcm"].tensors).encoder()
    with pytest.raises(UsageError, match=r"the codec has one; build it with .* codec\.rungs"):
        RateControl(encoder, 100)
    for target in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="cannot be held"):
            RateControl(codecs["dpcm"].encoder(), target)


def held(codec: Codec, target: float, frames: F32) -> tuple[list[int], list[int]]:
    """Bytes and steps of every frame of a stream held to ``target``."""
    encoder = codec.encoder()
    control = RateControl(encoder, target)
    sizes, rungs = [], []
    for frame in frames:
        rungs.append(encoder.rung)
        sizes.append(len(packet := encoder.encode([frame[None]])))
        control.sent(packet)
    return sizes, rungs


@pytest.mark.parametrize("rung", [1, 2, 4])
def test_a_rate_between_the_steps_is_held(codecs: dict[str, Codec], rung: int) -> None:
    """Within 5 % behind the first two GOPs, which it learns from; no frame changes by more than one step."""
    frames = walk(150, seed=7)
    encoder = codecs["motion"].encoder()
    encoder.rung = rung
    target = 0.9 * float(np.mean([len(encoder.encode([frame[None]])) for frame in frames[:60]]))
    sizes, rungs = held(codecs["motion"], target, frames)
    assert np.mean(sizes[30:]) == pytest.approx(target, rel=0.05)
    assert np.abs(np.diff(rungs)).max() <= 1
    assert np.count_nonzero(np.diff(rungs[30:])) < 40  # of 120 frames: it does not swing with every frame


@pytest.mark.parametrize(("target", "rung"), [(1, RUNGS - 1), (1e9, 0)])
def test_a_rate_out_of_reach_stays_at_the_last_step(codecs: dict[str, Codec], target: float, rung: int) -> None:
    assert set(held(codecs["dpcm"], target, walk(40))[1][10:]) == {rung}


def test_a_busier_scene_is_brought_back_to_the_rate(codecs: dict[str, Codec]) -> None:
    calm, busy = walk(60), walk(90, seed=1)
    busy[1:] += np.float32(0.15) * np.random.default_rng(2).standard_normal(busy[1:].shape).astype(np.float32)
    encoder = codecs["dpcm"].encoder()
    encoder.rung = 2
    target = float(np.mean([len(encoder.encode([frame[None]])) for frame in calm]))
    sizes, rungs = held(codecs["dpcm"], target, np.concatenate([calm, busy]))
    assert np.mean(rungs[90:]) > np.mean(rungs[30:60]) + 0.3
    assert np.mean(sizes[90:]) == pytest.approx(target, rel=0.1)
