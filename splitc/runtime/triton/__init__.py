"""The cloud half as a Triton model repository: decode, then the engine, as an ensemble of the bundle's name."""

from __future__ import annotations

from splitc.runtime.triton.check import ModelCheck, check_repository
from splitc.runtime.triton.export import Exported, export
from splitc.runtime.triton.repository import repository

__all__ = ["Exported", "ModelCheck", "check_repository", "export", "repository"]
