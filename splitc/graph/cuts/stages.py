"""FLOPs block by block, cumulated: the blocks of a network as papers name them, conv1, conv2 and so on.

A block ends where the last tensor of one resolution can be cut. What multiplies no matrices (a pooling before a
classifier) belongs to the block before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from splitc.graph.cuts.candidates import CandidateCut
from splitc.graph.model import Model

PRODUCTS = frozenset(
    {
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "Einsum",
        "ConvInteger",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
    }
    | {"LSTM", "GRU", "RNN", "Attention"}
)


@dataclass(frozen=True)
class ModelStage:
    """One block.

    Attributes:
        end: The tensor that it ends in; the model's first output for the last one.
        resolution: Sizes behind the channels; empty for vectors and sequences.
        flops: Of the block.
        share, cumulative_share: Of the model's FLOPs, 0 to 1: this block, and all up to its end.
    """

    end: str
    resolution: tuple[int | str, ...]
    flops: int
    share: float
    cumulative_share: float


def stages_of(model: Model, cuts: Sequence[CandidateCut]) -> tuple[ModelStage, ...]:
    """The blocks of a model, from its single-tensor cuts in order of position."""
    singles = [cut for cut in cuts if len(cut.names) == 1]
    if not singles:
        return ()
    ends = [list(group)[-1] for _, group in groupby(singles, key=lambda cut: (_resolution(cut), len(cut.shapes[0])))]
    places = _with_products(model, ends)
    total = max(singles[-1].head_flops + singles[-1].tail_flops, 1)
    found, before = [], 0
    for number, cut in enumerate(places):
        is_last = number == len(places) - 1
        done = total if is_last else cut.head_flops
        end = (model.flow.outputs[0].name or "") if is_last else cut.names[0]
        found.append(ModelStage(end, _resolution(cut), done - before, (done - before) / total, done / total))
        before = done
    return tuple(found)


def _with_products(model: Model, ends: Sequence[CandidateCut]) -> list[CandidateCut]:
    """The ends of blocks that multiply matrices; a block that does not ends where the one before it would."""
    kept: list[CandidateCut] = []
    before = 0
    for number, cut in enumerate(ends):
        after = len(model.flow.nodes) if number == len(ends) - 1 else cut.position + 1
        multiplies = any(node.op_type in PRODUCTS for node in model.flow.nodes[before:after])
        before = after
        if kept and not multiplies:
            kept[-1] = cut
        else:
            kept.append(cut)
    return kept


def _resolution(cut: CandidateCut) -> tuple[int | str, ...]:
    return cut.shapes[0][2:] if len(cut.shapes[0]) > 3 else ()
