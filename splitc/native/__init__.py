"""The coders in C++: integer-only between symbols and bytes. Import ``splitc.native._core``."""
