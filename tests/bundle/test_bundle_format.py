"""FORMAT.md and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import splitc.bundle
from splitc.bundle import manifest, pair_id
from splitc.bundle.manifest import FileEntry, Manifest, graph_sha256, is_file_name, manifest_from_bytes

FORMAT = (Path(splitc.bundle.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Rows of the first table under a heading, without its head."""
    section = FORMAT.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_required_files():
    required = [row[0].strip("`") for row in table("1. Layout") if row[1] == "yes"]
    assert sorted(required) == sorted([manifest.MANIFEST, *manifest.REQUIRED])


def test_fields():
    fields = [row[0].strip("`") for row in table("2. Manifest")]
    assert fields == [field.alias or name for name, field in Manifest.model_fields.items()]
    files = next(row for row in table("2. Manifest") if row[0] == "`files`")
    assert re.findall(r'"(\w+)":', files[2]) == list(FileEntry.model_fields)


def test_limits():
    limits = {row[0].strip("`"): int(row[1]) for row in table("3. File names and limits")}
    assert limits == {name: getattr(manifest, name) for name in vars(manifest) if name.startswith("MAX_")}


def test_version():
    assert f"Version {manifest.SCHEMA}." in FORMAT
    history = [line for line in FORMAT.split("## 1.")[0].splitlines() if line.startswith("|")]
    assert history[-1].startswith(f"| {manifest.SCHEMA} |")


def test_example_is_what_the_code_writes(bundle):
    example = FORMAT.split("```json\n")[1].split("```")[0].encode()
    assert (bundle.path / "manifest.json").read_bytes() == example
    assert manifest_from_bytes(example, "example").to_bytes() == example


def test_pair_id_is_pinned():
    edge, cloud = "1" * 64, "2" * 64
    assert pair_id(b"{}", edge, cloud) == "89b3944370f037caa9547bf7e03aef88b96612326c7a05a68ca3b56dd76798c9"
    assert len({pair_id(b"{}", edge, cloud), pair_id(b"{}", cloud, edge), pair_id(b"{} ", edge, cloud)}) == 3


def test_external_data_belong_to_the_graph():
    def entry(digit):
        return FileEntry(bytes=1, sha256=digit * 64)

    alone = {"edge/model.onnx": entry("a"), "edge/weights.scw": entry("b"), "cloud/model.onnx.data": entry("c")}
    with_data = {**alone, "edge/model.onnx.data": entry("d")}
    assert graph_sha256(alone, "edge/model.onnx") == "a" * 64
    assert graph_sha256(with_data, "edge/model.onnx") not in ("a" * 64, "d" * 64)


@pytest.mark.parametrize("name", ["contract.json", "edge/model.onnx", "a/b/c/d/e/f/g/h", "_x+y-1.0", "a" * 240])
def test_names_that_are_legal(name):
    assert is_file_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        ".hidden",
        "a/.b",
        "-x",
        "a\\b",
        "C:x",
        "a b",
        "a\n",
        "é",
        "a\0",
        "a" * 241,
        "a/b/c/d/e/f/g/h/i",
        "manifest.json",
    ],
)
def test_names_that_are_not(name):
    assert not is_file_name(name)
