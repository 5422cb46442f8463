"""Results of steps, kept between builds: each under the hash of all that decides it, checked when it is read."""

from __future__ import annotations

from splitc.cache.formats import arrays_from_bytes, bytes_from_arrays, bytes_from_json, json_from_bytes
from splitc.cache.keys import Key, key_of
from splitc.cache.store import NO_CACHE, CachedStep, StepCache, default_cache

__all__ = [
    "NO_CACHE",
    "CachedStep",
    "Key",
    "StepCache",
    "arrays_from_bytes",
    "bytes_from_arrays",
    "bytes_from_json",
    "default_cache",
    "json_from_bytes",
    "key_of",
]
