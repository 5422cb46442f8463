"""The table of models: where each comes from, and which inputs fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

HERE = Path(__file__).parent


@dataclass(frozen=True)
class InputRule:
    """How an input is filled.

    Attributes:
        shape: Of one sample, as the network takes it.
        fill: ``normal`` numbers times ``scale``; ``smooth`` ones in 0..scale, as a picture's; ``integers`` below
            ``high``; the ``constant`` ``value``.
    """

    shape: tuple[int, ...]
    fill: str = "normal"
    scale: float = 1.0
    high: int = 2
    value: float = 0.0


@dataclass(frozen=True)
class CorpusModel:
    """One model.

    Attributes:
        name: Of its file in the folder, without ``.onnx``.
        family: What it stands for.
        package: ``pip NAME==VERSION``, ``npm NAME@VERSION``, ``onnx`` (its test data), ``data`` (``$SPLITC_DATA``), or
            ``export``: made here.
        file: Its path in the package.
        sha256: Of the file; "" where it is made here.
        inputs: By name.
        keep: As ``split.keep`` takes it: inputs, or globs of them, that the tail is given as they are.
    """

    name: str
    family: str
    package: str
    file: str
    inputs: Mapping[str, InputRule]
    sha256: str = ""
    keep: tuple[str, ...] = ()


def read_table(path: Path = HERE / "models.toml") -> list[CorpusModel]:
    """Every model of the corpus."""
    rows = tomllib.loads(path.read_text("utf-8"))["model"]
    return [CorpusModel(**{**row, "inputs": _rules(row["inputs"]), "keep": tuple(row.get("keep", ()))}) for row in rows]


def _rules(inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, InputRule]:
    return {name: InputRule(**{**rule, "shape": tuple(rule["shape"])}) for name, rule in inputs.items()}
