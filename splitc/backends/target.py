"""Where one half will run, and what decides the engine that is built for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from splitc.errors import BackendError
from splitc.types import TENSORRT_LINE

Side: TypeAlias = Literal["edge", "cloud"]
DimBounds: TypeAlias = tuple[int, int, int]
"""Smallest, usual and largest size of one dynamic dimension."""

_DEVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class EngineTarget:
    """Where one half will run.

    Attributes:
        device: Name of the device; also the folder under ``engines/``.
        side: The half's place in the bundle.
        compute_capabilities: SM numbers such as ``(80, 86, 89, 120)``; empty where there is no NVIDIA GPU.
        dims: Name of each dynamic dimension -> ``(min, opt, max)``.
        tensorrt: TensorRT line of the device's software, such as ``"10.3"``; None when unknown.

    Raises:
        BackendError: A field is out of range.
    """

    device: str
    side: Side
    compute_capabilities: tuple[int, ...] = ()
    dims: Mapping[str, DimBounds] = field(default_factory=dict)
    tensorrt: str | None = None

    def __post_init__(self) -> None:
        if not _DEVICE_NAME.fullmatch(self.device):
            raise BackendError(
                f"target {self.device!r}: a device name has 1 to 64 letters, digits, '.', '_' or '-', "
                "and starts with a letter or digit."
            )
        if self.tensorrt is not None and not re.fullmatch(TENSORRT_LINE, self.tensorrt):
            raise BackendError(f"target {self.device!r}: TensorRT {self.tensorrt!r} is no version such as 10.3.")
        for name, (least, usual, most) in self.dims.items():
            if not 1 <= least <= usual <= most:
                raise BackendError(
                    f"target {self.device!r}: dimension {name!r} has bounds ({least}, {usual}, {most}); "
                    "they must satisfy 1 <= min <= opt <= max."
                )

    @property
    def folder(self) -> str:
        """Folder of this target's engine, relative to ``out_dir``."""
        return f"engines/{self.device}"

    def in_bundle(self, relative: str) -> str:
        """Path inside the bundle of a path relative to ``out_dir``."""
        return f"{self.side}/{relative}"
