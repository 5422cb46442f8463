"""A loaded model: the graph, where it came from, and its dataflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import onnx
import onnx.defs
import onnx_ir as ir
import onnx_ir.passes.common as common

from splitc.errors import CutError, GraphError, ShapelessInputs
from splitc.graph.cost.flops import node_flops
from splitc.graph.files.onnx_files import fingerprint, read
from splitc.graph.shapes.declared import open_odd_dims
from splitc.graph.shapes.inference import bind_inputs, infer
from splitc.graph.values.collector import collector_paused
from splitc.graph.values.flow import Flow, flow_of
from splitc.graph.values.names import values_of
from splitc.graph.values.tensors import parameters_of, spec_of, unknown_reason
from splitc.types import Shape, TensorSpec

FIRST_OPSET = 6
DEFAULT_DOMAIN = "ai.onnx"
OLDEST_IR_VERSION = 4
"""Below this, initializers must be listed as inputs; raising it changes no operator."""


@dataclass(frozen=True)
class SplitKeep:
    """What stays on a side, by name, and so need not cross.

    Attributes:
        cloud: Inputs of the model that the tail is given as they are; the head too, where it reads them. What is
            computed from them alone is computed on either side.
        edge: Outputs of the model that the head answers.
    """

    cloud: tuple[str, ...] = ()
    edge: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """An inlined, sorted, shape-inferred model. ``ir_model`` must not be changed afterwards.

    Attributes:
        ir_model: The graph; external weights stay memory-mapped.
        path: The file it was read from.
        external: Its external data files, sorted.
        keep: What does not cross a cut, because it stays on a side.
    """

    ir_model: ir.Model
    path: Path | None = None
    external: tuple[Path, ...] = ()
    keep: SplitKeep = SplitKeep()

    @cached_property
    def sha256(self) -> str:
        """Of the model file, or of its file and external data together; "" when made in memory."""
        return fingerprint(self.path, self.external) if self.path else ""

    @cached_property
    def flow(self) -> Flow:
        """What depends on what, as far as it can cross a cut."""
        return flow_of(self.ir_model.graph, self.keep.cloud, self.keep.edge)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The data inputs; initializers that are listed as inputs are not among them."""
        return tuple(spec_of(value) for value in self.ir_model.graph.inputs if not value.is_initializer())

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs whose shape is known."""
        return tuple(spec_of(value) for value in self.ir_model.graph.outputs if unknown_reason(value) is None)

    @property
    def values(self) -> tuple[TensorSpec, ...]:
        """Every tensor of known shape that depends on a data input, in topological order."""
        known = (value for value in self.flow.values.values() if value in self.flow.varying)
        return tuple(spec_of(value) for value in known if unknown_reason(value) is None)

    @property
    def nodes(self) -> int:
        """Number of nodes of the top graph."""
        return len(self.flow.nodes)

    @cached_property
    def parameters(self) -> int:
        """Trained numbers in the initializers of all graphs."""
        return sum(parameters_of(value) for graph in self.ir_model.graphs() for value in graph.initializers.values())

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of one inference, 2 per multiply-accumulate, dynamic dimensions as 1."""
        return sum(node_flops(node) for node in self.flow.nodes)


@collector_paused()
def load(path: Path | str, shapes: Mapping[str, Shape] | None = None) -> Model:
    """Read a model; external data is memory-mapped and never read whole.

    Args:
        path: An ONNX file, opset 6 or later.
        shapes: Input name -> dimensions, to fix dynamic ones or to name them.

    Raises:
        GraphError: The file is absent or not a sound ONNX model, its external data is missing or lies outside
            its folder, or ``shapes`` contradicts it.
    """
    path = Path(path)
    ir_model, files = read(path)
    return _prepared(Model(ir_model, path, files), shapes or {}, str(path))


@collector_paused()
def model_from_ir(ir_model: ir.Model, shapes: Mapping[str, Shape] | None = None, label: str = "model") -> Model:
    """Inline functions, sort, apply ``shapes`` and infer the rest. ``ir_model`` is changed in place.

    Raises:
        GraphError: The graph is not sound, or ``shapes`` contradicts it.
    """
    return _prepared(Model(ir_model), shapes or {}, label)


def keeping(model: Model, keep: SplitKeep) -> Model:
    """The same model, of which ``keep`` stays on its side.

    Raises:
        CutError: Every input is given to the cloud, or every output answered on the edge: nothing is left to split.
    """
    kept = replace(model, keep=keep)
    if not kept.flow.inputs:
        raise CutError("split.keep: every input is kept in the cloud, so the head would have none; leave one out.")
    if not kept.flow.outputs:
        raise CutError("split.keep: every output is kept on the edge, so the tail would have none; leave one out.")
    return kept


def with_sizes(model: Model, sizes: Mapping[str, int]) -> Model:
    """The same model with dynamic dimensions of its inputs fixed, for what it costs; values keep their names.

    Args:
        model: Left unchanged; weights are shared.
        sizes: Dimension -> size; names that no input has change nothing.

    Raises:
        GraphError: The model cannot have these sizes.
    """
    shapes = {spec.name: tuple(sizes.get(str(dim), dim) for dim in spec.shape) for spec in model.inputs}
    changed = {spec.name: shapes[spec.name] for spec in model.inputs if shapes[spec.name] != spec.shape}
    return replace(model_from_ir(model.ir_model.clone(), changed), keep=model.keep) if changed else model


