"""Verify what was built, on samples that nothing was fitted on; what no codec changes is computed once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from splitc import bundle, evaluate, graph
from splitc.backends import EngineRecord
from splitc.cache import (
    CachedStep,
    Key,
    Parts,
    arrays_from_file,
    json_from_file,
    key_of,
    parts_of_arrays,
    parts_of_json,
)
from splitc.driver.inputs import Inputs
from splitc.driver.keys import verification_key
from splitc.lowering import Lowered
from splitc.types import Array

WHOLE = "the unsplit model"


@dataclass(frozen=True)
class VerifiedBuild:
    """What verification found, and pictures with both answers for the report."""

    verification: evaluate.Verification
    examples: list[dict[str, Any]]


def verified(
    inputs: Inputs,
    halves: graph.Halves,
    lowered: Lowered,
    pair: bundle.Bundle,
    engines: Sequence[EngineRecord],
    key: Key,
    step: Callable[[], None],
) -> VerifiedBuild:
    """Run the verification samples through every stage.

    Args:
        inputs: The samples and the unsplit model.
        halves: In float, without codec.
        lowered: As they compute, without codec.
        pair: As they stand in the bundle.
        engines: What they were compiled to.
        key: Of ``lowered``.
        step: Called once a sample.
    """
    found = inputs.cache.find(OUTCOME, verification_key(key, pair.pair_id, engines, inputs.answers.labels_sha256))
    if found is not None:
        return found.result
    exact, computed = (evaluate.Joint(one.head, one.tail) for one in (halves, lowered.halves))
    computes_otherwise = computed if lowered.notes else None
    paths = evaluate.make_paths(WHOLE, inputs.source.ir_model, exact, pair, engines, lowered=computes_otherwise)
    whole = key_of(model=inputs.model_key, data=inputs.data_key)
    with ExitStack() as tapes:
        heard = tapes.enter_context(_taped(inputs, paths, evaluate.OF_WHOLE, whole))
        heard = tapes.enter_context(_taped(inputs, heard, evaluate.OF_HALVES, key))
        verification = evaluate.verify(heard, inputs.reader.samples(inputs.verification), inputs.answers.labels, step)
    outcome = VerifiedBuild(verification, evaluate.examples(paths, inputs.reader, inputs.verification))
    inputs.cache.keep(OUTCOME, verification_key(key, pair.pair_id, engines, inputs.answers.labels_sha256), outcome)
    return outcome


@contextmanager
def _taped(inputs: Inputs, paths: evaluate.Paths, stages: Sequence[str], key: Key) -> Iterator[evaluate.Paths]:
    """The paths with the answers of ``stages`` as an earlier build recorded them; else they are recorded now."""
    names = evaluate.answer_names(paths.edge)
    found = inputs.cache.find(RECORDING, key_of(of=key, stages=stages, names=names))
    if found is not None:
        yield evaluate.played(paths, found.result, names)
        return
    recorder = evaluate.Recorder(names, stages)
    yield recorder.paths(paths)
    if recorder.recording is not None:
        inputs.cache.keep(RECORDING, key_of(of=key, stages=stages, names=names), recorder.recording)


def _packed(outcome: VerifiedBuild) -> Parts:
    verification = outcome.verification.model_dump(mode="json", exclude={"compression_rate"})
    return parts_of_json({"verification": verification, "examples": outcome.examples})


def _unpacked(file: BinaryIO) -> VerifiedBuild:
    table = json_from_file(file)
    return VerifiedBuild(evaluate.Verification.model_validate(table["verification"]), table["examples"])


OUTCOME: CachedStep[VerifiedBuild] = CachedStep("verification", 5, _packed, _unpacked)


def _tape_parts(recording: evaluate.Recording) -> Parts:
    """Names and counts of answers as a first array, then all answers."""
    counts = json.dumps({name: len(rows) for name, rows in recording.items()}).encode()
    rows: list[Array] = [row for one in recording.values() for row in one]
    return parts_of_arrays([np.frombuffer(counts, np.uint8), *rows])


def _tape_from_file(file: BinaryIO) -> evaluate.Recording:
    counts, *rows = arrays_from_file(file)
    each = iter(rows)
    return {name: [next(each) for _ in range(count)] for name, count in json.loads(counts.tobytes()).items()}


RECORDING: CachedStep[evaluate.Recording] = CachedStep("codecless-answers", 2, _tape_parts, _tape_from_file)
