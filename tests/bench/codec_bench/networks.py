"""The networks, their cuts, and the features that cross them: calibration and evaluation pictures apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import onnx
import onnxruntime
from bench_data import DATA

from codec_bench.fidelity import F32, Fidelity, fidelity
from splitc import graph, zoo
from splitc.errors import CapabilityError
from splitc.runtime import find_files, read_picture
from splitc.runtime.pictures import input_from_picture
from splitc.types import Preprocess, TensorSpec

CLIP = DATA / "videos" / "vtest_first300.avi"
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
BATCH = 16
SEED = 5
QUICKSTART = "zoo:efficientnet-lite0"


class CutPoint(NamedTuple):
    """Where a network is cut. ``kind``: "relu" (never negative) or "linear" (signed)."""

    place: str
    kind: str
    tensor: str


@dataclass(frozen=True)
class Network:
    """A network, what feeds it, and its cuts."""

    name: str
    source: str
    pictures: str
    preprocess: Preprocess
    cuts: tuple[CutPoint, ...]


NETWORKS = (
    Network(
        "MobileNetV2",
        "models/mobilenet_v2_imagenet.onnx",
        "images/imagenet_sample",
        Preprocess(crop=224, **IMAGENET),
        (
            CutPoint("early", "linear", "/features/features.3/Add_output_0"),
            CutPoint("middle", "linear", "/features/features.12/Add_output_0"),
            CutPoint("late", "relu", "/features/features.18/features.18.2/Clip_output_0"),
        ),
    ),
    Network(
        "ResNet-18",
        "models/resnet18_tinyimagenet200.onnx",
        "images/tinyimagenet_val",
        Preprocess(scale=1 / 127.5, mean=(1.0, 1.0, 1.0)),
        (
            CutPoint("early", "relu", "/layer1/layer1.1/relu_1/Relu_output_0"),
            CutPoint("middle", "relu", "/layer2/layer2.1/relu_1/Relu_output_0"),
            CutPoint("late", "relu", "/layer3/layer3.1/relu_1/Relu_output_0"),
        ),
    ),
    Network(
        "EfficientNet-Lite0",
        QUICKSTART,
        "images/imagenet_sample",
        zoo.preprocess(QUICKSTART),
        (
            CutPoint("early", "linear", "/_blocks.4/Add_output_0"),
            CutPoint("middle", "linear", "/_blocks.10/Add_output_0"),
            CutPoint("late", "linear", "/_blocks.14/Add_output_0"),
        ),
    ),
)


@dataclass(frozen=True)
class Amount:
    """How many pictures, or frames of the clip, calibrate and are measured."""

    calibration: int
    evaluation: int


@dataclass(frozen=True)
class Cut:
    """The feature at one cut, float32 ``[n, C, H, W]``, and the network behind it."""

    network: str
    point: CutPoint
    calibration: F32
    evaluation: F32
    reference: F32
    tail: onnxruntime.InferenceSession

    @property
    def label(self) -> str:
        """Network and place, as tables name it."""
        return f"{self.network} {self.point.place}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        channels, height, width = self.evaluation.shape[1:]
        return channels, height, width

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the calibration features: the unit of steps."""
        return float(self.calibration.std())

    @property
    def spec(self) -> TensorSpec:
        """Of the feature, as a codec wants it."""
        return TensorSpec(name=self.point.tensor, dtype="float32", shape=("N", *self.shape))

    def fidelity(self, features: F32) -> Fidelity:
        """Answers of the tail on ``features`` in place of the evaluation features."""
        name = self.tail.get_inputs()[0].name
        batches = [self.tail.run(None, {name: features[i : i + BATCH]})[0] for i in range(0, len(features), BATCH)]
        return fidelity(self.reference, np.concatenate(batches))


def available() -> Iterator[tuple[Network, Path]]:
    """Networks that this machine has, with their ONNX files; says on stderr which are missing and why."""
    for network in NETWORKS:
        try:
            path = zoo.fetch(network.source) if zoo.is_zoo(network.source) else DATA / network.source
        except CapabilityError as error:
            print(error, file=sys.stderr)
            continue
        if path.is_file() and (DATA / network.pictures).is_dir():
            yield network, path
        else:
            print(f"{network.name}: no {path} with {network.pictures} (set SPLITC_DATA); left out.", file=sys.stderr)


def picture_cuts(network: Network, path: Path, places: Sequence[str], amount: Amount) -> Iterator[Cut]:
    """The cuts at ``places``, on disjoint pictures in an order that a fixed seed shuffled."""
    files = [file for file in find_files([str(DATA / network.pictures)], DATA) if file.suffix != ".csv"]
    order = np.random.default_rng(SEED).permutation(len(files))[: amount.calibration + amount.evaluation]
    pictures = (input_from_picture(read_picture(files[i]), network.preprocess) for i in order)
    points = [point for point in network.cuts if point.place in places]
    yield from cuts(network, path, points, np.stack(list(pictures)), amount)


def has_clip() -> bool:
    """Whether the clip is there; says so on stderr where not."""
    if not CLIP.is_file():
        print(f"no {CLIP} (set SPLITC_DATA); video left out.", file=sys.stderr)
    return CLIP.is_file()


def clip_cuts(network: Network, path: Path, place: str, amount: Amount) -> Iterator[Cut]:
    """The cut at ``place`` on consecutive frames of the static-camera clip; calibration and evaluation lie apart."""
    frames = list(islice(_clip(network.preprocess), 300))
    chosen = [*frames[: amount.calibration], *frames[len(frames) - amount.evaluation :]]
    points = [point for point in network.cuts if point.place == place]
    yield from cuts(network, path, points, np.stack(chosen), amount)


def cuts(network: Network, path: Path, points: Sequence[CutPoint], inputs: F32, amount: Amount) -> Iterator[Cut]:
    """Features of ``inputs`` at each point; the first ``amount.calibration`` of them calibrate."""
    names = [point.tensor for point in points]
    *features, logits = _run_all(path, names, inputs)
    model = graph.load(path)
    for point, feature in zip(points, features, strict=True):
        tail = _session(graph.to_bytes(graph.split(model, [point.tensor]).tail))
        evaluation = np.ascontiguousarray(feature[amount.calibration :])
        yield Cut(network.name, point, feature[: amount.calibration], evaluation, logits[amount.calibration :], tail)


def _run_all(path: Path, names: Sequence[str], inputs: F32) -> list[F32]:
    """Values ``names`` and the logits of the whole network."""
    model = onnx.load(path)
    logits = model.graph.output[0].name
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = _session(model.SerializeToString())
    feed = session.get_inputs()[0].name
    rows = [session.run([*names, logits], {feed: inputs[i : i + BATCH]}) for i in range(0, len(inputs), BATCH)]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _session(model: bytes) -> onnxruntime.InferenceSession:
    """Threads that wait asleep: a spinning one would count as CPU time of whatever is measured next."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = os.cpu_count() or 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _clip(preprocess: Preprocess) -> Iterator[F32]:
    how = preprocess.model_copy(update={"resize": 256, "crop": 224})
    with av.open(str(CLIP)) as container:
        for frame in container.decode(video=0):
            yield input_from_picture(frame.to_image(), how)
