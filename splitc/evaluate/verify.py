"""Full model vs split vs quantized vs coded vs engine: where does the answer change, and by how much?

    full ──► split ──► lowered ──► quantized ──► coded ──► engine
             no codec  INT8, FP16  symbols only  the bytes  as the backends run it

Every stage sees the same samples, one after the other. Sums are kept and no answers, so that memory does not grow with
the number of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from pydantic import computed_field

from splitc.codec import Encoder, Quantized
from splitc.errors import CheckFailed, UsageError
from splitc.evaluate.metrics import check_size
from splitc.evaluate.paths import Paths
from splitc.evaluate.stage import ReadOutputs, Stage, StageSums
from splitc.runtime import EdgeHalf, Sample, bound_task, truth_of
from splitc.tasks import BoundTask, LabelTable, Truth
from splitc.types import F32, Array, Feeds, Frozen

FULL, PREPARED, SPLIT = "full", "prepared", "split"
"""The answers to compare with, those of the model as it was cut (no stage of its own), and those of its halves."""
SPLIT_CHANGES = "splitting changes them"
"""The fault of halves that do not answer bit for bit as the prepared model does; any other is one of preparing it."""
ROUNDING, FLOAT16_ROUNDING = 1e-3, 8 * 2.0**-11
"""What preparing may move an answer by, of the answers' spread: rounding in another order, by element type."""
BASELINE = "zstd"
"""General-purpose coder that every rate stands beside."""


class Verification(Frozen):
    """The outcome. Rates are bits per feature element, from real packets with their headers.

    ``reference`` is what every stage is compared with; where it is not the unsplit model, ``full`` and ``split`` are
    skipped, and ``ok`` cannot notice a half that is not the model's. ``fault`` says why ``ok`` does not hold.
    ``headline`` says what ``task`` measured of the stage ``coded``, with its interval.
    """

    ok: bool
    fault: str = ""
    samples: int
    reference: str
    task: str
    headline: str
    stages: tuple[Stage, ...]
    skipped: tuple[dict[str, str], ...]
    rate_bpe: float
    baseline_rate_bpe: float
    baseline: str
    payload_bytes_mean: float
    feature_bytes: int
    elements: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def compression_rate(self) -> float:
        """Bytes after by bytes before, float32: smaller is better (Chen et al. 2019, eq. 1).

        Its inverse is the compression ratio of Xing et al. 2020.
        """
        return self.payload_bytes_mean / self.feature_bytes

    def stage(self, name: str) -> Stage:
        """The stage called ``name``."""
        return next(stage for stage in self.stages if stage.name == name)


@dataclass
class _Soundness:
    """Whether splitting changed a bit, and how far preparing the model moved its answers.

    Attributes:
        spread: Largest absolute value of the full model's answers.
        moved: Largest absolute difference of the prepared model's answers from those.
        is_equal: Every answer of the split is the prepared model's, bit for bit.
        tolerance: Share of ``spread`` that preparing may move an answer.
    """

    spread: float = 0.0
    moved: float = 0.0
    is_equal: bool = True
    tolerance: float = ROUNDING

    def add(self, full: F32, prepared: F32, split: F32) -> None:
        moved = float(np.max(np.abs(full - prepared), initial=0.0)) if full.size == prepared.size else np.inf
        self.spread = max(self.spread, float(np.max(np.abs(full), initial=0.0)))
        self.moved = max(self.moved, moved)
        self.is_equal = self.is_equal and bool(np.array_equal(prepared, split))

    @property
    def fault(self) -> str:
        """What is wrong; nothing where splitting changes no bit, and preparing for it only rounds otherwise."""
        if not self.is_equal:
            return SPLIT_CHANGES
        if self.moved <= self.tolerance * (self.spread or 1.0):
            return ""
        return (
            f"preparing the model for the cut moves them by up to {self.moved:.3g}, of answers up to {self.spread:.3g}"
        )


