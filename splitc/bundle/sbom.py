"""``sbom.json``: what a bundle was made of and by, as a CycloneDX 1.6 bill of materials (ECMA-424)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SBOM = "sbom.json"
_PREFIX = "urn:splitc:"
_KINDS = {"model": "machine-learning-model", "data": "data", "training": "data"}


def sbom(name: str, splitc: str, tools: Mapping[str, str], inputs: Mapping[str, str]) -> dict[str, Any]:
    """The document. It holds no time and no number of its own: equal builds give equal bytes.

    Args:
        name: Of the bundle.
        splitc: Version that built it.
        tools: Python packages, and toolkits of engines, to their versions.
        inputs: What it was built from, to SHA-256: ``model``, ``data``, ``training``.
    """
    parts = [_package("splitc", splitc), *(_package(*one) for one in sorted(tools.items()))]
    parts += [_input(*one) for one in sorted(inputs.items())]
    whole = {"type": "application", "bom-ref": f"{_PREFIX}bundle", "name": name}
    used = sorted(part["bom-ref"] for part in parts)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": whole},
        "components": parts,
        "dependencies": [{"ref": whole["bom-ref"], "dependsOn": used}, *({"ref": one} for one in used)],
    }


def _package(name: str, version: str) -> dict[str, Any]:
    """A package as the package URL specification writes those of Python: lower case, hyphens."""
    purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": f"{_PREFIX}tool:{name}", "name": name, "version": version, "purl": purl}


def _input(name: str, sha256: str) -> dict[str, Any]:
    return {
        "type": _KINDS.get(name, "file"),
        "bom-ref": f"{_PREFIX}input:{name}",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }
