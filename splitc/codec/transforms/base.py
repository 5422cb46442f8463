"""What a transform is: a change of basis across channels, then across blocks of neighbours in the plane.

    wire [n, C, ..., H, W] ──► channels times a C x C matrix ──► 2 x 2 blocks ──► planes [n, 4 C, ..., H/2, W/2]

Both ends need not agree to the last bit: what is coded are symbols of the planes, and nothing is predicted from what
they stand for. A transform pays through its steps, one a plane: directions and frequencies that the answers do not feel
take coarser ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from splitc.codec.transforms.blocks import from_blocks, to_blocks
from splitc.registry import Component
from splitc.types import F32, F64, Dim, Shape

BLOCK_AXES = 2
"""Blocks lie along the last two axes; along the last one where a wire has no others."""


@dataclass(frozen=True, eq=False)
class Basis:
    """The fitted change of basis across channels; empty arrays: there is none.

    Attributes:
        analysis: float32 ``[C, C]``: a component is a row times the channels.
        synthesis: Its inverse, float32 ``[C, C]``.
    """

    analysis: F32 = field(default_factory=lambda: np.empty((0, 0), np.float32))
    synthesis: F32 = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def __eq__(self, other: object) -> bool:
        return self._content == other._content if isinstance(other, Basis) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content)

    @cached_property
    def _content(self) -> tuple[object, ...]:
        return tuple((array.shape, array.tobytes()) for array in (self.analysis, self.synthesis))

    @property
    def is_empty(self) -> bool:
        return not self.analysis.size

    def check(self, channels: int, *, is_mixed: bool) -> None:
        """Refuse what is no basis of so many channels; it may come from a stranger.

        Raises:
            ValueError: A shape or value is wrong.
        """
        wanted = (channels, channels) if is_mixed else (0, 0)
        for name in ("analysis", "synthesis"):
            array: F32 = getattr(self, name)
            if array.shape != wanted or not np.isfinite(array).all():
                raise ValueError(f"{name}: shape {array.shape}, must be {wanted} and finite")


NO_BASIS = Basis()


class Transform(Component):
    """Options of a transform. What it learned is a :class:`Basis`."""

    wire_id: ClassVar[int]
    """FORMAT.md, section "Transforms"; never reused."""
    is_choice: ClassVar[bool] = False
    """Fitting puts another transform in its place."""
    mixes_channels: ClassVar[bool] = False
    """It has a basis."""

    @property
    def block(self) -> int:
        """Side of the blocks; 1: there are none."""
        return 1

    @property
    def is_identity(self) -> bool:
        """Planes are the channels themselves."""
        return self.block == 1 and not self.mixes_channels

    def refusal(self, wire: Shape) -> str | None:
        """Why a wire cannot be transformed, or None; goes on behind ``value 'x'``."""
        if self.is_identity:
            return None
        if len(wire) < 3:
            return f"has {len(wire)} axes on the wire; transform {self.name!r} needs channels and places"
        if self.block > 1 and not all(isinstance(size, int) for size in wire[-block_axes(wire) :]):
            return f"has sizes on the wire that the packet says, {list(wire)}; blocks need fixed ones"
        return None

    def fit(self, wires: Sequence[F32], weights: F64) -> Basis:
        """Learn the basis.

        Args:
            wires: Calibration features, float32 ``[n, C, ...]``.
            weights: How much the answers feel noise in each channel, ``[C]``, above 0; or in several at once, a
                metric ``[C, C]``, symmetric and without negative eigenvalues.
        """
        return NO_BASIS

    def wire_shape(self, wire: Shape) -> Shape:
        """Shape of the planes of a wire of that shape: ``[n, C * 4, ..., H / 2, W / 2]``, halves rounded up."""
        if self.block == 1:
            return wire
        axes = block_axes(wire)
        first = len(wire) - axes
        halves: list[Dim] = [_parts(size, self.block) for size in wire[first:]]
        channels = wire[1]
        assert isinstance(channels, int), "a codec's wire has a fixed number of channels"
        return (wire[0], channels * self.planes_per_channel(wire), *wire[2:first], *halves)

    def planes_per_channel(self, wire: Shape) -> int:
        """How many planes each channel of a wire of that shape becomes."""
        return 1 if self.block == 1 else self.block ** block_axes(wire)

    def forward(self, wire: F32, basis: Basis) -> F32:
        """Planes of a wire ``[n, C, ...]``."""
        components = mixed(wire, basis.analysis)
        return components if self.block == 1 else to_blocks(components, block_axes(wire.shape))

    def inverse(self, planes: F32, basis: Basis, wire: Sequence[int]) -> F32:
        """Invert :meth:`forward`; ``wire`` is the shape of what it was given."""
        components = planes if self.block == 1 else from_blocks(planes, wire, block_axes(wire))
        return mixed(components, basis.synthesis)

    def pulled(self, gradient: F32, basis: Basis) -> F32:
        """Gradient by the planes, of the gradient by a wire ``[n, C, ...]``: :meth:`inverse` the other way round."""
        components = mixed(gradient, np.ascontiguousarray(basis.synthesis.T))
        if self.block == 1:
            return components
        axes = block_axes(gradient.shape)
        sizes = gradient.shape[-axes:]
        pads = [(0, 0)] * (gradient.ndim - axes) + [(0, size % self.block) for size in sizes]
        return to_blocks(np.pad(components, pads), axes)


def changed_by_plane(transform: Transform, basis: Basis, wire: Sequence[int], plane: int, change: F32) -> F32:
    """What a change of one plane alone does to the wire: ``Transform.inverse`` without the zeros of all others.

    Args:
        transform: Its options.
        basis: What it learned.
        wire: Shape of the wire, ``[n, C, ...]``.
        plane: Its number.
        change: float32, the plane's shape ``[n, ...]``.
    """
    each = transform.planes_per_channel(tuple(wire))
    component, frequency = divmod(plane, each)
    alone = np.zeros((wire[0], each, *change.shape[1:]), np.float32)
    alone[:, frequency] = change
    own = (wire[0], 1, *wire[2:])
    field = from_blocks(alone, own, block_axes(wire)) if transform.block > 1 else alone
    into = np.eye(1, wire[1], component, np.float32)[0] if basis.is_empty else basis.synthesis[:, component]
    changed: F32 = field * into.reshape(-1, *[1] * (len(wire) - 2))
    return changed


def block_axes(wire: Sequence[Dim]) -> int:
    """How many of the last axes blocks lie along."""
    return min(BLOCK_AXES, len(wire) - 2)


def mixed(wire: F32, matrix: F32) -> F32:
    """``matrix`` times the channels, axis 1, at every place; the wire itself where the matrix is empty."""
    if not matrix.size:
        return wire
    flat = np.ascontiguousarray(wire).reshape(len(wire), wire.shape[1], -1)
    product: F32 = np.matmul(matrix, flat).reshape(wire.shape)
    return product


def _parts(size: Dim, block: int) -> Dim:
    return -(-size // block) if isinstance(size, int) else size
