"""What designs take and do: real packets, and the task's own divergence of the answers behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from splitc.codec import Codec, CodecSpec
from splitc.tasks import BoundTask
from splitc.train.judge import StoreJudge, answers_of
from splitc.train.network import TorchNetwork
from splitc.train.pair import CodePair, rounded
from splitc.train.store import FeatureStore
from splitc.types import F32, TensorSpec


@dataclass(frozen=True)
class MeasuredDesign:
    """A design on the samples that judge.

    Attributes:
        step: ``codec.step``.
        payload_bytes: Mean packet of a sample, header included.
        divergence: Mean of the task's smooth distance.
        fidelity: The task's headline share.
    """

    step: float
    payload_bytes: float
    divergence: float
    fidelity: float


@dataclass(frozen=True, eq=False)
class Bench:
    """Where designs are measured.

    Attributes:
        store: Features and answers.
        tail: The unsplit network behind the cut.
        task: What its answers are.
        feature: The cut.
        fitting: Samples that codecs are fitted on.
        judging: Samples that nothing is fitted or trained on.
    """

    store: FeatureStore
    tail: TorchNetwork
    task: BoundTask
    feature: TensorSpec
    fitting: Sequence[int]
    judging: Sequence[int]

    @property
    def judge(self) -> StoreJudge:
        """Of the fitting samples."""
        return StoreJudge(self.store, self.tail, self.task, self.fitting)

    def of_codec(self, spec: CodecSpec) -> tuple[MeasuredDesign, CodecSpec]:
        """A codec without bottleneck, and its spec as it was fitted."""
        rows = self.store.rows(self.fitting)
        codec = Codec.fit(spec, [self.feature], [rows], judge=self.judge)
        found = self._measured(codec, [self.store.rows([one]) for one in self.judging], lambda x: x, self.tail)
        return found, codec.spec

    def of_pair(self, pair: CodePair, tail: TorchNetwork, spec: CodecSpec, size: float) -> MeasuredDesign:
        """A trained pair at a step of ``size`` units of its code.

        Args:
            pair: Both ends.
            tail: Behind it, trained or not.
            spec: The codec of the code; its step is replaced.
            size: Distance of levels.
        """
        with torch.no_grad():
            fit = torch.cat([self._encoded(pair, one) for one in self.fitting]).numpy()
            judged = [self._encoded(pair, one).numpy() for one in self.judging]
        share = size / float(fit.std(dtype=np.float64))
        tensor = TensorSpec(name="code", dtype="float32", shape=("N", *fit.shape[1:]))
        codec = Codec.fit(spec.replace(step=share), [tensor], [fit])

        def decode(code: F32) -> F32:
            found: F32 = (pair.decode(torch.from_numpy(code)) * pair.shape.spread).numpy()
            return found

        return self._measured(codec, judged, decode, tail)

    def divergence_of(self, pair: CodePair, size: float, rows: Sequence[int]) -> float:
        """Mean divergence of a pair's rounded code, without coding it."""
        with torch.no_grad():
            codes = [rounded(self._encoded(pair, one), size) for one in rows]
            decoded = [(pair.decode(one) * pair.shape.spread).numpy() for one in codes]
        answers = answers_of(self.tail, self.store, decoded)
        return float(
            np.mean([self.task.divergence(self.store.answer(i), a) for i, a in zip(rows, answers, strict=True)])
        )

    def _encoded(self, pair: CodePair, sample: int) -> torch.Tensor:
        return pair.encode(self.store.batch([sample])[0] / pair.shape.spread)

    def _measured(
        self, codec: Codec, coded: Sequence[F32], decode: Callable[[F32], F32], tail: TorchNetwork
    ) -> MeasuredDesign:
        packets = [codec.encode([one]) for one in coded]
        with torch.no_grad():
            restored = [decode(codec.dequantize(codec.quantize([one]))[0]) for one in coded]
        answers = answers_of(tail, self.store, restored)
        comparison = self.task.comparison()
        for sample, answer in zip(self.judging, answers, strict=True):
            comparison.add(self.store.answer(sample), answer, None)
        found = comparison.result()
        size = float(np.mean([len(one) for one in packets]))
        return MeasuredDesign(float(codec.spec.step or 0), size, found.divergence, found.fidelity.value)
