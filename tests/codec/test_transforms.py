"""Transforms: planes and back, their bases, what they refuse, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitc.codec import QUANTIZERS, TRANSFORMS, Basis, Codec, CodecSpec, StreamFile, refusal
from splitc.codec.calibration import Calibration
from splitc.codec.choosing import designs, halves
from splitc.codec.transforms.base import NO_BASIS, Transform
from splitc.codec.transforms.blocks import from_blocks, kernels, to_blocks
from splitc.codec.transforms.klt import MAX_CHANNELS, Klt
from splitc.errors import BundleError, CodecError, UsageError
from splitc.types import F32, F64, USUAL_LAYOUT, TensorSpec

FIXED = ("none", "dct", "klt")
SHAPES = [(2, 3, 8), (2, 3, 7), (2, 3, 4, 6), (2, 3, 5, 7), (1, 3, 1, 1), (2, 3, 4, 5, 3)]
UNBIASED = CodecSpec(reconstruction="unbiased", step=0.5)


def smooth(seed: int, shape: Sequence[int]) -> F32:
    """Correlated channels that vary slowly in the plane: what transforms are for."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    for axis in range(2, len(shape)):
        for _ in range(3):
            x = (x + np.roll(x, 1, axis)) / 1.3
    mix = np.eye(shape[1]) + 0.7 * np.random.default_rng(0).normal(size=(shape[1], shape[1]))
    return np.einsum("ij,nj...->ni...", mix, x).astype(np.float32)


def spec_of(shape: Sequence[int]) -> TensorSpec:
    return TensorSpec(name="x", dtype="float32", shape=("N", *shape[1:]))


def fitted(name: str, x: F32) -> tuple[Transform, Basis]:
    transform = TRANSFORMS.make(name, {})
    return transform, transform.fit([x], np.linspace(1, 2, x.shape[1]))


# -- planes and back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FIXED)
def test_planes_lead_back(name: str, shape: tuple[int, ...]) -> None:
    x = smooth(1, shape)
    transform, basis = fitted(name, x)
    planes = transform.forward(x, basis)
    assert planes.shape == transform.wire_shape(shape)
    np.testing.assert_allclose(transform.inverse(planes, basis, shape), x, atol=2e-5 * np.abs(x).max())


@pytest.mark.parametrize("axes", [1, 2])
def test_blocks_are_orthonormal(axes: int) -> None:
    x = smooth(2, (2, 3, 4, 6))
    planes = to_blocks(x, axes)
    np.testing.assert_allclose(np.square(planes).sum(), np.square(x).sum(), rtol=1e-5)
    np.testing.assert_allclose(from_blocks(planes, x.shape, axes), x, atol=1e-5)


def test_planes_of_a_block_are_its_frequencies_in_order() -> None:
    x = np.float32([[[[1, 2], [5, 9]]]])
    np.testing.assert_allclose(to_blocks(x, 2).ravel(), [8.5, -2.5, -5.5, 1.5], rtol=1e-6)


def test_kernels_are_the_blocks() -> None:
    x = smooth(3, (1, 1, 2, 2))
    np.testing.assert_allclose((kernels(2, 4)[:, 0] * x[0, 0]).sum((1, 2)), to_blocks(x, 2).ravel(), rtol=1e-5)
    assert kernels(1, 3).shape == (2, 1, 2)
    assert kernels(2, 5).shape == (4, 1, 1, 2, 2)


def test_components_are_apart_and_fall() -> None:
    x = smooth(4, (20, 6, 8, 8))
    klt = Klt(transform_block=1)
    components = klt.forward(x, klt.fit([x], np.ones(6)))
    covariance = np.cov(np.moveaxis(components, 1, 0).reshape(6, -1))
    energy = np.diag(covariance)
    assert (np.diff(energy) <= 0).all()
    assert np.abs(covariance - np.diag(energy)).max() < 1e-3 * energy.max()


def test_a_dead_channel_has_a_basis() -> None:
    x = smooth(5, (4, 3, 4, 4))
    x[:, 1] = 0
    klt = Klt()
    basis = klt.fit([x], np.array([1.0, 0.0, 2.0]))
    np.testing.assert_allclose(klt.inverse(klt.forward(x, basis), basis, x.shape), x, atol=1e-3)


