"""The reference of all codec options, written from the parts that declare them: docs/codec.md."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from splitc.codec.parts import PARTS
from splitc.codec.profiles import PROFILES
from splitc.codec.spec import CodecSpec
from splitc.registry import Component, Registry

_HEAD = """\
# Codec options

Keys of a recipe's `[codec]`, of `--codec PROFILE,key=value,...` and of `CodecSpec(key=value)`; the names, ranges and
defaults are the same everywhere. This page is written from the components: `pytest tests/codec/test_reference.py
--update-docs` renews it.

A codec has four parts, and each part has options of its own. Two parts may have an option of one name with another
range or default. An option that no chosen part has is refused.

| part | default | choices |
|---|---|---|
"""

_WITHOUT_TAIL = """
A recipe that names no profile gets `fast`. What is spelled beside a profile replaces it: another quantizer, or other
levels than unbiased ones, leave out its steps, offset and transform; `steps = "even"` its transform.

Profiles ask how much the answers feel noise in each plane, so they are fitted where the tail can be run: in a build.
Gradients tell it where every operator between the cut and the answers has a rule (`splitc/gradients`) and the task
knows how its answers are pulled; else noise in one plane at a time does, which takes more runs and says less.
`splitc encode --codec` has no tail: there a profile stands for even steps, and for no transform. `splitc plan`, and the
choice of a cut in a build, price codecs the same way, so the packets of a build are a little smaller than planned.
`CodecSpec()`, in Python, is even steps decoded to their middles; `CodecSpec.without_tail()` is what needs no tail.
"""


def reference() -> str:
    """The page as Markdown, with the components that are known now."""
    parts = "".join(
        f"| `{part}` | `{CodecSpec.model_fields[part].default}` | {_listed(sorted(registry))} |\n"
        for part, registry in PARTS.items()
    )
    return "\n".join([_HEAD + parts, *_profiles(), *(line for part in PARTS for line in _part(part, PARTS[part]))])


def _profiles() -> Iterator[str]:
    yield "## Profiles\n"
    yield "| profile | stands for |\n|---|---|"
    for name, spec in PROFILES.items():
        yield f"| `{name}` | {_listed([f'{key}={value}' for key, value in spec])} |"
    yield _WITHOUT_TAIL


def _part(part: str, registry: Registry[Any]) -> Iterator[str]:
    yield f"## {part}\n"
    for name in sorted(registry):
        cls = registry.load(name)
        yield f'### `{part} = "{name}"`\n\n{_summary(cls)}\n'
        if rows := list(_rows(cls)):
            yield "\n".join(["| option | values | default | meaning |", "|---|---|---|---|", *rows, ""])


def _summary(cls: type[Component]) -> str:
    """The first paragraph of its docstring, in one line."""
    paragraph = (inspect.getdoc(cls) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`")


def _rows(cls: type[Component]) -> Iterator[str]:
    schema = cls.model_json_schema()
    for key, field in cls.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        yield f"| `{key}` | {_values(schema['properties'][key])} | {default} | {field.description or ''} |"


def _values(schema: Mapping[str, Any]) -> str:
    """What an option takes, in words."""
    choices = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return " or ".join(map(_values_of_one, choices))


def _values_of_one(schema: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return _listed(schema.get("enum", [schema.get("const")]))
    if schema.get("type") not in ("integer", "number"):
        return {"boolean": "`true`, `false`", "string": "text"}[schema["type"]]
    return f"{'whole number' if schema['type'] == 'integer' else 'number'} {_limits(schema)}".rstrip()


def _limits(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{least:.10g}" if least == most else f"from {least:.10g} to {most:.10g}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return ", ".join(f"{word} {schema[limit]:.10g}" for limit, word in words.items() if limit in schema)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
