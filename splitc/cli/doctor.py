"""``splitc doctor``: what this machine can do, and how to get what is missing."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, version

from splitc.cli.app import Json, app, print_json
from splitc.version import __version__

_REQUIREMENT = re.compile(r"""([A-Za-z0-9._-]+)(?:\[([a-z0-9,-]+)\])?[^;]*; extra == ["']([a-z0-9-]+)["']""")
"""``splitc[build]; extra == "zoo"``: the package, its own extras, and the extra that asks for it."""


@app.command()
def doctor(json: Json = False) -> None:
    """What this machine can do, and how to get what is missing."""
    from splitc.backends import BACKENDS
    from splitc.codec import PICTURE_CODERS
    from splitc.files import cache_folder

    checks = [
        _check("splitc", True, f"{__version__}, Python {platform.python_version()}, {platform.machine()}"),
        _check("cores", True, f"{os.cpu_count()}"),
        _native(),
        *(_backend(name) for name in BACKENDS),
        *(_encoder(name) for name in PICTURE_CODERS),
        *(_extra(name, packages) for name, packages in extras().items()),
        _check("cache", os.access(_existing(cache_folder()), os.W_OK), str(cache_folder())),
    ]
    if json:
        print_json({"checks": checks})
        return
    for check in checks:
        print(f"  {'ok' if check['ok'] else '--':<3} {check['name']:<24} {check['detail']}")
        if check["how_to_get"]:
            print(f"{'':30}{check['how_to_get']}")


def extras() -> dict[str, tuple[str, ...]]:
    """Packages of every extra, as this installation's own metadata lists them; those of included extras too."""
    about = metadata("splitc")
    asked: dict[str, list[tuple[str, str]]] = {extra: [] for extra in about.get_all("Provides-Extra") or []}
    for text in about.get_all("Requires-Dist") or []:
        if found := _REQUIREMENT.fullmatch(text):
            asked[found[3]].append((found[1], found[2] or ""))

    def packages(extra: str) -> Iterator[str]:
        for package, included in asked[extra]:
            if package == "splitc":
                for name in included.split(","):
                    yield from packages(name)
            else:
                yield package

    return {extra: tuple(dict.fromkeys(packages(extra))) for extra in asked}


def _check(name: str, ok: bool, detail: str, how_to_get: str | None = None) -> dict[str, str | bool | None]:
    return {"name": name, "ok": ok, "detail": detail, "how_to_get": None if ok else how_to_get}


def _native() -> dict[str, str | bool | None]:
    try:
        from splitc.native import _core
    except ImportError as error:
        return _check("native coders", False, str(error), "pip install --force-reinstall splitc")
    works = _core.crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    return _check("native coders", works, "checksum matches" if works else "wrong checksum", "rebuild splitc")


def _backend(name: str) -> dict[str, str | bool | None]:
    from splitc.backends import BACKENDS
    from splitc.errors import CapabilityError

    try:
        found = BACKENDS.make(name, {}).probe()
    except CapabilityError as error:
        return _check(f"backend {name}", False, str(error))
    return _check(f"backend {name}", found.ok, found.detail, found.how_to_get)


def _encoder(name: str) -> dict[str, str | bool | None]:
    from splitc.codec import ENTROPY_CODERS
    from splitc.errors import CapabilityError

    how_to_get = "pip install 'splitc[video]'; PyAV's wheels bring the encoders, other builds may not"
    try:
        formats = ENTROPY_CODERS.load_usable(name).probe()
    except CapabilityError as error:
        return _check(f"encoder {name}", False, str(error), how_to_get)
    return _check(f"encoder {name}", bool(formats), ", ".join(formats) or "cannot encode on this machine", how_to_get)


def _extra(name: str, packages: tuple[str, ...]) -> dict[str, str | bool | None]:
    found, missing = [], []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    detail = (", ".join(found) or "nothing more") if not missing else f"lacks {', '.join(missing)}"
    return _check(f"extra {name}", not missing, detail, f"pip install 'splitc[{name}]'")


def _existing(path: os.PathLike[str]) -> str:
    """The folder itself or its nearest parent that exists."""
    place = os.fspath(path)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return place
