"""Proof that two halves make the whole, and in which arithmetic it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from splitc import graph, passes
from splitc.backends import read_interface
from splitc.errors import CheckFailed, OwnFault
from splitc.evaluate import Run, distance, random_answers, run_each, run_optimized
from splitc.files import temporary_folder
from splitc.types import Array, Feeds

CHEAP_BYTES = 100_000_000
"""Weights of a model that is run for what a proof takes on trust."""
ON_TRUST = "the tail works out shapes: they are right where the dimensions are what the model says, which was not run"
MOST_BYTES = 1_000_000_000
"""Weights of a model that is run because nothing else proves its halves."""


@dataclass(frozen=True)
class Arithmetic:
    """What it is that halves are equal in.

    Attributes:
        text: For people.
        is_float16: Some of it is float16, which not every engine rounds to.
        optimized_max_abs_diff: Largest difference on random inputs as ONNX Runtime computes float16 by default on a
            CPU; None where it was not measured.
    """

    text: str
    is_float16: bool = False
    optimized_max_abs_diff: float | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What an engine that keeps float32 between float16 operators makes of the halves."""
        if not self.is_float16:
            return ()
        rounds = "the halves round to float16 at the cut, the whole does not"
        if self.optimized_max_abs_diff is None:
            return (f"where an engine keeps float32 between float16 operators, {rounds}; this was not measured",)
        if self.optimized_max_abs_diff == 0:
            return ()
        found = f"answers to random inputs differ by up to {self.optimized_max_abs_diff:.2g}"
        return (f"with ONNX Runtime's default optimizations on a CPU {found}: {rounds}",)


class Proof(NamedTuple):
    """That the halves make the whole.

    Attributes:
        kind: ``expression`` when the merged graph is the very same computation; ``ran`` when both were run.
        max_abs_diff: Largest difference of any output element.
        arithmetic: What it holds for.
    """

    kind: str
    max_abs_diff: float
    arithmetic: Arithmetic

    def notes(self, recomputed: Sequence[str]) -> tuple[str, ...]:
        """What the proof takes on trust, and what other arithmetic makes of the halves."""
        trust = (ON_TRUST,) if recomputed and self.kind == "expression" else ()
        return (*trust, *self.arithmetic.notes)


def prove(model: graph.Model, halves: graph.Halves, files: tuple[Path, Path], recomputed: Sequence[str]) -> Proof:
    """Prove that ``halves``, which lie in ``files``, make ``model``; ``halves`` are used up.

    Args:
        model: The whole.
        halves: In memory.
        files: Head and tail as they were written.
        recomputed: Shapes that the tail works out again.

    Raises:
        OwnFault: They do not.
        CheckFailed: Nothing can prove it.
    """
    kind = _kind(model, halves, recomputed)
    difference = _ran(model, *files) if kind == "ran" else 0.0
    return Proof(kind, difference, _arithmetic(model, *files))


def _kind(model: graph.Model, halves: graph.Halves, recomputed: Sequence[str]) -> str:
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


def _arithmetic(model: graph.Model, head: Path, tail: Path) -> Arithmetic:
    """Element types decide; float16 is measured as engines compute it too, where weights are few."""
    if not passes.computes_in_float16(model.ir_model):
        return Arithmetic("bit for bit, node by node")
    text = "bit for bit, node by node, every float16 result rounded to float16"
    if graph.weight_bytes(model.ir_model) > CHEAP_BYTES:
        return Arithmetic(text, True)
    pairs = _pairs(model, head, tail, run_optimized)
    differences = [_largest_difference(one, other) for one, other in pairs if one.dtype.kind == "f"]
    return Arithmetic(text, True, max(differences, default=0.0))


def _largest_difference(one: Array, other: Array) -> float:
    """Of finite numbers; infinite where only one of the two is finite."""
    where = np.isfinite(one)
    if not np.array_equal(where, np.isfinite(other)):
        return float("inf")
    return float(np.max(np.abs(one[where].astype(np.float64) - other[where]), initial=0.0))


def _ran(model: graph.Model, head: Path, tail: Path) -> float:
    """Run whole and halves on ONNX Runtime without optimizations, one after the other; the largest difference.

    Raises:
        OwnFault: They differ.
    """
    pairs = _pairs(model, head, tail, run_each)
    difference = max((distance(one, other) for one, other in pairs), default=0.0)
    if difference:
        raise OwnFault(
            f"the halves do not make the whole: outputs differ by {difference:.3g}; nothing was written. "
            f"{passes.WHOSE_FAULT}"
        )
    return difference


def _pairs(model: graph.Model, head: Path, tail: Path, run: Run) -> list[tuple[Array, Array]]:
    """Every answer of the whole to random inputs beside that of the halves."""
    with _file_of(model) as whole:
        feeds, expected = random_answers(whole, model.inputs, run)
    features = run(head, _taken(head, feeds))
    answers = run(tail, _taken(tail, [{**one, **made} for one, made in zip(feeds, features, strict=True)]))
    found = [feature | answer for feature, answer in zip(features, answers, strict=True)]
    return [(one[name], other[name]) for one, other in zip(expected, found, strict=True) for name in one]


def _taken(half: Path, feeds: Sequence[Feeds]) -> list[Feeds]:
    """What a half takes of each."""
    names = [spec.name for spec in read_interface(half).inputs]
    return [{name: one[name] for name in names} for one in feeds]


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
