"""What stays on a side of the cut: the patterns of ``split.keep`` as names of inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from splitc import graph
from splitc.errors import RecipeError
from splitc.registry import nearest
from splitc.types import TensorSpec


def with_kept(model: graph.Model, keep: Mapping[str, str]) -> graph.Model:
    """``model``, of which what the patterns name stays on its side.

    Args:
        model: Prepared.
        keep: Name or glob -> "cloud" for inputs, "edge" for outputs.

    Raises:
        RecipeError: A pattern matches nothing, or an input of text, which cannot be sent beside a packet.
        CutError: Nothing is left to split.
    """
    if not keep:
        return model
    outputs = [value.name or "" for value in model.ir_model.graph.outputs]
    names = {"cloud": [spec.name for spec in model.inputs], "edge": outputs}
    found: dict[str, set[str]] = {"cloud": set(), "edge": set()}
    for pattern, side in keep.items():
        matching = [name for name in names[side] if name == pattern or fnmatchcase(name, pattern)]
        if not matching:
            kind = "input" if side == "cloud" else "output"
            known = nearest(pattern, names[side])
            raise RecipeError(f"split.keep: no {kind} of the model is called {pattern!r}, as {side!r} needs.{known}")
        found[side].update(matching)
    _refuse_text([spec for spec in model.inputs if spec.name in found["cloud"]])
    kept = graph.SplitKeep(*(tuple(name for name in names[side] if name in found[side]) for side in ("cloud", "edge")))
    return graph.keeping(model, kept)


def _refuse_text(specs: Sequence[TensorSpec]) -> None:
    text = next((spec.name for spec in specs if spec.dtype == "str"), None)
    if text is not None:
        raise RecipeError(f"split.keep: input {text!r} holds text, which is not sent beside a packet; cut behind it.")


def kept_notes(model: graph.Model) -> list[str]:
    """For the report: what stays on a side, and what that sends beside the packets."""
    keep, notes = model.keep, list[str]()
    given = [spec for spec in model.inputs if spec.name in keep.cloud]
    if given:
        size = sum(map(graph.own_bytes, given))
        names = ", ".join(repr(spec.name) for spec in given)
        notes.append(
            f"the cloud is given {names} as they are, at most {size:,} bytes a sample beside the packet, dynamic "
            "dimensions taken as 1"
        )
    if keep.edge:
        notes.append(f"the edge answers {', '.join(map(repr, keep.edge))}")
    return notes
