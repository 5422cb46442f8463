"""Layouts: a feature with its samples and channels on any axes codes as the same feature with them in front."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitc.codec import Codec, CodecSpec, StreamFile, mean_packet_bytes
from splitc.errors import BundleError, CodecError
from splitc.types import F32, USUAL_LAYOUT, Array, Dim, Layout, TensorSpec

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import packet as reference

T, D, N = 9, 6, 12
"""Tokens, channels, samples."""

CASES: dict[str, tuple[tuple[Dim, ...], Layout, tuple[Dim, ...]]] = {
    # name: shape at the cut, layout, shape of the wire
    "tokens": (("N", T, D), Layout(channel_axis=2), ("N", D, T)),
    "tokens-dynamic": (("N", "T", D), Layout(channel_axis=2), ("N", D, "T")),
    "time-first": (("T", "N", D), Layout(batch_axis=1, channel_axis=2), ("N", D, "T")),
    "time-first-fixed": ((T, "N", D), Layout(batch_axis=1, channel_axis=2), ("N", D, T)),
    "recurrent": (("T", 2, "N", D), Layout(batch_axis=2, channel_axis=3), ("N", D, "T", 2)),
    "channel-last-map": (("N", T, 5, D), Layout(channel_axis=3), ("N", D, T, 5)),
    "channels-first": ((D, "N", T), Layout(batch_axis=1, channel_axis=0), ("N", D, T)),
    "no-batch": (("T", D), Layout(batch_axis=None, channel_axis=1), (1, D, "T")),
    "no-channels": (("N", "T", "U"), Layout(channel_axis=None), ("N", 1, "T", "U")),
}
SPECS = {
    "default": CodecSpec(),
    "uniform-4-channel": CodecSpec(quantizer="uniform", bits=4, scope="channel"),
    "log-sample": CodecSpec(quantizer="log", scope="sample"),
    "binary-nrle": CodecSpec(quantizer="binary", entropy="nrle"),
    "step-12-range": CodecSpec(bits=12, step=0.01, entropy="range"),
    "dpcm": CodecSpec(temporal="dpcm", gop=4),
    "ifmdc": CodecSpec(quantizer="clipped", reconstruction="midpoint", temporal="ifmdc", gop=4),
    "difference-zstd": CodecSpec(quantizer="uniform", temporal="difference", entropy="zstd"),
}


def case(name: str) -> tuple[TensorSpec, TensorSpec, Layout]:
    """The tensor at the cut, the same as its own wire, and the layout that leads from one to the other."""
    shape, layout, wire = CASES[name]
    return *(TensorSpec(name="feature", dtype="float32", shape=sizes) for sizes in (shape, wire)), layout  # type: ignore[return-value]


def sample(shape: tuple[Dim, ...], layout: Layout, seed: int, tokens: int = T) -> F32:
    """One sample whose channels differ a hundredfold in scale, and in their means."""
    sizes = [1 if axis == layout.batch_axis else tokens if isinstance(d, str) else d for axis, d in enumerate(shape)]
    x = np.random.default_rng(seed).standard_normal(sizes)
    if layout.channel_axis is not None:
        scale = np.geomspace(0.1, 10, sizes[layout.channel_axis])
        around = [size if axis == layout.channel_axis else 1 for axis, size in enumerate(sizes)]
        x = (x + np.linspace(-2, 2, len(scale)).reshape(around)) * scale.reshape(around)
    return x.astype(np.float32)


def samples(shape: tuple[Dim, ...], layout: Layout, count: int = N) -> list[F32]:
    return [sample(shape, layout, seed) for seed in range(count)]


def lost(x: list[F32], restored: list[F32], axis: int) -> float:
    """Mean over the channels of the squared error as a share of the channel's variance."""
    rows = [
        np.concatenate([np.moveaxis(one, axis, 0).reshape(D, -1) for one in each], axis=1) for each in (x, restored)
    ]
    return float(np.mean(np.square(rows[0] - rows[1]).mean(1) / rows[0].var(1)))


# -- the layout itself ---------------------------------------------------------------------------------------------


