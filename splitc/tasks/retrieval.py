"""Retrieval: an embedding that ranks a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from splitc.tasks.agreement import TaskAccuracy
from splitc.tasks.answer import Document, TaskAnswer
from splitc.tasks.comparison import (
    RunningComparison,
    SampleVerdict,
    finite_output,
    is_finite,
    output_of,
    same_shape,
    wrong_label,
)
from splitc.tasks.divergences import cosine
from splitc.tasks.heads.head import shape_text
from splitc.tasks.intervals import PairedDifference, RunningShare, Share
from splitc.tasks.labels.csv_labels import read_class_labels
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.pulls import as_output, of_direction
from splitc.tasks.rankings import average_precision, rank_similarity, ranking
from splitc.tasks.task import BindRequest, BoundTask, Task
from splitc.tasks.truth import Truth
from splitc.types import F32, F64, Array, Feeds

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_LISTED = 16
"""Values of an embedding that its description lists."""


class Retrieval(Task):
    """The network's answer is an embedding, used to rank others by their distance.

    Fidelity is Chen et al. 2019, eq. 3: each sample ranks the unsplit network's embeddings of the other samples, once
    by the unsplit network's embedding and once by the other path's; the share of pairs in the same order. The smooth
    distance is 1 - cosine similarity of both embeddings.
    """

    name: ClassVar[str] = "retrieval"
    gates: ClassVar[tuple[str, ...]] = ("min_fidelity", "max_divergence", "max_top1_drop", "max_map_drop")

    output: str | None = Field(None, description="name of the output with the embedding; the first by default")
    distance: Literal["cosine", "euclidean"] = Field("cosine", description="by which the nearest are found")
    gallery: int = Field(
        512, ge=2, le=20000, description="most samples that are kept and rank each other, evenly spread"
    )

    def bind(self, network: BindRequest) -> BoundTask:
        spec = network.output(self.output, self.name)
        options = self.model_copy(update={"output": spec.name})
        note = f"output {spec.name!r} {shape_text(spec.shape)}: embedding, compared by {self.distance} distance"
        return BoundRetrieval(options, (note,), (spec.name,), network.classes, options)


@dataclass(frozen=True, eq=False)
class Embedding(TaskAnswer):
    """Where a sample lies, float64 ``[D]``.

    Attributes:
        values: The place.
    """

    is_for_people: ClassVar[bool] = False

    values: F64

    def describe(self) -> Document:
        return {
            "dimensions": self.values.size,
            "norm": float(np.linalg.norm(self.values)),
            "first_values": [float(one) for one in self.values[:LONGEST_LISTED]],
        }

    @property
    def text(self) -> str:
        return f"embedding, {self.values.size} values, length {np.linalg.norm(self.values):.3g}"

    def draw(self, picture: Image) -> Image:
        from splitc.tasks.drawing import caption  # Pillow

        return caption(picture, self.text)


@dataclass(frozen=True, eq=False)
class BoundRetrieval(BoundTask):
    """An embedding among the outputs.

    Attributes:
        options: The task's options.
    """

    options: Retrieval

    def answer(self, outputs: Feeds) -> Embedding:
        values = finite_output(outputs, self.reads[0], self.task.name)
        return Embedding(values.astype(np.float64).ravel())

    def comparison(self) -> RunningComparison:
        return RankingComparison(self.reads[0], self.options)

    def divergence(self, reference: Feeds, other: Feeds) -> float:
        first, second = (output_of(outputs, self.reads[0], self.task.name) for outputs in (reference, other))
        same_shape(first, second, self.reads[0])
        return 1 - cosine(first, second) if is_finite(first) and is_finite(second) else float("inf")

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        output = np.asarray(outputs[self.reads[0]])
        return {self.reads[0]: as_output(of_direction(output, rng), output)}

    def labels(self, path: Path) -> LabelTable:
        """Identity of the object in each sample, as of classes."""
        return read_class_labels(path)


@dataclass(frozen=True, eq=False)
class _Kept:
    """One sample: both embeddings, float32 ``[D]``, None with NaN or infinities, and the identity."""

    reference: F32 | None
    other: F32 | None
    identity: int | None


class RankingComparison(RunningComparison):
    """Rankings by both paths' embeddings.

    Args:
        output: Output with the embedding.
        options: Distance, and how many samples are kept.
    """

    measure = "pairs of ranked samples keep the unsplit network's order"
    divergence_unit = "1 - cosine similarity of the embeddings"
    drop_gates: ClassVar[Mapping[str, str]] = {"top1": "max_top1_drop", "map": "max_map_drop"}

    def __init__(self, output: str, options: Retrieval) -> None:
        super().__init__(options.name, [output])
        self._output, self._options = output, options
        self._kept: list[_Kept] = []
        self._stride = 1
        self._last: int | None = None

    def add(self, reference: Feeds, other: Feeds, truth: Truth | None = None) -> None:
        if truth is not None and (isinstance(truth, bool) or not isinstance(truth, int)):
            raise wrong_label(self.task, truth, "identities, whole numbers")
        number = self.samples
        super().add(reference, other, truth)
        if number % self._stride == 0:
            first, second = (_embedding(outputs[self._output]) for outputs in (reference, other))
            self._kept.append(_Kept(first, second, truth if isinstance(truth, int) else None))
        if len(self._kept) > self._options.gallery:
            self._kept, self._stride = self._kept[::2], 2 * self._stride

    def _compare(self, reference: Feeds, other: Feeds) -> SampleVerdict:
        first, second = np.asarray(reference[self._output]), np.asarray(other[self._output])
        same_shape(first, second, self._output)
        return SampleVerdict(0.0, 0.0, 1 - cosine(first, second))

    def _fidelity(self) -> Share:
        share = RunningShare()
        for query, rows, gallery in self._queries():
            pairs = len(rows) * (len(rows) - 1) / 2
            if query.reference is None or query.other is None:
                share.add(0.0, max(pairs, 1.0))
            elif pairs:
                first, second = (self._ranked(one, gallery) for one in (query.reference, query.other))
                share.add(rank_similarity(first, second) * pairs, pairs)
        return share.share()

    def _judge(self, reference: Feeds | None, other: Feeds | None, truth: Truth) -> None:
        """Identities are kept with the embeddings."""

    def _accuracy(self) -> Sequence[TaskAccuracy]:
        found: list[F64] = []
        for query, rows, gallery in self._queries():
            is_same = np.array([self._kept[row].identity == query.identity for row in rows], bool)
            if query.identity is None or not is_same.any():
                continue
            found.append(np.array([self._hits(one, gallery, is_same) for one in (query.reference, query.other)]))
        if not found:
            return ()
        measures = np.stack(found)  # queries x paths x (top 1, average precision)
        return [_accuracy_of(name, measures[:, :, column]) for column, name in enumerate(("top1", "map"))]

    def _hits(self, query: F32 | None, gallery: F64, is_same: Array) -> tuple[float, float]:
        """Whether the nearest is the same identity, and the average precision."""
        if query is None:
            return 0.0, 0.0
        ordered = is_same[self._ranked(query, gallery)]
        return float(ordered[0]), average_precision(ordered)

    def _queries(self) -> Iterator[tuple[_Kept, Array, F64]]:
        """Each kept sample with the others that have an embedding: their rows, and the embeddings ``[n, D]``.

        One gallery at a time: all of them together would take the square of the samples.
        """
        sound = [(row, one.reference) for row, one in enumerate(self._kept) if one.reference is not None]
        places = np.array([row for row, _ in sound], np.int64)
        everything = np.array([values for _, values in sound], np.float64).reshape(len(sound), -1 if sound else 0)
        for number, one in enumerate(self._kept):
            yield one, places[places != number], everything[places != number]

    def _ranked(self, query: F32, gallery: F64) -> Array:
        return ranking(query.astype(np.float64), gallery, is_cosine=self._options.distance == "cosine")

    def _details(self) -> Document:
        return {"ranked_samples": len(self._kept), "distance": self._options.distance}


def _accuracy_of(name: str, pairs: F64) -> TaskAccuracy:
    """A measure of every query, of both paths ``[Q, 2]``, as a mean."""
    difference = PairedDifference()
    for reference, other in pairs:
        difference.add(float(reference), float(other))
    reference, other = pairs.mean(0)
    return TaskAccuracy(name=name, reference=reference, other=other, labelled=len(pairs), drop_error=difference.error)


def _embedding(array: Array) -> F32 | None:
    values = np.asarray(array)
    return values.astype(np.float32).ravel() if is_finite(values) else None
