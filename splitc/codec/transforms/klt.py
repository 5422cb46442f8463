"""The channels' principal axes as the answers see them, then blocks of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from splitc.codec.transforms.base import Basis, Transform
from splitc.types import F32, F64, Shape

MAX_CHANNELS = 1024
"""Above, the product is dearer than what it saves, and its matrices larger than many a network."""
LEAST_WEIGHT = 0.001
"""Share of the mean weight that every channel has at least, so that the basis can be inverted."""


class Klt(Transform):
    """Principal axes of the channels, weighed by how much the answers feel each, then a 2 x 2 cosine transform.

    With ``steps = "sensitivity"`` the weights are measured; with even steps they are 1, and it is the plain
    Karhunen-Loeve transform. In a graph it is a 1x1 convolution.

    Source: Karhunen 1947; the metric is the answers' Fisher information, of which probes measure the diagonal.
    """

    name: ClassVar[str] = "klt"
    wire_id: ClassVar[int] = 2
    mixes_channels: ClassVar[bool] = True

    transform_block: Literal[1, 2] = Field(2, description="side of the blocks behind the rotation; 1: none")

    @property
    def block(self) -> int:
        return self.transform_block

    def refusal(self, wire: Shape) -> str | None:
        if found := super().refusal(wire):
            return found
        channels = wire[1]
        if isinstance(channels, int) and channels > MAX_CHANNELS:
            return f"has {channels:,} channels; transform 'klt' takes at most {MAX_CHANNELS:,}"
        return None

    def fit(self, wires: Sequence[F32], weights: F64) -> Basis:
        metric = np.diag(weights) if weights.ndim == 1 else weights
        energies, directions = np.linalg.eigh(
            metric + LEAST_WEIGHT * np.trace(metric) / len(metric) * np.eye(len(metric))
        )
        scale = np.sqrt(energies)
        root, inverse = (directions * each @ directions.T for each in (scale, 1 / scale))
        _, axes = np.linalg.eigh(root @ _covariance(wires) @ root)
        rotation = axes[:, ::-1].T
        rotation *= np.where(rotation[np.arange(len(rotation)), np.abs(rotation).argmax(1)] < 0, -1.0, 1.0)[:, None]
        return Basis((rotation @ root).astype(np.float32), (inverse @ rotation.T).astype(np.float32))


def _covariance(wires: Sequence[F32]) -> F64:
    """Of the channels over all places, float64 ``[C, C]``."""
    channels = wires[0].shape[1]
    products, sums, count = np.zeros((channels, channels)), np.zeros(channels), 0
    for wire in wires:
        rows = np.moveaxis(wire, 1, 0).reshape(channels, -1).astype(np.float64)
        products += rows @ rows.T
        sums += rows.sum(1)
        count += rows.shape[1]
    means = sums / count
    return np.asarray(products / count - means[:, None] * means)