# -- codecs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES[:2] + SHAPES[2:4] + SHAPES[5:], ids=str)
@pytest.mark.parametrize("name", ["dct", "klt"])
def test_codecs_code_planes(name: str, shape: tuple[int, ...]) -> None:
    x = smooth(6, (12, *shape[1:]))
    codec = Codec.fit(UNBIASED.replace(transform=name, step=0.1), [spec_of(shape)], [x])
    codec = Codec.from_json(codec.to_json())
    (decoded,) = codec.decode(codec.encode([x[:1]]))
    assert decoded.shape == x[:1].shape
    # noise of a step of 0.1 deviations, evenly over planes: 0.1**2 / 12 of the variance
    assert np.square(decoded - x[:1]).mean() < 3 * 0.01 / 12 * x.var()
    assert codec.tensors[0].wire_shape[1:] == TRANSFORMS.make(name, {}).wire_shape((1, *shape[1:]))[1:]


@pytest.mark.parametrize(("name", "share"), [("dct", 1.1), ("klt", 0.9)])
def test_even_steps_of_a_transform_move_as_much_for_fewer_bytes(name: str, share: float) -> None:
    """Blocks alone gain through their steps; with even ones the contexts of neighbours know as much."""
    x = smooth(7, (16, 8, 16, 16))
    sizes, errors = [], []
    for transform in ("none", name):
        codec = Codec.fit(UNBIASED.replace(transform=transform), [spec_of(x.shape)], [x])
        packet = codec.encode([x[:1]])
        sizes.append(len(packet))
        errors.append(float(np.square(codec.decode(packet)[0] - x[:1]).mean()))
    assert sizes[1] < share * sizes[0]
    assert errors[1] < 1.15 * errors[0]  # rows are 256 values: noise of a step is uniform to some percent


@pytest.mark.parametrize("temporal", ["difference", "dpcm"])
def test_streams_predict_planes(temporal: str) -> None:
    x = smooth(8, (1, 4, 6, 6)) + smooth(9, (20, 4, 6, 6)) / 20
    codec = Codec.fit(UNBIASED.replace(transform="klt", temporal=temporal), [spec_of(x.shape)], [x])
    encoder, decoder = codec.encoder(), codec.decoder()
    packets = [encoder.encode([x[i : i + 1]]) for i in range(len(x))]
    errors = [np.square(decoder.decode(p)[0] - x[i : i + 1]).mean() for i, p in enumerate(packets)]
    assert max(errors) < 0.2 * x.var()
    assert np.mean([len(p) for p in packets[1:]]) < 0.7 * len(packets[0])


# -- steps by sensitivity, and the choice --------------------------------------------------------------------------


class Weighted:
    """A judge that feels each channel's squared error by a weight, as a network to second order does."""

    def __init__(self, x: Sequence[F32], weights: Sequence[Sequence[float]]) -> None:
        self.x, self.weights, self.runs = x, [np.array(one) for one in weights], 0

    def __call__(self, features: Sequence[Sequence[F32]], samples: Sequence[int]) -> list[float]:
        self.runs += len(samples)
        return [self.felt(row, sample) for row, sample in zip(features, samples, strict=True)]

    def felt(self, row: Sequence[F32], sample: int) -> float:
        found = 0.0
        for index, weights in enumerate(self.weights):
            error = np.square(row[index] - self.x[index][sample : sample + 1]).sum((0, *range(2, row[index].ndim)))
            found += float((weights * error).sum())
        return found


FELT = UNBIASED.replace(steps="sensitivity")


def test_steps_follow_what_is_felt() -> None:
    x = np.random.default_rng(10).normal(size=(10, 3, 6, 6)).astype(np.float32)
    weights = [1.0, 4.0, 16.0]
    codec = Codec.fit(FELT, [spec_of(x.shape)], [x], judge=Weighted([x], [weights]))
    steps = codec.tensors[0].params.gain
    floored = np.array(weights) + 0.03 * np.mean(weights)
    np.testing.assert_allclose(steps / steps[0], np.sqrt(floored[0] / floored), rtol=1e-5)
    # the answers move as even steps move them: sum of weight * step**2
    even = np.mean(weights) * (0.5 * x.std()) ** 2
    assert float((weights * np.square(steps)).mean()) == pytest.approx(even, rel=1e-4)


