"""Parts of ``tests/bench/runtime.py``: pairs, processes, and one module a section."""