@st.composite
def layouts(draw: st.DrawFn) -> tuple[tuple[int, ...], Layout]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    axes = draw(st.permutations(range(len(shape))))
    batch = draw(st.sampled_from([None, axes[0]]))
    channel = draw(st.sampled_from([None, axes[-1] if axes[-1] != batch else None]))
    return shape, Layout(batch_axis=batch, channel_axis=channel)


@given(layouts())
def test_a_wire_leads_back_to_its_feature(drawn: tuple[tuple[int, ...], Layout]) -> None:
    shape, layout = drawn
    assert layout.fault(shape) is None
    x = np.arange(np.prod(shape)).reshape(shape)
    wire = layout.to_wire(x)
    assert wire.shape == layout.wire_shape(shape)
    assert wire.flags.c_contiguous
    assert np.array_equal(layout.from_wire(wire, len(shape)), x)
    if layout.batch_axis is not None:
        assert np.array_equal(wire[-1].ravel(), _rest(np.take(x, -1, layout.batch_axis), layout).ravel())


def _rest(x: Array, layout: Layout) -> Array:
    """One sample with its channels in front, axis by axis."""
    if layout.channel_axis is None:
        return x
    assert layout.batch_axis is not None
    return np.moveaxis(x, layout.channel_axis - (layout.channel_axis > layout.batch_axis), 0)


@pytest.mark.parametrize("shape", [("N",), ("N", 3), (1, 3, 4, 4), ("N", 3, "H", "W")])
def test_the_usual_layout_moves_nothing(shape: tuple[Dim, ...]) -> None:
    x = np.zeros([size if isinstance(size, int) else 2 for size in shape], np.float32)
    assert USUAL_LAYOUT.wire_shape(shape) == shape
    assert np.shares_memory(USUAL_LAYOUT.to_wire(x), x)
    assert USUAL_LAYOUT.fault(shape) is None


@pytest.mark.parametrize("name", CASES)
def test_wire_shapes(name: str) -> None:
    shape, layout, wire = CASES[name]
    assert layout.wire_shape(shape) == wire


@pytest.mark.parametrize(
    ("layout", "fault"),
    [
        (Layout(channel_axis=3), "axis 3 is not one of the 3 axes"),
        (Layout(batch_axis=4), "axis 4 is not one of the 3 axes"),
        (Layout(batch_axis=1), "axis 1 cannot be both"),
        (Layout(channel_axis=1), "axis 1 has no fixed size"),
    ],
)
def test_layouts_that_a_tensor_cannot_have(layout: Layout, fault: str) -> None:
    assert fault in (layout.fault(("N", "T", 4)) or "")
    with pytest.raises(CodecError, match=fault):
        Codec.fit(CodecSpec(), [TensorSpec(name="x", dtype="float32", shape=("N", "T", 4))], [[]], layouts=[layout])


# -- codecs --------------------------------------------------------------------------------------------------------


def pair(name: str, spec: CodecSpec) -> tuple[Codec, Codec, list[F32], Layout]:
    """A codec of the feature, one of its wire, and samples that neither saw."""
    cut, wire, layout = case(name)
    every = samples(cut.shape, layout, 2 * N)
    here = Codec.fit(spec, [cut], [every[:N]], layouts=[layout])
    there = Codec.fit(spec, [wire], [[layout.to_wire(x) for x in every[:N]]])
    return here, there, every[N:], layout


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("name", CASES)
def test_packets_are_those_of_the_transposed_feature(name: str, spec: CodecSpec) -> None:
    here, there, held_out, layout = pair(name, spec)
    encoders, decoders = (here.encoder(), there.encoder()), (here.decoder(), there.decoder())
    for x in held_out:
        packets = encoders[0].encode([x]), encoders[1].encode([layout.to_wire(x)])
        assert packets[0] == packets[1]
        (restored,), (moved,) = (decoder.decode(packets[0]) for decoder in decoders)
        assert restored.shape == x.shape
        assert np.array_equal(layout.to_wire(restored), moved)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][1].channel_axis is not None])
