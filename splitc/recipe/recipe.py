"""The whole recipe: what the user asked, checked and with defaults filled in."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr, field_validator

from splitc.recipe import files
from splitc.recipe.sections import (
    CodecSection,
    DataSection,
    GateSection,
    LinkSection,
    ModelSection,
    RecoverySection,
    Section,
    SplitSection,
    TargetSection,
    TargetsSection,
    VideoSection,
    WeightsSection,
)
from splitc.recipe.values import shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Recipe(Section):
    """One build. Relative paths in it refer to :attr:`base`, which is no part of its value."""

    schema_version: Literal[1] = Field(1, alias="schema", description="version of this table of keys")
    name: str = Field("unnamed", description="name of the bundle; absent: the recipe's file name")
    model: ModelSection
    data: DataSection = Field(default_factory=DataSection)
    split: SplitSection = Field(default_factory=SplitSection)
    link: LinkSection = Field(default_factory=LinkSection)
    codec: CodecSection = Field(default_factory=CodecSection)
    weights: WeightsSection = Field(default_factory=WeightsSection)
    recovery: RecoverySection | None = None
    video: VideoSection | None = None
    target: TargetsSection = Field(default_factory=TargetsSection)
    gate: GateSection = Field(default_factory=GateSection)

    _base: Path = PrivateAttr(Path())

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if _NAME.fullmatch(name):
            return name
        raise ValueError(f"must be 1 to 64 letters, digits, dots, dashes or underscores, got {shown(name)}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]  # shapes and dims are tables

    @property
    def base(self) -> Path:
        """Folder that relative paths refer to."""
        return self._base

    def resolve(self, path: str) -> Path:
        """The file that a path of this recipe names, as people would write it: no ``..`` climbs out of :attr:`base`."""
        if not path.startswith("../"):
            return self.base / path
        return Path(os.path.normpath(os.path.join(os.path.realpath(self.base), path)))

    def based_at(self, base: Path) -> Recipe:
        """The same recipe read from another folder; absolute paths in it become relative to that folder."""
        root = os.path.realpath(base)
        data = {
            "calibration": tuple(files.relative(pattern, root) for pattern in self.data.calibration),
            "verification": tuple(files.relative(pattern, root) for pattern in self.data.verification),
            "labels": self.data.labels and files.relative(self.data.labels, root),
            "classes": self.data.classes and files.relative(self.data.classes, root),
        }
        based = self.model_copy(
            update={
                "model": self.model.model_copy(update={"source": files.relative(self.model.source, root)}),
                "data": self.data.model_copy(update=data),
                "recovery": self.recovery and _trained_on(self.recovery, root),
                "link": self.link.model_copy(
                    update={"trace": self.link.trace and files.relative(self.link.trace, root)}
                ),
                "target": self.target.model_copy(
                    update={"edge": _based(self.target.edge, root), "cloud": _based(self.target.cloud, root)}
                ),
            }
        )
        based._base = base
        return based


def _trained_on(recovery: RecoverySection, root: str) -> RecoverySection:
    return recovery.model_copy(update={"data": tuple(files.relative(pattern, root) for pattern in recovery.data)})


def _based(target: TargetSection, root: str) -> TargetSection:
    named = {"profile": target.profile, "device": target.device}  # absolute where it is a file of the user's own
    return target.model_copy(update={key: path and files.relative(path, root) for key, path in named.items()})
