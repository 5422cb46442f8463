"""Is a refusal of a cut true? Answered by a walk over names that shares no code with splitc's own analysis."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import onnx
import onnx_ir as ir
import onnxruntime as ort

RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}


class Oracle:
    """Facts of one graph, from its protobuf."""

    def __init__(self, model: ir.Model) -> None:
        proto = ir.to_proto(model)
        self._proto = proto
        held = {tensor.name for tensor in proto.graph.initializer}
        self._inputs = {value.name for value in proto.graph.input} - held
        self._outputs = [value.name for value in proto.graph.output]
        self._nodes = [(node, set(_reads(node)), set(node.output) - {""}) for node in proto.graph.node]
        self._types = {
            value.name: value.type for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output)
        }

    def judge(self, names: list[str], message: str) -> str:
        """The kind of a refusal; it begins with UNTRUE when the facts are otherwise."""
        kinds = {
            "around it": self._kind_of_leak(names),
            "head would be empty": ("only inputs", lambda: set(names) <= self._inputs),
            "tail would be empty": ("all outputs", lambda: set(self._outputs) <= set(names)),
            "reaches no output": ("reaches no output", lambda: not self._matters(names)),
            "is not needed": ("one too many", lambda: not self._all_matter(names)),
            "not a tensor": ("not a tensor", lambda: any(self._is_no_tensor(name) for name in names)),
            "unknown shape": ("unknown rank", lambda: any(self._has_unknown_rank(name) for name in names)),
            "other numbers": ("random in both halves", self._has_random),
        }
        for text, (kind, is_so) in kinds.items():
            if text in message:
                return kind if is_so() else f"UNTRUE {kind}"
        return "UNTRUE unknown kind"

    def _kind_of_leak(self, names: list[str]) -> tuple[str, Callable[[], bool]]:
        """Elements that leak, or sizes alone; those the tail can rebuild where a crossing tensor has them."""
        if self._leaks(names, past=("Shape", "Size")):
            return "leak", lambda: True
        return "leak of sizes", lambda: self._leaks(names) and not self._has_all_sizes(names)

    def _has_all_sizes(self, names: list[str]) -> bool:
        """Whether every input dimension is a number, or the name of a dimension of ``names``."""
        return self._symbols(self._inputs) <= self._symbols(names)

    def _symbols(self, names: Iterable[str]) -> set[str]:
        kinds = (self._types[name].tensor_type.shape.dim for name in names if name in self._types)
        return {dim.dim_param for dims in kinds for dim in dims if not dim.HasField("dim_value")}

    def _leaks(self, names: list[str], past: tuple[str, ...] = ()) -> bool:
        """Whether something reaches an output from an input, by no node of ``past``, when ``names`` are taken away."""
        reached = self._inputs - set(names)
        for node, reads, makes in self._nodes:
            if node.op_type in past:
                continue
            if reads & reached or (_is_random(node) and makes):
                reached |= makes - set(names)
        return any(name in reached for name in self._outputs)

    def _matters(self, names: list[str]) -> bool:
        return any(self._reaches(name, set(names)) for name in names)

    def _all_matter(self, names: list[str]) -> bool:
        return all(self._reaches(name, set(names) - {name}) for name in names)

    def _reaches(self, name: str, others: set[str]) -> bool:
        """Whether an output depends on ``name`` by a path that avoids ``others`` behind it."""
        reached = {name}
        for _, reads, makes in self._nodes:
            if reads & reached:
                reached |= makes - others
        return any(output in reached for output in self._outputs)

    def _is_no_tensor(self, name: str) -> bool:
        kind = self._types.get(name)
        return kind is None or kind.WhichOneof("value") != "tensor_type" or self._runs_as(name) != "tensor"

    def _has_unknown_rank(self, name: str) -> bool:
        """ONNX's own inference does not know it either; a Loop may change what it carries."""
        inferred = onnx.shape_inference.infer_shapes(self._proto, data_prop=True)
        known = (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input)
        kind = next((value.type for value in known if value.name == name), None)
        return kind is None or not kind.tensor_type.HasField("shape") or kind.tensor_type.elem_type == 0

    def _runs_as(self, name: str) -> str:
        """What ONNX Runtime says that the value is."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        if name not in self._outputs:
            proto.graph.output.append(onnx.ValueInfoProto(name=name))
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = next(value.type for value in session.get_outputs() if value.name == name)
        return str(re.split(r"\(", found)[0])

    def _has_random(self) -> bool:
        return any(_is_random(node) for node, _, _ in self._nodes)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node or its bodies read; those made inside bodies are harmless, they meet nothing outside."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for body in [attribute.g, *attribute.graphs]:
            yield from (value.name for value in body.output)
            for inner in body.node:
                yield from _reads(inner)


def _is_random(node: onnx.NodeProto) -> bool:
    inner = (one for attribute in node.attribute for body in [attribute.g, *attribute.graphs] for one in body.node)
    return node.op_type in RANDOM or any(map(_is_random, inner))
