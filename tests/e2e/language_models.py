"""Tiny language models as exporters write them: a decoder's step with its KV cache, and an encoder of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from splitc.types import Array

WIDTH, HEADS, WORDS, PLACES = 16, 2, 40, 32
SIZE = WIDTH // HEADS
PAST = 5
"""Steps that the samples' caches hold."""
Port = tuple[str, int, list[int | str]]
"""Name, element type and shape of an input."""
Answer = tuple[str, list[int | str]]
"""Name and shape of an output."""
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


class _Writer:
    """Nodes and weights of a transformer, one after the other."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.held: dict[str, Array] = {}

    def op(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"node/{output}", **attributes))
        return output

    def weight(self, name: str, *shape: int) -> str:
        self.held[name] = (self.random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        return name

    def constant(self, name: str, value: Array | float) -> str:
        self.held[name] = np.asarray(value)
        return name

    def linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        return self.op("MatMul", [x, self.weight(f"{name}.w", inputs, outputs)], name)

    def heads(self, x: str, name: str) -> str:
        """``[N, T, WIDTH]`` to ``[N, HEADS, T, SIZE]``."""
        shape = self.constant("heads.shape", np.array([0, -1, HEADS, SIZE]))
        return self.op("Transpose", [self.op("Reshape", [x, shape], f"{name}.r")], name, perm=[0, 2, 1, 3])

    def hidden_where(self, mask: str) -> str:
        """What is added to scores: 0 where the mask is 1, -10,000 elsewhere, ``[N, 1, 1, T]``."""
        one, large = self.constant("one", np.float32(1)), self.constant("large", np.float32(-10_000))
        kept = self.op("Cast", [mask], "mask.float", to=FLOAT)
        hidden = self.op("Mul", [self.op("Sub", [one, kept], "mask.hidden"), large], "mask.large")
        return self.op("Unsqueeze", [hidden, self.constant("mask.axes", np.array([1, 2]))], "mask.scores")

    def layer(self, x: str, name: str, bias: str, past: str | None = None, present: str = "") -> str:
        """Attention and two products, each added to what comes in."""
        query, key, value = (
            self.heads(self.linear(x, f"{name}.{part}", WIDTH, WIDTH), f"{name}.{part}h") for part in "qkv"
        )
        if past is not None:
            key = self.op("Concat", [f"{past}.key", key], f"{present}.key", axis=2)
            value = self.op("Concat", [f"{past}.value", value], f"{present}.value", axis=2)
        turned = self.op("Transpose", [key], f"{name}.kt", perm=[0, 1, 3, 2])
        scores = self.op("MatMul", [query, turned], f"{name}.scores")
        scaled = self.op("Mul", [scores, self.constant("scale", np.float32(SIZE**-0.5))], f"{name}.scaled")
        shares = self.op("Softmax", [self.op("Add", [scaled, bias], f"{name}.masked")], f"{name}.shares", axis=-1)
        mixed = self.op(
            "Transpose", [self.op("MatMul", [shares, value], f"{name}.mixed")], f"{name}.back", perm=[0, 2, 1, 3]
        )
        joined = self.op("Reshape", [mixed, self.constant("joined.shape", np.array([0, -1, WIDTH]))], f"{name}.joined")
        middle = self.op("Add", [x, self.linear(joined, f"{name}.o", WIDTH, WIDTH)], f"{name}.middle")
        inner = self.op("Relu", [self.linear(middle, f"{name}.up", WIDTH, 2 * WIDTH)], f"{name}.relu")
        return self.op("Add", [middle, self.linear(inner, f"{name}.down", 2 * WIDTH, WIDTH)], f"{name}/out")

    def model(self, inputs: list[Port], outputs: list[Answer]) -> onnx.ModelProto:
        ports = [helper.make_tensor_value_info(*one) for one in inputs]
        answers = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs]
        held = [onnx.numpy_helper.from_array(array, name) for name, array in self.held.items()]
        graph = helper.make_graph(self.nodes, "language", ports, answers, held)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def decoder_step(layers: int = 3) -> onnx.ModelProto:
    """One new word, the caches of all layers before it -> logits, and the caches with it."""
    w = _Writer(1)
    words = w.op("Gather", [w.weight("words", WORDS, WIDTH), "input_ids"], "embedded")
    x = w.op("Add", [words, w.op("Gather", [w.weight("places", PLACES, WIDTH), "position_ids"], "placed")], "x")
    bias = w.hidden_where("attention_mask")
    for index in range(layers):
        x = w.layer(x, f"layer{index}", bias, f"past_key_values.{index}", f"present.{index}")
    w.linear(x, "logits", WIDTH, WORDS)
    cache = [f"{index}.{part}" for index in range(layers) for part in ("key", "value")]
    inputs: list[Port] = [("input_ids", INT, ["N", 1])]
    inputs += [("attention_mask", INT, ["N", "total"]), ("position_ids", INT, ["N", 1])]
    inputs += [(f"past_key_values.{one}", FLOAT, ["N", HEADS, "past", SIZE]) for one in cache]
    outputs: list[Answer] = [("logits", ["N", 1, WORDS])]
    return w.model(inputs, outputs + [(f"present.{one}", ["N", HEADS, "total", SIZE]) for one in cache])


def text_encoder(layers: int = 3) -> onnx.ModelProto:
    """Words and a mask -> what the last layer says of each word, and their mean."""
    w = _Writer(2)
    x = w.op("Gather", [w.weight("words", WORDS, WIDTH), "input_ids"], "embedded")
    bias = w.hidden_where("attention_mask")
    for index in range(layers):
        x = w.layer(x, f"layer{index}", bias)
    w.linear(x, "last_hidden_state", WIDTH, WIDTH)
    w.op("ReduceMean", ["last_hidden_state"], "pooled", axes=[1], keepdims=0)
    inputs: list[Port] = [
        ("input_ids", INT, ["N", "T"]),
        ("attention_mask", INT, ["N", "T"]),
    ]
    return w.model(inputs, [("last_hidden_state", ["N", "T", WIDTH]), ("pooled", ["N", WIDTH])])


def step_sample(index: int, layers: int = 3) -> dict[str, Array]:
    """One step of the decoder."""
    random = np.random.default_rng(index)
    sample: dict[str, Array] = {
        "input_ids": random.integers(0, WORDS, (1, 1)),
        "attention_mask": np.ones((1, PAST + 1), np.int64),
        "position_ids": np.array([[PAST]]),
    }
    sample["attention_mask"][0, : index % 3] = 0
    for layer in range(layers):
        for part in ("key", "value"):
            shape = (1, HEADS, PAST, SIZE)
            sample[f"past_key_values.{layer}.{part}"] = random.standard_normal(shape).astype(np.float32)
    return sample


def text_sample(index: int) -> dict[str, Array]:
    """A sentence of the encoder, whose last words are padding."""
    random = np.random.default_rng(index)
    mask = np.ones((1, 7), np.int64)
    mask[0, 7 - index % 4 :] = 0
    return {"input_ids": random.integers(0, WORDS, (1, 7)), "attention_mask": mask}


KEEP = {
    "decoder": {"attention_mask": "cloud", "past_key_values.[12].*": "cloud", "present.0.*": "edge"},
    "encoder": {"attention_mask": "cloud"},
}
"""What stays on its side where the models are cut behind their first layer."""


def write_setting(folder: Path, kind: str, count: int = 12) -> Path:
    """The model, its samples and a recipe that cuts it behind its first layer."""
    (folder / "data").mkdir(parents=True)
    make, sample = (decoder_step, step_sample) if kind == "decoder" else (text_encoder, text_sample)
    onnx.save(make(), folder / "model.onnx")
    for index in range(count):
        np.savez(folder / "data" / f"{index:02d}.npz", **sample(index))  # type: ignore[arg-type]
    kept = "".join(f'"{pattern}" = "{side}"\n' for pattern, side in KEEP[kind].items())
    (folder / "recipe.toml").write_text(
        f'schema = 1\nname = "{kind}"\n[model]\nsource = "model.onnx"\n'
        '[data]\ncalibration = "data"\ntask = "features"\n'
        f'[split]\nat = "layer0/out"\n[split.keep]\n{kept}',
        "utf-8",
    )
    return folder
