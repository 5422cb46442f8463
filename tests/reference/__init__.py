"""Readers and writers that follow splitc/codec/FORMAT.md section by section: slow, plain, the tests' oracle."""
