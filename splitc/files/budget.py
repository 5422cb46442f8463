"""How much memory a file may ask for: one place that says it, asked before anything is allocated.

Few bytes can stand for many: a header names sizes, and a coder or an archive fills them with zeros. So every reader of
files that somebody else wrote compares what it is about to hold with a budget, which ``--max-memory`` raises, or with
:data:`GROWTH` times the bytes that stand for it, whichever is more: large files are read all the same.
"""

from __future__ import annotations

from splitc.errors import SplitcError, UsageError

DEFAULT_MEMORY_BYTES = 1 << 30
GROWTH = 32
"""Times the bytes of a file that it may always take."""

_budget = DEFAULT_MEMORY_BYTES


def set_memory_budget(most_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
    """Change the budget of this process, for what is read from now on; the command line alone does."""
    global _budget
    _budget = most_bytes


def memory_budget() -> int:
    """Bytes that one file may take in memory."""
    return _budget


def require_memory(wanted: int, held: int, what: str, refusal: type[SplitcError] = UsageError) -> None:
    """Refuse what would take more memory than it may; nothing has been allocated yet.

    Args:
        wanted: Bytes that are about to be held at once, copies included.
        held: Bytes of the file that stand for them.
        what: Subject of the message.
        refusal: Class of the error.

    Raises:
        SplitcError: More than the budget, and more than :data:`GROWTH` times ``held``.
    """
    limit = max(memory_budget(), GROWTH * held)
    if wanted > limit:
        raise refusal(
            f"{what} would take {_mib(wanted)} MiB of memory, {_mib(limit)} MiB are allowed; if you trust it, "
            f"allow more: splitc --max-memory {_mib(wanted)}MiB ..."
        )


def _mib(size: int) -> int:
    return -(-size // (1 << 20))
