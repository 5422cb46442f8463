"""A small network, a dozen generated pictures and a recipe: all that an end-to-end test needs, made from seeds."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from splitc.cli import main

SIDE = 32
CLASSES = 10
PICTURES = 12
CUT = "block/out"
"""Value of the network that the recipe cuts at: 8 channels of 16 x 16, behind a residual block."""

RECIPE = f"""\
schema = 1
name = "tiny"

[model]
source = "tiny.onnx"

[data]
calibration = "pictures/*.png"

[data.preprocess]
resize = {SIDE}
crop = {SIDE}
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]

[split]
at = "{CUT}"
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def cli(*arguments: object) -> Outcome:
    """Run ``splitc ARGUMENTS`` in this process, through the real entry point; a bug of ours still raises."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["splitc", *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def build(folder: Path, out: Path, *arguments: object) -> Outcome:
    """``splitc build FOLDER/recipe.toml --out OUT --json ARGUMENTS``."""
    return cli("build", folder / "recipe.toml", "--out", out, "--json", *arguments)


def setting(*overrides: str) -> list[str]:
    """``--set A --set B`` from ``A, B``."""
    return [word for override in overrides for word in ("--set", override)]


def file_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its relative name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listing(folder: Path) -> set[str]:
    """Every name in a folder, hidden ones too."""
    return set(os.listdir(folder))


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in ``folder`` for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


Port = tuple[str, list[Any]]
"""Name and shape of an input or output."""


class Net:
    """A graph under construction, with weights from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def op(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node called after its output."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"/{output}", **attributes))
        return output

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add an initializer."""
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        """Random weights of a scale that keeps activations near one."""
        scale = np.sqrt(2.0 / np.prod(shape[1:]))
        return self.constant(name, (self.random.standard_normal(shape) * scale).astype(np.float32))

    def conv(self, x: str, output: str, channels: tuple[int, int], stride: int = 1) -> str:
        """A 3 x 3 convolution; ``channels`` are those in and out."""
        weight = self.weight(f"{output}.w", channels[1], channels[0], 3, 3)
        return self.op("Conv", [x, weight], output, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[stride, stride])

    def model(self, inputs: Sequence[Port], outputs: Sequence[Port], opset: int = 17) -> onnx.ModelProto:
        """Close the graph; all inputs and outputs are float32."""
        ports = [
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in kind] for kind in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "tiny", *ports, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def features_to_logits(net: Net, x: str, output: str = "logits") -> str:
    """From ``[N, 8, 16, 16]`` to ``[N, CLASSES]``."""
    x = net.op("Relu", [net.conv(x, "deep/conv", (8, 16), stride=2)], "deep/out")
    x = net.op("AveragePool", [x], "pool", kernel_shape=[4, 4], strides=[4, 4])
    x = net.op("Flatten", [x], "flat", axis=1)
    rows = net.random.standard_normal((CLASSES, 64))
    rows -= rows.mean(1, keepdims=True)  # features are never negative; without this one class would win every time
    weight, bias = (net.constant(f"head.{n}", a.astype(np.float32)) for n, a in (("w", rows), ("b", np.zeros(CLASSES))))
    return net.op("Gemm", [x, weight, bias], output, transB=1)


def tiny_net(seed: int = 5, opset: int = 17) -> onnx.ModelProto:
    """Stem, residual block, a deeper convolution, pooling, a linear layer; batch dynamic.

    image -> stem/conv -> stem/out -> block/1/conv -> block/1/out -> block/2/conv -> block/sum -> block/out
                              └──────────────────────────────────────────────────────────┘
    block/out -> deep/conv -> deep/out -> pool -> flat -> logits
    """
    net = Net(seed)
    stem = net.op("Relu", [net.conv("image", "stem/conv", (3, 8), stride=2)], "stem/out")
    x = net.op("Relu", [net.conv(stem, "block/1/conv", (8, 8))], "block/1/out")
    x = net.op("Add", [net.conv(x, "block/2/conv", (8, 8)), stem], "block/sum")
    features_to_logits(net, net.op("Relu", [x], CUT))
    return net.model([("image", ["N", 3, SIDE, SIDE])], [("logits", ["N", CLASSES])], opset)


def write_pictures(folder: Path, count: int = PICTURES, seed: int = 11) -> None:
    """Gradients, blobs and noise in turn, 40 x 36 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:36, 0:40] / 36.0
    for index in range(count):
        colour = random.uniform(0.2, 1.0, 3)
        kind = index % 3
        if kind == 0:
            angle = random.uniform(0, 2 * np.pi)
            grey = 0.5 + 0.5 * np.sin(3 * (rows * np.sin(angle) + columns * np.cos(angle)))
        elif kind == 1:
            centre = random.uniform(0.2, 0.8, 2)
            grey = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / random.uniform(0.01, 0.1))
        else:
            grey = random.uniform(0, 1, rows.shape)
        pixels = np.clip(grey[..., None] * colour * 255, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"picture{index:02}.png")


def write_setting(folder: Path, model: onnx.ModelProto | None = None, recipe: str = RECIPE) -> Path:
    """``tiny.onnx``, ``pictures/`` and ``recipe.toml``; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.onnx").write_bytes((model or tiny_net()).SerializeToString(deterministic=True))
    (folder / "recipe.toml").write_text(recipe, "utf-8")
    write_pictures(folder / "pictures")
    return folder
