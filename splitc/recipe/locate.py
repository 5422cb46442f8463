"""On which line of a TOML text each key stands.

The text has already passed the TOML parser, so this scanner only finds keys and skips values; it never judges.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from splitc.recipe.toml import parse_toml

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys from the top; a number is a place in a list."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_BARE = re.compile(r"[^,\]}#\n]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Path of every key, table and list item to its line, counted from 1.

    Args:
        text: A valid TOML document.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """Line of ``path``, or of the nearest table around it that is written down; else 1."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    """A cursor over the text; every method starts at ``at`` and leaves it behind what it read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._counted = (0, 1)
        self._array_sizes: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while self._peek(_BLANK):
            if self.text.startswith("[[", self.at):
                table = self._header(2)
            elif self.text.startswith("[", self.at):
                table = self._header(1)
            else:
                self._pair(table)

    def _header(self, brackets: int) -> KeyPath:
        line = self._line()
        self.at += brackets
        *parents, last = self._keys()
        self._skip(_SPACE)
        self.at += brackets
        table: KeyPath = ()
        for key in parents:
            table = self._enter((*table, key), line)
        table = (*table, last)
        if brackets == 1:
            return self._enter(table, line, is_own=True)
        self.lines.setdefault(table, line)
        index = self._array_sizes.get(table, 0)
        self._array_sizes[table] = index + 1
        item = (*table, index)
        self.lines[item] = line
        return item

    def _enter(self, table: KeyPath, line: int, is_own: bool = False) -> KeyPath:
        """The table a header part means: the last item where it names an array of tables."""
        if table in self._array_sizes:
            return (*table, self._array_sizes[table] - 1)
        if is_own:
            self.lines[table] = line
        else:
            self.lines.setdefault(table, line)
        return table

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._skip(_SPACE)
        self.at += 1
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            match = _KEY.match(self.text, self.at)
            assert match is not None, "the text passed the TOML parser"
            self.at = match.end()
            keys.append(_unquoted(match[0]))
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        if self.text.startswith("[", self.at):
            self._array(path)
        elif self.text.startswith("{", self.at):
            self._inline_table(path)
        elif match := _STRING.match(self.text, self.at):
            self.at = match.end()
        else:
            self._skip(_BARE)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while self._peek(_BLANK) != "]":
            item = (*path, index)
            self.lines[item] = self._line()
            self._value(item)
            index += 1
            if self._peek(_BLANK) == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self._peek(_BLANK) != "}":
            self._pair(path)
            if self._peek(_BLANK) == ",":
                self.at += 1
        self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        assert match is not None, "these patterns match the empty text"
        self.at = match.end()

    def _peek(self, blank: re.Pattern[str]) -> str:
        """The next character that is not blank; empty at the end."""
        self._skip(blank)
        return self.text[self.at : self.at + 1]

    def _line(self) -> int:
        """Line of the cursor, counting on from the last question: the cursor never goes back."""
        seen, line = self._counted
        self._counted = (self.at, line + self.text.count("\n", seen, self.at))
        return self._counted[1]


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] == '"':
        return str(parse_toml(f"key = {key}")["key"])
    return key
