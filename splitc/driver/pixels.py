"""A model that takes 8-bit pixels, where the recipe puts preprocessing into the graph."""

from __future__ import annotations

from splitc import graph, passes
from splitc.errors import GraphError
from splitc.runtime import PixelFormat, pixel_format
from splitc.types import Preprocess, TensorSpec


def with_preprocess(source: graph.Model, how: Preprocess) -> graph.Model:
    """``source`` with scale, mean, std and transposition in front where ``how`` asks for it, else itself.

    It keeps the place and the hash of the file.

    Raises:
        GraphError: The model's input is not one float picture of as many channels.
        UsageError: A shape that may be of either layout.
    """
    if not how.in_graph or not source.inputs:
        return source
    spec = source.inputs[0]
    form = pixel_format(spec, how.model_copy(update={"in_graph": False}))
    _require_channels(spec, form)
    insert = passes.InsertPreprocess(form.scale, form.mean, form.std, form.is_nhwc)
    changed = graph.model_from_ir(passes.apply(insert, source.ir_model).model)
    return graph.Model(changed.ir_model, source.path, source.external)


def preprocess_notes(source: graph.Model, how: Preprocess) -> tuple[str, ...]:
    """For the report: what becomes of pictures where that is not plain resizing on the host."""
    notes = []
    if isinstance(how.resize, tuple) and how.fit != "stretch":
        size = f"{how.resize[0]} x {how.resize[1]} (height x width)"
        border = f"letterboxed to {size}, with a border of {how.pad} ({how.anchor.replace('_', ' ')})"
        notes.append(f"pictures are {border if how.fit == 'letterbox' else f'cropped to {size}'}")
    if how.in_graph:
        spec = source.inputs[0]
        notes.append(f"{spec.name!r} takes uint8 {list(spec.shape)}; the edge graph normalizes it")
    return tuple(notes)


def _require_channels(spec: TensorSpec, form: PixelFormat) -> None:
    found = spec.shape[-1 if form.is_nhwc else 1] if len(spec.shape) == 4 else form.depth
    if found != form.depth and isinstance(found, int):
        raise GraphError(
            f"data.preprocess.in_graph: input {spec.name!r} {list(spec.shape)} has {found} channels, a picture "
            f'{form.depth} with channels = "{"grey" if form.depth == 1 else "rgb"}".'
        )
