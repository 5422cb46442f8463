"""Where a Python model of Triton finds its pair, and what of its configuration must hold. Runs inside Triton."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitc.bundle import Bundle, open_bundle, open_part
from splitc.errors import BundleError

PART = "bundle"
"""Folder in a model's version that holds what it needs of the bundle, in an exported repository."""
BUNDLE_UP = 3
"""Folders from a model up to the bundle: ``BUNDLE/cloud/triton/cpu/MODEL``."""
PAIR_ID = "pair_id"
MAX_SEQUENCES = 256
"""Cameras at once; the next one waits for a place. Each takes what a decoder remembers of its last frame."""
SEQUENCE_IDLE_US = 20_000_000
"""Shorter than the edge waits for an answer, so that a place is free before it gives up."""


def open_source(arguments: Mapping[str, str], config: Mapping[str, Any]) -> Bundle:
    """The part beside an exported model, else the bundle that the repository lies in.

    Args:
        arguments: As Triton gives them to ``initialize``.
        config: The model's configuration, parsed.

    Raises:
        BundleError: Damaged, not there, or of another pair than the configuration says.
    """
    model = Path(arguments["model_repository"]).absolute()
    part = version_folder(arguments) / PART
    if part.is_dir():
        found = open_part(part)
    else:
        shutil.rmtree(
            version_folder(arguments) / "__pycache__", ignore_errors=True
        )  # Triton's Python heeds no variable
        found = open_bundle(model.parents[min(BUNDLE_UP, len(model.parents) - 1)], has_bytecode=True)
    said = config.get("parameters", {}).get(PAIR_ID, {}).get("string_value", "")
    require_pair(model, said, found.pair_id)
    return found


def require_pair(model: Path, said: str, pair_id: str) -> None:
    """Refuse a model whose configuration names another pair than its files are of.

    Raises:
        BundleError: Both ids are named.
    """
    if said != pair_id:
        raise BundleError(
            f"{model / 'config.pbtxt'}: names pair {said[:12] or 'none'}, and the files are of pair {pair_id[:12]}; "
            "export the repository again."
        )


def version_folder(arguments: Mapping[str, str]) -> Path:
    """Of a model: where ``model.py`` lies. Arguments are those of :func:`open_source`."""
    return Path(arguments["model_repository"]).absolute() / arguments["model_version"]


@dataclass(frozen=True)
class SequenceBounds:
    """What the decode step keeps.

    Attributes:
        most: Sequences at once.
        idle_s: Without a packet, until a sequence is dropped.
    """

    most: int
    idle_s: float


def check_decoder(config: Mapping[str, Any], *, predicts: bool) -> SequenceBounds | None:
    """What the decode step needs of its configuration; all else is the operator's.

    Returns:
        Of a codec that predicts frames, the bounds that the configuration sets.

    Raises:
        BundleError: Streams that are predicted without sequences, or packets in a batch.
    """
    if config.get("max_batch_size", 0):
        raise BundleError("config.pbtxt: packets have sizes of their own; set max_batch_size: 0 in the decode step.")
    if not predicts:
        return None
    if "sequence_batching" not in config:
        raise BundleError(
            "config.pbtxt: the codec predicts frames from the one before, which needs sequence_batching; put it back."
        )
    said = config["sequence_batching"]
    most = int(said.get("oldest", {}).get("max_candidate_sequences", 0))
    idle_us = int(said.get("max_sequence_idle_microseconds", 0))
    return SequenceBounds(most or MAX_SEQUENCES, (idle_us or SEQUENCE_IDLE_US) / 1e6)
