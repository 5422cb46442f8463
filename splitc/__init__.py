"""splitc: cut one neural network in two and ship both halves."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from splitc.version import __version__

if TYPE_CHECKING:
    from splitc import errors
    from splitc.bundle import open_bundle
    from splitc.codec import Codec
    from splitc.driver import build, load_recipe
    from splitc.runtime import CloudServer, EdgeClient

_HOMES = {
    "CloudServer": "splitc.runtime",
    "Codec": "splitc.codec",
    "EdgeClient": "splitc.runtime",
    "build": "splitc.driver",
    "errors": "splitc",
    "load_recipe": "splitc.driver",
    "open_bundle": "splitc.bundle",
}

__all__ = ["CloudServer", "Codec", "EdgeClient", "__version__", "build", "errors", "load_recipe", "open_bundle"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that ``import splitc`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'splitc' has no attribute {name!r}")
    return import_module("splitc.errors") if name == "errors" else getattr(import_module(_HOMES[name]), name)
