"""Results are computed once, and only sound ones are believed."""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from splitc.cache import (
    NO_CACHE,
    CachedStep,
    StepCache,
    arrays_from_file,
    json_from_file,
    key_of,
    package_sha256,
    parts_of_arrays,
    parts_of_json,
)
from splitc.errors import UsageError

NUMBER: CachedStep[int] = CachedStep("number", 1, parts_of_json, json_from_file)
KEY = key_of(what="a number")


class Counted:
    """Computes a number, and counts how often."""

    def __init__(self, value: int = 7) -> None:
        self.value, self.calls = value, 0

    def __call__(self) -> int:
        self.calls += 1
        return self.value


def test_a_result_is_computed_once(tmp_path: Path) -> None:
    cache, compute = StepCache(tmp_path), Counted()
    assert [cache.run(NUMBER, KEY, compute) for _ in range(3)] == [7, 7, 7]
    assert StepCache(tmp_path).run(NUMBER, KEY, compute) == 7
    assert compute.calls == 1


@pytest.mark.parametrize(
    ("step", "key"),
    [
        pytest.param(CachedStep("other", 1, parts_of_json, json_from_file), KEY, id="step"),
        pytest.param(CachedStep("number", 2, parts_of_json, json_from_file), KEY, id="version"),
        pytest.param(NUMBER, key_of(what="another"), id="key"),
    ],
)
def test_anything_else_is_another_result(tmp_path: Path, step: CachedStep[int], key: str) -> None:
    cache = StepCache(tmp_path)
    cache.run(NUMBER, KEY, Counted(1))
    assert cache.run(step, key, Counted(2)) == 2
    assert cache.run(NUMBER, KEY, Counted(3)) == 1


def test_another_environment_starts_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = StepCache(tmp_path)
    cache.run(NUMBER, KEY, Counted(1))
    monkeypatch.setattr("splitc.cache.store.environment", lambda: key_of(processor="another"))
    assert cache.run(NUMBER, KEY, Counted(2)) == 2


def test_code_of_other_packages_has_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "one_module.py").write_text("x = 1\n")
    (tmp_path / "a_folder" / "inner").mkdir(parents=True)
    (tmp_path / "a_folder" / "__init__.py").touch()
    (tmp_path / "a_folder" / "inner" / "helper.py").write_text("y = 1\n")
    names = ("one_module", "a_folder", "not_there", "sys")
    before = [package_sha256(name) for name in names]
    assert before[2:] == ["", ""]
    (tmp_path / "one_module.py").write_text("x = 2\n")
    (tmp_path / "a_folder" / "inner" / "helper.py").write_text("y = 2\n")
    after = [package_sha256(name) for name in names]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True, True]


def test_no_cache_keeps_nothing() -> None:
    compute = Counted()
    assert [NO_CACHE.run(NUMBER, KEY, compute) for _ in range(2)] == [7, 7]
    assert compute.calls == 2


@pytest.mark.parametrize("folder", [True, False], ids=["cache", "no-cache"])
def test_nothing_is_kept_of_inputs_that_changed(tmp_path: Path, folder: bool) -> None:
    def changed() -> None:
        raise UsageError("x.png: changed")

    cache = StepCache(tmp_path if folder else None, require_inputs=changed)
    with pytest.raises(UsageError, match=r"^x\.png: changed$"):
        cache.run(NUMBER, KEY, Counted(1))
    assert list(tmp_path.iterdir()) == []


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "header": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "truncated": lambda data: data[:-1],
    "short": lambda data: data[:20],
    "longer": lambda data: data + b"0",
    "empty": lambda data: b"",
    "stranger": lambda data: b"x" * len(data),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_rebuilt(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    cache = StepCache(tmp_path)
    cache.run(NUMBER, KEY, Counted(1))
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    assert cache.run(NUMBER, KEY, Counted(2)) == 2
    assert cache.run(NUMBER, KEY, Counted(3)) == 2


def test_an_entry_under_another_name_is_not_believed(tmp_path: Path) -> None:
    cache, other = StepCache(tmp_path), key_of(what="another")
    cache.run(NUMBER, KEY, Counted(1))
    (entry,) = tmp_path.iterdir()
    cache.run(NUMBER, other, Counted(2))
    (second,) = set(tmp_path.iterdir()) - {entry}
    second.write_bytes(entry.read_bytes())
    assert cache.run(NUMBER, other, Counted(3)) == 3


def test_data_of_another_form_are_rebuilt(tmp_path: Path) -> None:
    cache = StepCache(tmp_path)
    cache.run(NUMBER, KEY, Counted(1))
    picky = CachedStep("number", 1, parts_of_json, lambda file: json_from_file(file)["value"])
    assert cache.run(picky, KEY, Counted(2)) == 2


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = StepCache(tmp_path, most_bytes=5_000)
    text: CachedStep[str] = CachedStep("text", 1, lambda text: [text.encode()], lambda file: file.read().decode())
    keys = [key_of(index=index) for index in range(6)]
    for age, key in enumerate(keys[:4]):
        cache.run(text, key, lambda: "x" * 1_000)
        newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1_000 + age, 1_000 + age))
    cache.run(text, keys[0], lambda: "never computed again")  # used now, so it stays
    cache.run(text, keys[4], lambda: "x" * 1_000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5_000
    assert cache.run(text, keys[0], lambda: "again") == "x" * 1_000
    assert cache.run(text, keys[1], lambda: "again") == "again"


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    text: CachedStep[str] = CachedStep("text", 1, lambda text: [text.encode()], lambda file: file.read().decode())
    assert StepCache(tmp_path, most_bytes=1_000).run(text, KEY, lambda: "x" * 900) == "x" * 900
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.write_text("a file")
    compute = Counted()
    assert [StepCache(place).run(NUMBER, KEY, compute) for _ in range(2)] == [7, 7]
    assert compute.calls == 2


def _many(folder: Path, seed: int) -> None:
    cache = StepCache(folder, most_bytes=20_000)
    text: CachedStep[str] = CachedStep("text", 1, lambda text: [text.encode()], lambda file: file.read().decode())
    for turn in range(60):
        number = (turn * 7 + seed) % 12
        assert cache.run(text, key_of(number=number), lambda number=number: f"{number} " * 500) == f"{number} " * 500


def test_builds_side_by_side_share_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_many, args=(tmp_path, seed)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert all(path.suffix == ".entry" for path in tmp_path.iterdir())


NUMERIC = st.sampled_from([np.float32, np.float64, np.uint8, np.uint16, np.int64, np.bool_])


@given(st.lists(NUMERIC.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))))
@settings(max_examples=50, deadline=None)
def test_arrays_keep_every_bit(arrays: list[np.ndarray]) -> None:
    again = arrays_from_file(io.BytesIO(b"".join(parts_of_arrays(arrays))))
    assert [(one.dtype, one.shape, one.tobytes()) for one in again] == [
        (one.dtype, one.shape, one.tobytes()) for one in arrays
    ]


def test_a_key_tells_what_differs() -> None:
    assert key_of(a=1, b=[1, 2]) == key_of(b=[1, 2], a=1) != key_of(a=1, b=[2, 1])
    with pytest.raises(ValueError, match="JSON compliant"):
        key_of(a=float("nan"))
    with pytest.raises(TypeError):
        key_of(a=object())
