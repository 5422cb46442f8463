"""Where a Python model of Triton finds its pair, and what of its configuration must hold. Runs inside Triton."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitc.bundle import Bundle, open_bundle, open_part
from splitc.errors import BundleError

PART = "bundle"
"""Folder in a model's version that holds what it needs of the bundle, in an exported repository."""
BUNDLE_UP = 3
"""Folders from a model up to the bundle: ``BUNDLE/cloud/triton/cpu/MODEL``."""
PAIR_ID = "pair_id"


def open_source(arguments: Mapping[str, str], config: Mapping[str, Any]) -> Bundle:
    """The part beside an exported model, else the bundle that the repository lies in.

    Args:
        arguments: As Triton gives them to ``initialize``.
        config: The model's configuration, parsed.

    Raises:
        BundleError: Damaged, not there, or of another pair than the configuration says.
    """
    model = Path(arguments["model_repository"]).absolute()
    part = model / arguments["model_version"] / PART
    if part.is_dir():
        found = open_part(part)
    else:
        found = open_bundle(model.parents[min(BUNDLE_UP, len(model.parents) - 1)], has_bytecode=True)
    said = config.get("parameters", {}).get(PAIR_ID, {}).get("string_value", "")
    if said != found.pair_id:
        raise BundleError(
            f"{model / 'config.pbtxt'}: names pair {said[:12] or 'none'}, and the files are of pair "
            f"{found.pair_id[:12]}; export the repository again."
        )
    return found


def check_decoder(config: Mapping[str, Any], *, predicts: bool) -> None:
    """What the decode step needs of its configuration; all else is the operator's.

    Raises:
        BundleError: Streams that are predicted without sequences, or packets in a batch.
    """
    if predicts and "sequence_batching" not in config:
        raise BundleError(
            "config.pbtxt: the codec predicts frames from the one before, which needs sequence_batching with the "
            "controls START, END and CORRID; put it back."
        )
    if config.get("max_batch_size", 0):
        raise BundleError("config.pbtxt: packets have sizes of their own; set max_batch_size: 0 in the decode step.")
