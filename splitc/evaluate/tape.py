"""Answers that no codec changes, recorded while samples are verified and played back for another codec.

The unsplit model, the halves without codec and the lowered halves answer the same samples the same way whatever the
codec does; a build that changes the codec alone need not compute them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from splitc.evaluate.paths import Model, Paths
from splitc.types import Array, Feeds

MOST_BYTES = 32 << 20
"""Of all answers; longer recordings are not kept. A build records twice, and packing a recording takes three more."""
Recording: TypeAlias = Mapping[str, Sequence[Array]]
"""Path -> its answers in the order of the samples; the outputs of one sample lie one after the other."""
OF_WHOLE, OF_HALVES = ("full", "prepared"), ("split", "lowered")
"""Paths that know no codec: those that know no cut either, and those of the halves."""


@dataclass
class Recorder:
    """Keeps what passes.

    Attributes:
        names: Outputs that are answers.
        stages: Paths that are listened to: some of those that know no codec.
    """

    names: Sequence[str]
    stages: Sequence[str]
    _rows: dict[str, list[Array]] = field(default_factory=dict)
    _bytes: int = 0

    def paths(self, paths: Paths) -> Paths:
        """The same paths, listened to."""
        return _changed(paths, self.stages, self._listening)

    @property
    def recording(self) -> Recording | None:
        """What was heard; None when it is too much to keep."""
        return self._rows if self._bytes <= MOST_BYTES else None

    def _listening(self, name: str, model: Model) -> Model:
        rows = self._rows.setdefault(name, [])

        def run(feeds: Feeds) -> Mapping[str, Array]:
            outputs = model(feeds)
            answers = [np.asarray(outputs[one]) for one in self.names]
            self._bytes += sum(answer.nbytes for answer in answers)
            if self._bytes <= MOST_BYTES:
                rows.extend(answers)
            else:
                for kept in self._rows.values():
                    kept.clear()
            return outputs

        return run


def played(paths: Paths, recording: Recording, names: Sequence[str]) -> Paths:
    """The paths, with their answers as recorded: each is asked once a sample, in the order of the recording."""
    return _changed(paths, list(recording), lambda path, model: _playing(iter(recording[path]), names))


def _changed(paths: Paths, stages: Sequence[str], change: Callable[[str, Model], Model]) -> Paths:
    """Other models on the paths ``stages``."""

    def changed(stage: str, model: Model) -> Model:
        return change(stage, model) if stage in stages else model

    return replace(
        paths,
        full=changed("full", paths.full),
        prepared=paths.prepared and changed("prepared", paths.prepared),
        split=paths.split and changed("split", paths.split),
        lowered=paths.lowered and changed("lowered", paths.lowered),
    )


def _playing(rows: Iterator[Array], names: Sequence[str]) -> Model:
    return lambda feeds: {name: next(rows) for name in names}
