"""What ``splitc run`` makes of each result: the task's answer, drawn and saved where that is asked for."""

from __future__ import annotations

from pathlib import Path

from splitc.bundle import Contract
from splitc.cli.feature_files import write_npz
from splitc.files import write_file
from splitc.runtime import Drawings, FileNames, InferenceResult, bound_task
from splitc.tasks import TaskAnswer


class Answers:
    """Answers of one run.

    Args:
        contract: The bundle's.
        draw: Folder for drawn answers, if any.
        save: Folder for outputs, if any.

    Raises:
        SplitcError: The task is not here, or a folder cannot be made.
    """

    def __init__(self, contract: Contract, draw: Path | None, save: Path | None) -> None:
        self._task = bound_task(contract)
        self._drawings = Drawings(draw) if draw else None
        self._saved = FileNames(save) if save else None

    def take(self, result: InferenceResult) -> TaskAnswer:
        """The answer about the picture itself, where there is one; kept as asked for.

        Raises:
            UsageError: The outputs are no answer, or a file cannot be written.
            CapabilityError: PyAV is missing.
        """
        if self._saved is not None:
            self._save(self._saved, result)
        answer, placement = self._task.answer(result.outputs), result.sample.placement
        answer = answer if placement is None else answer.mapped(placement)
        if self._drawings is not None:
            self._drawings.add(result.sample, answer)
        return answer

    def close(self) -> None:
        """All files are whole."""
        if self._drawings is not None:
            self._drawings.close()

    @staticmethod
    def _save(names: FileNames, result: InferenceResult) -> None:
        name, _, index = result.name.rpartition("#")
        stem = f"{Path(name).stem}-{index}" if name and index.isdecimal() else Path(result.name).stem
        place = names.new(stem, ".npz", result.sample.file)
        write_file(place, lambda file: write_npz(file, result.outputs.items()))
