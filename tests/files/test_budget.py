"""The one budget: what it lets through, what it says, and that every format's text names its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import splitc
from splitc.errors import BitstreamError, UsageError
from splitc.files import DEFAULT_MEMORY_BYTES, memory_budget, require_memory, set_memory_budget
from splitc.files.budget import GROWTH

ROOMS = Path(splitc.__file__).parent


@pytest.fixture(autouse=True)
def budget() -> Iterator[None]:
    yield
    set_memory_budget()


@pytest.mark.parametrize(
    ("wanted", "held"), [(DEFAULT_MEMORY_BYTES, 0), (GROWTH << 30, 1 << 30), (0, 0)], ids=["budget", "growth", "none"]
)
def test_what_is_allowed(wanted: int, held: int) -> None:
    require_memory(wanted, held, "it")


@pytest.mark.parametrize(("wanted", "held"), [(DEFAULT_MEMORY_BYTES + 1, 0), ((GROWTH << 30) + 1, 1 << 30)])
def test_what_is_not(wanted: int, held: int) -> None:
    with pytest.raises(UsageError, match=r"^it would take \d+ MiB of memory, \d+ MiB are allowed; .*--max-memory"):
        require_memory(wanted, held, "it")


def test_what_the_message_advises_is_enough() -> None:
    with pytest.raises(BitstreamError) as caught:
        require_memory(DEFAULT_MEMORY_BYTES * 2 + 12345, 0, "it", BitstreamError)
    advised = str(caught.value).split("--max-memory ")[1].split("MiB")[0]
    set_memory_budget(int(advised) << 20)
    require_memory(DEFAULT_MEMORY_BYTES * 2 + 12345, 0, "it")


def test_it_is_the_processes() -> None:
    set_memory_budget(10)
    assert memory_budget() == 10
    set_memory_budget()
    assert memory_budget() == DEFAULT_MEMORY_BYTES


@pytest.mark.parametrize("room", ["codec", "weights"])
def test_formats_name_its_numbers(room: str) -> None:
    text = (ROOMS / room / "FORMAT.md").read_text("utf-8")
    assert f"by default {DEFAULT_MEMORY_BYTES} bytes (`splitc --max-memory`)" in text
    assert f"{GROWTH} times the bytes" in text
