"""A model in two files, or two files in one, without a recipe; with a proof that the halves make the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from splitc import graph
from splitc.errors import CheckFailed, CutError, UsageError
from splitc.evaluate import both_ways, distance, run_each
from splitc.files import temporary_folder
from splitc.types import TensorSpec

MOST_TENSORS = 16
"""Of a cut that is proposed in place of one that leaks."""

CHEAP_BYTES = 100_000_000
"""Weights of a model that is run for what a proof takes on trust."""
MOST_BYTES = 1_000_000_000
"""Weights of a model that is run because nothing else proves its halves."""
ON_TRUST = "the tail works out shapes: they are right where the dimensions are what the model says, which was not run"


@dataclass(frozen=True)
class SplitFiles:
    """What ``split_model`` wrote.

    Attributes:
        head, tail: The files.
        cut: What crosses.
        exits: Outputs that the head answers by itself.
        notes: Differences from what was asked for, in sentences.
        wire_bytes: Of one sample in the graph's own element types, dynamic dimensions taken as 1.
        duplicated_bytes: Constants in both halves.
        recomputed: Shapes that the tail works out again from the cut tensors.
        proof: ``expression`` when the merged graph is the very same computation, dimensions being what the model says;
            ``ran`` when both were run on random inputs.
        max_abs_diff: Largest difference of any output element; 0 when the halves are equal bit for bit.
    """

    head: Path
    tail: Path
    cut: tuple[TensorSpec, ...]
    exits: tuple[str, ...]
    notes: tuple[str, ...]
    wire_bytes: int
    duplicated_bytes: int
    recomputed: tuple[str, ...]
    proof: str
    max_abs_diff: float

    def to_json(self) -> dict[str, object]:
        """The document of ``splitc split --json``."""
        return {
            "head": str(self.head),
            "tail": str(self.tail),
            "cut": [spec.name for spec in self.cut],
            "tensors": [spec.model_dump(mode="json") for spec in self.cut],
            "exits": list(self.exits),
            "wire_bytes": self.wire_bytes,
            "duplicated_bytes": self.duplicated_bytes,
            "recomputed": list(self.recomputed),
            "equal": self.max_abs_diff == 0,
            "max_abs_diff": self.max_abs_diff,
            "proof": self.proof,
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
    try:
        halves = graph.split(model, place.names, exits)
    except CutError as error:
        raise _with_advice(model, place.names, error) from error
    recomputed = graph.check_cut(model, place.names, exits).recomputed
    with graph.halves_folder(out) as folder:
        head, tail = folder / graph.HEAD, folder / graph.TAIL
        graph.save_alike(halves.head, head)
        graph.save_alike(halves.tail, tail)
        proof = _proof(model, halves, recomputed)
        difference = _ran(model, head, tail, place.names) if proof == "ran" else 0.0
    return SplitFiles(
        head=out / graph.HEAD,
        tail=out / graph.TAIL,
        cut=halves.cut,
        exits=halves.exits,
        notes=(*place.notes, *([ON_TRUST] if recomputed and proof == "expression" else [])),
        wire_bytes=sum(map(graph.own_bytes, halves.cut)),
        duplicated_bytes=halves.duplicated_bytes,
        recomputed=recomputed,
        proof=proof,
        max_abs_diff=difference,
    )


def merge_models(head: Path, tail: Path, out: Path) -> graph.Model:
    """Put two halves back together and write ``out``.

    Raises:
        GraphError: A half cannot be read, or they are not of one split.
        UsageError: ``out`` cannot be written, or is a file of a half.
    """
    halves = [graph.load(path) for path in (head, tail)]
    refuse_own_files([out, Path(f"{out}{graph.DATA}")], [head, tail, *halves[0].external, *halves[1].external])
    merged = graph.join(halves[0].ir_model, halves[1].ir_model)
    graph.verify(merged, "merge")
    with graph.model_file(out) as path:
        graph.save_alike(merged, path)
    return graph.Model(merged)


def refuse_own_files(written: Sequence[Path], read: Sequence[Path]) -> None:
    """Raises: UsageError: what is about to be written would take the place of what is read, or of a folder."""
    folder = next((path for path in written if path.is_dir()), None)
    if folder is not None:
        raise UsageError(f"{folder}: is a folder; name a file in it.")
    sources = {path.resolve() for path in read}
    lost = next((path for path in written if path.resolve() in sources), None)
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


def _proof(model: graph.Model, halves: graph.Halves, recomputed: Sequence[str]) -> str:
    """``ran`` where nothing but a run proves the halves, or where one is cheap and tells more; else ``expression``.

    A proof of rebuilt shapes by expression believes what the model says of its dimensions. ``halves`` are used up.

    Raises:
        CheckFailed: Only a run would prove them, and the weights are too many.
    """
    size = graph.weight_bytes(model.ir_model)
    if graph.is_same_computation(model.ir_model, graph.join(halves.head, halves.tail)):
        return "ran" if recomputed and size <= CHEAP_BYTES else "expression"
    if size > MOST_BYTES:
        raise CheckFailed(
            f"only a run would prove these halves, and {size / 1e9:.1f} GB of weights are too many to hold for it; "
            "choose another cut. Nothing was written."
        )
    return "ran"


def _ran(model: graph.Model, head: Path, tail: Path, cut: Sequence[str]) -> float:
    """Run whole and halves on ONNX Runtime without optimizations, one after the other; the largest difference.

    Raises:
        CheckFailed: They differ.
    """
    feeds = both_ways(model.inputs)
    features = run_each(head, feeds)
    answers = run_each(tail, [{name: feature[name] for name in cut} for feature in features])
    with _file_of(model) as whole:
        expected = run_each(whole, feeds)
    found = [feature | answer for feature, answer in zip(features, answers, strict=True)]
    pairs = ((one[name], other[name]) for one, other in zip(expected, found, strict=True) for name in one)
    difference = max((distance(one, other) for one, other in pairs), default=0.0)
    if difference:
        raise CheckFailed(f"the halves do not make the whole: outputs differ by {difference:.3g}; nothing was written.")
    return difference


@contextmanager
def _file_of(model: graph.Model) -> Iterator[Path]:
    """The file that the model was read from; one for the time being when it was made in memory."""
    if model.path is not None:
        yield model.path
        return
    with temporary_folder("whole") as folder:
        path = folder / "whole.onnx"
        graph.save_alike(model.ir_model, path)
        yield path