@dataclass
class _Tally:
    """Sums over the samples so far.

    Attributes:
        task: Reads and compares answers.
        first: The first answer of the full model; all others have its size.
        stages: In the order of the stages; those that no sample went through are not there.
        soundness: Of the split.
        samples, elements: How many samples, and feature elements of all of them.
        packet_bytes, baseline_bytes: Of all packets, and of the same symbols by the general-purpose coder.
    """

    task: BoundTask
    first: F32 | None = None
    stages: dict[str, StageSums] = field(default_factory=dict)
    soundness: _Soundness = field(default_factory=_Soundness)
    samples: int = 0
    elements: int = 0
    packet_bytes: int = 0
    baseline_bytes: int = 0

    def answer(self, stage: str, outputs: Mapping[str, Array], why: Callable[[], str]) -> ReadOutputs:
        """What the task reads of one path's outputs; ``why`` is asked where it is not finite.

        Raises:
            CapabilityError: Its size is not that of the first answer, and the task takes one size.
            CheckFailed: It is not finite.
        """
        answer = ReadOutputs(dict(outputs), self.task.reads)
        self.first = answer.flat if self.first is None else self.first
        if not self.task.has_open_sizes:
            check_size(self.first, answer.flat)
        if not np.isfinite(answer.flat).all():
            raise CheckFailed(f"an answer of stage {stage!r} holds NaN or infinities, which cannot be compared{why()}.")
        return answer

    def count(self, answers: Mapping[str, ReadOutputs], truth: Truth | None) -> None:
        """Add one sample's answers by stage; the full model's are among them."""
        full = before = answers[FULL]
        for name, answer in answers.items():
            if name == PREPARED:
                continue
            self.stages.setdefault(name, StageSums(name, self.task)).add(full, before, answer, truth)
            before = answer
        if SPLIT in answers:
            prepared = answers.get(PREPARED, answers[SPLIT])
            self.soundness.add(full.flat, prepared.flat, answers[SPLIT].flat)
        self.samples += 1


def verify(
    paths: Paths,
    samples: Iterable[Sample],
    labels: LabelTable,
    progress: Callable[[], None] = lambda: None,
) -> Verification:
    """Run every sample through every stage.

    Args:
        paths: The stages.
        samples: Inputs.
        labels: What is known about samples; read by the task that the bundle names.
        progress: Called once a sample.

    Raises:
        CapabilityError: Answers differ in size from sample to sample, or the bundle's task is not installed.
        CheckFailed: Decoded symbols are not the encoded ones, which nothing may excuse; or an answer is not finite.
        UsageError: No samples; labels that fit none, more than one, or no class.
    """
    tally, known, clip = _Tally(bound_task(paths.edge.contract)), labels.fresh(), None
    tally.soundness.tolerance = FLOAT16_ROUNDING if paths.is_float16 else ROUNDING
    baseline = paths.edge.codec.with_entropy(BASELINE).encoder()
    for sample in samples:
        if sample.clip != clip:
            _start_clip(paths, baseline)
        clip = sample.clip
        answers = _run_sample(paths, sample, tally, baseline)
        tally.count(answers, _truth(tally.task, sample, known, answers[FULL]))
        progress()
    if not tally.samples:
        raise UsageError("nothing to verify on: no samples; see data.verification or --data.")
    known.require_match()
    return _verification(paths, tally)


def _truth(task: BoundTask, sample: Sample, labels: LabelTable, full: ReadOutputs) -> Truth | None:
    """The sample's label, which must be an answer that the network can give."""
    truth = truth_of(sample, labels, task)
    fault = "" if truth is None else task.label_fault(truth, full.outputs)
    if fault:
        raise UsageError(f"{sample.name}: {fault}.")
    return truth


def _start_clip(paths: Paths, baseline: Encoder) -> None:
    """Nothing is predicted from another clip's frames."""
    for stream in (paths.edge, paths.engine_edge, baseline):
        if stream is not None:
            stream.force_keyframe()


