"""Gradients of a tail with respect to what crosses the cut, and the metric that they span."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir
import torch

from splitc.tasks import BoundTask
from splitc.train.losses import loss_of
from splitc.train.network import TorchNetwork
from splitc.train.operators import Tensor
from splitc.types import F32, Feeds


def answer_gradients(
    tail: ir.Model, task: BoundTask, samples: Sequence[Feeds], names: Sequence[str], seed: int = 0
) -> Iterator[dict[str, F32]]:
    """How the answers feel each element of the features: random gradients g, one a sample.

    Their second moment is the divergence's second derivative at the features themselves: a small change d of a sample's
    features moves its answer by half the mean of ``(g . d)^2``, in the divergence's own unit (for classes, half of the
    Fisher metric; Amari 1998).

    Args:
        tail: A graph from the cut to the answers.
        task: What the answers are; settled.
        samples: What the tail takes, by name, a sample each, with a batch axis.
        names: The inputs that gradients are wanted of.
        seed: Of what is drawn.

    Yields:
        float32 of each feature's shape, by name; zeros where the answers do not depend on it.

    Raises:
        CapabilityError: A node of the tail cannot be converted; the message names it.
    """
    network, loss = TorchNetwork(tail), loss_of(task)
    generator = torch.Generator().manual_seed(seed)
    for feeds in samples:
        tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}
        wanted = [tensors[name].float().requires_grad_(True) for name in names]
        answers = network({**tensors, **dict(zip(names, wanted, strict=True))})
        probes = loss.probes({name: one.detach() for name, one in answers.items()}, generator)
        found = torch.autograd.grad(
            [answers[name] for name in probes], wanted, list(probes.values()), allow_unused=True
        )
        yield {name: _array(one, like) for name, one, like in zip(names, found, wanted, strict=True)}


def _array(gradient: Tensor | None, like: Tensor) -> F32:
    found: F32 = torch.zeros_like(like).numpy() if gradient is None else gradient.numpy()
    return found
