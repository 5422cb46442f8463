"""One line of a table of the plan benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Cell = str | int | float | None


@dataclass(frozen=True)
class Row:
    """What was measured; units are in the names of ``cells``.

    Attributes:
        section: The table.
        name: The first column.
        cells: The others; every row of one section has the same names.
    """

    section: str
    name: str
    cells: Mapping[str, Cell] = field(default_factory=dict)


def of_section(rows: Sequence[Row], section: str) -> list[Row]:
    """The rows of one table, in order."""
    return [row for row in rows if row.section == section]


def cell(rows: Sequence[Row], name: str, column: str) -> Cell:
    """The cell of the first row of that name, or None when nothing was measured."""
    return next((row.cells.get(column) for row in rows if row.name == name), None)


def markdown(rows: Sequence[Row]) -> str:
    """One table a section, sections in order of appearance."""
    sections = dict.fromkeys(row.section for row in rows)
    return "\n\n".join(_table(section, of_section(rows, section)) for section in sections)


def _table(section: str, rows: Sequence[Row]) -> str:
    columns = list(rows[0].cells)
    lines = [f"## {section}", "", f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [f"| {row.name} | {' | '.join(_text(row.cells.get(column)) for column in columns)} |" for row in rows]
    return "\n".join(lines)


def _text(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:,.3g}" if isinstance(value, float) else str(value)
