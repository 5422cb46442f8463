"""The models that are compiled: whole networks in the precisions asked for, and the quickstart's two halves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from bench_data import DATA

from splitc import build, graph, load_recipe, passes
from splitc.backends import read_interface
from splitc.runtime import Reader
from splitc.types import Feeds, Preprocess

ROOT = Path(__file__).parents[3]
CALIBRATION = 40
IMAGENET = Preprocess(crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Network:
    """One ONNX file to compile."""

    name: str
    precision: str
    path: Path

    @property
    def dims(self) -> set[str]:
        """Dynamic dimensions of its inputs."""
        return {str(dim) for spec in read_interface(self.path).inputs for dim in spec.shape if isinstance(dim, str)}


def models(scratch: Path) -> Iterator[Network]:
    """Every model, in turn; those that are made lie under ``scratch``."""
    if find_spec("efficientnet_lite_pytorch") is not None:
        bundle = build(load_recipe(ROOT / "recipes/quickstart.toml"), scratch / "quickstart").path
        yield Network("quickstart, head", "fp32", bundle / "edge/model.onnx")
        yield Network("quickstart, tail", "fp32", bundle / "cloud/model.onnx")
    for name, file in (
        ("MobileNetV2", "mobilenet_v2_imagenet.onnx"),
        ("ResNet-18", "resnet18_tinyimagenet200.onnx"),
        ("Yolo-Fastest", "yolo_fastest_1.1_xl_coco.onnx"),
        ("I3D", "i3d_kinetics400.onnx"),
    ):
        path = DATA / "models" / file
        if path.is_file():
            yield Network(name, "fp32", path)
            if name == "MobileNetV2":
                yield from _lowered(name, path, scratch)


def _lowered(name: str, path: Path, scratch: Path) -> Iterator[Network]:
    model = passes.prepare(graph.load(path).ir_model, in_graph=True).model
    for precision in ("fp16", "int8"):
        lower = passes.QuantizeStatic(_pictures(path)) if precision == "int8" else passes.ToFloat16()
        result = lower(model)
        place = scratch / f"{name}_{precision}" / "model.onnx"
        place.parent.mkdir()
        graph.save(result.model, place)
        yield Network(name, precision if precision == "fp16" else "INT8 Q/DQ", place)


def _pictures(path: Path) -> list[Feeds]:
    files = sorted((DATA / "images/imagenet_sample").glob("*.jpg"))[::5][:CALIBRATION]
    if not files:  # sizes and seconds hardly depend on the ranges
        shape = [1 if isinstance(dim, str) else dim for dim in read_interface(path).inputs[0].shape]
        return [{read_interface(path).inputs[0].name: np.zeros(shape, np.float32)}]
    reader = Reader(read_interface(path).inputs, IMAGENET, 1)
    return [sample.feeds for sample in reader.samples(files)]
