"""A TOML file to a :class:`Recipe`, or every fault in it at once, each with its line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from splitc.errors import CapabilityError, RecipeError
from splitc.recipe.faults import plain_words
from splitc.recipe.locate import KeyPath, key_lines, line_of
from splitc.recipe.overrides import apply_override, override_label
from splitc.recipe.recipe import Recipe
from splitc.recipe.sections import CodecSection, DataSection
from splitc.recipe.toml import parse_toml
from splitc.recipe.unbuilt import PLANNED, not_built, unbuilt_keys
from splitc.recipe.values import shown
from splitc.registry import nearest

Profiles = Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]
CodecFaults = Callable[[Mapping[str, Any], Collection[str]], Sequence[ErrorDetails]]
"""Faults of the options in [codec], given the table and those of its keys that are not options."""
TaskFaults = Callable[[str, Mapping[str, Any]], Sequence[ErrorDetails]]
"""Faults of the options in [data.TASK], given the task's name and the table."""
MAX_BYTES = 1 << 20
"""A recipe is written by hand; anything larger is another file."""
_SYNTAX = re.compile(r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column \d+|(?P<end>end of document))\)", re.DOTALL)


@dataclass(frozen=True)
class Known:
    """What the caller knows of the components that a recipe may name; None leaves them unchecked.

    Attributes:
        transforms: Built transforms.
        quantizers: Built quantizers.
        temporals: Built temporal predictors.
        entropy_coders: Built entropy coders.
        backends: Built backends.
        devices: Known device profiles.
        tasks: Known tasks.
        task_faults: Checks the options in [data.TASK] against the task that declares them.
        codec_faults: Checks the options in [codec] against the parts that declare them.
        profiles: By name of a ``codec.profile``, a function from the keys spelled in [codec] to all that apply.
    """

    transforms: Collection[str] | None = None
    quantizers: Collection[str] | None = None
    temporals: Collection[str] | None = None
    entropy_coders: Collection[str] | None = None
    backends: Collection[str] | None = None
    devices: Collection[str] | None = None
    tasks: Collection[str] | None = None
    task_faults: TaskFaults | None = None
    codec_faults: CodecFaults | None = None
    profiles: Profiles = field(default_factory=dict)

    def names(self, kind: str) -> Collection[str] | None:
        """Of a kind of component, as messages call it."""
        names: dict[str, Collection[str] | None] = {
            "transform": self.transforms,
            "quantizer": self.quantizers,
            "temporal predictor": self.temporals,
            "entropy coder": self.entropy_coders,
            "backend": self.backends,
            "device": self.devices,
            "task": self.tasks,
        }
        return names[kind]


NOTHING_KNOWN = Known()


def load_recipe(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    base: Path | None = None,
    known: Known = NOTHING_KNOWN,
) -> Recipe:
    """Read, override and check a recipe.

    Args:
        path: The TOML file; messages name it as given.
        overrides: ``key=value`` texts, applied in order; paths in them refer to the current folder.
        base: Folder that the file's relative paths refer to; by default its own.
        known: What there is to name.

    Raises:
        RecipeError: The file or its contents are wrong; one line a fault.
        CapabilityError: All is well spelt, but something in it is not built in this version.
    """
    source = _Source.read(path, overrides)
    recipe = source.validate(known.profiles)
    source.check_names(known)
    source.check_codec(known)
    source.check_task(known)
    source.check_built()
    source.refuse()
    assert recipe is not None, "no faults means a recipe"
    if "name" not in source.table:
        recipe = recipe.model_copy(update={"name": _name_from(Path(path))})
    return recipe.based_at(Path(path).parent if base is None else base)


