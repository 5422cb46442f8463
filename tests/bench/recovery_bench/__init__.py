"""Parts of tests/bench/recovery.py."""
