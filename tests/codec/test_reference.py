"""docs/codec.md says what the components declare."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from splitc.codec.parts import PARTS
from splitc.codec.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "codec.md"
EVERY = [(part, name) for part, registry in PARTS.items() for name in registry]


def test_the_page_is_up_to_date(update_docs: bool) -> None:
    if update_docs:
        PAGE.write_text(reference(), "utf-8")
    assert PAGE.read_text("utf-8") == reference(), "run: pytest tests/codec/test_reference.py --update-docs"


@pytest.mark.parametrize(("part", "name"), EVERY)
def test_every_option_can_be_written_explained_and_left_out(part: str, name: str) -> None:
    """TOML, JSON and key=value spell scalars; None says the same as leaving an option out."""
    for key, field in PARTS[part].load(name).model_fields.items():
        assert field.description, f"{name}.{key} has no description"
        assert field.default is not PydanticUndefined, f"{name}.{key} has no default"
        assert field.default is None or isinstance(field.default, bool | int | float | str)
        assert key not in PARTS, f"{name}.{key} has the name of a part"


@pytest.mark.parametrize(("part", "name"), EVERY)
def test_every_component_and_option_is_on_the_page(part: str, name: str) -> None:
    section = PAGE.read_text("utf-8").split(f'### `{part} = "{name}"`')[1].split("### ")[0]
    for key, field in PARTS[part].load(name).model_fields.items():
        assert f"| `{key}` |" in section
        assert str(field.description) in section


def test_ranges_are_in_words() -> None:
    page = PAGE.read_text("utf-8")
    assert "| `step` | number from 0.0009765625 to 16 | `0.5` | distance of levels, in standard deviations |" in page
    assert "| `percentile` | number above 50, at most 100 | `99.9` |" in page
    assert "| `bits` | whole number 1 | `1` | always 1 |" in page
    assert "| `tiling` | `channel_frames`, `clip`, `mosaic`, `quilt` | `mosaic` |" in page