def verify(ir_model: ir.Model, label: str = "model") -> None:
    """Check that a graph is sound: for between passes, in linear time.

    Raises:
        GraphError: Opset before 6, a value read before it is made, two values of one name, an input without a type,
            or no nodes, inputs or outputs.
    """
    _refuse_opset(ir_model, label)
    _refuse_unsound(Model(ir_model), label)


def _prepared(model: Model, shapes: Mapping[str, Shape], label: str) -> Model:
    """The model itself, whose graph is made ready in place."""
    ir_model = model.ir_model
    _spell_default_domain(ir_model, label)
    _refuse_opset(ir_model, label)
    try:
        if ir_model.functions:
            common.InlinePass()(ir_model)
        ir_model.graph.sort()
    except ValueError as error:
        raise GraphError(f"{label}: {_sentence(error)}; export the model again.") from error
    _refuse_missing_imports(ir_model, label)
    common.RemoveInitializersFromInputsPass()(ir_model)
    ir_model.ir_version = max(ir_model.ir_version or 0, OLDEST_IR_VERSION)
    _list_outputs_once(ir_model.graph)
    _refuse_unsound(model, label)
    open_odd_dims(ir_model)
    bind_inputs(ir_model.graph, shapes, label)
    _refuse_shapeless_inputs(model, label)
    _infer_scalar_outputs(ir_model)
    return model


def _list_outputs_once(graph: ir.Graph) -> None:
    """An output that is listed twice is one answer under one name."""
    once = list(dict.fromkeys(graph.outputs))
    if len(once) < len(graph.outputs):
        graph.outputs[:] = once


def _infer_scalar_outputs(ir_model: ir.Model) -> None:
    """Infer all shapes; exporters declare outputs as scalars too where they know no shape, so those are inferred."""
    declared = [value for value in ir_model.graph.outputs if value.shape is not None and not len(value.shape)]
    for value in declared:
        value.shape = None
    infer(ir_model)
    for value in declared:
        value.shape = ir.Shape(()) if value.shape is None else value.shape


def _spell_default_domain(ir_model: ir.Model, label: str) -> None:
    """ONNX's own operators have two names for their domain; here it is the empty one.

    Raises:
        GraphError: Both are imported, in two versions.
    """
    imports = ir_model.opset_imports
    if DEFAULT_DOMAIN not in imports:
        return
    version = imports.pop(DEFAULT_DOMAIN)
    if imports.setdefault("", version) != version:
        raise GraphError(
            f"{label}: imports ONNX's operators twice, opset {imports['']} as '' and {version} as {DEFAULT_DOMAIN!r}; "
            "export the model again."
        )


def _refuse_missing_imports(ir_model: ir.Model, label: str) -> None:
    for graph in ir_model.graphs():
        for node in graph:
            domain = "" if node.domain == DEFAULT_DOMAIN else node.domain
            if domain not in ir_model.opset_imports:
                name = node.name or node.outputs[0].name
                raise GraphError(
                    f"{label}: node {name!r} is an operator {node.op_type} of domain {domain!r}, and the model has no "
                    "opset import for it; export the model again, or add the import."
                )


def _refuse_opset(ir_model: ir.Model, label: str) -> None:
    version = ir_model.opset_imports.get("")
    if version is not None and version < FIRST_OPSET:
        raise GraphError(f"{label}: opset {version} is too old; convert the model to opset {FIRST_OPSET} or later.")
    newest = onnx.defs.onnx_opset_version()
    if version is not None and version > newest:
        raise GraphError(
            f"{label}: opset {version} is newer than this onnx knows ({newest}); install newer onnx and onnxruntime, "
            f"or export the model with opset {newest} or older."
        )
    if (ir_model.ir_version or 0) > onnx.IR_VERSION:
        raise GraphError(
            f"{label}: IR version {ir_model.ir_version} is newer than this onnx knows ({onnx.IR_VERSION}); install "
            "newer onnx and onnxruntime, or export the model with older ones."
        )


def _refuse_unsound(model: Model, label: str) -> None:
    try:
        flow = model.flow
    except GraphError as error:
        raise GraphError(f"{label}: {error}") from error
    if not flow.nodes or not flow.outputs:
        raise GraphError(f"{label}: the graph has no nodes or no outputs; is this an ONNX model?")
    if not flow.inputs:
        raise GraphError(f"{label}: the graph has no data input, so there is nothing to split.")
    untyped = next((value for value in flow.inputs if value.type is None), None)
    if untyped is not None:
        raise GraphError(f"{label}: input {untyped.name!r} has no type; export the model again.")
    made = [value for value in values_of(model.ir_model.graph) if value.name]
    if len(set(made)) != len(flow.values):
        double, _ = Counter(value.name for value in set(made)).most_common(1)[0]
        raise GraphError(f"{label}: two values are called {double!r}; export the model again.")
    known = {*flow.values.values()}
    loose = next((value for value in flow.outputs if value not in known), None)
    if loose is not None:
        raise GraphError(f"{label}: nothing produces output {loose.name!r}; export the model again.")


def _refuse_shapeless_inputs(model: Model, label: str) -> None:
    """Without even the number of its dimensions nothing behind an input has a size."""
    inputs = (value for value in model.flow.inputs if isinstance(value.type, ir.TensorType) and value.shape is None)
    names = [value.name or "" for value in inputs]
    if names:
        name = names[0]
        raise ShapelessInputs(
            f"{label}: input {name!r} declares no shape, not even how many dimensions it has; give it, for example "
            f'model.shapes = {{ {name!r} = "Nx3x224x224" }}, or --shape {name}:Nx3x224x224.',
            names,
        )


def _sentence(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".;")
