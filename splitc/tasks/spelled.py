"""A task's options as a bundle spells them, and back."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from splitc.errors import RecipeError, UsageError
from splitc.registry import Registry
from splitc.tasks.task import BindRequest, BoundTask, Task


def spelled_options(bound: BoundTask, network: BindRequest) -> dict[str, JsonValue]:
    """Options that read the network's outputs again without examples; empty where the task's name says as much.

    Args:
        bound: Settled on the network.
        network: The network.
    """
    task = type(bound.task)
    if task.unspelled is not None and _is_bound(bound, task(**task.unspelled), network):
        return {}
    options: dict[str, JsonValue] = bound.task.model_dump(mode="json", exclude_none=True)
    return options


def bound_again(tasks: Registry[Task], name: str, options: Mapping[str, JsonValue], network: BindRequest) -> BoundTask:
    """The task that :func:`spelled_options` spelled.

    Raises:
        UsageError: No such task, or options that it has not.
        RecipeError: Options that do not fit the outputs, or leave open how to read them.
    """
    bound = tasks.make(name, options or tasks.load(name).unspelled or {}).bind(network)
    if not bound.is_settled:
        raise UsageError(f"task {name!r}: the options leave open how the outputs are read.")
    return bound


def _is_bound(bound: BoundTask, other: Task, network: BindRequest) -> bool:
    """Whether the other task reads the network in the same way."""
    try:
        return other.bind(network).task == bound.task
    except RecipeError:
        return False
