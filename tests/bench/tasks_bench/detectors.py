"""Detectors of the shared data as a build sees them, and how boxes of a lowered network are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from bench_data import DATA

from splitc import graph, load_recipe
from splitc.cache import NO_CACHE
from splitc.driver.inputs import Inputs, find_inputs
from splitc.runtime import Samples, truth_of
from splitc.tasks.detection_comparison import BoxComparison
from splitc.tasks.mean_average_precision import average_precisions, joined
from splitc.types import Feeds

RESAMPLES = 1000
"""Draws of pictures, with replacement, for the standard error of a difference of mAP."""
Run = Callable[[Feeds], Feeds]


@dataclass(frozen=True)
class Detector:
    """A network, and what its recipe says beside the pictures.

    Attributes:
        name: As tables name it.
        key: As keys of the summary name it.
        file: Of the shared models.
        cut: Where a build would split it: both halves are lowered.
        recipe: The rest of the recipe.
    """

    name: str
    key: str
    file: str
    cut: str
    recipe: str

    @property
    def path(self) -> Path:
        return DATA / "models" / self.file


DETECTORS = (
    Detector(
        "Yolo-Fastest",
        "yolo_fastest",
        "yolo_fastest_1.1_xl_coco.onnx",
        "/Add_2_output_0",
        "[data.preprocess]\nresize = [320, 320]\n"
        "[data.detection]\nanchors = [[115, 73, 119, 199, 242, 238], [12, 18, 37, 49, 52, 132]]\n",
    ),
    Detector(
        "YOLO11n",
        "yolo11n",
        "yolo11n_coco.onnx",
        "/model.3/act/Mul_output_0",
        '[data.preprocess]\nresize = [640, 640]\nfit = "letterbox"\n',
    ),
)
SHAPES = {"yolo11n": 'shapes = { images = "1x3x640x640" }\n'}


@dataclass(frozen=True)
class BoxScores:
    """Boxes of a path beside those of the float network, on labelled pictures.

    Attributes:
        map50_95: Of the path, points.
        map_loss: What it loses, points; ``map_loss_error`` is the standard error, by a paired bootstrap over pictures.
        f1: Of its boxes against the float network's.
        boxes_left: How many there are, as a share of the float network's.
        kl, box_error: Mean divergence of the scores, nats a picture, and ``score * (1 - overlap)``, summed a picture.
        moved_px: Mean movement of a box's edge, pixels of the network's input.
    """

    map50_95: float
    map_loss: float
    map_loss_error: float
    f1: float
    boxes_left: float
    kl: float
    box_error: float
    moved_px: float | None


@contextmanager
def opened(detector: Detector) -> Iterator[Inputs]:
    """The detector as ``splitc build`` opens it: 24 pictures calibrate, 40 other ones are labelled."""
    pictures = DATA / "images"
    text = (
        f'schema = 1\nname = "{detector.key}"\n[model]\nsource = "{detector.path}"\n{SHAPES.get(detector.key, "")}'
        f'[data]\ntask = "detection"\ncalibration = "{pictures}/coco_val2017_more/*.jpg"\n'
        f'verification = "{pictures}/coco_val2017/*.jpg"\nlabels = "{pictures}/coco_val2017"\n'
        f'classes = "{pictures}/coco_val2017/classes.txt"\n{detector.recipe}'
        f'[split]\nat = ["{detector.cut}"]\n[weights]\nprecision = "int8"\n'
    )
    with TemporaryDirectory() as folder:
        place = Path(folder) / "recipe.toml"
        place.write_text(text, "utf-8")
        yield find_inputs(load_recipe(place), cache=NO_CACHE)


def judged(inputs: Inputs, reference: Sequence[Feeds], run: Run) -> BoxScores:
    """Boxes of ``run`` on the labelled pictures; ``reference`` are the float network's outputs for them."""
    task = inputs.task
    comparison, labels = task.comparison(), inputs.answers.labels.fresh()
    assert isinstance(comparison, BoxComparison)
    samples = Samples.of(inputs.reader, inputs.verification)
    for sample, before in zip(samples, reference, strict=True):
        comparison.add(before, run(sample.feeds), truth_of(sample, labels, task))
    result = comparison.result()
    (accuracy,) = (one for one in result.accuracy if one.name == "map50_95")
    details = {key: float(value) for key, value in result.details.items() if isinstance(value, (int, float))}
    return BoxScores(
        map50_95=100 * accuracy.other,
        map_loss=100 * accuracy.drop,
        map_loss_error=100 * bootstrap_error(comparison),
        f1=details["f1"],
        boxes_left=details["boxes_left"],
        kl=details["score_kl"],
        box_error=details["box_error"],
        moved_px=details.get("box_drift_px"),
    )


def bootstrap_error(comparison: BoxComparison) -> float:
    """Standard error of the loss of mAP50-95, both paths on the same draws of pictures; share of 1.

    Source: Efron & Tibshirani, *An Introduction to the Bootstrap* (1993).
    """
    precision = comparison._precision
    assert precision is not None
    both = [one._samples for one in precision]
    random, drops = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = random.integers(0, len(both[0]), len(both[0]))
        before, after = (average_precisions(joined([samples[index] for index in drawn]))[0] for samples in both)
        drops.append(before - after)
    return float(np.std(drops))


def halves_of(inputs: Inputs, detector: Detector) -> graph.Halves:
    """The prepared network, cut."""
    return graph.split(inputs.model, [detector.cut])
