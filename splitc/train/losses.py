"""A task's smooth distance of two answers as torch computes it, and probes of how the answers feel small changes.

What training makes small is the task's own divergence (:meth:`splitc.tasks.BoundTask.divergence`) where torch can
compute it: classes and masks. Other tasks are trained on the relative squared error of the outputs that they read; what
was won is judged by their own divergence all the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from splitc.tasks import BoundTask
from splitc.train.operators import Tensor

LEAST = 1e-7
"""Least probability inside a logarithm: float32 has nothing finer beside 1."""
Answers = Mapping[str, Tensor]


class AnswerLoss(ABC):
    """A smooth distance of the answers to a batch."""

    @abstractmethod
    def distance(self, reference: Answers, other: Answers) -> Tensor:
        """One distance a sample, ``[n]``, zero where both are the same."""

    @abstractmethod
    def probes(self, reference: Answers, generator: torch.Generator) -> dict[str, Tensor]:
        """Directions v of the outputs, one a sample, with the mean of ``v v^T`` the distance's second derivative.

        So a change d of the outputs costs half the mean of ``(v . d)^2``.
        """


@dataclass(frozen=True)
class ClassLoss(AnswerLoss):
    """KL divergence of classes, summed over places of a mask and divided by their number.

    Attributes:
        output: Which output holds the scores.
        axis: Of the classes.
        is_probability: Softmax is applied already.
    """

    output: str
    axis: int
    is_probability: bool

    def distance(self, reference: Answers, other: Answers) -> Tensor:
        p, q = (self._logs(one[self.output]) for one in (reference, other))
        found = (p.exp() * (p - q)).sum(self.axis)
        return found.reshape(len(found), -1).mean(1)

    def probes(self, reference: Answers, generator: torch.Generator) -> dict[str, Tensor]:
        """The gradient of a drawn class's log-probability (Fisher's identity); places have independent signs."""
        logs = self._logs(reference[self.output]).movedim(self.axis, -1)
        rows = logs.reshape(-1, logs.shape[-1])
        drawn = torch.multinomial(rows.exp(), 1, generator=generator)
        gradients = F.one_hot(drawn[:, 0], rows.shape[1]).to(rows) - rows.exp()
        if self.is_probability:
            gradients = F.one_hot(drawn[:, 0], rows.shape[1]).to(rows) / rows.exp().clamp(min=LEAST)
        places = len(rows) // len(logs)
        signs = torch.randint(0, 2, (len(rows), 1), generator=generator).to(rows) * 2 - 1
        found = (gradients * signs / places**0.5).reshape(logs.shape).movedim(-1, self.axis)
        return {self.output: found}

    def _logs(self, scores: Tensor) -> Tensor:
        if not self.is_probability:
            return F.log_softmax(scores, self.axis)
        kept = scores.clamp(min=LEAST)
        return torch.log(kept / kept.sum(self.axis, keepdim=True))


@dataclass(frozen=True)
class LabelLoss(AnswerLoss):
    """KL divergence of answers that are each yes or no, summed.

    Attributes:
        output: Which output holds the scores.
        is_probability: The sigmoid is applied already.
    """

    output: str
    is_probability: bool

    def distance(self, reference: Answers, other: Answers) -> Tensor:
        p, q = (self._shares(one[self.output]) for one in (reference, other))
        found = p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))
        return found.reshape(len(found), -1).sum(1)

    def probes(self, reference: Answers, generator: torch.Generator) -> dict[str, Tensor]:
        p = self._shares(reference[self.output])
        signs = torch.randint(0, 2, p.shape, generator=generator).to(p) * 2 - 1
        root = torch.sqrt(p * (1 - p))
        return {self.output: signs / root if self.is_probability else signs * root}

    def _shares(self, scores: Tensor) -> Tensor:
        found = scores if self.is_probability else torch.sigmoid(scores)
        return found.clamp(LEAST, 1 - LEAST)


@dataclass(frozen=True)
class TensorLoss(AnswerLoss):
    """Squared error relative to the reference's squared length, the mean over the outputs.

    Attributes:
        outputs: Which are compared.
    """

    outputs: Sequence[str]

    def distance(self, reference: Answers, other: Answers) -> Tensor:
        found = [_relative(reference[name], other[name]) for name in self.outputs]
        return torch.stack(found).mean(0)

    def probes(self, reference: Answers, generator: torch.Generator) -> dict[str, Tensor]:
        found = {}
        for name in self.outputs:
            x = reference[name]
            scale = torch.sqrt(2 / len(self.outputs) / _energy(x))
            noise = torch.randn(x.shape, generator=generator).to(x)
            found[name] = noise * scale.reshape(-1, *[1] * (x.dim() - 1))
        return found


def loss_of(task: BoundTask) -> AnswerLoss:
    """What training for a settled task makes small."""
    kind, options, output = task.task.name, task.task.model_dump(), task.reads[0]
    is_probability = options.get("activation") == "probabilities"
    if kind == "classification":
        if getattr(task, "is_independent", False):
            return LabelLoss(output, is_probability)
        return ClassLoss(output, -1, is_probability)
    if kind == "segmentation" and options.get("class_axis") is not None:
        return ClassLoss(output, int(options["class_axis"]), is_probability)
    return TensorLoss(tuple(task.reads))


def _energy(x: Tensor) -> Tensor:
    return x.square().reshape(len(x), -1).sum(1).clamp(min=LEAST)


def _relative(reference: Tensor, other: Tensor) -> Tensor:
    error = (reference - other).square().reshape(len(reference), -1).sum(1)
    return error / _energy(reference)
