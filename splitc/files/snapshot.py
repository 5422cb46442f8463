"""Whether files are still what they were: told by the system, without reading them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Signature(NamedTuple):
    """What changes with a file's bytes: another file, another size, or written later.

    Attributes:
        touched_ns: When its inode changed last, which no writer can set back; being linked or renamed changes it too.
    """

    device: int
    inode: int
    size: int
    written_ns: int
    touched_ns: int

    @classmethod
    def of(cls, path: Path) -> Signature:
        """The file as it is now; links are followed.

        Raises:
            OSError: It is not there.
        """
        found = os.stat(path)
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True)
class Snapshot:
    """Files at one moment.

    A file that is written afterwards has another signature, but for writers that set its time back and keep its size.

    Attributes:
        signatures: By path; None: it was not there.
    """

    signatures: Mapping[Path, Signature | None]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Snapshot:
        """The files as they are now; links are followed."""
        return cls({path: _signature(path) for path in paths})

    def changed(self) -> Path | None:
        """The first file that is another now, or None."""
        return next((path for path, known in self.signatures.items() if _signature(path) != known), None)

    def __or__(self, other: Snapshot) -> Snapshot:
        """Both; of a file in both, the earlier one's."""
        return Snapshot({**other.signatures, **self.signatures})


def _signature(path: Path) -> Signature | None:
    """Without the time of the inode: whoever links or renames a sample changes none of its bytes."""
    try:
        return Signature.of(path)._replace(touched_ns=0)
    except OSError:
        return None
