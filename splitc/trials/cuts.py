"""Price candidates with real samples: code them for real, run the tail on what is decoded, compare the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir

from splitc import evaluate, graph, passes, plan
from splitc.backends import Runner
from splitc.cache import CachedStep, arrays_from_file, json_from_file, key_of, parts_of_arrays, parts_of_json
from splitc.codec import Codec
from splitc.device import Precision
from splitc.runtime import Sample, clip_lengths, truth_of
from splitc.tasks import Truth
from splitc.trials.features import run_head, settle
from splitc.trials.finite import open_checked
from splitc.trials.recoded import named
from splitc.trials.subject import Subject
from splitc.types import F32, Array, Feeds

PLAN_SAMPLES = 32
"""Calibration samples that measure a candidate cut: half fit the codec, half are coded."""

MEASUREMENT: CachedStep[plan.Measurement] = CachedStep(
    "measurement",
    6,
    lambda found: parts_of_json(asdict(found)),
    lambda file: plan.Measurement(**json_from_file(file)),
)
ARRAYS: CachedStep[list[Array]] = CachedStep("trial-arrays", 3, parts_of_arrays, arrays_from_file)


@dataclass(frozen=True, eq=False)
class _Features:
    """Features of one cut, computed in one precision."""

    cut: tuple[str, ...]
    precision: Precision
    halves: graph.Halves
    to_fit: list[list[F32]]
    to_code: list[list[F32]]


class CutTrials:
    """Measures cuts of one model with real samples; what was measured once is remembered.

    Args:
        subject: The model and the samples.
        step: Called at every measurement.
        lowers: Whether candidates compute in their option's precision, about as a build lowers them; else in float.
    """

    def __init__(self, subject: Subject, step: Callable[[], None] = lambda: None, *, lowers: bool = True) -> None:
        self._subject, self.step, self._lowers = subject, step, lowers
        self._known: dict[tuple[tuple[str, ...], plan.Option], plan.Measurement] = {}
        self._last: _Features | None = None
        self._wholes: dict[Precision, Runner] = {}

    @cached_property
    def _samples(self) -> tuple[list[Sample], list[Sample]]:
        return some_samples(self._subject)

    @property
    def fit_on(self) -> list[Sample]:
        """Samples that codecs and ranges are fitted on."""
        return self._samples[0]

    @property
    def measure_on(self) -> list[Sample]:
        """Other samples, which are coded and answered."""
        return self._samples[1]

    def kept(self, what: str, compute: Callable[[], plan.Measurement], **parts: object) -> plan.Measurement:
        """A measurement of this subject, from an earlier build where there is one.

        Args:
            what: Kind of measurement.
            compute: Measures.
            parts: All that decides the result, beside the subject.
        """
        key = key_of(subject=self._subject.key, lowers=self._lowers, what=what, **parts)
        return self._subject.cache.run(MEASUREMENT, key, compute)

    def measure(self, cut: graph.CandidateCut, option: plan.Option) -> plan.Measurement:
        """Real packets of a cut, and the answers after them."""
        key = cut.names, option
        if key not in self._known:
            said = {"cut": cut.names, **_said(option)}
            self._known[key] = self.kept("cut", lambda: self._measured(cut.names, option), **said)
            self.step()
        return self._known[key]

    def measure_whole(self, precision: Precision) -> plan.Measurement:
        """The unsplit model's answers in an element type; all others are compared with those in fp32."""

        def measured() -> plan.Measurement:
            model = self.whole(precision)
            return self.judge(lambda sample: model.run(sample.feeds), 0.0)

        return self.kept("whole", measured, precision=precision)

    def whole(self, precision: Precision) -> Runner:
        """The unsplit model in an element type; opened once."""
        if precision not in self._wholes:
            model = self._lower(self._subject.model.ir_model, precision, lambda: _inputs_of(self.fit_on))
            self._wholes[precision] = open_checked(model, "the unsplit model")
        return self._wholes[precision]

    def judge(self, answer: Callable[[Sample], Feeds], mean_bytes: float) -> plan.Measurement:
        """How far other answers to the measured samples agree with the unsplit model's.

        Args:
            answer: Gives the outputs for one sample.
            mean_bytes: Of the packets behind these answers.
        """
        comparison = self._subject.task.comparison()
        for sample, reference, label in zip(self.measure_on, self.answers, self.labels, strict=True):
            outputs = answer(sample)
            if not self._subject.task.has_open_sizes:
                _check_sizes(self.answers[0], reference, outputs)
            comparison.add(reference, outputs, label)
        found = comparison.result()
        return plan.Measurement(
            mean_bytes,
            found.fidelity.value,
            found.accuracy[0].other if found.accuracy else None,
            len(self.measure_on) if found.fidelity.is_of_samples else None,
            found.divergence,
            found.gate_errors.get(comparison.divergence_gate),
        )

    @cached_property
    def answers(self) -> list[Feeds]:
        """The unsplit model's outputs that the task reads, of the measured samples."""
        names = self._subject.task.reads

        def computed() -> list[Array]:
            whole = self.whole("fp32")
            return [outputs[name] for outputs in (whole.run(one.feeds) for one in self.measure_on) for name in names]

        key = key_of(subject=self._subject.key, what="answers", outputs=names)
        found = self._subject.cache.run(ARRAYS, key, computed)
        arrays = iter(found)
        return [{name: next(arrays) for name in names} for _ in self.measure_on]

    @cached_property
    def labels(self) -> list[Truth | None]:
        """What is known about each measured sample."""
        known = self._subject.labels.fresh()
        return [truth_of(sample, known, self._subject.task) for sample in self.measure_on]

    def _features(self, names: tuple[str, ...], precision: Precision) -> _Features:
        """Of the last cut and precision, or computed now: options of one cut come one after the other."""
        if self._last is None or (self._last.cut, self._last.precision) != (names, precision):
            halves = graph.split(self._subject.model, names)
            key = key_of(subject=self._subject.key, lowers=self._lowers, cut=names, precision=precision)
            rows = self._subject.cache.run(ARRAYS, key, lambda: self._run_head(halves, precision))
            arrays = iter(rows)
            to_fit, to_code = (
                [[next(arrays) for _ in samples] for _ in names] for samples in (self.fit_on, self.measure_on)
            )
            self._last = _Features(names, precision, halves, to_fit, to_code)
        return self._last

    def _run_head(self, halves: graph.Halves, precision: Precision) -> list[Array]:
        """Features to fit on, sample after sample of each cut tensor, then those to code."""
        lowered = self._lower(halves.head, precision, lambda: _inputs_of(self.fit_on, halves))
        head = open_checked(lowered, f"cut {[spec.name for spec in halves.cut]}, head")
        rows = [row for samples in (self.fit_on, self.measure_on) for row in run_head(head, halves, samples)]
        return [array for row in rows for array in row]

    def _measured(self, names: tuple[str, ...], option: plan.Option) -> plan.Measurement:
        at = self._features(names, option.edge_precision)
        layouts = plan.layouts(self._subject.model, at.cut, self._subject.split)
        axes = settle(at.halves, layouts, at.to_fit)
        # even steps: others are measured once, by the build, and cost fewer bytes where the answers move as much
        spec = option.spec.without_tail()
        fitted = Codec.fit(spec, at.halves.cut, at.to_fit, clip_lengths(self.fit_on), axes)
        packets = _packets(fitted, at.to_code)
        decoder = fitted.decoder()
        restored = [named(at.halves.cut, decoder.decode(packet)) for packet in packets]
        coded = [at.halves.tail_feeds(one.feeds, row) for one, row in zip(self.measure_on, restored, strict=True)]
        lowered = self._lower(at.halves.tail, option.cloud_precision, lambda: _feeds(at, self.fit_on), coded)
        tail, tail_feeds = open_checked(lowered, f"cut {list(names)}, tail"), iter(coded)
        head = evaluate.open_graph(at.halves.head) if at.halves.exits else None

        def answer(sample: Sample) -> Feeds:
            early = head.run(at.halves.head_feeds(sample.feeds)) if head is not None else {}
            answers = tail.run(next(tail_feeds))
            return {name: early[name] for name in at.halves.exits} | answers

        beside = [sum(sample.feeds[spec.name].nbytes for spec in at.halves.given) for sample in self.measure_on]
        return self.judge(answer, float(np.mean([len(packet) for packet in packets]) + np.mean(beside)))

    @cached_property
    def _float32_nodes(self) -> dict[str, str]:
        """Nodes that FP16 leaves in float32: found once, on the unsplit model, whose nodes the halves have."""
        judge = passes.AnswerJudge(self._subject.task.divergence)
        return passes.ToFloat16(_inputs_of(self.fit_on), judge=judge).stays(self._subject.model.ir_model)

    def _lower(
        self,
        model: ir.Model,
        precision: Precision,
        feeds: Callable[[], Sequence[Feeds]],
        coded: Sequence[Feeds] = (),
    ) -> ir.Model:
        """The graph about as a build lowers it, with ranges from ``feeds``; ``coded`` are what it reads in use.

        A build judges INT8's ranges by the answers, leaves layers in float that gain no time on its target, and lifts
        more until its limits hold. Here ranges are judged by squared errors of the outputs, and no layer is left for
        time or lifted: a plan has many targets, and a cut is tried in seconds.
        """
        if precision == "fp32" or not self._lowers:
            return model
        if precision == "fp16":
            return passes.ToFloat16(decided=self._float32_nodes, coded=coded)(model).model
        alone = self._subject.task.has_many_answers
        return passes.QuantizeStatic(feeds(), self._float_layers, alone=alone)(model).model

    @cached_property
    def _float_layers(self) -> frozenset[str]:
        """Layers that INT8 leaves alone because of where they stand in the unsplit model, by name of their weights."""
        with_last = self._subject.task.has_many_answers
        return frozenset(passes.output_layers(self._subject.model.ir_model, with_last=with_last))


