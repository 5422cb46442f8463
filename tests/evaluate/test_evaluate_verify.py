"""Verification of a pair made of numpy functions, where every stage can be spoilt on purpose."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from splitc.bundle import Contract
from splitc.codec import Codec, CodecSpec, Decoder, Encoder, Quantized
from splitc.codec.packet_header import read_header
from splitc.errors import CapabilityError, CheckFailed, UsageError
from splitc.evaluate import Paths, Verification, verify
from splitc.runtime import Sample
from splitc.tasks import LabelTable
from splitc.types import Preprocess, TensorSpec

CUT = TensorSpec(name="feature", dtype="float32", shape=("N", 4, 6))
X = TensorSpec(name="x", dtype="float32", shape=("N", 4, 6))
SCORES = TensorSpec(name="scores", dtype="float32", shape=("N", 5))
MORE = TensorSpec(name="more", dtype="float32", shape=("N", 4, 6))
WEIGHTS = np.random.default_rng(2).standard_normal((24, 5)).astype(np.float32)
SAMPLES = [
    Sample(f"{index}.png", {"x": np.random.default_rng(index).random((1, 4, 6), np.float32)}) for index in range(8)
]


def head(feeds: Any) -> np.ndarray:
    return np.square(feeds["x"])


def tail(feature: np.ndarray) -> dict[str, np.ndarray]:
    return {"scores": feature.reshape(1, -1) @ WEIGHTS, "more": feature + 1}


CODEC = Codec.fit(CodecSpec(bits=6), [CUT], [np.concatenate([head(sample.feeds) for sample in SAMPLES])])


def contract(task: str) -> Contract:
    return Contract(
        name="x",
        task=task,
        inputs=[X],
        outputs=[SCORES, MORE],
        cut=[CUT],
        wire=[CUT],
        codec=CODEC.to_json(),
        preprocess=Preprocess(),
    )


@dataclass
class Edge:
    """Head and encoder in numpy; one stream."""

    task: str = "classification"
    codec: Codec = CODEC
    contract: Contract = field(init=False)
    stream: Encoder = field(init=False)
    answers: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.contract = contract(self.task)
        self.stream = self.codec.encoder()

    def given(self, feeds: Any) -> dict[str, np.ndarray]:
        return {}

    def symbols(self, feeds: Any) -> Quantized:
        return self.stream.quantize([head(feeds)])

    def encode(self, symbols: Quantized) -> bytes:
        return self.stream.encode_symbols(symbols)

    @property
    def sent(self) -> Quantized:
        return self.stream.sent

    def force_keyframe(self) -> None:
        self.stream.force_keyframe()


@dataclass
class Cloud:
    """Decoder and tail in numpy; one stream."""

    codec: Codec = CODEC
    spoil: Callable[[np.ndarray], np.ndarray] = lambda symbols: symbols
    stream: Decoder = field(init=False)

    def __post_init__(self) -> None:
        self.stream = self.codec.decoder()

    def decode(self, packet: bytes) -> Quantized:
        decoded = self.stream.decode_symbols(packet)
        return decoded._replace(symbols=tuple(self.spoil(one) for one in decoded.symbols))

    def answer(self, symbols: Quantized, given: Any) -> dict[str, np.ndarray]:
        return tail(self.codec.dequantize(symbols)[0])


def paths(task: str = "classification", **changes: Any) -> Paths:
    whole = Paths(
        reference="the unsplit model",
        full=lambda feeds: tail(head(feeds)),
        split=lambda feeds: tail(head(feeds)),
        edge=Edge(task),
        cloud=Cloud(),
        engine_edge=Edge(task),
        engine_cloud=Cloud(),
    )
    return replace(whole, **changes)


def check(where: Paths, labels: dict[str, int] | None = None) -> Verification:
    return verify(where, SAMPLES, LabelTable(labels or {}))


def test_a_sound_pair() -> None:
    found = check(paths())
    assert (found.ok, found.samples, found.reference) == (True, 8, "the unsplit model")
    assert [stage.name for stage in found.stages] == ["full", "split", "quantized", "coded", "engine"]
    full, split, quantized, coded, engine = found.stages
    assert (full.fidelity, full.kl, full.max_abs_diff, full.added_kl) == (1.0, 0.0, 0.0, 0.0)
    assert (split.max_abs_diff, coded.added_max_abs_diff, engine.added_max_abs_diff) == (0.0, 0.0, 0.0)
    assert quantized.added_max_abs_diff == quantized.max_abs_diff > 0
    assert found.skipped == ()


def test_rc6_compression_rate_is_bytes_after_by_bytes_before() -> None:
    """float32 before; the inverse is Xing's compression ratio, float32 bytes by stream bytes."""
    found = check(paths())
    after = sum(len(CODEC.encode([head(one.feeds)], sequence=number)) for number, one in enumerate(SAMPLES))
    before = sum(head(one.feeds).astype(np.float32).nbytes for one in SAMPLES)
    assert found.compression_rate == pytest.approx(after / before, rel=1e-12)
    assert 1 / found.compression_rate == pytest.approx(before / after, rel=1e-12)
    assert found.compression_rate == pytest.approx(found.rate_bpe / 32, rel=1e-12)
    assert found.model_dump()["compression_rate"] == found.compression_rate


