"""Nothing that others wrote reaches the terminal as a command."""

from __future__ import annotations

import json

import pytest

from splitc.cli.plain_text import plain, plain_json

HOSTILE = ["\x1b]0;title\x07", "\x9b2J", "a\rb", "\x00", "\x7f", "\u202egnp.exe", "\u2066", "\u2028", "\udcff"]
HOSTILE += ["\ue628", "a\u200bb", "\ufeff", "\U000e0041", "\xad"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_it_is_shown_as_its_number(text: str) -> None:
    shown = plain(f"<{text}>")
    assert shown.isprintable()
    assert shown.encode("utf-8", "strict").startswith(b"<")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_json_means_what_it_meant(text: str) -> None:
    whole = plain_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert whole.isprintable()
    assert json.loads(whole) == {text: [text]}


@pytest.mark.parametrize("text", ["", "a\tb\nc", "café 日本 🙂", "e\u0301"])
def test_other_text_stays(text: str) -> None:
    assert plain(text) == text
    assert plain_json(text) == text
