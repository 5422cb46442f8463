"""Full model vs split vs quantized vs coded vs engine: where does the answer change, and by how much?

    full ──► split ──► lowered ──► quantized ──► coded ──► engine
             no codec  INT8, FP16  symbols only  the bytes  as the backends run it

Every stage sees the same samples. Only the answers are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from pydantic import computed_field

from splitc.codec import Encoder, Quantized
from splitc.errors import CheckFailed, UsageError
from splitc.evaluate.metrics import Agreement, check_size, compare
from splitc.evaluate.paths import Paths
from splitc.runtime import EdgeHalf, Labels, Sample
from splitc.types import F32, Array, Frozen

FULL, PREPARED, SPLIT = "full", "prepared", "split"
"""The answers to compare with, those of the model as it was cut (no stage of its own), and those of its halves."""
BASELINE = "zstd"
"""General-purpose coder that every rate stands beside."""


class Stage(Frozen):
    """One stage: against the full model, and what it adds to the stage before it."""

    name: str
    fidelity: float
    kl: float
    cosine: float
    max_abs_diff: float
    top1: float | None
    added_kl: float
    added_max_abs_diff: float


class Verification(Frozen):
    """The outcome. Rates are bits per feature element, from real packets with their headers.

    ``reference`` is what every stage is compared with; where it is not the unsplit model, ``full`` and ``split`` are
    skipped, and ``ok`` cannot notice a half that is not the model's.
    """

    ok: bool
    samples: int
    reference: str
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
class _Tally:
    """What is kept while samples stream by."""

    answers: dict[str, list[F32]] = field(default_factory=dict)
    labels: list[int | None] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    baseline_sizes: list[int] = field(default_factory=list)
    elements: int = 0

    def keep(self, stage: str, outputs: Mapping[str, Array], names: Sequence[str]) -> None:
        flat = np.concatenate([np.asarray(outputs[name], np.float32).ravel() for name in names])
        kept = self.answers.setdefault(stage, [])
        check_size(self.answers[FULL][0] if self.answers[FULL] else flat, flat)
        if not np.isfinite(flat).all():
            raise CheckFailed(f"an answer of stage {stage!r} holds NaN or infinities, which cannot be compared.")
        kept.append(flat)


def verify(
    paths: Paths,
    samples: Iterable[Sample],
    labels: Mapping[str, int],
    progress: Callable[[], None] = lambda: None,
) -> Verification:
    """Run every sample through every stage.

    Args:
        paths: The stages.
        samples: Inputs.
        labels: Path of a file, or the end of it -> class index, where known.
        progress: Called once a sample.

    Raises:
        CapabilityError: Answers differ in size from sample to sample.
        CheckFailed: Decoded symbols are not the encoded ones, which nothing may excuse; or an answer is not finite.
        UsageError: No samples; labels that fit none, more than one, or no class.
    """
    tally, finder, clip = _Tally(), Labels(labels), None
    baseline = paths.edge.codec.with_entropy(BASELINE).encoder()
    for sample in samples:
        if sample.clip != clip:
            _start_clip(paths, baseline)
        clip = sample.clip
        _run_sample(paths, sample, tally, baseline)
        tally.labels.append(_label(paths, sample, finder, tally))
        progress()
    if not tally.sizes:
        raise UsageError("nothing to verify on: no samples; see data.verification or --data.")
    finder.require_match()
    return _verification(paths, tally)


def _label(paths: Paths, sample: Sample, finder: Labels, tally: _Tally) -> int | None:
    """The sample's label, which must be a class of the network."""
    label, classes = finder.find(sample), len(tally.answers[FULL][0])
    if label is not None and label >= classes and paths.edge.contract.task == "classification":
        raise UsageError(f"{sample.name}: is labelled {label}, and the network has classes 0 to {classes - 1}.")
    return label


def _start_clip(paths: Paths, baseline: Encoder) -> None:
    """Nothing is predicted from another clip's frames."""
    for stream in (paths.edge, paths.engine_edge, baseline):
        if stream is not None:
            stream.force_keyframe()


