"""Features of the training samples and the unsplit network's answers to them, in files: the head runs once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from splitc.errors import UsageError
from splitc.files import temporary_folder
from splitc.train.network import TorchNetwork
from splitc.train.operators import Tensor
from splitc.types import F32, Array, Feeds

BATCH = 32
"""Samples that the tail answers at once."""


SPREAD_OF = 256
"""Samples that the features' spread is taken from."""


class FeatureStore:
    """Samples by number: first those that are trained on, then those that judge. Features are in half precision.

    Args:
        features: ``[n, C, H, W]``, float16, in units of ``unit``.
        answers: Of each output, ``[n, ...]``, float32.
        name: Of the feature, as the tail calls it.
        unit: What features are multiples of, so that they are in half precision's range.
        judges: How many of the last samples judge.
    """

    def __init__(self, features: Array, answers: dict[str, Array], name: str, unit: float, judges: int) -> None:
        self._features, self._answers, self.name, self.unit, self.judges = features, answers, name, unit, judges

    def __len__(self) -> int:
        """Samples that are trained on."""
        return len(self._features) - self.judges

    @property
    def spread(self) -> float:
        """Standard deviation of the features of the first samples."""
        return float(self.rows(range(min(len(self), SPREAD_OF))).std(dtype=np.float64)) or 1.0

    def rows(self, numbers: Sequence[int]) -> F32:
        """Features in their own units, float32 ``[n, C, H, W]``."""
        found: F32 = self._features[list(numbers)].astype(np.float32) * np.float32(self.unit)
        return found

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Features and answers of some samples."""
        picked = {name: torch.from_numpy(np.array(rows[list(numbers)])) for name, rows in self._answers.items()}
        return torch.from_numpy(self.rows(numbers)), picked

    def answer(self, number: int) -> Feeds:
        """The unsplit network's to one sample, batch 1."""
        return {name: np.array(rows[number : number + 1]) for name, rows in self._answers.items()}

    def feeds(self, features: Tensor) -> dict[str, Tensor]:
        """What the tail takes."""
        return {self.name: features}


@contextmanager
def stored(
    features: Iterable[F32], counts: tuple[int, int], tail: TorchNetwork, name: str, step: Callable[[], None]
) -> Iterator[FeatureStore]:
    """A store, in a folder that goes when it is left.

    Args:
        features: One float32 ``[1, C, H, W]`` a sample, all of one shape.
        counts: How many are trained on, and how many judge.
        tail: Answers them.
        name: Of the feature.
        step: Called once a sample.

    Raises:
        UsageError: Samples whose features differ in shape.
    """
    with temporary_folder("recovery") as folder:
        kept, unit = _keep(folder, features, sum(counts), step)
        _refuse_mixing(kept, unit, tail, name)
        answers = _answer(folder, kept, unit, tail, name)
        yield FeatureStore(kept, answers, name, unit, counts[1])


def _keep(folder: Path, features: Iterable[F32], count: int, step: Callable[[], None]) -> tuple[Array, float]:
    found: Array | None = None
    unit = 1.0
    for index, one in enumerate(features):
        if found is None:
            unit = float(np.abs(one).max()) or 1.0
            found = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float16, (count, *one.shape[1:]))
        if one.shape[1:] != found.shape[1:]:
            raise UsageError(
                f"recovery: sample {index} has a feature of shape {list(one.shape[1:])}, the first one of "
                f"{list(found.shape[1:])}; a bottleneck is trained on features of one size: resize the pictures alike."
            )
        found[index] = one[0] / np.float32(unit)
        step()
    assert found is not None, "no samples"
    return found, unit


def _refuse_mixing(features: Array, unit: float, tail: TorchNetwork, name: str) -> None:
    """Raises: UsageError: The tail does not answer samples that it gets together as it answers each alone."""
    pair = torch.from_numpy(features[[0, len(features) - 1]].astype(np.float32) * np.float32(unit))
    try:
        with torch.no_grad():
            alone, both = tail({name: pair[:1]}), tail({name: pair})
        is_sound = all(torch.allclose(both[one][:1], alone[one], rtol=1e-2, atol=1e-2) for one in alone)
    except RuntimeError:
        is_sound = False
    if not is_sound:
        raise UsageError(
            "recovery: the tail does not take several samples at once, which training does; export the model with a "
            'batch dimension, or name it: model.shapes = { input = "Nx3x224x224" }.'
        )


def _answer(folder: Path, features: Array, unit: float, tail: TorchNetwork, name: str) -> dict[str, Array]:
    """The tail's answers to the features as they are stored."""
    answers: dict[str, Array] = {}
    for start in range(0, len(features), BATCH):
        rows = features[start : start + BATCH].astype(np.float32) * np.float32(unit)
        with torch.no_grad():
            found = tail({name: torch.from_numpy(rows)})
        for number, (output, one) in enumerate(found.items()):
            if output not in answers:
                shape = (len(features), *one.shape[1:])
                answers[output] = np.lib.format.open_memmap(folder / f"answer{number}.npy", "w+", np.float32, shape)
            answers[output][start : start + len(one)] = one.float().numpy()
    return answers