@dataclass
class _Source:
    """A parsed recipe, where each key came from, and what is wrong with it so far."""

    path: str
    table: dict[str, Any]
    lines: dict[KeyPath, int]
    overridden: dict[KeyPath, str] = field(default_factory=dict)
    wrong: dict[tuple[int, str], KeyPath] = field(default_factory=dict)
    missing: dict[tuple[int, str], KeyPath] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str], overrides: Sequence[str]) -> _Source:
        shown_path = os.fspath(path)
        text = _read_text(Path(path), shown_path)
        source = cls(shown_path, *_parse(text, shown_path))
        for override in overrides:
            try:
                source.overridden[apply_override(source.table, override)] = override_label(override)
            except ValueError as error:
                source.wrong[0, f"{override_label(override)}: {error}."] = ()
        return source

    def validate(self, profiles: Profiles) -> Recipe | None:
        try:
            return Recipe.model_validate(_with_profile(self.table, profiles))
        except ValidationError as error:
            found = [one for one in error.errors(include_url=False) if not _is_task_table(one["loc"])]
            for details in found:
                self.fault(self.wrong, details["loc"], plain_words(details, Recipe))
        return None

    def check_names(self, known: Known) -> None:
        """Names of components, as far as the caller said which there are."""
        for kind, path in _NAMED:
            names, name = known.names(kind), _get(self.table, path)
            if names is None or not isinstance(name, str) or name in names or _is_own_device(kind, name):
                continue
            if name in PLANNED[kind]:
                instead = f"use one of {', '.join(sorted(names))}"
                self.fault(self.missing, path, not_built(name, instead))
            else:
                self.fault(self.wrong, path, f"unknown {kind} {shown(name)}.{nearest(name, list(names))}")

    def check_codec(self, known: Known) -> None:
        """Options in [codec], those that its profile gives among them."""
        codec = _with_profile(self.table, known.profiles).get("codec")
        if known.codec_faults is None or not isinstance(codec, dict):
            return
        for details in known.codec_faults(codec, CodecSection.model_fields.keys()):
            self.fault(self.wrong, ("codec", *details["loc"]), plain_words(details, Recipe))

    def check_task(self, known: Known) -> None:
        """Tables in [data] are options of the task that the recipe names."""
        data = self.table.get("data")
        if not isinstance(data, dict):
            return
        task = data.get("task", DataSection.model_fields["task"].default)
        tables = {key: table for key, table in data.items() if key not in DataSection.model_fields}
        for key, table in tables.items():
            if key != task or not isinstance(table, dict):
                self.fault(self.wrong, ("data", key), _no_task_table(key, task, known.tasks or ()))
            elif known.task_faults is not None and key in (known.tasks or ()):
                for details in known.task_faults(key, table):
                    self.fault(self.wrong, ("data", key, *details["loc"]), plain_words(details, Recipe))

    def check_built(self) -> None:
        faulty = set(self.wrong.values())
        for path, message in unbuilt_keys(self.table):
            if path not in faulty:
                self.fault(self.missing, path, message)

    def fault(self, kind: dict[tuple[int, str], KeyPath], location: KeyPath, message: str) -> None:
        path = self._as_written(location)
        line, place = self._place(path)
        kind[line, f"{place}{message}"] = path

    def refuse(self) -> None:
        """Raise what was found, in the order of the file; overrides first."""
        everything = "\n".join(message for _, message in sorted([*self.wrong, *self.missing]))
        if self.wrong:
            raise RecipeError(everything)
        if self.missing:
            raise CapabilityError(everything)

    def _as_written(self, path: KeyPath) -> KeyPath:
        """Plain keys of [weights] are stored for both sides; the user wrote one."""
        is_plain = path[:1] == ("weights",) and len(path) > 1 and path[1] not in self._weights()
        return (path[0], *path[2:]) if is_plain else path

    def _weights(self) -> Mapping[str, Any]:
        weights = self.table.get("weights")
        return weights if isinstance(weights, dict) else {}

    def _place(self, path: KeyPath) -> tuple[int, str]:
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.overridden:
                inner = _dotted(path[depth:])
                return 0, f"{self.overridden[path[:depth]]}: {inner and inner + ': '}"
        dotted = _dotted(path)
        inside = next((label for set_path, label in self.overridden.items() if set_path[: len(path)] == path), None)
        if inside is not None and path not in self.lines:
            return 0, f"{inside}: "
        line = line_of(self.lines, path)
        return line, f"{self.path}:{line}  {dotted and dotted + ': '}"


_NAMED: tuple[tuple[str, KeyPath], ...] = (
    ("transform", ("codec", "transform")),
    ("quantizer", ("codec", "quantizer")),
    ("temporal predictor", ("codec", "temporal")),
    ("entropy coder", ("codec", "entropy")),
    ("backend", ("target", "edge", "backend")),
    ("backend", ("target", "cloud", "backend")),
    ("device", ("target", "edge", "device")),
    ("device", ("target", "cloud", "device")),
    ("task", ("data", "task")),
)


def _is_task_table(path: KeyPath) -> bool:
    """A key of [data] that only a task can be called by."""
    return len(path) == 2 and path[0] == "data" and path[1] not in DataSection.model_fields


def _no_task_table(key: str, task: object, tasks: Collection[str]) -> str:
    """Why a key of [data] that is none of its own is no table of the task's options either."""
    if key not in tasks and key != task:
        return f"unknown key {shown(key)}.{nearest(key, list(DataSection.model_fields))}"
    if key == task:
        return "must be a table, of the task's options."
    return f"holds options of the task {shown(key)}, and data.task is {shown(task)}; set it, or leave the table out."


def _with_profile(table: dict[str, Any], profiles: Profiles) -> dict[str, Any]:
    """``table`` with the keys of its codec profile, where none is spelled."""
    codec = table.get("codec", {})
    usual = CodecSection.model_fields["profile"].default
    profile = codec.get("profile", usual) if isinstance(codec, dict) else None
    if not isinstance(codec, dict) or not isinstance(profile, str) or profile not in profiles:
        return table
    return {**table, "codec": dict(profiles[profile](codec))}


def _is_own_device(kind: str, name: str) -> bool:
    """A device profile of the user's own, looked for when it is loaded."""
    return kind == "device" and name.endswith(".toml")


def _read_text(path: Path, shown_path: str) -> str:
    try:
        if path.is_dir():
            raise RecipeError(f"{shown_path}: is a folder; name the .toml file in it.")
        if path.exists() and not path.is_file():
            raise RecipeError(f"{shown_path}: is not a regular file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"{shown_path}: no such file.") from None
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{shown(shown_path)}: cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from error
    if len(data) > MAX_BYTES:
        raise RecipeError(f"{shown_path}: is larger than {MAX_BYTES} bytes; a recipe is a small TOML file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{shown_path}:{line}  is not UTF-8 text (byte 0x{data[error.start]:02x}).") from None


def _parse(text: str, shown_path: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        return parse_toml(text), key_lines(text)
    except RecursionError:
        raise RecipeError(f"{shown_path}: is nested too deeply.") from None
    except ValueError as error:
        match = _SYNTAX.fullmatch(str(error))
        if match is None:
            raise RecipeError(f"{shown_path}: is not TOML: {error}.") from None
        line = match["line"] or text.rstrip().count("\n") + 1
        raise RecipeError(f"{shown_path}:{line}  is not TOML: {_lower_first(match['what'])}.") from None


def _name_from(path: Path) -> str:
    """A bundle name from the file's: what a name cannot hold becomes a dash."""
    stem = path.name.removesuffix(".toml").removesuffix(".lock")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:64] or "unnamed"


def _get(table: Any, path: KeyPath) -> Any:
    for key in path:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{_bare(key)}" for key in path).lstrip(".")


def _bare(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else shown(key)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
