"""Who vouches for a bundle or an update: ed25519 keys, signed statements, and the releases that this machine has seen.

    new_key ──► KEY, KEY.pub
    sign_bundle, sign_update ──► signature.json in the bundle, UPDATE.sig beside the update
    Trust(public keys).bundle, .update ──► the statement, or a SignatureError

``FORMAT.md`` is the law. Needs the extra ``sign``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from splitc.errors import CapabilityError

if TYPE_CHECKING:
    from splitc.signing.keys import PrivateKey, PublicKey, new_key, read_private, read_public
    from splitc.signing.sign import sign_bundle, sign_update
    from splitc.signing.statement import Statement
    from splitc.signing.trust import Trust, open_trusted, trusted_update

_HOMES = {
    "PrivateKey": "keys",
    "PublicKey": "keys",
    "Statement": "statement",
    "Trust": "trust",
    "new_key": "keys",
    "open_trusted": "trust",
    "read_private": "keys",
    "read_public": "keys",
    "sign_bundle": "sign",
    "sign_update": "sign",
    "trusted_update": "trust",
}

__all__ = [
    "PrivateKey",
    "PublicKey",
    "Statement",
    "Trust",
    "new_key",
    "open_trusted",
    "read_private",
    "read_public",
    "sign_bundle",
    "sign_update",
    "trusted_update",
]


def __getattr__(name: str) -> object:
    """Import what is asked for: only who signs or checks needs ``cryptography``."""
    if name not in _HOMES:
        raise AttributeError(f"module 'splitc.signing' has no attribute {name!r}")
    try:
        return getattr(import_module(f"splitc.signing.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        raise CapabilityError(f"signatures need {error.name!r}: pip install 'splitc[sign]'.") from error
