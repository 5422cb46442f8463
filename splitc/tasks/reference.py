"""The tables of all task options in docs/tasks.md, written from the tasks that declare them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from splitc.tasks.task import Task

MARK = "<!-- written from the tasks: pytest tests/tasks/test_tasks_docs.py --update-docs -->\n"
"""What follows it in the page is written by :func:`option_tables`."""


def option_tables(tasks: Iterable[type[Task]]) -> str:
    """Markdown: what each task is, its gates and its options."""
    return "\n".join(_section(task) for task in sorted(tasks, key=lambda task: task.name))


def _section(task: type[Task]) -> str:
    paragraphs = [" ".join(one.split()).replace("``", "`") for one in (inspect.getdoc(task) or "").split("\n\n")]
    gates = ", ".join(f"`{gate}`" for gate in task.gates)
    rows = [
        f"| `{key}` | {'' if field.default is None else f'`{field.default}`'} | {field.description or ''} |"
        for key, field in task.model_fields.items()
    ]
    table = ["| option | default | meaning |", "|---|---|---|", *rows]
    return "\n".join([f"### {task.name}\n", *(f"{one}\n" for one in paragraphs), f"Gates: {gates}.\n", *table, ""])
