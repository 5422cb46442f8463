"""The bill of materials is CycloneDX by its own schema, and says what built the bundle."""

from __future__ import annotations

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from splitc.bundle import canonical_json, sbom

TOOLS = {"numpy": "2.1.0", "onnx-ir": "1.1.0+local", "TensorRT_RTX": "1.2"}
INPUTS = {"model": "a" * 64, "data": "b" * 64}


def test_the_schema_takes_it() -> None:
    document = sbom("x", "0.1.0", TOOLS, INPUTS)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(canonical_json(document).decode()) is None


def test_everything_is_in_it_once() -> None:
    document = sbom("x", "0.1.0", TOOLS, INPUTS)
    names = [part["name"] for part in document["components"]]
    assert sorted(names) == sorted(["splitc", *TOOLS, *INPUTS])
    refs = [part["bom-ref"] for part in document["components"]]
    assert sorted(document["dependencies"][0]["dependsOn"]) == sorted(refs)
    assert len(set(refs)) == len(refs)


@pytest.mark.parametrize(
    ("name", "purl"),
    [
        ("numpy", "pkg:pypi/numpy@2.1.0"),
        ("onnx-ir", "pkg:pypi/onnx-ir@1.1.0%2Blocal"),
        ("TensorRT_RTX", "pkg:pypi/tensorrt-rtx@1.2"),
    ],
)
def test_package_urls(name: str, purl: str) -> None:
    parts = {part["name"]: part for part in sbom("x", "0.1.0", TOOLS, INPUTS)["components"]}
    assert parts[name]["purl"] == purl


def test_equal_builds_give_equal_bytes() -> None:
    backwards = dict(reversed(TOOLS.items()))
    assert json.dumps(sbom("x", "1", TOOLS, INPUTS)) == json.dumps(sbom("x", "1", backwards, INPUTS))