def test_channels_on_any_axis_lose_as_little_as_on_the_second(name: str) -> None:
    here, there, held_out, layout = pair(name, SPECS["uniform-4-channel"])
    axis = layout.channel_axis
    assert axis is not None
    error = lost(held_out, [here.decode(here.encode([x]))[0] for x in held_out], axis)
    wires = [layout.to_wire(x) for x in held_out]
    there_error = lost(wires, [there.decode(there.encode([x]))[0] for x in wires], 1)
    assert error == pytest.approx(there_error, rel=0.05)
    assert error < 0.05  # 16 levels over about six standard deviations leave 0.012; few samples, a little more


def test_the_wrong_channel_axis_loses_the_small_channels() -> None:
    cut, _, layout = case("tokens")
    every = samples(cut.shape, layout, 2 * N)
    spec = SPECS["uniform-4-channel"]
    wrong = Codec.fit(spec, [cut], [every[:N]])
    assert lost(every[N:], [wrong.decode(wrong.encode([x]))[0] for x in every[N:]], 2) > 1


@pytest.mark.parametrize("name", CASES)
def test_a_stream_file_carries_the_layout(name: str) -> None:
    here, _, held_out, _ = pair(name, CodecSpec())
    packet = here.encode([held_out[0]])
    read = StreamFile.from_bytes(StreamFile((packet,), codec=here).to_bytes())
    assert read.codec is not None
    assert read.codec.tensors[0].layout == CASES[name][1]
    assert np.array_equal(read.codec.decode(read.packets[0])[0], here.decode(packet)[0])


@pytest.mark.parametrize("name", CASES)
def test_the_reference_decoder_reads_the_packets(name: str) -> None:
    here, _, held_out, _ = pair(name, CodecSpec())
    (fitted,), entry = here.tensors, here.layout.tensors[0].description
    sizes = tuple(size or 0 for size in entry.shape)
    table = reference.Tensor(sizes, entry.channel_axis, entry.bits, entry.entropy_id, fitted.tables, entry.quantizer)
    for x in held_out[:2]:
        symbols = here.quantize([x]).symbols[0]
        assert symbols.shape == tuple(map(int, fitted.layout.wire_shape(x.shape)))
        assert np.array_equal(reference.read([table], here.encode([x]))[0], symbols)


# -- dynamic sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("name", [name for name in CASES if any(d in CASES[name][0] for d in ("T", "U"))])
def test_samples_may_differ_in_dynamic_sizes(name: str, spec: CodecSpec) -> None:
    cut, _, layout = case(name)
    counts = [3, 3, 3, 7, 7, 4, 4, 4, 1, 1, 1, 30]
    every = [sample(cut.shape, layout, seed, tokens) for seed, tokens in enumerate(counts)]
    codec = Codec.fit(spec, [cut], [every], layouts=[layout])
    encoder, decoder = codec.encoder(), codec.decoder()
    for x in [*every, sample(cut.shape, layout, 99, 50)]:
        (restored,) = decoder.decode(encoder.encode([x]))
        assert restored.shape == x.shape
    assert mean_packet_bytes(codec, [every]) > 0


def test_parameters_of_differing_sizes_are_those_of_all_values() -> None:
    cut, _, layout = case("tokens-dynamic")
    whole = sample(cut.shape, layout, 1, 40)
    parts = [np.ascontiguousarray(part) for part in np.split(whole, [5, 6, 20], axis=1)]
    one, several = (Codec.fit(CodecSpec(), [cut], [x], layouts=[layout]).tensors[0].params for x in ([whole], parts))
    assert np.array_equal(one.lo, several.lo)
    assert np.array_equal(one.scale, several.scale)


def test_an_array_is_taken_apart_along_the_batch_axis() -> None:
    cut, _, layout = case("time-first")
    apart = samples(cut.shape, layout)
    whole = np.concatenate(apart, axis=1)
    one, other = (Codec.fit(CodecSpec(), [cut], [x], layouts=[layout]) for x in (whole, apart))
    assert one.to_json() == other.to_json()
    assert one.decode(one.encode([whole]))[0].shape == whole.shape


