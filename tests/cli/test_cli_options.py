"""Groups of options: one dataclass a group, and the command line of a function with all its fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from splitc.cli import app as splitc_app
from splitc.cli.options import grouped

RUNNER = CliRunner()


@dataclass(frozen=True)
class Source:
    """An argument and an option."""

    path: Annotated[Path, typer.Argument(help="What is read.")]
    names: Annotated[list[str] | None, typer.Option("--name", help="May be repeated.")] = None


@dataclass(frozen=True)
class Limit:
    """Options alone."""

    most: Annotated[int, typer.Option(min=1, help="At most so many.")] = 8
    fast: Annotated[bool, typer.Option("--fast", help="Soon.")] = False


def flat(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="What is read.")],
    names: Annotated[list[str] | None, typer.Option("--name", help="May be repeated.")] = None,
    most: Annotated[int, typer.Option(min=1, help="At most so many.")] = 8,
    fast: Annotated[bool, typer.Option("--fast", help="Soon.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One document.")] = False,
) -> None:
    """Show what was given."""
    print(context.info_name, Source(path, names), Limit(most, fast), json)


@grouped
def in_groups(
    context: typer.Context,
    source: Source,
    limit: Limit,
    json: Annotated[bool, typer.Option("--json", help="One document.")] = False,
) -> None:
    """Show what was given."""
    print(context.info_name, source, limit, json)


def app_of(command: object) -> typer.Typer:
    app = typer.Typer()
    app.command(name="show")(command)
    return app


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--help"], id="help"),
        pytest.param(["a.onnx"], id="defaults"),
        pytest.param(["a.onnx", "--name", "x", "--name", "y", "--most", "3", "--fast", "--json"], id="all"),
        pytest.param([], id="missing-argument"),
        pytest.param(["a.onnx", "--most", "0"], id="out-of-range"),
        pytest.param(["a.onnx", "--slow"], id="unknown-option"),
    ],
)
def test_a_command_in_groups_is_the_flat_command(arguments: list[str]) -> None:
    one, other = RUNNER.invoke(app_of(flat), arguments), RUNNER.invoke(app_of(in_groups), arguments)
    assert (one.exit_code, one.output) == (other.exit_code, other.output)


def test_every_option_has_a_help_text() -> None:
    """Groups lose no text on their way to the command line."""
    commands = typer.main.get_command(splitc_app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        for parameter in command.params:
            assert parameter.name == "help" or parameter.help, f"{name}: {parameter.name}"
