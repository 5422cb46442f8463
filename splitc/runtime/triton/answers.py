"""What a Python model of Triton answers to a request that fails. Runs inside Triton."""

from __future__ import annotations

from typing import Any

from splitc.errors import BackendError, SplitcError


def refused(triton: Any, error: Exception) -> Any:
    """The response to one request: whose fault it was, so that no balancer holds a client's against a server.

    Args:
        triton: ``triton_python_backend_utils``.
        error: Why there is no answer. Of ours but a backend's: the client's fault.
    """
    codes = triton.TritonError
    if isinstance(error, SplitcError) and not isinstance(error, BackendError):
        return triton.InferenceResponse(error=codes(str(error), codes.INVALID_ARG))
    words = str(error) if isinstance(error, SplitcError) else f"{type(error).__name__}: {error}"
    return triton.InferenceResponse(error=codes(words, codes.INTERNAL))
