"""The bundles that are served, and the samples that go through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from bench_data import DATA
from onnx import TensorProto, helper, numpy_helper

from splitc import build, load_recipe
from splitc.backends import read_interface
from splitc.bundle import Bundle, open_bundle
from splitc.runtime import CloudHalf, EdgeHalf, Reader, Sample, run_pair
from splitc.types import Array, Preprocess

MOBILENET = DATA / "models/mobilenet_v2_imagenet.onnx"
IMAGENET = Preprocess(crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
YOLO = Preprocess(resize=(320, 320), scale=1 / 255, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
PICTURES, FRAMES = 200, 300
DENSE_WIDTH, DENSE_DEPTH = 2048, 3


@dataclass(frozen=True)
class Pair:
    """A built bundle and its samples.

    Attributes:
        name: For the table.
        path: The bundle.
        samples: All of them, in memory: a source costs nothing here.
    """

    name: str
    path: Path
    samples: Sequence[Sample]

    @cached_property
    def bundle(self) -> Bundle:
        """Opened."""
        return open_bundle(self.path)

    @cached_property
    def expected(self) -> list[dict[str, Array]]:
        """What both halves answer in this process."""
        halves = EdgeHalf(self.bundle), CloudHalf(self.bundle)
        return [answer.outputs for answer in run_pair(*halves, self.samples)]

    @cached_property
    def packets(self) -> list[bytes]:
        """Every sample's packet, decodable by itself."""
        edge, packets = EdgeHalf(self.bundle), []
        for sample in self.samples:
            edge.force_keyframe()
            packets.append(edge.encode(edge.symbols(sample.feeds)))
        return packets


def pictures() -> list[Path]:
    """The shared photographs."""
    return sorted((DATA / "images/imagenet_sample").glob("*.jpg"))


def mobilenet(folder: Path, count: int) -> Pair:
    """MobileNetV2 on photographs, cut at three quarters of its work."""
    reader = Reader(read_interface(MOBILENET).inputs, IMAGENET)
    shown = list(reader.samples(pictures()))
    _save(folder, shown)
    path = _build(folder, "mobilenet", MOBILENET, "/features/features.14/conv/conv.2/Conv_output_0")
    return Pair("MobileNetV2, pictures", path, shown[:count])


def yolo(folder: Path, count: int) -> Pair:
    """Yolo-Fastest on a clip, cut at two thirds, every frame predicted from the one before it, without loss."""
    model = DATA / "models/yolo_fastest_1.1_xl_coco.onnx"
    shown = list(_frames(count, read_interface(model).inputs[0].name))
    _save(folder, shown)
    path = _build(folder, "yolo", model, "/Add_9_output_0", 'temporal = "difference"')
    return Pair("Yolo-Fastest, frames", path, shown)


def dense(folder: Path, count: int) -> Pair:
    """Fully connected layers as at the end of VGG or AlexNet, weights from a seed: reading them is all the work."""
    model, random = folder / "dense.onnx", np.random.default_rng(0)
    arrays = random.standard_normal((count, DENSE_WIDTH)).astype(np.float32)
    shown = [Sample(f"row{index}", {"x": row[None]}) for index, row in enumerate(arrays)]
    onnx.save(_dense_model(random), model)
    _save(folder, shown)
    return Pair(f"{DENSE_DEPTH} layers of {DENSE_WIDTH} x {DENSE_WIDTH}", _build(folder, "dense", model, "cut"), shown)


def _dense_model(random: np.random.Generator) -> onnx.ModelProto:
    nodes, weights, value = [helper.make_node("Relu", ["x"], ["cut"], name="/cut")], [], "cut"
    for layer in range(DENSE_DEPTH):
        matrix = random.standard_normal((DENSE_WIDTH, DENSE_WIDTH)).astype(np.float32) / np.float32(DENSE_WIDTH**0.5)
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        out = "y" if layer == DENSE_DEPTH - 1 else f"h{layer}"
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [out], name=f"/{out}"))
        value = out
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", DENSE_WIDTH]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "dense", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _frames(count: int, name: str) -> Iterator[Sample]:
    import av

    from splitc.runtime.pictures import input_from_picture

    with av.open(str(DATA / "videos/vtest_first300.avi")) as clip:
        for index, frame in enumerate(clip.decode(video=0)):
            if index == count:
                return
            batch = input_from_picture(frame.to_image(), YOLO)[None]
            yield Sample(f"frame{index}", {name: batch}, "vtest")


def _save(folder: Path, samples: Sequence[Sample]) -> None:
    """Every tenth sample calibrates, a few others verify."""
    for name, some in (("calibration", samples[::10]), ("verification", samples[1::50])):
        np.save(folder / f"{name}.npy", np.concatenate([array for one in some for array in one.feeds.values()]))


def _build(folder: Path, name: str, model: Path, cut: str, *codec: str) -> Path:
    recipe = folder / f"{name}.toml"
    lines = [
        "schema = 1",
        f'name = "{name}"',
        "[model]",
        f'source = "{model}"',
        "[data]",
        'calibration = "calibration.npy"',
        'verification = "verification.npy"',
        'task = "features"',
        "[split]",
        f'at = "{cut}"',
        "[codec]",
        'quantizer = "uniform"',
        "bits = 4",
        *codec,
    ]
    recipe.write_text("\n".join(lines) + "\n", "utf-8")
    return build(load_recipe(recipe), folder / name).path
