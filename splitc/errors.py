"""Every exception of splitc.

    SplitcError            the user or the input is wrong; the CLI prints one message and no traceback
    ├── UsageError         exit 2  a command-line argument or an input file
    ├── RecipeError        exit 2  the recipe (file:line, key, what to do)
    ├── GraphError         exit 2  the model or an operation on it
    │   ├── CutError       exit 2  a cut that cannot be made, with the leaking path
    │   └── ShapelessInputs exit 2 inputs that do not declare how many dimensions they have
    ├── CodecError         exit 2  codec options or features that do not fit them
    │   └── BitstreamError exit 2  bytes that are not a bitstream, or not ours
    ├── BundleError        exit 2  a bundle that is damaged, foreign or cannot be written
    ├── BackendError       exit 2  a model that a backend refuses
    ├── RemoteError        exit 2  the other half cannot be reached, or refuses
    ├── CapabilityError    exit 3  an extra, a device or a room that this machine or version lacks
    ├── SignatureError     exit 1  a signature that is missing, damaged, another's or of an older release
    ├── CheckFailed        exit 1  a gate or a verification that did not hold
    └── OwnFault           exit 70 a step of splitc whose result is unsound; neither the model nor the cut is to blame

Anything else that escapes is a bug of splitc, and assertions are for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class SplitcError(Exception):
    """Base of all refusals. The message says what, where, why, and what to do."""

    exit_code: ClassVar[int] = 2


class UsageError(SplitcError):
    """A command-line argument or an input file is wrong."""


class RecipeError(SplitcError):
    """The recipe is wrong; the message lists every fault found, one a line."""


class GraphError(SplitcError):
    """The model cannot be read, or an operation on its graph cannot be done."""


class CutError(GraphError):
    """The named values do not make a cut."""


class ShapelessInputs(GraphError):
    """Inputs do not declare how many dimensions they have."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        """``names`` are those of the inputs."""
        super().__init__(message)
        self.names = tuple(names)


class CodecError(SplitcError):
    """Codec options, or features that do not fit them."""


class BitstreamError(CodecError):
    """Bytes that are not a well-formed bitstream for this decoder."""


class BundleError(SplitcError):
    """A bundle is damaged, belongs to another pair, or cannot be written."""


class BackendError(SplitcError):
    """A backend refuses the model."""


class RemoteError(SplitcError):
    """The other half of a pair cannot be reached, refuses, or answers nonsense."""


class CapabilityError(SplitcError):
    """Something that this machine or this version of splitc does not have."""

    exit_code: ClassVar[int] = 3


class SignatureError(SplitcError):
    """Nobody who is trusted vouches for this bundle or update, or it is older than what was used before."""

    exit_code: ClassVar[int] = 1


class CheckFailed(SplitcError):
    """A gate or a verification did not hold."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, document: dict[str, Any] | None = None) -> None:
        """``document`` is what ``--json`` prints all the same: the numbers that did not hold."""
        super().__init__(message)
        self.document = document


class OwnFault(SplitcError):
    """A step of splitc made something unsound of something sound. The message names the step and says whose fault.

    The exit code is that of ``EX_SOFTWARE`` in BSD's sysexits.
    """

    exit_code: ClassVar[int] = 70
