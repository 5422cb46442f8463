"""Training that wins bytes back: the only room that imports torch. Whoever enters it does so when asked to train."""

from __future__ import annotations

from splitc.train.gradients import answer_gradients
from splitc.train.losses import AnswerLoss, loss_of
from splitc.train.network import TorchNetwork, UnconvertedNode, unconverted_nodes, with_weights

__all__ = [
    "AnswerLoss",
    "TorchNetwork",
    "UnconvertedNode",
    "answer_gradients",
    "loss_of",
    "unconverted_nodes",
    "with_weights",
]
