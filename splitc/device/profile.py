"""A device as one TOML file: its figures, and the source of each.

A figure without a source is refused, so a number that nobody can check never reaches a prediction. What is not known is
left out of the file, not guessed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias

import tomli_w
from pydantic import Field, ValidationError, model_validator

from splitc.device.rate import Rate
from splitc.errors import UsageError
from splitc.files import read_bounded, write_file
from splitc.registry import nearest
from splitc.types import Frozen, Line

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
ELEMENT_BYTES: Mapping[Precision, int] = {"fp32": 4, "fp16": 2, "int8": 1}

MAX_BYTES = 1 << 20
_SUFFIX = ".toml"


class Peak(Frozen):
    """Dense peak rates in 10**12 operations a second; a multiply-add is two. Never the figures with sparsity."""

    fp32: float | None = Field(default=None, gt=0)
    fp16: float | None = Field(default=None, gt=0)
    int8: float | None = Field(default=None, gt=0)


class Device(Frozen):
    """A place where a half can run.

    ``sources`` has one entry for each figure, under its name here (``peak_tflops.fp16`` for a peak): the document and
    the place in it, or how the figure was measured or computed.
    """

    name: str
    title: str
    compute_capability: int | None = Field(default=None, description="SM number: 87 is 8.7; None without an NVIDIA GPU")
    tensorrt: tuple[Line, ...] = Field(
        default=(), description="TensorRT lines of the device's software, the usual one first"
    )
    memory_gb: float | None = Field(default=None, gt=0)
    bandwidth_gb_s: float | None = Field(
        default=None, gt=0, description="10**9 bytes a second between memory and processor"
    )
    peak_tflops: Peak = Peak()
    computes_as: dict[Precision, Precision] = Field(
        default={}, description="precisions that the device's software takes but computes in another one"
    )
    dla_cores: int | None = Field(default=None, ge=0)
    power_modes_w: tuple[float, ...] = Field(default=(), description="configurable power budgets, lowest first")
    power_w: float | None = Field(default=None, gt=0, description="budget of the mode that the peaks belong to")
    efficiency: float | None = Field(
        default=None, gt=0, le=1, description="share of its peaks that a network reaches; absent: an assumed one"
    )
    rates: tuple[Rate, ...] = Field(default=(), description="fitted to measured layers, at most one a kind and type")
    notes: tuple[str, ...] = ()
    sources: dict[str, str]

    @model_validator(mode="after")
    def _each_figure_has_a_source(self) -> Device:
        figures = self.figures()
        bare = sorted(name for name in figures if not self.sources.get(name, "").strip())
        idle = sorted(set(self.sources) - set(figures))
        if bare or idle:
            faults = [f"no source for {name}" for name in bare] + [
                f"source for {name}, which is not given" for name in idle
            ]
            raise ValueError("; ".join(faults))
        return self

    def figures(self) -> tuple[str, ...]:
        """Names of the figures that are given."""
        plain = (
            "compute_capability",
            "tensorrt",
            "memory_gb",
            "bandwidth_gb_s",
            "dla_cores",
            "power_modes_w",
            "power_w",
            "efficiency",
            "rates",
            "computes_as",
        )
        given = [name for name in plain if getattr(self, name) not in (None, (), {})]
        return (*given, *(f"peak_tflops.{name}" for name in self.peak_tflops.model_dump(exclude_none=True)))

    def arithmetic(self, precision: Precision) -> Precision:
        """What a network in ``precision`` computes in here."""
        return self.computes_as.get(precision, precision)

    @property
    def compute_capabilities(self) -> tuple[int, ...]:
        """As :class:`splitc.backends.EngineTarget` takes them; empty without an NVIDIA GPU."""
        return () if self.compute_capability is None else (self.compute_capability,)


def device_names() -> list[str]:
    """Names of the devices that come with splitc, sorted."""
    files = resources.files("splitc.device").iterdir()
    return sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX))


def load_device(name: str) -> Device:
    """The device called ``name``, or the one that a file describes if ``name`` ends in ``.toml``.

    Raises:
        UsageError: Unknown name (the message names the nearest one), unreadable file, or a figure without a source.
    """
    if name.endswith(_SUFFIX):
        return _device_from_toml(_read(Path(name)), name)
    names = device_names()
    if name not in names:
        raise UsageError(f"unknown device {name!r}.{nearest(name, names)} A file of your own works too: NAME.toml.")
    text = resources.files("splitc.device").joinpath(name + _SUFFIX).read_text(encoding="utf-8")
    return _device_from_toml(text, name + _SUFFIX)


def save_device(device: Device, path: Path) -> Path:
    """Write a device file that :func:`load_device` reads, whole or not at all.

    Raises:
        UsageError: The name does not end in ``.toml``, or the folder cannot be written.
    """
    if path.suffix != _SUFFIX:
        raise UsageError(f"{path}: a device file's name ends in {_SUFFIX}.")
    fields = device.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    write_file(path, tomli_w.dumps(fields))
    return path


def _read(path: Path) -> str:
    try:
        return read_bounded(path, MAX_BYTES).decode("utf-8")
    except UsageError as error:
        raise UsageError(f"device file {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"device file {path}: {error}.") from error


def _device_from_toml(text: str, where: str) -> Device:
    try:
        return Device.model_validate(tomllib.loads(text))
    except RecursionError:
        raise UsageError(f"{where}: is nested too deeply.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not TOML: {error}.") from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ") for fault in error.errors()]
        raise UsageError(f"{where}: {'; '.join(faults)}.") from error
