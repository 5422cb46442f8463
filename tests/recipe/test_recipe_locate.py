"""The locator finds the line on which each key was written, and no text makes it stumble."""

from __future__ import annotations

import string

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splitc.codec import TEMPORALS, table_faults
from splitc.codec.parts import option_names
from splitc.errors import SplitcError
from splitc.recipe import Known, load_recipe
from splitc.recipe.locate import key_lines, line_of
from splitc.recipe.toml import parse_toml

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy: time is no property."""
KNOWN = Known(quantizers=["uniform"], temporals=list(TEMPORALS), entropy_coders=["rans"], codec_faults=table_faults)

TEXT = """\
# comment with [brackets] and = signs
top = 1
"quoted key" = 'a # b = c'
'literal.key' = \"\"\"
[not.a.table]
x = 1 \\\"\"\" not yet
\"\"\"
a.b . "c d" = { e = 1, f = { g = [
  1,  # one
  [2, 3],
  { h = 4 },
] } }
date = 2020-01-01T00:00:00Z
[table]  # header
inner = '''
''still''''
[ table . "sub\\u0041" ]
k = -1.5e3
[[list]]
x = 1
[[list]]
x = 2
[list.deep]
y = 3
[[list.more]]
z = [ ]
[later.than.this]
"""

LINES = {
    ("top",): 2,
    ("quoted key",): 3,
    ("literal.key",): 4,
    ("a",): 8,
    ("a", "b", "c d"): 8,
    ("a", "b", "c d", "e"): 8,
    ("a", "b", "c d", "f", "g"): 8,
    ("a", "b", "c d", "f", "g", 0): 9,
    ("a", "b", "c d", "f", "g", 1, 1): 10,
    ("a", "b", "c d", "f", "g", 2, "h"): 11,
    ("date",): 13,
    ("table",): 14,
    ("table", "inner"): 15,
    ("table", "subA"): 17,
    ("table", "subA", "k"): 18,
    ("list", 0): 19,
    ("list", 0, "x"): 20,
    ("list", 1): 21,
    ("list", 1, "x"): 22,
    ("list", 1, "deep", "y"): 24,
    ("list", 1, "more", 0, "z"): 26,
    ("later", "than", "this"): 27,
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines(newline):
    text = TEXT.replace("\n", newline)
    assert parse_toml(text)["table"]["subA"]["k"] == -1500
    lines = key_lines(text)
    assert {path: lines[path] for path in LINES} == LINES
    assert not any("not" in path for path in lines)


def test_line_of_what_is_not_written_is_that_of_the_table_around_it():
    lines = key_lines("\n[a]\nb = 1\n")
    assert line_of(lines, ("a", "c", 3)) == 2
    assert line_of(lines, ("z",)) == 1


def paths_of(value, path=()):
    """Every key path of a parsed document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths_of(inner, (*path, key))


keys = st.one_of(
    st.text(string.ascii_letters + "-_", min_size=1, max_size=5),
    st.text(st.sampled_from("ab.#=[]{} ,"), min_size=1, max_size=5).map(lambda key: f'"{key}"'),
)
scalars = st.sampled_from(
    ["1", "-2.5", "true", "nan", "1979-05-27 07:32:00", '"#]}"', "'\\'", '"\\"="', '"""\n[x]\n"""', "'''\na=1'''", '""']
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # ,]\n".join(items) + "\n]"),
        st.lists(inner, max_size=3).map(lambda items: "{" + ", ".join(f"k{i}={v}" for i, v in enumerate(items)) + "}"),
    ),
    max_leaves=6,
)


@PATIENT
@given(st.lists(st.tuples(st.sampled_from(["pair", "table", "array"]), keys, values), max_size=12))
def test_every_key_is_found_where_it_was_written(statements):
    text, expected, table = "", {}, ()
    for number, (kind, key, value) in enumerate(statements):
        line = text.count("\n") + 1
        unique = f"{key.strip(chr(34))}{number}"
        if kind == "pair":
            text += f'"{unique}" = {value} # end\n'
            expected[(*table, unique)] = line
        elif kind == "table":
            text += f'\n[ "{unique}" ]\n'
            table = (unique,)
            expected[table] = line + 1
        else:
            text += f'[["{unique}"]]\n'
            table = (unique, 0)
            expected[table] = line
    lines = key_lines(text)
    assert {path: lines[path] for path in expected} == expected
    assert set(paths_of(parse_toml(text))) <= set(lines)


@PATIENT
@given(st.text(st.sampled_from("ab.=[]{}\"'#\n ,1\\"), max_size=40))
def test_whatever_parses_is_located(text):
    try:
        parsed = parse_toml(text)
    except ValueError:
        return
    lines = key_lines(text)
    assert set(paths_of(parsed)) <= set(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    return tmp_path_factory.mktemp("recipe") / "r.toml"


json_like = st.recursive(
    st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.datetimes()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
sections = ["schema", "name", "model", "data", "split", "link", "codec", "weights", "recovery", "target", "gate"]
section_keys = ["source", "shapes", "dims", "calibration", "preprocess", "at", "bits", "edge", "max_edge_bytes", "url"]


@PATIENT
@given(
    st.dictionaries(
        st.sampled_from(sections),
        st.one_of(json_like, st.dictionaries(st.sampled_from(section_keys), json_like)),
        max_size=5,
    )
)
def test_any_toml_is_a_recipe_or_a_refusal(recipe_file, table):
    recipe_file.write_text(tomli_w.dumps(table), encoding="utf-8")
    load_or_refuse(recipe_file)


codec_values = st.one_of(json_like, st.sampled_from(["uniform", "log", "dpcm", "rans", "zstd", "tensor", "centroid"]))


@PATIENT
@given(
    st.dictionaries(st.sampled_from(["quantizer", "temporal", "entropy", *option_names()]), codec_values, max_size=4)
)
def test_any_codec_table_is_taken_or_refused(recipe_file, table):
    recipe_file.write_text(tomli_w.dumps({"model": {"source": "m.onnx"}, "codec": table}), encoding="utf-8")
    load_or_refuse(recipe_file)


@PATIENT
@given(st.binary(max_size=200))
def test_any_bytes_are_a_recipe_or_a_refusal(recipe_file, data):
    recipe_file.write_bytes(data)
    load_or_refuse(recipe_file)


@PATIENT
@given(st.lists(st.text(max_size=30), max_size=3))
def test_any_override_is_taken_or_refused(recipe_file, overrides):
    recipe_file.write_text('[model]\nsource = "m.onnx"\n')
    load_or_refuse(recipe_file, overrides)


def load_or_refuse(path, overrides=()):
    message = refusal_of(path, overrides)
    assert message.strip()
    assert all(len(line) < 1000 for line in message.splitlines())


def refusal_of(path, overrides):
    try:
        load_recipe(path, overrides, known=KNOWN)
    except SplitcError as error:
        return str(error)
    return "loaded"
