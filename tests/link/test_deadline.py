"""Nothing is waited for without a limit."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from deadline import end, first_document, first_line


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_silent_process_is_killed() -> None:
    process, begun = python("import time; time.sleep(60)"), time.monotonic()
    assert first_line(process, seconds=0.5) == ""
    end(process)
    assert process.returncode < 0
    assert time.monotonic() - begun < 30


def test_half_a_document_is_no_document() -> None:
    process = python("import time; print('{', flush=True); time.sleep(60)")
    with pytest.raises(RuntimeError, match=r"no document within 2 s"):
        first_document(process, seconds=2)
    end(process)


def test_a_document_is_read() -> None:
    process = python("print('{\\n  \"a\": 1\\n}\\nmore')")
    assert first_document(process) == {"a": 1}
    end(process)