def _run_sample(paths: Paths, sample: Sample, tally: _Tally, baseline: Encoder) -> None:
    names = _answer_names(paths.edge)
    tally.keep(FULL, paths.full(sample.feeds), names)
    if paths.prepared:
        tally.keep(PREPARED, paths.prepared(sample.feeds), names)
    if paths.split:
        tally.keep(SPLIT, paths.split(sample.feeds), names)
    if paths.lowered:
        tally.keep("lowered", paths.lowered(sample.feeds), names)
    packet = paths.edge.encode(paths.edge.symbols(sample.feeds))
    symbols = paths.edge.sent
    tally.keep("quantized", paths.cloud.answer(symbols), names)
    decoded = paths.cloud.decode(packet)
    (_require_equal if paths.edge.codec.is_lossless else _require_alike)(sample, symbols, decoded)
    tally.keep("coded", paths.cloud.answer(decoded), names)
    if paths.engine_edge and paths.engine_cloud:
        sent = paths.engine_edge.encode(paths.engine_edge.symbols(sample.feeds))
        tally.keep("engine", paths.engine_cloud.answer(paths.engine_cloud.decode(sent)), names)
    tally.sizes.append(len(packet))
    tally.baseline_sizes.append(len(baseline.encode_symbols(symbols)))
    tally.elements += sum(array.size for array in symbols.symbols)


def _answer_names(edge: EdgeHalf) -> list[str]:
    """A classifier answers in its first output; anything else in all of them."""
    names = [spec.name for spec in edge.contract.outputs]
    return names[:1] if edge.contract.task == "classification" else names


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
    count = len(tally.sizes)
    stages = _stages(paths, tally)
    skipped = [] if paths.split else [{"stage": name, "reason": paths.why_no_model} for name in (FULL, SPLIT)]
    if "engine" not in tally.answers:
        skipped.append({"stage": "engine", "reason": paths.why_no_engine})
    return Verification(
        ok=_split_is_sound(tally),
        samples=count,
        reference=paths.reference,
        stages=tuple(stages),
        skipped=tuple(skipped),
        rate_bpe=8 * sum(tally.sizes) / tally.elements,
        baseline_rate_bpe=8 * sum(tally.baseline_sizes) / tally.elements,
        baseline="zstd-19 on the same symbols, packed, same packet header",
        payload_bytes_mean=sum(tally.sizes) / count,
        feature_bytes=4 * tally.elements // count,
        elements=tally.elements // count,
    )


def _stages(paths: Paths, tally: _Tally) -> list[Stage]:
    stages, before, task = [], FULL, paths.edge.contract.task
    for name, answers in tally.answers.items():
        if name == PREPARED or (name == FULL and not paths.split):
            continue
        agreement = compare(tally.answers[FULL], answers, tally.labels)
        added = compare(tally.answers[before], answers, tally.labels)
        stages.append(
            Stage(name=name, added_kl=added.kl, added_max_abs_diff=added.max_abs_diff, **_numbers(agreement, task))
        )
        before = name
    return stages


def _numbers(agreement: Agreement, task: str) -> dict[str, float | None]:
    """For features there is no top-1 decision: their fidelity is the cosine similarity, never below 0."""
    numbers = asdict(agreement)
    return numbers if task == "classification" else numbers | {"fidelity": max(agreement.cosine, 0.0), "top1": None}


def _split_is_sound(tally: _Tally) -> bool:
    """Splitting changes no bit; preparing the model for it may round otherwise: within 1e-3 of the answers' spread.

    Where the prepared model is not known, the split stands for it. Where the full one is not, nothing is compared.
    """
    if SPLIT not in tally.answers:
        return True
    full, split = (np.stack(tally.answers[name]) for name in (FULL, SPLIT))
    prepared = np.stack(tally.answers.get(PREPARED, tally.answers[SPLIT]))
    spread = float(np.max(np.abs(full))) or 1.0
    is_close = bool(np.max(np.abs(full - prepared)) <= 1e-3 * spread)
    return is_close and bool(np.array_equal(prepared, split))
