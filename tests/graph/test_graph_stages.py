"""FLOPs block by block against Chen et al. 2019, table 2: VGG-16 and ResNet-50."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from splitc import graph
from splitc.graph import Model

WITHIN = 0.02
"""Of every cumulative share and of each block's operations: what two ways of counting activations may differ by."""
VGG = ((1.94, 12.5), (2.77, 30.5), (4.62, 60.3), (4.62, 90.2), (1.39, 99.2), (0.12, 100.0))
RESNET = ((0.12, 3.1), (0.67, 20.4), (0.95, 45.0), (1.39, 81.0), (0.73, 99.9), (0.00205, 100.0))


class Net:
    """Convolutions and products whose weights are made by the graph, so that they take no room."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.shapes: list[TensorProto] = []

    def add(self, kind: str, inputs: list[str], **attributes: object) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, *dims: int) -> str:
        name = f"dims{len(self.shapes)}"
        self.shapes.append(helper.make_tensor(name, TensorProto.INT64, [len(dims)], dims))
        return self.add("ConstantOfShape", [name])

    def conv(self, x: str, before: int, after: int, kernel: int, stride: int = 1) -> str:
        pads = [(kernel - 1) // 2] * 4
        strides = [stride, stride]
        return self.add("Conv", [x, self.weight(after, before, kernel, kernel)], pads=pads, strides=strides)

    def pool(self, x: str, kernel: int = 2, pads: int = 0) -> str:
        return self.add("MaxPool", [x], kernel_shape=[kernel] * 2, strides=[2, 2], pads=[pads] * 4)

    def dense(self, x: str, before: int, after: int) -> str:
        return self.add("MatMul", [x, self.weight(before, after)])

    def model(self, last: str, classes: int = 1000) -> Model:
        ends = [
            helper.make_tensor_value_info("x", 1, ["N", 3, 224, 224]),
            helper.make_tensor_value_info(last, 1, ["N", classes]),
        ]
        body = helper.make_graph(self.nodes, "net", ends[:1], ends[1:], self.shapes)
        proto = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return graph.model_from_ir(ir.from_proto(proto))


def vgg16() -> Model:
    net, x, channels = Net(), "x", 3
    for count, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            x, channels = net.add("Relu", [net.conv(x, channels, width, 3)]), width
        x = net.pool(x)
    x = net.add("Flatten", [x])
    for before, after in ((25088, 4096), (4096, 4096)):
        x = net.add("Relu", [net.dense(x, before, after)])
    return net.model(net.dense(x, 4096, 1000))


def resnet50() -> Model:
    """The first version: the stride is in the first convolution of a block."""
    net = Net()
    x = net.pool(net.add("Relu", [net.conv("x", 3, 64, 7, 2)]), 3, 1)
    channels = 64
    for count, width, stride in ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)):
        for index in range(count):
            step = stride if index == 0 else 1
            y = net.add("Relu", [net.conv(x, channels, width, 1, step)])
            y = net.add("Relu", [net.conv(y, width, width, 3)])
            y = net.conv(y, width, 4 * width, 1)
            skip = net.conv(x, channels, 4 * width, 1, step) if index == 0 else x
            x, channels = net.add("Relu", [net.add("Add", [y, skip])]), 4 * width
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x])])
    return net.model(net.dense(x, 2048, 1000))


@pytest.mark.parametrize(
    ("model", "table"), [pytest.param(vgg16(), VGG, id="vgg16"), pytest.param(resnet50(), RESNET, id="resnet50")]
)
def test_blocks_are_those_of_the_paper(model: Model, table: tuple[tuple[float, float], ...]) -> None:
    stages = graph.stages_of(model, graph.enumerate_cuts(model).candidates)
    assert len(stages) == len(table)
    for stage, (giga, share) in zip(stages, table, strict=True):
        assert abs(100 * stage.cumulative_share - share) <= 100 * WITHIN
        assert stage.flops / 2e9 == pytest.approx(giga, rel=WITHIN, abs=0.005)  # the paper prints two decimals
    assert sum(stage.share for stage in stages) == pytest.approx(1, abs=1e-9)  # rounding alone


def test_a_model_of_one_resolution_is_one_block() -> None:
    net = Net()
    x = net.add("Flatten", ["x"])
    model = net.model(net.dense(x, 150528, 10), 10)
    assert [stage.cumulative_share for stage in graph.stages_of(model, graph.enumerate_cuts(model).candidates)] == [1.0]
