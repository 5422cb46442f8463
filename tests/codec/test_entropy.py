"""Every entropy coder of the registry: round trips on edge shapes, refusals, and what the rANS tables promise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zstandard
from reference.neighbours import neighbours
from reference.streams import LOSSLESS

import splitc.codec
from splitc.codec.entropy import ENTROPY_CODERS, ChunkCoder, EntropyCoder
from splitc.codec.entropy.rans import Rans
from splitc.codec.entropy.rans_contexts import spatial_inputs
from splitc.codec.entropy.rans_tables import PROBABILITY_ONE
from splitc.codec.entropy.rans_training import CAPACITIES, Capacity, train
from splitc.errors import BitstreamError, CodecError
from splitc.native import _core
from splitc.types import Symbols

FORMAT = (Path(splitc.codec.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")


def coder(name: str) -> EntropyCoder:
    return ENTROPY_CODERS.make(name, {})


def symbols(shape: tuple[int, ...], bits: int, kind: str = "smooth", seed: int = 0) -> Symbols:
    """Test symbols; smooth ones look like features."""
    rng = np.random.default_rng(seed)
    top = 2**bits - 1
    values = {
        "smooth": np.clip(np.rint(top * (0.5 + 0.15 * rng.standard_normal(shape))), 0, top),
        "uniform": rng.integers(0, top + 1, shape),
        "zeros": np.zeros(shape),
        "max": np.full(shape, top),
        "sparse": np.where(rng.random(shape) < 0.02, rng.integers(0, top + 1, shape), 0),
        "planes": np.broadcast_to(np.arange(shape[0]).reshape(-1, 1, 1) % (top + 1), shape),
    }[kind]
    return np.ascontiguousarray(values, np.uint8 if bits <= 8 else np.uint16)


def opened(name: str, bits: int, calibration: Symbols) -> ChunkCoder:
    it = coder(name)
    return it.open(bits, calibration.shape[0], it.fit([calibration], bits))


EDGE_SHAPES = [
    pytest.param((1, 1, 1), id="one-symbol"),
    pytest.param((1, 1, 2), id="two-symbols"),
    pytest.param((3, 1, 1), id="planes-of-one"),
    pytest.param((5, 7, 1), id="one-wide"),
    pytest.param((5, 1, 7), id="one-high"),
    pytest.param((1, 40, 41), id="one-plane"),
    pytest.param((17, 31, 33), id="lanes-do-not-divide-planes"),
    pytest.param((3, 128, 64), id="fewer-planes-than-lanes"),
    pytest.param((40000, 1, 1), id="many-planes-of-one"),
    pytest.param((20001, 2, 1), id="raw-symbols-span-planes"),
    pytest.param((1, 20000, 1), id="column"),
    pytest.param((2, 1, 20000), id="rows"),
    pytest.param((16, 64, 128), id="sixteen-lanes"),
]


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("shape", EDGE_SHAPES)
@pytest.mark.parametrize("kind", ["smooth", "zeros", "max", "sparse"])
def test_round_trip_of_edge_shapes(name: str, shape: tuple[int, int, int], kind: str) -> None:
    """Tables come from smooth symbols throughout: what they did not expect must survive too."""
    x = symbols(shape, 4, kind)
    prepared = opened(name, 4, symbols((shape[0] if shape[0] < 60000 else 1, 4, 4), 4))
    assert np.array_equal(prepared.decode(prepared.encode(x, 5), shape, 5), x)


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("kind", ["smooth", "uniform", "max", "planes"])
def test_round_trip_of_every_width(name: str, bits: int, kind: str) -> None:
    if bits > coder(name).max_bits:
        with pytest.raises(CodecError, match=f"{bits} bits per symbol"):
            coder(name).fit([symbols((6, 9, 11), bits)], bits)
        return
    x = symbols((6, 9, 11), bits, kind)
    prepared = opened(name, bits, x)
    decoded = prepared.decode(prepared.encode(x), x.shape)
    assert decoded.dtype == x.dtype
    assert np.array_equal(decoded, x)


@pytest.mark.parametrize("name", LOSSLESS)
def test_registry_entry_agrees_with_format(name: str) -> None:
    it = coder(name)
    widths = "1..8" if it.max_bits == 8 else "1..16"
    assert it.name == name
    assert f"| {it.wire_id} | `{name}` | {widths} |" in FORMAT
    prepared = opened(name, 4, symbols((4, 5, 5), 4))
    assert prepared.wire_id == it.wire_id
    assert any(prepared.tables_hash) == it.is_trained


def test_wire_ids_are_unique() -> None:
    ids = [coder(name).wire_id for name in LOSSLESS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", LOSSLESS)
def test_garbage_is_refused_or_decodes_to_symbols_in_range(name: str) -> None:
    rng = np.random.default_rng(3)
    prepared = opened(name, 3, symbols((8, 6, 6), 3))
    for size in [*range(40), 300, 3000]:
        garbage = rng.integers(0, 256, size, np.uint8).tobytes()
        try:
            decoded = prepared.decode(garbage, (8, 6, 6))
        except BitstreamError:
            continue
        assert int(decoded.max()) < 8


@pytest.mark.parametrize("name", ["range", "rans"])
def test_payload_end_is_checked(name: str) -> None:
    x = symbols((8, 12, 12), 4)
    prepared = opened(name, 4, x)
    payload = prepared.encode(x)
    with pytest.raises(BitstreamError, match=f"{name}: .*left over|{name}: .*final state|{name}: .*zero byte"):
        prepared.decode(payload + b"\0\0", x.shape)


def test_zstd_checks_the_declared_size_first() -> None:
    prepared = coder("zstd").open(4, 1, b"")
    with pytest.raises(BitstreamError, match=r"frame declares 50 bytes.*needs 8"):
        prepared.decode(prepared.encode(symbols((1, 10, 10), 4)), (1, 4, 4))
    with pytest.raises(BitstreamError, match=r"zstd: .*"):
        prepared.decode(b"not a frame", (1, 4, 4))


@pytest.mark.parametrize("name", LOSSLESS)
def test_symbols_that_do_not_fit_are_refused(name: str) -> None:
    prepared = opened(name, 3, symbols((2, 4, 4), 3))
    with pytest.raises(CodecError, match="symbol 9 does not fit 3 bits"):
        prepared.encode(np.full((2, 4, 4), 9, np.uint8))


@pytest.mark.parametrize("name", LOSSLESS)
def test_arrays_of_another_type_or_order_are_refused(name: str) -> None:
    """Never a silent cast: 256 as uint8 is 0."""
    prepared = opened(name, 3, symbols((2, 4, 4), 3))
    with pytest.raises(TypeError):
        prepared.encode(np.full((2, 4, 4), 256, np.int64))
    with pytest.raises(TypeError):
        prepared.encode(np.zeros((4, 4), np.uint8))
    with pytest.raises(CodecError, match="empty chunk"):
        prepared.encode(np.zeros((0, 4, 4), np.uint8))


@pytest.mark.parametrize("name", LOSSLESS)
def test_shapes_that_overflow_are_refused(name: str) -> None:
    prepared = opened(name, 3, symbols((2, 4, 4), 3))
    payload = prepared.encode(symbols((2, 4, 4), 3))
    with pytest.raises(CodecError, match=r"at most 268435456 symbols|frame declares"):
        prepared.decode(payload, (2**33, 2**31, 2))


@pytest.mark.parametrize("name", LOSSLESS)
def test_one_prepared_coder_serves_many_threads(name: str) -> None:
    prepared = opened(name, 4, symbols((8, 40, 40), 4))
    chunks = [symbols((8, 40, 40), 4, "smooth", seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        payloads = list(pool.map(prepared.encode, chunks))
        decoded = list(pool.map(lambda payload: prepared.decode(payload, (8, 40, 40)), payloads))
    assert payloads == [prepared.encode(chunk) for chunk in chunks]
    assert all(np.array_equal(a, b) for a, b in zip(decoded, chunks, strict=True))


# -- rANS tables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        pytest.param(0, 0, "Magic at offset 0 is not 'SRNS'", id="magic"),
        pytest.param(4, 2, "Version at offset 4 is 2, must be 1..1", id="version"),
        pytest.param(5, 17, "Bits at offset 5 is 17, must be 1..16", id="bits"),
        pytest.param(6, 1, "Shift at offset 6 is 1, must be 0..0", id="shift"),
        pytest.param(7, 1, "Base at offset 7 is 1, must be 0..0", id="base"),
        pytest.param(9, 0, "Class_Count at offset 9 is 0, must be 1..64", id="classes"),
        pytest.param(10, 3, "View_Count at offset 10 is 3, must be 1..2", id="views"),
        pytest.param(13, 64, "Class_Of_Channel at offset .* names a class that does not exist", id="class"),
        pytest.param(17, 65, "Context_Count at offset 17 is 65, must be 3..64", id="contexts"),
        pytest.param(19, 9, "Activity_Low at offset 18 is 2.*, must be 0..6", id="activity"),
        pytest.param(22, 0, "Level_Contexts at offset 22 does not sum to Context_Count", id="levels"),
        pytest.param(-5, 255, "Frequencies at offset .* has a value out of range in table", id="frequency"),
        pytest.param(-1, None, "Checksum at offset .* does not match", id="checksum"),
    ],
)
def test_damaged_tables_are_refused(offset: int, value: int | None, message: str) -> None:
    tables = bytearray(coder("rans").fit([symbols((4, 20, 20), 2)], 2))
    tables[offset] = (tables[offset] ^ 1) if value is None else value
    with pytest.raises(CodecError, match=message):
        coder("rans").open(2, 4, bytes(tables))


def test_truncated_tables_are_refused_at_every_length() -> None:
    tables = coder("rans").fit([symbols((4, 20, 20), 2)], 2)
    for size in range(1, len(tables)):
        with pytest.raises(CodecError, match=r"rans tables: .*(truncated|not 'SRNS')"):
            coder("rans").open(2, 4, tables[:size])
    with pytest.raises(CodecError, match="extra bytes"):
        coder("rans").open(2, 4, tables + b"x")


def test_tables_of_another_tensor_are_refused() -> None:
    tables = coder("rans").fit([symbols((4, 20, 20), 2)], 2)
    with pytest.raises(CodecError, match="tables are for 2 bits and 4 channels, the tensor has 2 bits and 5 channels"):
        coder("rans").open(2, 5, tables)


@pytest.mark.parametrize("capacity", CAPACITIES.values(), ids=CAPACITIES)
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_training_is_deterministic_and_sums_to_one(bits: int, capacity: Capacity) -> None:
    samples = [symbols((12, 16, 16), bits, "smooth", seed) for seed in range(4)]
    tables = train(samples, bits, None, capacity)
    assert tables.to_bytes() == train(samples, bits, None, capacity).to_bytes()
    (view,) = tables.views
    assert (view.frequencies.sum(axis=2) == PROBABILITY_ONE).all()
    assert view.frequencies.min() >= 1


def test_training_separates_channels_that_differ() -> None:
    low, high = symbols((4, 64, 64), 4, "zeros"), symbols((4, 64, 64), 4, "max")
    classes = train([np.concatenate([low, high])], 4, None, CAPACITIES["few"]).class_of_channel
    assert len(set(classes[:4])) == 1
    assert len(set(classes[4:])) == 1
    assert classes[0] != classes[4]


def test_training_separates_channels_that_differ_only_near_one_symbol() -> None:
    """As behind a transform: 8 bits for a few wide channels, while most stay within a few symbols of the middle."""
    rng = np.random.default_rng(1)
    spreads = np.repeat([0.3, 0.6, 1.2, 30], 6)[:, None, None]
    samples = [np.clip(np.rint(rng.normal(132, spreads, (24, 16, 16))), 0, 255).astype(np.uint8) for _ in range(24)]
    classes = train(samples, 8, None, CAPACITIES["few"]).class_of_channel.reshape(4, 6)
    assert not any(set(one) & set(other) for k, one in enumerate(classes) for other in classes[:k])


def test_wide_contexts_give_many_unlike_channels_tables_of_their_own() -> None:
    """Smaller on symbols not trained on, in more classes than "few" may have; either decodes."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0, 12, 48)[:, None, None]
    samples = [np.clip(rng.normal(means, 1 + means % 1, (48, 24, 24)), 0, 15).astype(np.uint8) for _ in range(12)]
    sizes = {}
    for contexts in CAPACITIES:
        rans = Rans.model_validate({"contexts": contexts})
        tables = rans.fit(samples[1:], 4)
        opened = rans.open(4, 48, tables)
        payload = opened.encode(samples[0])
        assert np.array_equal(opened.decode(payload, samples[0].shape), samples[0])
        sizes[contexts] = len(payload)
        assert (tables[9] > 8) == (contexts == "wide")
    assert sizes["wide"] < 0.99 * sizes["few"]