def test_rates_are_those_of_the_packets() -> None:
    found = check(paths())
    sizes = [len(CODEC.encode([head(one.feeds)], sequence=number)) for number, one in enumerate(SAMPLES)]
    plain = CODEC.with_entropy("zstd")
    baseline = [len(plain.encode([head(one.feeds)], sequence=number)) for number, one in enumerate(SAMPLES)]
    assert found.payload_bytes_mean == sum(sizes) / 8
    assert found.rate_bpe == pytest.approx(8 * sum(sizes) / (8 * 24), rel=1e-12)
    assert found.baseline_rate_bpe == pytest.approx(8 * sum(baseline) / (8 * 24), rel=1e-12)
    assert (found.elements, found.feature_bytes) == (24, 96)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda symbols: symbols ^ 1, id="every-symbol"),
        pytest.param(lambda symbols: np.where(np.arange(24).reshape(1, 4, 6) == 23, 63 - symbols, symbols), id="one"),
        pytest.param(lambda symbols: symbols[:, :, ::-1], id="order"),
        pytest.param(lambda symbols: symbols.reshape(1, 6, 4), id="shape"),
    ],
)
def test_a_decoder_that_returns_other_symbols_is_never_excused(spoil: Callable) -> None:
    with pytest.raises(CheckFailed, match=r"0\.png: the decoded symbols are not the encoded ones"):
        check(paths(cloud=Cloud(spoil=spoil)))


@pytest.mark.parametrize(
    ("split", "ok"),
    [
        pytest.param(lambda feeds: tail(head(feeds) * np.float32(1 + 1e-6)), True, id="rounding"),
        pytest.param(lambda feeds: tail(head(feeds) * np.float32(1.01)), False, id="one-percent"),
        pytest.param(lambda feeds: tail(head(feeds)[:, ::-1]), False, id="channels-reversed"),
        pytest.param(lambda feeds: tail(np.zeros((1, 4, 6), np.float32)), False, id="zeros"),
    ],
)
def test_a_split_that_is_not_the_model_fails(split: Callable, ok: bool) -> None:
    assert check(paths(split=split)).ok is ok


@pytest.mark.parametrize(
    ("change", "ok"),
    [
        pytest.param(lambda x: x, True, id="equal"),
        pytest.param(lambda x: np.nextafter(x, np.float32(np.inf)), False, id="last-bits"),
    ],
)
def test_a_split_equals_the_model_as_it_was_cut_bit_for_bit(change: Callable, ok: bool) -> None:
    """Preparing the model may round otherwise; splitting it may not."""

    def prepared(feeds: Any) -> dict[str, np.ndarray]:
        return tail(head(feeds) * np.float32(1 + 1e-6))

    def split(feeds: Any) -> dict[str, np.ndarray]:
        return {name: change(array) for name, array in prepared(feeds).items()}

    assert check(paths(prepared=prepared, split=split)).ok is ok
    assert check(paths(split=split)).ok


def test_a_prepared_model_that_is_another_fails() -> None:
    def prepared(feeds: Any) -> dict[str, np.ndarray]:
        return tail(head(feeds) * np.float32(1.01))

    assert not check(paths(prepared=prepared, split=prepared)).ok


def test_without_the_model_full_and_split_are_skipped() -> None:
    found = check(paths(split=None, why_no_model="it is not here", reference="the halves joined"))
    assert [stage.name for stage in found.stages] == ["quantized", "coded", "engine"]
    assert found.skipped == tuple({"stage": name, "reason": "it is not here"} for name in ("full", "split"))
    assert (found.ok, found.reference) == (True, "the halves joined")
    assert found.stages[0].added_max_abs_diff == found.stages[0].max_abs_diff > 0


def test_a_label_is_a_class_of_the_network() -> None:
    with pytest.raises(UsageError, match=r"3\.png: is labelled 5, and the network has classes 0 to 4"):
        check(paths(), {"2.png": 4, "3.png": 5})
    assert check(paths("features"), {"3.png": 5}).ok