def _said(option: plan.Option) -> dict[str, object]:
    """An option as a key says it."""
    spec = option.spec.model_dump(mode="json")
    return {"spec": spec, "precisions": [option.edge_precision, option.cloud_precision]}


def _inputs_of(samples: Sequence[Sample], halves: graph.Halves | None = None) -> list[Feeds]:
    """What the unsplit model sees of the samples, or the head of ``halves``."""
    return [sample.feeds if halves is None else halves.head_feeds(sample.feeds) for sample in samples]


def _feeds(at: _Features, samples: Sequence[Sample]) -> list[Feeds]:
    """What the tail sees of the samples that are fitted on, before coding."""
    rows = zip(*at.to_fit, strict=True)
    cut = at.halves.cut
    every = [named(cut, one) for one in rows]
    return [at.halves.tail_feeds(sample.feeds, one) for sample, one in zip(samples, every, strict=True)]


def some_samples(subject: Subject) -> tuple[list[Sample], list[Sample]]:
    """Calibration samples that fit a candidate's codec, and others that are coded."""
    every = subject.samples
    if subject.is_stream:
        some = list(every[:PLAN_SAMPLES])
        half = max(2, len(some) // 2)
        return some[:half], some[half:] or some
    some = list(every[:: max(1, len(every) // PLAN_SAMPLES)][:PLAN_SAMPLES])
    return some[::2], some[1::2] or some


def _packets(codec: Codec, values: Sequence[Sequence[F32]]) -> list[bytes]:
    stream = codec.encoder()
    return [stream.encode(one) for one in zip(*values, strict=True)]


def _check_sizes(first: Feeds, *others: Feeds) -> None:
    """Raises: CapabilityError: an output has another size than in the first answer."""
    for name, array in first.items():
        evaluate.check_size(array, *(np.asarray(other[name]) for other in others))
