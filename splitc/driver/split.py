"""A model in two files, or two files in one, without a recipe; with a proof that the halves make the whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from splitc import graph, passes
from splitc.driver.proof import Arithmetic, prove
from splitc.errors import CutError, UsageError
from splitc.files import real_path
from splitc.types import TensorSpec

MOST_TENSORS = 16
"""Of a cut that is proposed in place of one that leaks."""


@dataclass(frozen=True)
class SplitFiles:
    """What ``split_model`` wrote.

    Attributes:
        head, tail: The files.
        cut: What crosses.
        exits: Outputs that the head answers by itself.
        given: Inputs that the tail takes as they are.
        notes: Differences from what was asked for, in sentences.
        wire_bytes: Of one sample in the graph's own element types, dynamic dimensions taken as 1.
        duplicated_bytes: Constants in both halves.
        recomputed: Shapes that the tail works out again from the cut tensors.
        proof: ``expression`` when the merged graph is the very same computation, dimensions being what the model says;
            ``ran`` when both were run on random inputs.
        max_abs_diff: Largest difference of any output element; 0 when the halves are equal bit for bit.
        arithmetic: What the proof holds for.
    """

    head: Path
    tail: Path
    cut: tuple[TensorSpec, ...]
    exits: tuple[str, ...]
    given: tuple[str, ...]
    notes: tuple[str, ...]
    wire_bytes: int
    duplicated_bytes: int
    recomputed: tuple[str, ...]
    proof: str
    max_abs_diff: float
    arithmetic: Arithmetic

    def to_json(self) -> dict[str, object]:
        """The document of ``splitc split --json``."""
        return {
            "head": str(self.head),
            "tail": str(self.tail),
            "cut": [spec.name for spec in self.cut],
            "tensors": [spec.model_dump(mode="json") for spec in self.cut],
            "exits": list(self.exits),
            "given": list(self.given),
            "wire_bytes": self.wire_bytes,
            "duplicated_bytes": self.duplicated_bytes,
            "recomputed": list(self.recomputed),
            "equal": self.max_abs_diff == 0,
            "max_abs_diff": self.max_abs_diff,
            "proof": self.proof,
            "arithmetic": self.arithmetic.text,
            "optimized_max_abs_diff": self.arithmetic.optimized_max_abs_diff,
            "notes": list(self.notes),
        }


def split_model(model: graph.Model, at: Sequence[str], out: Path, exits: Sequence[str] = ()) -> SplitFiles:
    """Split at tensors or nodes, prove the halves and write them to ``out``; weights are copied from file to file.

    Args:
        model: The whole.
        at: Names of tensors or nodes; see ``graph.find_place``.
        out: A folder; an earlier split in it is replaced once the new one is whole.
        exits: Outputs that the head answers by itself.

    Raises:
        CutError: ``at`` is no cut.
        CheckFailed: The halves do not make the whole.
        UsageError: ``out`` cannot be written, or holds the model itself.
    """
    if model.path is not None:
        refuse_own_files([out / name for name in graph.HALVES], [model.path, *model.external])
    place = graph.find_place(model, at)
    halves = _halves(model, place.names, exits)
    recomputed = graph.check_cut(model, place.names, exits).recomputed
    with graph.halves_folder(out) as folder:
        head, tail = folder / graph.HEAD, folder / graph.TAIL
        graph.save_alike(halves.head, head)
        graph.save_alike(halves.tail, tail)
        proof = prove(model, halves, (head, tail), recomputed)
    return SplitFiles(
        head=out / graph.HEAD,
        tail=out / graph.TAIL,
        cut=halves.cut,
        exits=halves.exits,
        given=tuple(spec.name for spec in halves.given),
        notes=(*place.notes, *proof.notes(recomputed)),
        wire_bytes=sum(map(graph.own_bytes, halves.cut)),
        duplicated_bytes=halves.duplicated_bytes,
        recomputed=recomputed,
        proof=proof.kind,
        max_abs_diff=proof.max_abs_diff,
        arithmetic=proof.arithmetic,
    )


def _halves(model: graph.Model, names: Sequence[str], exits: Sequence[str]) -> graph.Halves:
    """Raises: CutError: No cut, with the cheapest one nearby."""
    try:
        return graph.split(model, names, exits)
    except CutError as error:
        raise _with_advice(model, names, error) from error


def merge_models(head: Path, tail: Path, out: Path) -> graph.Model:
    """Put two halves back together and write ``out``.

    Raises:
        GraphError: A half cannot be read, or they are not of one split.
        UsageError: ``out`` cannot be written, or is a file of a half.
    """
    halves = [graph.load(path) for path in (head, tail)]
    refuse_own_files([out, Path(f"{out}{graph.DATA}")], [head, tail, *halves[0].external, *halves[1].external])
    merged = graph.join(halves[0].ir_model, halves[1].ir_model)
    passes.require_sound(merged, "merging")
    with graph.model_file(out) as path:
        graph.save_alike(merged, path)
    return graph.Model(merged)


def refuse_own_files(written: Sequence[Path], read: Sequence[Path]) -> None:
    """Raises: UsageError: what is about to be written would take the place of what is read, or of a folder."""
    folder = next((path for path in written if os.path.isdir(path)), None)
    if folder is not None:
        raise UsageError(f"{folder}: is a folder; name a file in it.")
    sources = {real_path(path) for path in read}
    lost = next((path for path in written if real_path(path) in sources), None)
    if lost is not None:
        raise UsageError(f"{lost}: is read here and would be overwritten; choose another name for what is written.")


def _with_advice(model: graph.Model, names: Sequence[str], error: CutError) -> CutError:
    """The refusal of a leak, with the cheapest cut that holds the values asked for, or where to look for others."""
    listed = graph.enumerate_cuts(model, max_tensors=MOST_TENSORS).candidates
    wider = [cut for cut in listed if set(names) < set(cut.names)]
    if wider:
        best = min(wider, key=lambda cut: cut.wire_bytes)
        return CutError(f"{error} The cheapest cut through it is {_at(best)}")
    crossing = graph.boundary(model, names)
    if not set(names) < set(crossing):
        return error
    try:
        graph.check_cut(model, crossing)
    except CutError:
        crossing = ()
    if not 0 < len(crossing) <= MOST_TENSORS:
        return CutError(
            f"{error} No cut through it is known; choose another place: 'splitc inspect --cuts' lists them."
        )
    return CutError(f"{error} A cut that has all before it in the head is {_at(graph.price_cut(model, crossing))}")


def _at(cut: graph.CandidateCut) -> str:
    return f"--at {','.join(cut.names)}, {cut.wire_bytes:,} bytes."
