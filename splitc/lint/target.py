"""What a graph is to compile for: the toolkit, its version, the GPUs, and the sizes of dynamic dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from splitc.device import Device, device_names, load_device
from splitc.errors import UsageError
from splitc.registry import nearest

Toolkit: TypeAlias = Literal["tensorrt", "tensorrt_rtx"]
Line: TypeAlias = tuple[int, int]
"""Major and minor version of a toolkit."""

RTX_LINE: Line = (1, 7)


@dataclass(frozen=True)
class LintTarget:
    """One target of a lint.

    Attributes:
        name: What findings call it.
        toolkit: Which TensorRT.
        line: Its version.
        capabilities: SM numbers, 87 for 8.7; empty when the GPU is not known, and rules about GPUs are then silent.
        uses_dla: The deep learning accelerator is asked for.
        dla_cores: How many the device has; None when unknown.
        dims: Dynamic dimensions that have bounds, by name; None when nobody has said, which covers the batch alone.
    """

    name: str
    toolkit: Toolkit
    line: Line
    capabilities: tuple[int, ...] = ()
    uses_dla: bool = False
    dla_cores: int | None = None
    dims: Mapping[str, tuple[int, int, int]] | None = field(default=None)

    @property
    def is_rtx(self) -> bool:
        """TensorRT-RTX: strongly typed, no plugins."""
        return self.toolkit == "tensorrt_rtx"

    def is_before(self, *line: int) -> bool:
        """An older TensorRT than ``line``; TensorRT-RTX never is."""
        return not self.is_rtx and self.line < tuple(line)


TOOLKITS = {
    "tensorrt-8.6": LintTarget("tensorrt-8.6", "tensorrt", (8, 6)),
    "tensorrt-10.3": LintTarget("tensorrt-10.3", "tensorrt", (10, 3)),
    "tensorrt-10.16": LintTarget("tensorrt-10.16", "tensorrt", (10, 16)),
    "tensorrt-11.1": LintTarget("tensorrt-11.1", "tensorrt", (11, 1)),
    "tensorrt_rtx-1.7": LintTarget("tensorrt_rtx-1.7", "tensorrt_rtx", RTX_LINE),
}
"""Targets for a model of which no device is known."""


def targets_of(device: Device, toolkit: Toolkit, capabilities: tuple[int, ...] = ()) -> tuple[LintTarget, ...]:
    """A target for each TensorRT line of the device's software.

    Args:
        device: The device.
        toolkit: Which TensorRT.
        capabilities: SM numbers; by default the device's.
    """
    numbers = capabilities or device.compute_capabilities
    lines = [RTX_LINE] if toolkit == "tensorrt_rtx" else [_line(text) for text in device.tensorrt or ("10.3",)]
    return tuple(
        LintTarget(
            f"{device.name} ({toolkit} {major}.{minor})", toolkit, (major, minor), numbers, False, device.dla_cores
        )
        for major, minor in lines
    )


def targets_named(name: str) -> tuple[LintTarget, ...]:
    """The targets of ``name``: a toolkit such as ``tensorrt-10.3``, a device, or a device's ``.toml`` file.

    Raises:
        UsageError: Unknown; the message names the nearest one.
    """
    if name in TOOLKITS:
        return (TOOLKITS[name],)
    if name not in device_names() and not name.endswith(".toml"):
        known = [*TOOLKITS, *device_names()]
        raise UsageError(f"--target: unknown target {name!r}.{nearest(name, known)}")
    device = load_device(name)
    if not device.compute_capabilities:
        raise UsageError(f"--target {name}: has no NVIDIA GPU, and the lint knows TensorRT only.")
    return targets_of(device, "tensorrt")


def _line(text: str) -> Line:
    major, _, minor = text.partition(".")
    return int(major), int(minor.split(".")[0] or 0)