class Pulled(Weighted):
    """The same, which tells its gradients: of random signs, the root of twice the weight at every value."""

    def gradients(self, sample: int, draw: int) -> list[F32]:
        rng = np.random.default_rng((sample, draw))
        pairs = zip(self.x, self.weights, strict=True)
        return [self.signs(rng, x[sample : sample + 1].shape, weights) for x, weights in pairs]

    @staticmethod
    def signs(rng: np.random.Generator, shape: tuple[int, ...], weights: F64) -> F32:
        root = np.sqrt(2 * weights).reshape(-1, *[1] * (len(shape) - 2))
        return (rng.choice([-1.0, 1.0], shape) * root).astype(np.float32)


def test_gradients_say_what_probes_say() -> None:
    x = [np.random.default_rng(seed).normal(size=(10, 3, 6, 5)).astype(np.float32) for seed in (10, 11)]
    weights = [[1.0, 4.0, 16.0], [2.0, 0.5, 9.0]]
    specs = [spec_of(x[0].shape), TensorSpec(name="y", dtype="float32", shape=("N", 3, 6, 5))]
    for transform in ("none", "dct", "klt"):
        spec = UNBIASED.replace(steps="sensitivity", transform=transform)
        known, measured = (Codec.fit(spec, specs, x, judge=kind(x, weights)) for kind in (Pulled, Weighted))
        for one, other in zip(known.tensors, measured.tensors, strict=True):
            # probes are shrunk by what their halves share, and borders of odd sizes are felt twice by them
            np.testing.assert_allclose(np.sort(one.params.gain), np.sort(other.params.gain), rtol=0.35)
    steps = Codec.fit(FELT, specs, x, judge=Pulled(x, weights)).tensors[0].params.gain
    floored = np.array(weights[0]) + 0.03 * np.mean(weights[0])
    np.testing.assert_allclose(steps / steps[0], np.sqrt(floored[0] / floored), rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 4, 6, 8), (1, 3, 5, 7), (2, 3, 9)])
@pytest.mark.parametrize("name", ["dct", "klt"])
def test_a_gradient_by_planes_is_the_transpose(name: str, shape: tuple[int, ...]) -> None:
    transform, basis = fitted(name, smooth(40, shape))
    gradient = np.random.default_rng(41).normal(size=shape).astype(np.float32)
    planes = np.random.default_rng(42).normal(size=transform.wire_shape(shape)).astype(np.float32)
    by_planes = float((transform.pulled(gradient, basis) * planes).sum())
    assert by_planes == pytest.approx(float((gradient * transform.inverse(planes, basis, shape)).sum()), rel=1e-3)


def test_a_metric_turns_the_basis() -> None:
    """Channels of one energy, felt along their sum alone: it is the first component, and the rest are nothing."""
    x = np.random.default_rng(43).normal(size=(8, 3, 8, 8)).astype(np.float32)
    basis = TRANSFORMS.make("klt", {}).fit([x], np.ones((3, 3)) / 3)
    np.testing.assert_allclose(np.abs(basis.analysis[0] / np.linalg.norm(basis.analysis[0])), 3**-0.5, atol=0.02)
    np.testing.assert_allclose(basis.analysis @ basis.synthesis, np.eye(3), atol=1e-4)
    assert np.linalg.norm(basis.analysis[1:]) < 0.1 * np.linalg.norm(basis.analysis[0])


def test_halves_of_a_stream_keep_its_clips() -> None:
    x = smooth(44, (9, 2, 4, 4))
    subject = Calibration((spec_of(x.shape),), (USUAL_LAYOUT,), (tuple(np.split(x, 9)),), (3, 3, 3))
    one, two = halves(subject, is_stream=True)
    assert (one.lengths, two.lengths) == ((3, 1), (2, 3))
    assert (one.numbers, two.numbers) == ((0, 1, 2, 3), (4, 5, 6, 7, 8))
    short = Calibration(subject.tensors, subject.layouts, (tuple(np.split(x, 9)[:4]),), (1, 1, 2))
    assert halves(short, is_stream=True) == (short, short)
    assert [part.lengths for part in halves(subject, is_stream=False)] == [(1,) * 5, (1,) * 4]


def test_tensors_share_one_price() -> None:
    x = [np.random.default_rng(seed).normal(size=(8, 2, 4, 4)).astype(np.float32) for seed in (11, 12)]
    specs = [TensorSpec(name=name, dtype="float32", shape=("N", 2, 4, 4)) for name in "ab"]
    judge = Weighted(x, [[1.0, 1.0], [100.0, 100.0]])
    codec = Codec.fit(FELT, specs, x, judge=judge)
    one, two = (tensor.params.gain.mean() for tensor in codec.tensors)
    assert one / two == pytest.approx(10, rel=1e-4)
    even = [tensor.params.gain.mean() for tensor in Codec.fit(UNBIASED, specs, x).tensors]
    assert even[0] / even[1] == pytest.approx(1, rel=0.1)


