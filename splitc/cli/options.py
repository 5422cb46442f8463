"""Commands with many options: each group is a frozen dataclass whose fields are options of the command line.

    @dataclass(frozen=True)
    class Limits:
        threads: Annotated[int, typer.Option(min=1, help="Threads an engine may use.")] = 1

    @app.command()
    @grouped
    def serve(bundle: Annotated[Path, typer.Argument()], limits: Limits, json: Json = False) -> None: ...

The command line is that of a function with the fields in the place of the group: ``splitc serve BUNDLE --threads 2``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer reads it: every parameter that is a dataclass is replaced by its fields, in order.

    Args:
        command: Its annotations must resolve when it is defined; names of parameters and fields are unique.

    Returns:
        A function with one parameter an option, which builds the groups and calls ``command``.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters.values()
    groups = {parameter.name: hints[parameter.name] for parameter in parameters if is_dataclass(hints[parameter.name])}

    @functools.wraps(command)
    def flat(**given: Any) -> None:
        made = {
            name: group(**{one.name: given.pop(one.name) for one in fields(group)}) for name, group in groups.items()
        }
        command(**given, **made)

    options = [option for parameter in parameters for option in _options(parameter, hints[parameter.name])]
    vars(flat)["__signature__"] = inspect.Signature(options)
    flat.__annotations__ = {option.name: option.annotation for option in options}
    return flat


def _options(parameter: inspect.Parameter, hint: Any) -> Iterator[inspect.Parameter]:
    """The parameter itself, or one for each field of its group."""
    if not is_dataclass(hint):
        yield parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY)
        return
    hints: Mapping[str, Any] = get_type_hints(hint, include_extras=True)
    for one in fields(hint):
        default = inspect.Parameter.empty if one.default is MISSING else one.default
        yield inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[one.name])