def test_a_sample_may_have_several_rows() -> None:
    """Windows of a picture lie along the batch axis: a sample is not one row."""
    cut = TensorSpec(name="windows", dtype="float32", shape=("4*N", 5, D))
    x = [np.concatenate([sample(("N", 5, D), Layout(channel_axis=2), 4 * i + j) for j in range(4)]) for i in range(6)]
    codec = Codec.fit(CodecSpec(), [cut], [x], layouts=[Layout(channel_axis=2)])
    assert codec.decode(codec.encode([x[0]]))[0].shape == (4, 5, D)


def test_a_picture_codec_needs_one_size() -> None:
    pytest.importorskip("av")
    cut, _, layout = case("tokens-dynamic")
    every = [sample(cut.shape, layout, seed, tokens) for seed, tokens in enumerate([16, 24])]
    with pytest.raises(CodecError, match=r"sizes \[6, 16\] and \[6, 24\], must be \[C, \.\.\.\] of one size"):
        Codec.fit(CodecSpec(quantizer="uniform", entropy="hevc"), [cut], [every], layouts=[layout])


@pytest.mark.parametrize("spec", [CodecSpec(quantizer="uniform", bits=8, entropy="hevc", hevc_qp=4)], ids=["hevc"])
def test_pictures_are_made_of_the_wire(spec: CodecSpec) -> None:
    pytest.importorskip("av")
    cut, wire, layout = case("channel-last-map")
    every = samples(cut.shape, layout)
    here = Codec.fit(spec, [cut], [every], layouts=[layout])
    there = Codec.fit(spec, [wire], [[layout.to_wire(x) for x in every]])
    assert here.encode([every[0]]) == there.encode([layout.to_wire(every[0])])


# -- contracts -----------------------------------------------------------------------------------------------------


def stored(name: str) -> dict[str, Any]:
    cut, _, layout = case(name)
    return Codec.fit(CodecSpec(), [cut], [samples(cut.shape, layout)], layouts=[layout]).to_json()


def test_the_usual_layout_is_not_spelled() -> None:
    cut = TensorSpec(name="x", dtype="float32", shape=("N", 3, 4))
    json = Codec.fit(CodecSpec(), [cut], [np.ones((2, 3, 4), np.float32)]).to_json()
    assert not {"layout", "wire_shape"} & json["tensors"][0].keys()
    assert Codec.from_json(json).tensors[0].layout == USUAL_LAYOUT


@pytest.mark.parametrize("name", CASES)
def test_other_layouts_are_spelled_with_the_shape_of_the_wire(name: str) -> None:
    shape, layout, wire = CASES[name]
    json = stored(name)
    entry = json["tensors"][0]
    assert entry["layout"] == {"batch_axis": layout.batch_axis, "channel_axis": layout.channel_axis}
    assert entry["wire_shape"] == list(wire)
    (tensor,) = Codec.from_json(json).tensors
    assert (tensor.layout, tensor.wire_shape) == (layout, wire)
    assert tensor.dynamic_axes == tuple(axis for axis, size in enumerate(shape) if isinstance(size, str))
    assert Codec.from_json(json).to_json() == json


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: one["layout"].update(channel_axis=7),
        lambda one: one["layout"].update(channel_axis=-1),
        lambda one: one["layout"].update(channel_axis=1),
        lambda one: one["layout"].update(batch_axis=2),
        lambda one: one["layout"].update(batch_axis="0"),
        lambda one: one["layout"].update(other=1),
        lambda one: one.update(layout=[0, 2]),
        lambda one: one.update(layout={}),
        lambda one: one.update(wire_shape=["N", T, D]),
        lambda one: one.update(wire_shape=None),
        lambda one: one.pop("wire_shape"),
        lambda one: one.pop("layout"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(damage: Callable[[dict[str, Any]], None]) -> None:
    json = stored("tokens-dynamic")
    damage(json["tensors"][0])
    with pytest.raises(BundleError, match="contract"):
        Codec.from_json(json)