def test_a_previous_frame_like_this_one_shrinks_the_payload() -> None:
    """And the second view costs chunks without one nothing."""
    frames = [symbols((6, 20, 20), 4, "smooth", seed) for seed in range(4)]
    rng = np.random.default_rng(0)
    nearly = [np.where(rng.random(f.shape) < 0.1, symbols(f.shape, 4, seed=9), f).astype(np.uint8) for f in frames]
    rans = coder("rans")
    plain = rans.open(4, 6, rans.fit(frames[:3], 4))
    both = rans.open(4, 6, Rans().fit(frames[:3], 4, nearly[:3]))
    assert both.encode(frames[3]) == plain.encode(frames[3])
    after = rans.following(both, nearly[3])
    payload = after.encode(frames[3])
    assert len(payload) < 0.5 * len(plain.encode(frames[3]))
    assert np.array_equal(after.decode(payload, frames[3].shape), frames[3])
    with pytest.raises(CodecError, match="the previous frame's chunk has another shape"):
        rans.following(both, nearly[3][:5].copy()).encode(frames[3])


@pytest.mark.parametrize("bits", [9, 12, 16])
def test_wide_symbols_escape_exactly(bits: int) -> None:
    """A narrow peak far up, with outliers everywhere: within half a bit of its order-0 entropy and the escapes."""
    rng = np.random.default_rng(bits)
    shape = (8, 32, 32)
    x = np.clip(np.rint(2**bits * 0.7 + 20 * rng.standard_normal(shape)), 0, 2**bits - 1).astype(np.uint16)
    x[rng.random(shape) < 0.01] = rng.integers(0, 2**bits)
    x[0, 0, :2] = 0, 2**bits - 1
    rans = coder("rans")
    for prepared in (rans.open(bits, 8, rans.fit([x], bits)), rans.open(bits, 8, b"")):
        payload = prepared.encode(x)
        assert np.array_equal(prepared.decode(payload, shape), x)
        assert 8 * len(payload) / x.size < 7.6
        with pytest.raises(BitstreamError, match="rans"):
            prepared.decode(payload[:-1], shape)


