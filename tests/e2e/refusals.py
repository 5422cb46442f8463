"""What every refusal has in common, whoever refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e_setting import Outcome, file_bytes


def assert_refused(outcome: Outcome, code: int, *words: str) -> None:
    """The documented exit code, nothing on stdout, and one message for people that has all ``words``."""
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert "Traceback" not in outcome.err
    lines = outcome.err.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("splitc: ") and "building" not in line]
    assert len(starts) == 1, outcome.err
    message = "\n".join(lines[starts[0] :])
    assert message.rstrip().endswith((".", "?")), message
    for word in words:
        assert word in message, message


@contextmanager
def unchanged(*folders: Path) -> Iterator[None]:
    """Every file of the folders is as it was when the block ends, and none is new."""
    before = [file_bytes(folder) for folder in folders]
    yield
    assert [file_bytes(folder) for folder in folders] == before
