"""The tables of docs/recovery.md name every key of [recovery] that is built."""

from __future__ import annotations

import re
from pathlib import Path

from splitc.recipe.sections import BottleneckSection, RecoverySection

PAGE = (Path(__file__).parents[2] / "docs" / "recovery.md").read_text("utf-8")
UNBUILT = {"schedule", "losses"}


def test_every_key_is_documented() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_0-9]+)`", row)}
    assert named == {*RecoverySection.model_fields, *BottleneckSection.model_fields} - UNBUILT
