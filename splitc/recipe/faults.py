"""What pydantic found wrong, in plain words and at the place the user wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from splitc.recipe.locate import KeyPath
from splitc.recipe.values import shown
from splitc.registry import nearest

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "int_parsing_size": "a smaller whole number",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "greater_than": ("above", "gt"),
    "less_than": ("below", "lt"),
}
_CHOICES = re.compile(r"\^\(([a-z|]+)\)\$")


def plain_words(error: ErrorDetails, schema: type[BaseModel]) -> str:
    """One error of pydantic as the end of a sentence about its key."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        key = str(error["loc"][-1])
        return f"unknown key {shown(key)}.{nearest(key, _known_keys(schema, error['loc'][:-1]))}"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}, got {shown(value)}."
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {context[bound]:g}, got {shown(value)}."
    return _KIND_WORDS.get(kind, _other)(error, value, context)


def _missing(error: ErrorDetails, value: object, context: Mapping[str, Any]) -> str:
    if isinstance(error["loc"][-1], int):
        return f"item {error['loc'][-1] + 1} is missing."
    if error["loc"][-2:] == ("model", "source") or error["loc"] == ("model",):
        return "is required: model.source names an .onnx file or zoo:NAME."
    return "is required."


def _literal(error: ErrorDetails, value: object, context: Mapping[str, Any]) -> str:
    known = re.findall(r"'([^']*)'|(\d+)", context["expected"])
    names = [text or number for text, number in known]
    if error["loc"] == ("schema",):
        return f"this version of splitc reads recipes of schema 1, got {shown(value)}."
    if isinstance(value, str):
        return f"{shown(value)} is not a choice.{nearest(value, names)}"
    return f"must be one of {', '.join(names)}, got {shown(value)}."


def _pattern(error: ErrorDetails, value: object, context: Mapping[str, Any]) -> str:
    match = _CHOICES.fullmatch(context["pattern"])
    assert match is not None, "patterns in a recipe list choices"
    return f"{shown(value)} is not a choice.{nearest(str(value), match[1].split('|'))}"


def _too_long(error: ErrorDetails, value: object, context: Mapping[str, Any]) -> str:
    return f"must have {context['max_length']} items, got {context['actual_length']}."


def _finite(error: ErrorDetails, value: object, context: Mapping[str, Any]) -> str:
    return f"must be a finite number, got {shown(value)}."


def _value(error: ErrorDetails, value: object, context: Mapping[str, Any]) -> str:
    return f"{context['error']}."


def _other(error: ErrorDetails, value: object, context: Mapping[str, Any]) -> str:
    return f"{error['msg'].lower()}, got {shown(value)}."


_KIND_WORDS: dict[str, Callable[[ErrorDetails, object, Mapping[str, Any]], str]] = {
    "missing": _missing,
    "literal_error": _literal,
    "string_pattern_mismatch": _pattern,
    "too_long": _too_long,
    "finite_number": _finite,
    "value_error": _value,
}


def _known_keys(schema: type[BaseModel], path: KeyPath) -> list[str]:
    """Keys of the table at ``path``."""
    for key in path:
        field = next((f for n, f in schema.model_fields.items() if key in (n, f.alias)), None)
        inner = _model_in(field.annotation) if field is not None else None
        schema = inner or schema
    return [field.alias or name for name, field in schema.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model class inside ``X``, ``X | None`` or ``dict[str, X]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model is not None), None)
