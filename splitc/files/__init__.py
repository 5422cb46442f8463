"""Files and folders on disk: whole or not at all, one writer at a time where it matters, read within bounds.

The only room that renames, locks and hashes files. It knows nothing of what it writes.

    one file, several          write_file, write_together, whole_file for libraries that write by path
    a folder                   whole_folder
    read, change, write        locked, locked_together; replace_and_keep where the old one is kept
    what was killed            sweep: by the next writer of the place; sweep_temporary: by the next splitc
    reading                    sha256_of, read_bounded, read_text, open_plain: plain files, in blocks, up to a limit
    memory                     require_memory, before it is allocated
    where paths lead           real_path, lies_in
    changed meanwhile          Snapshot of many, Signature of one
    other places               cache_folder, state_folder, temporary_folder, owned_folder

A hidden name says its owner, so a live one's file is never swept, however old it is. Writers that only replace need no
lock; the last rename stands.
"""

from __future__ import annotations

from splitc.files.budget import DEFAULT_MEMORY_BYTES, memory_budget, require_memory, set_memory_budget
from splitc.files.folder import whole_folder
from splitc.files.folders import (
    cache_folder,
    owned_folder,
    state_folder,
    sweep_temporary,
    temporary_folder,
    temporary_root,
)
from splitc.files.keeping import finish_keeping, replace_and_keep
from splitc.files.lock import locked, locked_together
from splitc.files.reading import open_plain, read_bounded, read_text, sha256_bytes, sha256_of, sha256_stream
from splitc.files.real import lies_in, real_path
from splitc.files.refusals import as_refusals
from splitc.files.snapshot import Signature, Snapshot
from splitc.files.sweep import sweep, sweep_folder
from splitc.files.tables import ClassColumns, TableRow, cell_fault, class_columns, has_heading, is_whole, read_rows
from splitc.files.whole import (
    Content,
    aside_folder,
    move_into_place,
    refuse_special,
    whole_file,
    write_file,
    write_together,
)

__all__ = [
    "DEFAULT_MEMORY_BYTES",
    "ClassColumns",
    "Content",
    "Signature",
    "Snapshot",
    "TableRow",
    "as_refusals",
    "aside_folder",
    "cache_folder",
    "cell_fault",
    "class_columns",
    "finish_keeping",
    "has_heading",
    "is_whole",
    "lies_in",
    "locked",
    "locked_together",
    "memory_budget",
    "move_into_place",
    "open_plain",
    "owned_folder",
    "read_bounded",
    "read_rows",
    "read_text",
    "real_path",
    "refuse_special",
    "replace_and_keep",
    "require_memory",
    "set_memory_budget",
    "sha256_bytes",
    "sha256_of",
    "sha256_stream",
    "state_folder",
    "sweep",
    "sweep_folder",
    "sweep_temporary",
    "temporary_folder",
    "temporary_root",
    "whole_file",
    "whole_folder",
    "write_file",
    "write_together",
]
