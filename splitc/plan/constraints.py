"""What a cut must keep: pins, depth and the edge's memory. A refusal is a sentence that says which, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from splitc.device import Device
from splitc.errors import CutError
from splitc.graph import CandidateCut, Model, RejectedCut
from splitc.graph import head_nodes as nodes_of_head
from splitc.recipe import SplitSection


def constrain(
    model: Model, cuts: Sequence[CandidateCut], asked: SplitSection
) -> tuple[list[CandidateCut], list[RejectedCut]]:
    """Cuts that keep pins and depth, and those that do not, with the reason."""
    allowed, refused = [], []
    for cut in cuts:
        if reason := constraint_reason(model, cut, asked):
            refused.append(RejectedCut(cut.names, reason))
        else:
            allowed.append(cut)
    return allowed, refused


def constraint_reason(model: Model, cut: CandidateCut, asked: SplitSection) -> str | None:
    """Why a cut is not allowed, or None."""
    return _depth_reason(cut, asked.min_depth) or _pin_reason(model, cut, asked)


def refuse_idle_pins(model: Model, asked: SplitSection) -> None:
    """A glob that matches nothing is a misspelt constraint, not one that holds.

    Raises:
        CutError: A glob matches no node.
    """
    names = [node.name or "" for node in model.flow.nodes]
    for key, globs in (("pin_edge", asked.pin_edge), ("pin_cloud", asked.pin_cloud)):
        for glob in globs:
            if not any(fnmatchcase(name, glob) for name in names):
                raise CutError(f"split.{key}: {glob!r} matches no node of the model (such as {names[0]!r}).")


def memory_reason(needed_bytes: int, asked: SplitSection, edge: Device) -> str:
    """Why the edge cannot hold so much, or an empty text."""
    limit, source = asked.edge_memory, "split.edge_memory"
    if limit is None and edge.memory_gb is not None:
        limit, source = int(edge.memory_gb * 1e9), edge.name
    if limit is None or needed_bytes <= limit:
        return ""
    return f"the edge would need {needed_bytes / 1e6:.1f} MB of memory, {source} allows {limit / 1e6:.1f} MB"


def edge_only_reason(asked: SplitSection) -> str:
    """Why the whole model may not run on the edge, or an empty text."""
    return f"pin_cloud keeps {asked.pin_cloud[0]!r} in the cloud" if asked.pin_cloud else ""


def cloud_only_reason(asked: SplitSection) -> str:
    """Why the whole model may not run in the cloud, or an empty text."""
    if asked.pin_edge:
        return f"pin_edge keeps {asked.pin_edge[0]!r} on the edge"
    return f"min_depth keeps {asked.min_depth:.1%} of the FLOPs on the edge" if asked.min_depth else ""


def bytes_reason(payload_bytes: float, input_bytes: int, asked: SplitSection) -> str:
    """Why ``auto`` may not send so much where the input itself may be sent, or an empty text."""
    if asked.at != "auto" or cloud_only_reason(asked) or payload_bytes <= input_bytes:
        return ""
    return f"it sends {payload_bytes:,.0f} bytes, the input itself has {input_bytes:,}"


def _depth_reason(cut: CandidateCut, least: float) -> str | None:
    share = cut.head_flops / max(cut.head_flops + cut.tail_flops, 1)
    return f"{share:.1%} of the FLOPs on the edge, min_depth asks for {least:.1%}" if share < least else None


def _pin_reason(model: Model, cut: CandidateCut, asked: SplitSection) -> str | None:
    if not (asked.pin_edge or asked.pin_cloud):
        return None
    head = nodes_of_head(model, cut.names)
    for name in sorted(head):
        if any(fnmatchcase(name, glob) for glob in asked.pin_cloud):
            return f"node {name!r} would be on the edge; pin_cloud keeps it in the cloud"
    for name in sorted({node.name or "" for node in model.flow.nodes} - head):
        if any(fnmatchcase(name, glob) for glob in asked.pin_edge):
            return f"node {name!r} would be in the cloud; pin_edge keeps it on the edge"
    return None
