"""What a server calls the cloud half of a bundle."""

from __future__ import annotations


def model_of_pair(name: str, pair_id: str) -> str:
    """Where several builds of one bundle are served side by side; else it is the bundle's name alone."""
    return f"{name}.{pair_id[:12]}"