def test_labels_of_other_pictures() -> None:
    with pytest.raises(UsageError, match=r"none of the 1 names, such as 'cat\.png'"):
        check(paths(), {"cat.png": 1})


def test_labels_are_found_by_picture_name() -> None:
    answers = {sample.name: int(tail(head(sample.feeds))["scores"].argmax()) for sample in SAMPLES}
    found = check(paths(), answers)
    assert found.stage("full").top1 == 1.0
    wrong = {name: (index + 1) % 5 for name, index in answers.items()}
    assert check(paths(), wrong).stage("full").top1 == 0.0
    assert check(paths(), {"0.png": answers["0.png"]}).stage("full").top1 == 1.0
    assert check(paths()).stage("full").top1 is None


def test_features_count_every_output() -> None:
    """A split that spoils the second output: top-1 of the first does not see it, features do."""

    def spoilt(feeds: Any) -> dict[str, np.ndarray]:
        return tail(head(feeds)) | {"more": -tail(head(feeds))["more"]}

    assert check(paths(split=spoilt)).ok
    found = check(paths("features", split=spoilt))
    assert not found.ok
    assert found.stage("split").fidelity < 0.9
    assert found.stage("split").top1 is None
    assert check(paths("features")).stage("full").fidelity == pytest.approx(1.0, abs=1e-12)


def test_an_engine_that_runs_elsewhere_is_skipped_with_the_reason() -> None:
    found = check(paths(engine_edge=None, engine_cloud=None, why_no_engine="the edge engine runs on orin"))
    assert [stage.name for stage in found.stages] == ["full", "split", "quantized", "coded"]
    assert found.skipped == ({"stage": "engine", "reason": "the edge engine runs on orin"},)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "minus-inf"])
@pytest.mark.parametrize("stage", ["full", "split"])
def test_answers_that_are_not_finite(stage: str, value: float) -> None:
    def infinite(feeds: Any) -> dict[str, np.ndarray]:
        return {"scores": np.full((1, 5), value, np.float32)}

    with pytest.raises(CheckFailed, match=f"stage '{stage}' holds NaN or infinities"):
        check(paths(**{stage: infinite}))


def test_answers_that_change_in_size() -> None:
    def growing(feeds: Any) -> dict[str, np.ndarray]:
        return {"scores": np.zeros((1, 5 + int(feeds["x"].flat[0] * 10)), np.float32)}

    with pytest.raises(CapabilityError, match="answers whose size depends on the input cannot be compared"):
        check(paths(full=growing, split=growing))


def test_no_samples() -> None:
    with pytest.raises(UsageError, match="nothing to verify on"):
        verify(paths(), [], LabelTable({}))


def test_progress_is_called_once_a_sample() -> None:
    calls = []
    verify(paths(), SAMPLES, LabelTable({}), lambda: calls.append(1))
    assert len(calls) == len(SAMPLES)


@dataclass
class Recording(Cloud):
    """A cloud that notes which packets are keyframes."""

    keyframes: list[bool] = field(default_factory=list)

    def decode(self, packet: bytes) -> Quantized:
        self.keyframes.append(read_header(packet).is_keyframe)
        return super().decode(packet)


def test_every_clip_starts_with_a_keyframe_and_the_rest_is_predicted() -> None:
    """One still picture in two clips: prediction would pay across the clips too."""
    still = SAMPLES[0].feeds["x"]
    samples = [Sample(f"{index}.png", {"x": still}, clip="ab"[index // 4]) for index in range(8)]
    codec = Codec.fit(CodecSpec(temporal="dpcm", gop=100), [CUT], [np.repeat(head(samples[0].feeds), 8, axis=0)])
    cloud, engine = Recording(codec), Recording(codec)
    where = paths(edge=Edge(codec=codec), cloud=cloud, engine_edge=Edge(codec=codec), engine_cloud=engine)
    assert verify(where, samples, LabelTable({})).ok
    assert cloud.keyframes == engine.keyframes == [True, False, False, False] * 2


def peak_bytes(samples: int) -> int:
    """Most memory that verifying so many samples allocates at once, beyond what was there."""
    stream = (Sample(f"{index}.png", SAMPLES[index % 8].feeds) for index in range(samples))
    where = paths()
    tracemalloc.start()
    try:
        assert verify(where, stream, LabelTable({})).samples == samples
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    """Five answers a sample, kept, would take 1.2 MB for 2,000 samples; what waits for the garbage collector, 0.3."""
    assert peak_bytes(2000) < peak_bytes(100) + 500_000