def test_nobody_to_judge_is_refused() -> None:
    x = smooth(13, (4, 3, 4, 4))
    for spec in (FELT, UNBIASED.replace(transform="auto")):
        assert spec.needs_judge
        with pytest.raises(CodecError, match="fitted by running the tail, which is not here"):
            Codec.fit(spec, [spec_of(x.shape)], [x])
    assert not UNBIASED.replace(transform="klt").needs_judge


def test_auto_rotates_where_channels_are_alike_and_not_where_most_are_zero() -> None:
    auto = UNBIASED.replace(transform="auto")
    alike = smooth(14, (16, 6, 8, 8))
    sparse = np.maximum(np.random.default_rng(15).normal(size=(16, 6, 8, 8)) - 1, 0).astype(np.float32)
    found = []
    for x in (alike, sparse):
        codec = Codec.fit(auto, [spec_of(x.shape)], [x], judge=Weighted([x], [[1.0] * 6]))
        assert codec.spec.steps == "sensitivity"
        assert Codec.from_json(codec.to_json()) == codec
        found.append(codec.spec.transform)
    assert found == ["klt", "none"]


def test_auto_keeps_the_divergence_of_plain_steps() -> None:
    x = smooth(16, (24, 6, 8, 8))
    judge = Weighted([x], [[1.0, 5.0, 1.0, 3.0, 1.0, 0.2]])
    moved, sizes = [], []
    for spec in (UNBIASED, UNBIASED.replace(transform="auto")):
        codec = Codec.fit(spec, [spec_of(x.shape)], [x], judge=judge)
        packets = [codec.encode([x[i : i + 1]]) for i in range(len(x))]
        moved.append(float(np.mean(judge([codec.decode(packet) for packet in packets], range(len(x))))))
        sizes.append(sum(map(len, packets)))
    assert moved[1] == pytest.approx(moved[0], rel=0.15)  # judged on half of the samples, to 5 %
    assert sizes[1] < 0.9 * sizes[0]


def test_what_was_chosen_is_weighed_on_all_samples() -> None:
    """Where gradients cost nothing; the other half of the samples feels another channel."""
    x = np.random.default_rng(45).normal(size=(16, 2, 6, 6)).astype(np.float32)

    class Uneven(Pulled):
        def gradients(self, sample: int, draw: int) -> list[F32]:
            rng = np.random.default_rng((sample, draw))
            return [self.signs(rng, (1, 2, 6, 6), np.array([1.0, 9.0] if sample % 2 else [9.0, 1.0]))]

    codec = Codec.fit(UNBIASED.replace(transform="auto"), [spec_of(x.shape)], [x], judge=Uneven([x], [[1.0, 1.0]]))
    assert codec.spec.transform == "none"
    assert codec.tensors[0].params.gain[0] == pytest.approx(codec.tensors[0].params.gain[1], rel=1e-5)


def test_auto_chooses_for_streams_from_streams() -> None:
    """Levels that stay among the candidates, and the choice at every step of the pair."""
    x = smooth(18, (1, 6, 8, 8)) + smooth(19, (24, 6, 8, 8)) / 4
    asked = UNBIASED.replace(transform="auto", temporal="motion", rungs=2)
    judge = Weighted([x], [[1.0] * 6])
    subject = Calibration((spec_of(x.shape),), (USUAL_LAYOUT,), (tuple(np.split(x, 24)),), (24,), judge)
    found = [(one.spec.transform, one.spec.offset) for one in designs(asked, subject)]
    assert found == [("none", None), ("none", 0.5), ("dct", None), ("klt", None)]
    codec = Codec.fit(asked, [spec_of(x.shape)], [x], judge=judge)
    assert (codec.spec.temporal, codec.rungs) == ("motion", 2)
    encoder, decoder = codec.encoder(), Codec.from_json(codec.to_json()).decoder()
    for index in range(20):
        encoder.rung = index % 3 // 2
        decoder.decode(encoder.encode([x[index : index + 1]]))
        assert decoder.state_digest == encoder.state_digest


