"""INT8 of classifiers by their own task: top-1, agreement and KL on pictures that calibration did not use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from codec_bench.fidelity import fidelity
from codec_bench.networks import Network
from engines_bench.int8 import PAIRS, labels_of
from weights_bench.int8 import answers
from weights_bench.rates import files_of, pictures

from splitc import graph, passes
from splitc.tasks import TASKS, BindRequest
from splitc.types import Feeds, TensorSpec

AMOUNTS = {"MobileNetV2": (40, 160), "ResNet-18": (100, 900), "EfficientNet-Lite0": (40, 160)}
"""Pictures that calibrate, and others that judge."""


@dataclass(frozen=True)
class ClassRow:
    """A classifier, all of its layers in INT8.

    Attributes:
        top1_float, top1: Shares of labels met, by the float network and in INT8.
        agreement, kl: Share of equal top-1 answers, and mean divergence, nats, against the float network.
    """

    network: str
    pictures: int
    top1_float: float
    top1: float
    agreement: float
    kl: float
    seconds: float
    section: str = "int8_classes"


def rows(network: Network, path: Path) -> Iterator[ClassRow]:
    """The pass with the answers of the whole network as judge."""
    calibration, evaluation = AMOUNTS[network.name]
    inputs = pictures(network, calibration + evaluation)
    model = passes.prepare(graph.load(path).ir_model, in_graph=True).model
    name, output = model.graph.inputs[0].name or "", model.graph.outputs[0].name or ""
    feeds: list[Feeds] = [{name: inputs[index : index + 1]} for index in range(calibration)]
    reference = answers(graph.to_bytes(model), inputs[calibration:])
    spec = TensorSpec(name=output, dtype="float32", shape=("N", reference.shape[1]))
    task = TASKS.make("classification", {"activation": "logits"}).bind(BindRequest([spec]))
    start = time.perf_counter()
    lowered = passes.QuantizeStatic(feeds, judge=passes.AnswerJudge(task.divergence))(model).model
    seconds = time.perf_counter() - start
    got = answers(graph.to_bytes(lowered), inputs[calibration:])
    labels = labels_of(next(pair for pair in PAIRS if f"images/{pair.pictures}" == network.pictures))
    known = np.array([labels[file.name] for file in files_of(network, calibration + evaluation)[calibration:]])
    found = fidelity(reference, got)
    shares = [float((one.argmax(1) == known).mean()) for one in (reference, got)]
    yield ClassRow(network.name, len(got), *shares, found.agreement, found.kl, seconds)
