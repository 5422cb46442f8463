"""Training that wins bytes back: the only room that imports torch. Whoever enters it does so when asked to train."""

from __future__ import annotations

from splitc.train.bottleneck import Bottleneck, fold
from splitc.train.losses import AnswerLoss, loss_of
from splitc.train.measure import Bench, MeasuredDesign
from splitc.train.network import TorchNetwork, UnconvertedNode, unconverted_nodes, with_weights
from splitc.train.options import BottleneckOptions
from splitc.train.search import Recovery, answer_basis, count_iterations, of_code, recover, training_free
from splitc.train.store import FeatureStore, stored
from splitc.train.training import Trained, Trainer

__all__ = [
    "AnswerLoss",
    "Bench",
    "Bottleneck",
    "BottleneckOptions",
    "FeatureStore",
    "MeasuredDesign",
    "Recovery",
    "TorchNetwork",
    "Trained",
    "Trainer",
    "UnconvertedNode",
    "answer_basis",
    "count_iterations",
    "fold",
    "loss_of",
    "of_code",
    "recover",
    "stored",
    "training_free",
    "unconverted_nodes",
    "with_weights",
]
