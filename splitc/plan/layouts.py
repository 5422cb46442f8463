"""Which axes of a cut's tensors the codec takes for samples and channels: the recipe's word, else the graph's."""

from __future__ import annotations

from collections.abc import Sequence

from splitc.codec import CodecSpec, refusal
from splitc.errors import CutError
from splitc.graph import CandidateCut, CutLayout, Model, Refuse, check_codable, check_cut, cut_layouts, is_preprocessing
from splitc.recipe import SplitSection
from splitc.types import Layout, TensorSpec

INSIDE = "is the picture itself, inside preprocessing in the graph; cut behind the network's first operator"


def layouts(model: Model, names: Sequence[str], asked: SplitSection) -> tuple[CutLayout, ...]:
    """The layouts of the tensors of a cut.

    Raises:
        CutError: A name is not one of a value that can be cut.
    """
    ranks = (len(model.flow.values[name].shape or ()) for name in names)
    found = zip(names, cut_layouts(model, names), ranks, strict=True)
    return tuple(
        CutLayout(_as_asked(asked, name, one.layout, rank), one.is_known or asked.channel_axis is not None)
        for name, one, rank in found
    )


def refusing(specs: Sequence[CodecSpec], asked: SplitSection) -> Refuse:
    """What none of these codecs can take; the reason is that of the first."""

    def refuse(tensor: TensorSpec, found: Layout) -> str | None:
        if is_preprocessing(tensor.name):
            return INSIDE
        layout = _as_asked(asked, tensor.name, found, len(tensor.shape))
        _refuse_axes(tensor, found, layout)
        reasons = [refusal(spec, tensor, layout) for spec in specs]
        return None if None in reasons else next(iter(reasons), None)

    return refuse


def check_asked(model: Model, specs: Sequence[CodecSpec], asked: SplitSection) -> None:
    """Refuse a cut asked for by name that none of the codecs can take, with one nearby; nothing is run.

    Raises:
        CutError: What was asked for is no cut, or no codec takes it.
    """
    if asked.at != "auto":
        check_codable(model, check_cut(model, asked.at), refusing(specs, asked))


def unfit_reason(model: Model, cut: CandidateCut, spec: CodecSpec, asked: SplitSection) -> str:
    """Why this codec cannot take the tensors of a cut, or an empty text."""
    tensors = zip(cut.names, cut.dtypes, cut.shapes, layouts(model, cut.names, asked), strict=True)
    for name, dtype, shape, (layout, _) in tensors:
        if is_preprocessing(name):
            return f"value {name!r} {INSIDE}"
        if why := refusal(spec, TensorSpec(name=name, dtype=dtype, shape=shape), layout):
            return f"value {name!r} {why}"
    return ""


def _as_asked(asked: SplitSection, name: str, found: Layout, rank: int) -> Layout:
    """The axes that the recipe names, counted from the end where they are negative."""
    if asked.at == "auto" or name not in asked.at:
        return found
    named = {"batch_axis": asked.batch_axis, "channel_axis": asked.channel_axis}
    axes = {key: axis + rank if axis < 0 else axis for key, axis in named.items() if axis is not None}
    outside = next((key for key, axis in axes.items() if axis < 0), None)
    if outside is not None:
        raise CutError(f"split.{outside} = {named[outside]}: value {name!r} has {rank} axes.")
    return found.model_copy(update=axes) if axes else found


def _refuse_axes(tensor: TensorSpec, found: Layout, layout: Layout) -> None:
    """Raises: CutError: The recipe's axes are none of this tensor's, where the graph's are; no other cut helps then."""
    fault = layout.fault(tensor.shape)
    if fault is None or found.fault(tensor.shape) is not None:
        return
    pairs = (
        ("batch_axis", found.batch_axis, layout.batch_axis),
        ("channel_axis", found.channel_axis, layout.channel_axis),
    )
    changed = [(f"split.{key}", own) for key, own, asked in pairs if own != asked]
    keys, axes = " and ".join(key for key, _ in changed), " and ".join(str(own) for _, own in changed)
    raise CutError(
        f"{keys}: value {tensor.name!r} {list(tensor.shape)}: {fault}; leave {keys} out (splitc takes {axes}), "
        "or name another axis."
    )