def _run_sample(paths: Paths, sample: Sample, tally: _Tally, baseline: Encoder) -> dict[str, ReadOutputs]:
    """The sample's answers by stage; its packets are counted."""
    answers = dict[str, ReadOutputs]()

    def keep(stage: str, outputs: Mapping[str, Array], read: Callable[[], Feeds] = lambda: sample.feeds) -> None:
        answer = tally.answer(stage, outputs, lambda: paths.first_fault(stage, read()))
        answers[stage] = answers[FULL] if stage != FULL and answer.equals(answers[FULL]) else answer  # and is read once

    for stage, model in ((FULL, paths.full), (PREPARED, paths.prepared), (SPLIT, paths.split)):
        if model:
            keep(stage, model(sample.feeds))
    if paths.lowered:
        keep("lowered", paths.lowered(sample.feeds))
    packet = paths.edge.encode(paths.edge.symbols(sample.feeds))
    symbols = paths.edge.sent
    given, early = paths.edge.given(sample.feeds), paths.edge.answers
    keep("quantized", paths.cloud.answer(symbols, given) | early, lambda: {**paths.cloud.feeds(symbols), **given})
    decoded = paths.cloud.decode(packet)
    if paths.edge.codec.is_lossless:
        _require_equal(sample, symbols, decoded)
        answers["coded"] = answers["quantized"]  # the same symbols into the same runner
    else:
        _require_alike(sample, symbols, decoded)
        keep("coded", paths.cloud.answer(decoded, given) | early, lambda: {**paths.cloud.feeds(decoded), **given})
    if paths.engine_edge and paths.engine_cloud:
        sent = paths.engine_edge.encode(paths.engine_edge.symbols(sample.feeds))
        answer = paths.engine_cloud.answer(paths.engine_cloud.decode(sent), given)
        keep("engine", answer | paths.engine_edge.answers)
    tally.packet_bytes += len(packet)
    tally.baseline_bytes += len(baseline.encode_symbols(symbols))
    tally.elements += sum(array.size for array in symbols.symbols)
    return answers


def answer_names(edge: EdgeHalf) -> list[str]:
    """Outputs that the bundle's task reads."""
    return list(bound_task(edge.contract).reads)


def _require_alike(sample: Sample, sent: Quantized, got: Quantized) -> None:
    """What a lossy coder owes: side values as sent, symbols of the shapes and types sent."""
    kinds = [[(array.shape, array.dtype) for array in one.symbols] for one in (sent, got)]
    if kinds[0] != kinds[1] or not all(np.array_equal(a, b) for a, b in zip(sent.side, got.side, strict=True)):
        raise CheckFailed(
            f"{sample.name}: the decoded symbols have other shapes than the encoded ones; a bug of splitc."
        )


def _require_equal(sample: Sample, sent: Quantized, got: Quantized) -> None:
    pairs = zip((*sent.symbols, *sent.side), (*got.symbols, *got.side), strict=True)
    if not all(np.array_equal(a, b) for a, b in pairs):
        raise CheckFailed(f"{sample.name}: the decoded symbols are not the encoded ones; this is a bug of splitc.")


def _verification(paths: Paths, tally: _Tally) -> Verification:
    """Where there is no unsplit model, the reference compared with itself is no stage."""
    count = tally.samples
    stages = [sums.stage() for name, sums in tally.stages.items() if paths.split or name != FULL]
    skipped = [] if paths.split else [{"stage": name, "reason": paths.why_no_model} for name in (FULL, SPLIT)]
    if "engine" not in tally.stages:
        skipped.append({"stage": "engine", "reason": paths.why_no_engine})
    return Verification(
        ok=not tally.soundness.fault,
        fault=tally.soundness.fault,
        samples=count,
        reference=paths.reference,
        task=tally.task.task.name,
        headline=next(one.agreement.headline for one in stages if one.name == "coded"),
        stages=tuple(stages),
        skipped=tuple(skipped),
        rate_bpe=8 * tally.packet_bytes / tally.elements,
        baseline_rate_bpe=8 * tally.baseline_bytes / tally.elements,
        baseline="zstd-19 on the same symbols, packed, same packet header",
        payload_bytes_mean=tally.packet_bytes / count,
        feature_bytes=4 * tally.elements // count,
        elements=tally.elements // count,
    )
