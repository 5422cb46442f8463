"""Names of what preprocessing in the graph computes, which no cut may cross."""

from __future__ import annotations

_MARK = ".splitc_preprocess"


def preprocess_prefix(name: str) -> str:
    """Of the nodes and values that normalize the input ``name``."""
    return f"{name}{_MARK}"


def is_preprocessing(name: str) -> bool:
    """Whether a value is still the picture, on its way to the network: sending it would send the picture itself."""
    return f"{_MARK}/" in name
