"""Results of steps, kept between builds: each under the hash of all that decides it, checked when it is read."""

from __future__ import annotations

from splitc.cache.formats import Parts, arrays_from_file, json_from_file, parts_of_arrays, parts_of_json
from splitc.cache.keys import Key, key_of, package_sha256
from splitc.cache.store import NO_CACHE, CachedStep, StepCache, default_cache

__all__ = [
    "NO_CACHE",
    "CachedStep",
    "Key",
    "Parts",
    "StepCache",
    "arrays_from_file",
    "default_cache",
    "json_from_file",
    "key_of",
    "package_sha256",
    "parts_of_arrays",
    "parts_of_json",
]
