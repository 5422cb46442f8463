"""A recipe's [data.TASK] against the task that it configures: every fault at once, as pydantic describes one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from splitc.registry import nearest
from splitc.tasks.task import Task


def option_faults(task: type[Task], table: Mapping[str, Any]) -> list[ErrorDetails]:
    """What is wrong with a task's options; types are taken as written, ``"3"`` is no number, and lists are lists.

    Args:
        task: Declares the options.
        table: Keys and values as they were written in TOML.

    Returns:
        One a fault; ``loc`` is the place in the table, or empty where several keys do not go together.
    """
    try:
        task.model_validate_json(json.dumps(dict(table), default=str), strict=True)
    except ValidationError as error:
        return [_worded(fault, task) for fault in error.errors(include_url=False)]
    return []


def _worded(fault: ErrorDetails, task: type[Task]) -> ErrorDetails:
    """An unknown key with the nearest one that the task has."""
    if fault["type"] != "extra_forbidden":
        return fault
    words = f"unknown key {str(fault['loc'][-1])!r:.80}.{nearest(str(fault['loc'][-1]), list(task.model_fields))}"
    return {**fault, "type": "value_error", "msg": words, "ctx": {"error": words.rstrip(".")}}
