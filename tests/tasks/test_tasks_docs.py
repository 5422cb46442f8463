"""docs/tasks.md says what the tasks declare."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitc.tasks import TASKS
from splitc.tasks.heads.recognise import HEADS
from splitc.tasks.reference import MARK, option_tables

PAGE = Path(__file__).parents[2] / "docs/tasks.md"
OWN = [TASKS.load(name) for name in TASKS if TASKS.load(name).__module__.startswith("splitc.tasks.")]


def test_the_page_is_up_to_date(update_docs: bool) -> None:
    by_hand, _, tables = PAGE.read_text("utf-8").partition(MARK)
    if update_docs:
        PAGE.write_text(f"{by_hand}{MARK}\n{option_tables(OWN)}", "utf-8")
        tables = PAGE.read_text("utf-8").partition(MARK)[2]
    assert tables.strip() == option_tables(OWN).strip()


def test_every_option_says_what_it_means() -> None:
    for task in OWN:
        for name, field in task.model_fields.items():
            assert field.description, f"{task.name}.{name}"


def test_every_head_is_in_the_table() -> None:
    text = PAGE.read_text("utf-8")
    for head in HEADS:
        assert f"| `{head}` |" in text


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = PAGE.read_text("utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code, str(PAGE), "exec"), {})
    assert "probabilities already" in capsys.readouterr().out
