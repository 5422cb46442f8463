"""Readers and writers that follow splitc/codec/FORMAT.md section by section: slow, plain, and the oracle of the tests."""