def test_without_tables_a_chunk_brings_its_own() -> None:
    x = symbols((8, 30, 30), 4)
    alone = coder("rans").open(4, 8, b"")
    counts = np.bincount(x.ravel(), minlength=16) / x.size
    entropy_bytes = -float((counts[counts > 0] * np.log2(counts[counts > 0])).sum()) * x.size / 8
    assert len(alone.encode(x)) < 1.002 * entropy_bytes + 24
    assert len(alone.encode(np.zeros((8, 30, 30), np.uint8))) < 32


@pytest.mark.parametrize("samples", [pytest.param([], id="none"), pytest.param([(2, 4, 4), (3, 4, 4)], id="channels")])
def test_unusable_samples_are_refused(samples: list[tuple[int, int, int]]) -> None:
    with pytest.raises(CodecError, match=r"rans: (needs calibration samples|sample 1 has 3 channels)"):
        coder("rans").fit([symbols(shape, 4) for shape in samples], 4)


def test_training_sees_the_neighbours_of_the_format() -> None:
    x = symbols((2, 5, 6), 4, "uniform")
    seen_in_training = spatial_inputs(x)
    for plane, sums, activities in zip(x, seen_in_training.expected, seen_in_training.activity, strict=True):
        values = [int(v) for v in plane.ravel()]
        for position, (total, activity) in enumerate(zip(sums.ravel(), activities.ravel(), strict=True)):
            seen = neighbours(values, position, 6)
            want = (-1, 0) if seen is None else (seen[0] + seen[1], abs(seen[0] - seen[2]) + abs(seen[1] - seen[2]))
            assert (total, activity) == want


# -- zstd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8, 11, 16])
def test_zstd_packs_to_widths_that_no_byte_splits(bits: int) -> None:
    x = symbols((3, 5, 7), bits, "uniform")
    chunks = coder("zstd").open(bits, 3, b"")
    payload = chunks.encode(x)
    width = next(width for width in (1, 2, 4, 8, 16) if width >= bits)
    assert zstandard.get_frame_parameters(payload).content_size == -(-x.size * width // 8)
    assert np.array_equal(chunks.decode(payload, x.shape), x)
    if width == bits:
        return
    too_large = np.full_like(x, 1 << bits)
    with pytest.raises(CodecError, match=f"symbol {1 << bits} does not fit {bits} bits"):
        chunks.encode(too_large)
    with pytest.raises(BitstreamError, match=f"symbol {1 << bits} does not fit {bits} bits"):
        chunks.decode(zstandard.compress(_core.pack_bits(too_large, width)), x.shape)
