"""The output of a build: written whole or not at all, read with every byte checked. ``FORMAT.md`` is the law."""

from __future__ import annotations

from splitc.bundle.contract import Contract
from splitc.bundle.manifest import (
    CLOUD_MODEL,
    CONTRACT,
    EDGE_MODEL,
    MANIFEST,
    SIGNATURE,
    FileEntry,
    Manifest,
    graph_files,
    pair_id,
)
from splitc.bundle.read import Bundle, open_bundle, open_part
from splitc.bundle.sbom import SBOM, sbom
from splitc.bundle.staging import staging
from splitc.bundle.strict_json import canonical_json, parse_json
from splitc.bundle.write import write_manifest

__all__ = [
    "CLOUD_MODEL",
    "CONTRACT",
    "EDGE_MODEL",
    "MANIFEST",
    "SBOM",
    "SIGNATURE",
    "Bundle",
    "Contract",
    "FileEntry",
    "Manifest",
    "canonical_json",
    "graph_files",
    "open_bundle",
    "open_part",
    "pair_id",
    "parse_json",
    "sbom",
    "staging",
    "write_manifest",
]