def test_auto_leaves_out_what_a_shape_refuses() -> None:
    x = np.random.default_rng(17).normal(size=(12, 6)).astype(np.float32)
    codec = Codec.fit(UNBIASED.replace(transform="auto"), [spec_of(x.shape)], [x], judge=Weighted([x], [[1.0] * 6]))
    assert codec.spec.transform == "none"


# -- a golden stream -----------------------------------------------------------------------------------------------

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"


def test_a_golden_stream_of_planes_decodes_to_its_features(update_golden: bool) -> None:
    """A transform, unbiased levels, a keyframe and predicted frames. Fitting may differ between machines; this not."""
    path, values = GOLDEN / "stream_planes.scs", GOLDEN / "stream_planes.npy"
    if update_golden:
        x = smooth(30, (1, 3, 5, 7)) + smooth(31, (6, 3, 5, 7)) / 5
        codec = Codec.fit(UNBIASED.replace(transform="klt", temporal="dpcm"), [spec_of(x.shape)], [x])
        encoder = codec.encoder()
        path.write_bytes(StreamFile(tuple(encoder.encode([x[i : i + 1]]) for i in range(3)), codec).to_bytes())
        np.save(values, decoded(StreamFile.from_bytes(path.read_bytes())))
    stream = StreamFile.from_bytes(path.read_bytes())
    assert stream.to_bytes() == path.read_bytes()
    np.testing.assert_allclose(decoded(stream), np.load(values), atol=1e-5)  # the order of float32 sums


def decoded(stream: StreamFile) -> F32:
    assert stream.codec is not None
    decoder = stream.codec.decoder()
    return np.concatenate([decoder.decode(packet)[0] for packet in stream.packets])


# -- refusals ------------------------------------------------------------------------------------------------------


def test_transforms_need_steps() -> None:
    for asked in ({"quantizer": "uniform"}, {"reconstruction": "midpoint"}):
        with pytest.raises(UsageError, match="transform 'klt' needs a step for each of its planes"):
            CodecSpec(transform="klt", **asked)
    assert CodecSpec(transform="klt").reconstruction == "unbiased", "said where nothing else is"
    with pytest.raises(UsageError, match='leave steps = "even" out'):
        UNBIASED.replace(transform="auto", steps="even")
    with pytest.raises(UsageError, match="steps goes with reconstruction"):
        CodecSpec(steps="sensitivity", reconstruction="centroid")
    assert CodecSpec(steps="sensitivity").resolved().reconstruction == "unbiased"
    with pytest.raises(UsageError, match="neither transform 'dct', quantizer 'step'"):
        UNBIASED.replace(transform="dct", transform_block=1)


REFUSED = [
    ("dct", ("N", 6), "needs channels and places"),
    ("klt", ("N", 6), "needs channels and places"),
    ("dct", ("N", 3, "H", 4), "blocks need fixed ones"),
    ("klt", ("N", MAX_CHANNELS + 1, 4, 4), "takes at most 1,024"),
]


@pytest.mark.parametrize(("name", "shape", "words"), REFUSED, ids=lambda value: str(value)[:20])
def test_shapes_that_no_transform_takes_are_refused(name: str, shape: tuple[int | str, ...], words: str) -> None:
    tensor = TensorSpec(name="x", dtype="float32", shape=shape)
    spec = UNBIASED.replace(transform=name)
    assert words in str(refusal(spec, tensor, USUAL_LAYOUT))
    sizes = [2 if isinstance(size, str) else size for size in shape]
    with pytest.raises(CodecError, match=r'use transform = "none"'):
        Codec.fit(spec, [tensor], [np.zeros(sizes, np.float32)])


def test_a_basis_without_blocks_takes_any_size() -> None:
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", 3, "H", "W"))
    x = [smooth(seed, (1, 3, 4 + seed, 5)) for seed in range(4)]
    codec = Codec.fit(UNBIASED.replace(transform="klt", transform_block=1), [tensor], [x])
    assert codec.decode(codec.encode([x[2]]))[0].shape == x[2].shape


HOSTILE: list[tuple[str, Any]] = [
    ("analysis", {"shape": [0, 0], "float32": ""}),
    ("analysis", {"shape": [3], "float32": "AAAAAAAAAAAAAAAA"}),
    ("synthesis", {"shape": [1, 1], "float32": "AADAfw=="}),
    ("synthesis", None),
]


@pytest.mark.parametrize(("key", "value"), HOSTILE)
def test_a_stranger_s_basis_is_checked(key: str, value: object) -> None:
    x = smooth(18, (6, 3, 4, 4))
    data = Codec.fit(UNBIASED.replace(transform="klt"), [spec_of(x.shape)], [x]).to_json()
    data["tensors"][0]["basis"][key] = value
    with pytest.raises(BundleError, match="not well-formed"):
        Codec.from_json(data)


@pytest.mark.parametrize("change", ["no basis", "other name", "wire shape"])
def test_a_contract_that_contradicts_itself_is_refused(change: str) -> None:
    x = smooth(19, (6, 3, 4, 4))
    data = Codec.fit(UNBIASED.replace(transform="klt"), [spec_of(x.shape)], [x]).to_json()
    if change == "no basis":
        del data["tensors"][0]["basis"]
    elif change == "other name":
        data["spec"]["transform"] = "none"
        del data["spec"]["transform_block"]
    else:
        data["tensors"][0]["wire_shape"] = ["N", 3, 4, 4]
    with pytest.raises(BundleError):
        Codec.from_json(data)


def test_contracts_without_a_transform_are_as_before() -> None:
    data = Codec.fit(CodecSpec(), [spec_of((1, 3, 4, 4))], [smooth(20, (4, 3, 4, 4))]).to_json()
    assert "transform" not in data["spec"]
    assert not {"basis", "wire_shape"} & data["tensors"][0].keys()


def test_packets_name_their_transform() -> None:
    x = smooth(21, (6, 3, 4, 4))
    fields = [
        Codec.fit(UNBIASED.replace(transform=name), [spec_of(x.shape)], [x]).tensors[0].quantizer_field
        for name in FIXED
    ]
    assert [len(field) for field in fields] == [9, 18, 18]
    assert [field[9] for field in fields[1:]] == [1, 2]


def test_wire_ids_are_unique_and_in_the_format() -> None:
    text = (Path(__file__).parents[2] / "splitc" / "codec" / "FORMAT.md").read_text("utf-8")
    ids = {name: TRANSFORMS.load(name).wire_id for name in FIXED}
    assert len(set(ids.values())) == len(ids)
    assert all(f"| {wire_id} | `{name}` |" in text for name, wire_id in ids.items())
    assert NO_BASIS.is_empty
    assert QUANTIZERS.make("step", {"reconstruction": "unbiased"}).takes_steps


@pytest.mark.parametrize("shape", [("N",), ("N", 6), ("N", 3, 5)], ids=len)
def test_steps_by_sensitivity_at_every_rank(shape: tuple[int | str, ...]) -> None:
    x = np.random.default_rng(40).normal(size=[20, *shape[1:]]).astype(np.float32)

    def judge(features: Sequence[Sequence[F32]], samples: Sequence[int]) -> list[float]:
        return [float(np.square(row[0] - x[i : i + 1]).sum()) for row, i in zip(features, samples, strict=True)]

    codec = Codec.fit(FELT, [TensorSpec(name="x", dtype="float32", shape=shape)], [x], judge=judge)
    steps = codec.tensors[0].params.gain
    np.testing.assert_allclose(steps, 0.5 * x.std(), rtol=1e-4)  # all is felt alike
    assert codec.decode(codec.encode([x[:2]]))[0].shape == x[:2].shape


def test_answers_that_never_move_leave_steps_even() -> None:
    x = smooth(41, (8, 3, 4, 4))
    codec = Codec.fit(FELT, [spec_of(x.shape)], [x], judge=lambda features, samples: [0.0] * len(samples))
    np.testing.assert_allclose(codec.tensors[0].params.gain, 0.5 * x.std(), rtol=1e-4)
    chosen = Codec.fit(
        UNBIASED.replace(transform="auto"), [spec_of(x.shape)], [x], judge=lambda _, samples: [0.0] * len(samples)
    )
    assert chosen.decode(chosen.encode([x[:1]]))[0].shape == x[:1].shape


def test_answers_that_break_count_as_the_worst() -> None:
    x = smooth(42, (8, 3, 4, 4))

    def judge(features: Sequence[Sequence[F32]], samples: Sequence[int]) -> list[float]:
        moved = [np.abs(row[0] - x[i : i + 1]).max((0, 2, 3)) for row, i in zip(features, samples, strict=True)]
        return [float("inf") if one[1] > 0 and one[0] == 0 else float(one.sum()) for one in moved]

    codec = Codec.fit(FELT, [spec_of(x.shape)], [x], judge=judge)
    assert np.isfinite(codec.tensors[0].params.gain).all()
