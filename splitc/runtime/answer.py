"""The network's answer as text and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitc.bundle import Contract
from splitc.types import Array


def describe(outputs: Mapping[str, Array], contract: Contract) -> dict[str, Any]:
    """The answer of one sample as a small JSON object.

    Classification: index, name (the index again where names are unknown) and softmax share of the winner.
    Anything else: shape and mean of every output.
    """
    if contract.task == "classification":
        return top1(np.asarray(outputs[contract.outputs[0].name]), contract.classes)
    return {
        name: {"shape": list(array.shape), "mean": float(np.mean(array, dtype=np.float64))}
        for name, array in outputs.items()
    }


def top1(logits: Array, classes: list[str] | None) -> dict[str, Any]:
    """Index of the largest of one sample's logits, of any shape."""
    flat = np.asarray(logits, dtype=np.float64).ravel()
    shares = np.exp(flat - flat.max())
    index = int(flat.argmax())
    name = classes[index] if classes and index < len(classes) else f"class {index}"
    return {"index": index, "name": name, "share": float(shares[index] / shares.sum())}
