"""Networks, tasks and cuts of the rate frontier, with the samples that feed them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from codec_bench.networks import DATA, IMAGENET, QUICKSTART, SEED, Amount
from splitc import graph, zoo
from splitc.errors import CapabilityError
from splitc.runtime import Reader, Sample, find_files
from splitc.runtime.pictures import input_from_picture
from splitc.types import Preprocess, Shape

CLASSES = (0.003, 0.03)
"""KL of classes, nats."""
BOXES = (0.08, 0.5)
"""KL of all box scores, nats."""
CLIP_FRAMES = 16


@dataclass(frozen=True)
class Subject:
    """A network, its task, and where it is cut.

    Attributes:
        name: Of the network.
        source: Its file below the data folder, or a name of the zoo.
        inputs: Folder of pictures, or videos, below the data folder.
        preprocess: How pixels become its input.
        cuts: Place -> names of the tensors that cross.
        task: What its answers are.
        options: Of the task.
        levels: Divergences, high fidelity and low.
        shapes: Of inputs that the file leaves open.
        share: Of the samples that are asked for: more of small ones whose answers differ much, fewer of large ones.
    """

    name: str
    source: str
    inputs: tuple[str, ...]
    preprocess: Preprocess
    cuts: Mapping[str, tuple[str, ...]]
    task: str = "classification"
    options: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[float, float] = CLASSES
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    share: float = 1.0

    @property
    def path(self) -> Path | None:
        """The network's file; None where this machine has it not."""
        try:
            path = zoo.fetch(self.source) if zoo.is_zoo(self.source) else DATA / self.source
        except CapabilityError:
            return None
        return path if path.is_file() and all((DATA / one).exists() for one in self.inputs) else None

    @property
    def is_of_clips(self) -> bool:
        return self.inputs[0].startswith("videos")


YOLO_FASTEST_ANCHORS = [[115, 73, 119, 199, 242, 238], [12, 18, 37, 49, 52, 132]]
CIFAR = Preprocess(**IMAGENET)
SUBJECTS = (
    Subject(
        "MobileNetV2",
        "models/mobilenet_v2_imagenet.onnx",
        ("images/imagenet_sample",),
        Preprocess(crop=224, **IMAGENET),
        {"early": ("/features/features.3/Add_output_0",), "middle": ("/features/features.12/Add_output_0",)},
    ),
    Subject(
        "ResNet-18",
        "models/resnet18_tinyimagenet200.onnx",
        ("images/tinyimagenet_val",),
        Preprocess(scale=1 / 127.5, mean=(1.0, 1.0, 1.0)),
        {
            "early": ("/layer1/layer1.1/relu_1/Relu_output_0",),
            "middle": ("/layer2/layer2.1/relu_1/Relu_output_0",),
            "late": ("/layer3/layer3.1/relu_1/Relu_output_0",),
        },
    ),
    Subject(
        "Yolo-Fastest",
        "models/yolo_fastest_1.1_xl_coco.onnx",
        ("images/coco_val2017", "images/coco_val2017_more"),
        Preprocess(resize=(320, 320)),
        {"middle": ("/Add_6_output_0",)},
        task="detection",
        options={"anchors": YOLO_FASTEST_ANCHORS},
        levels=BOXES,
    ),
    Subject(
        "YOLO11n",
        "models/yolo11n_coco.onnx",
        ("images/coco_val2017", "images/coco_val2017_more"),
        Preprocess(resize=(320, 320)),
        {
            "neck": (
                "/model.16/cv2/act/Mul_output_0",
                "/model.19/cv2/act/Mul_output_0",
                "/model.22/cv2/act/Mul_output_0",
            )
        },
        task="detection",
        levels=BOXES,
        shapes={"images": (1, 3, 320, 320)},
    ),
    Subject(
        "EfficientNet-Lite0",
        QUICKSTART,
        ("images/imagenet_sample",),
        zoo.preprocess(QUICKSTART),
        {
            "early": ("/_blocks.4/Add_output_0",),
            "middle": ("/_blocks.10/Add_output_0",),
            "late": ("/_blocks.14/Add_output_0",),
        },
    ),
    Subject(
        "ResNet-56",
        "models/resnet56_cifar10.onnx",
        ("images/cifar10_test",),
        CIFAR,
        {"middle": ("/layer2/layer2.4/Relu_1_output_0",)},
        share=8,
    ),
    Subject(
        "I3D",
        "models/i3d_kinetics400.onnx",
        ("videos/mmaction2_demo_arm_wrestling.mp4", "videos/vtest_first300.avi"),
        Preprocess(resize=256, crop=224, scale=1 / 127.5, mean=(1.0, 1.0, 1.0)),
        {"middle": ("/m4b/Concat_1_output_0",)},
        share=0.5,
    ),
)


def samples_of(subject: Subject, model: graph.Model, amount: Amount) -> list[Sample]:
    """Calibration samples, then as many as are measured; none is both."""
    amount = Amount(*(max(2, round(subject.share * one)) for one in (amount.calibration, amount.evaluation)))
    if subject.is_of_clips:
        return _clips(subject, model, amount)
    files = [file for file in find_files([str(DATA / one) for one in subject.inputs], DATA) if file.suffix != ".csv"]
    files = [file for file in files if file.suffix.lower() in (".jpg", ".jpeg", ".png")]
    order = np.random.default_rng(SEED).permutation(len(files))
    wanted = min(amount.calibration, len(files) // 2), min(amount.evaluation, len(files) - len(files) // 2)
    return list(Reader(model.inputs, subject.preprocess, 1).samples([files[i] for i in order[: sum(wanted)]]))


def _clips(subject: Subject, model: graph.Model, amount: Amount) -> list[Sample]:
    """Clips of every video in turn: the first ones calibrate, so what is measured comes later in each."""
    name, every = model.inputs[0].name, [list(_video(DATA / one, subject.preprocess)) for one in subject.inputs]
    count = amount.calibration + amount.evaluation
    found = []
    for index in range(count):
        frames = every[index % len(every)]
        each = -(-count // len(every))
        start = (index // len(every)) * (len(frames) - CLIP_FRAMES) // max(1, each - 1)
        clip = np.stack(frames[start : start + CLIP_FRAMES], axis=1)[None]
        found.append(Sample(f"clip {index}", {name: clip}))
    return found


def _video(path: Path, preprocess: Preprocess) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in islice(container.decode(video=0), 300):
            yield input_from_picture(frame.to_image(), preprocess)
