"""Bounds of dynamic dimensions -> TensorRT's optimization profile."""

from __future__ import annotations

from typing import TypeAlias

from splitc.backends.feeds import UNNAMED, describe
from splitc.backends.interface import Interface
from splitc.backends.target import DimBounds, EngineTarget
from splitc.errors import BackendError
from splitc.types import TensorSpec

Profile: TypeAlias = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Name of each dynamic input -> its smallest, usual and largest shape."""


def profile_from_target(interface: Interface, target: EngineTarget) -> Profile:
    """The shapes that the engine must serve; empty for a static model.

    Raises:
        BackendError: A dynamic dimension of an input has no name or no bounds.
    """
    return {
        spec.name: _shapes(spec, target) for spec in interface.inputs if any(isinstance(d, str) for d in spec.shape)
    }


def _shapes(spec: TensorSpec, target: EngineTarget) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    bounds = [_bounds(dim, spec, target) for dim in spec.shape]
    least, usual, most = (tuple(bound[which] for bound in bounds) for which in range(3))
    return least, usual, most


def _bounds(dim: int | str, spec: TensorSpec, target: EngineTarget) -> DimBounds:
    if isinstance(dim, int):
        return dim, dim, dim
    if dim == UNNAMED:
        raise BackendError(
            f"target {target.device!r}: input {describe(spec)} has a dynamic dimension without a name; "
            f'name it: [model] shapes = {{ {spec.name} = "Nx..." }}.'
        )
    if dim not in target.dims:
        raise BackendError(
            f"target {target.device!r}: input {describe(spec)} has no bounds for {dim!r}; "
            f"add [model] dims = {{ {dim} = {{ min = 1, opt = 1, max = 8 }} }}."
        )
    return target.dims[dim]
