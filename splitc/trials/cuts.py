"""Price candidates with real samples: code them for real, run the tail on what is decoded, compare the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import onnx_ir as ir

from splitc import evaluate, graph, passes, plan
from splitc.backends import Runner
from splitc.codec import Codec
from splitc.device import Precision
from splitc.runtime import Labels, Sample, clip_lengths
from splitc.trials.features import run_head, settle
from splitc.trials.subject import Subject
from splitc.types import F32, Feeds

PLAN_SAMPLES = 32
"""Calibration samples that measure a candidate cut: half fit the codec, half are coded."""

Lower = Callable[[ir.Model, Precision, Sequence[Feeds]], ir.Model]
"""A graph in an element type, with ranges from samples."""


@dataclass(frozen=True, eq=False)
class _Features:
    """Features of one cut, computed in one precision."""

    cut: tuple[str, ...]
    precision: Precision
    halves: graph.Halves
    to_fit: list[list[F32]]
    to_code: list[list[F32]]


class CutTrials:
    """Measures cuts of one model with real samples; what was measured once is remembered."""

    def __init__(self, subject: Subject, step: Callable[[], None] = lambda: None, lower: Lower | None = None) -> None:
        self._subject, self.step, self._lower = subject, step, lower or in_precision
        self.fit_on, self.measure_on = some_samples(subject)
        self._known: dict[tuple[tuple[str, ...], plan.Option], plan.Measurement] = {}
        self._last: _Features | None = None
        self._wholes: dict[Precision, Runner] = {}
        self._wholes_known: dict[Precision, plan.Measurement] = {}

    def measure(self, cut: graph.CandidateCut, option: plan.Option) -> plan.Measurement:
        """Real packets of a cut, and the answers after them."""
        key = cut.names, option
        if key not in self._known:
            self._known[key] = self._measured(self._features(cut.names, option.edge_precision), option)
            self.step()
        return self._known[key]

    def measure_whole(self, precision: Precision) -> plan.Measurement:
        """What the unsplit model is worth in an element type; it is what all others are compared with."""
        if precision not in self._wholes_known:
            model = self.whole(precision)
            self._wholes_known[precision] = self.judge(lambda sample: self.flat(model.run(sample.feeds)), 0.0)
        return self._wholes_known[precision]

    def whole(self, precision: Precision) -> Runner:
        """The unsplit model in an element type; opened once."""
        if precision not in self._wholes:
            feeds = [sample.feeds for sample in self.fit_on]
            self._wholes[precision] = evaluate.open_optimized(
                self._lower(self._subject.model.ir_model, precision, feeds)
            )
        return self._wholes[precision]

    def judge(self, answer: Callable[[Sample], F32], mean_bytes: float) -> plan.Measurement:
        """What other answers to the measured samples are worth beside the unsplit model's.

        Args:
            answer: Gives the flat answer to one sample.
            mean_bytes: Of the packets behind these answers.
        """
        agreement = evaluate.compare(self.answers, [answer(one)[None] for one in self.measure_on], self.labels)
        if self._subject.task != "classification":
            return plan.Measurement(mean_bytes, max(agreement.cosine, 0.0), None)
        return plan.Measurement(mean_bytes, agreement.fidelity, agreement.top1, len(self.measure_on))

    @cached_property
    def answers(self) -> list[F32]:
        """The unsplit model's answers to the measured samples, ``[1, n]`` each."""
        whole = self.whole("fp32")
        return [self.flat(whole.run(sample.feeds))[None] for sample in self.measure_on]

    @cached_property
    def labels(self) -> list[int | None]:
        """Class index of each measured sample, where known."""
        finder = Labels(self._subject.labels)
        return [finder.find(sample) for sample in self.measure_on]

    def flat(self, outputs: Feeds) -> F32:
        """The answer as one row: a classifier's first output, else all of them."""
        names = [spec.name for spec in self._subject.model.outputs]
        names = names[:1] if self._subject.task == "classification" else names
        return np.concatenate([np.asarray(outputs[name], np.float32).ravel() for name in names])

    def _features(self, names: tuple[str, ...], precision: Precision) -> _Features:
        """Of the last cut and precision, or computed now: options of one cut come one after the other."""
        if self._last is None or (self._last.cut, self._last.precision) != (names, precision):
            halves = graph.split(self._subject.model, names)
            lowered = self._lower(halves.head, precision, [sample.feeds for sample in self.fit_on])
            halves, head = replace(halves, head=lowered), evaluate.open_optimized(lowered)
            to_fit, to_code = run_head(head, halves, self.fit_on), run_head(head, halves, self.measure_on)
            self._last = _Features(names, precision, halves, to_fit, to_code)
        return self._last

    def _measured(self, at: _Features, option: plan.Option) -> plan.Measurement:
        layouts = plan.layouts(self._subject.model, at.cut, self._subject.split)
        axes = settle(at.halves, layouts, at.to_fit)
        fitted = Codec.fit(option.spec, at.halves.cut, at.to_fit, clip_lengths(self.fit_on), axes)
        packets = _packets(fitted, at.to_code)
        decoder = fitted.decoder()
        restored = iter([decoder.decode(packet) for packet in packets])
        tail = evaluate.open_optimized(self._lower(at.halves.tail, option.cloud_precision, _feeds(at)))

        def answer(sample: Sample) -> F32:
            arrays = zip(at.halves.cut, next(restored), strict=True)
            return self.flat(tail.run({spec.name: array.astype(spec.dtype) for spec, array in arrays}))

        return self.judge(answer, float(np.mean([len(packet) for packet in packets])))


def in_precision(model: ir.Model, precision: Precision, feeds: Sequence[Feeds]) -> ir.Model:
    """The graph as a build lowers it, with ranges from ``feeds``."""
    return model if precision == "fp32" else passes.LOWER[precision](feeds)(model).model


def _feeds(at: _Features) -> list[Feeds]:
    """What the tail sees of the samples that are fitted on, before coding."""
    every = zip(*at.to_fit, strict=True)
    return [{spec.name: x.astype(spec.dtype) for spec, x in zip(at.halves.cut, one, strict=True)} for one in every]


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
