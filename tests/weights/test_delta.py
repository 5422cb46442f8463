"""Deltas: small, for one base alone, all of it or nothing, and back again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from deadline import START_S
from reference.weight_samples import dense, float32, items, on_grid, opened, rng, sparse

from splitc.errors import BitstreamError, CheckFailed, UsageError
from splitc.types import Array
from splitc.weights import Item, Levels, Planes, Shared, apply_delta, container_bytes, delta_bytes, merged, roll_back
from splitc.weights.container import assemble

STEP = 0.0078125
APPLY = """
import sys
from pathlib import Path
from splitc.errors import SplitcError
from splitc.weights import apply_delta
try:
    apply_delta(Path(sys.argv[1]), Path(sys.argv[2]))
except SplitcError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def moved(values: Array, share: float, by: float) -> Array:
    source = rng(9)
    where = source.random(values.shape) < share
    return (values + where * source.choice([-by, by], values.shape)).astype(np.float32)


def pair(share: float = 0.01) -> tuple[bytes, bytes]:
    """A container and its successor, of each kind of tensor."""
    grid, plain, pruned = on_grid(dense((300, 400), 1), STEP), dense((60, 70), 2), sparse((80, 90), 0.1, 31, 3)
    pruned_after = pruned.copy()
    pruned_after[0, :5] = pruned.max()
    before = [
        Item(float32("grid", grid), Levels(step=STEP)),
        Item(float32("plain", plain), Planes()),
        Item(float32("pruned", pruned), Shared(code_bits=5)),
        Item(float32("same", plain + 1), Planes()),
    ]
    after = [
        Item(float32("grid", moved(grid, share, STEP)), Levels(step=STEP)),
        Item(float32("plain", moved(plain, share, 0.3)), Planes()),
        Item(float32("pruned", pruned_after), Shared(code_bits=5)),
        Item(float32("same", plain + 1), Planes()),
    ]
    return container_bytes(before), container_bytes(after)


def test_the_target_comes_back_byte_for_byte_from_far_fewer() -> None:
    base, target = pair()
    delta = delta_bytes(opened(base), opened(target))
    assert merged(opened(base), opened(delta)) == target
    assert len(delta) < 0.06 * len(base)
    kept = {entry.wanted.name: entry.encoding for entry in opened(delta).header.entries}
    assert kept == {"grid": "patch", "plain": "patch", "pruned": "patch", "same": "keep"}


def test_other_tensors_and_shapes() -> None:
    base = container_bytes(items())
    target = container_bytes(
        [Item(float32("new", dense((5, 6))), Planes()), Item(float32("bias", dense((9,))), Planes())]
    )
    delta = delta_bytes(opened(base), opened(target))
    again = opened(merged(opened(base), opened(delta)))
    assert [tensor.digest for tensor in again.tensors()] == [tensor.digest for tensor in opened(target).tensors()]


def test_new_values_off_the_grid_are_packed_whole() -> None:
    before = Item(float32("w", on_grid(dense((30, 40)), STEP)), Levels(step=STEP))
    after = Item(float32("w", before.tensor.values + np.float32(1e-3)), Planes())
    base, target = container_bytes([before]), container_bytes([after])
    again = opened(merged(opened(base), opened(delta_bytes(opened(base), opened(target)))))
    assert next(again.tensors()).digest == after.tensor.digest


def test_a_gap_as_long_as_a_filler() -> None:
    values = np.zeros(200_000, np.float32)
    after = values.copy()
    after[[65_535, 131_071, 199_999]] = 1
    base, target = (container_bytes([Item(float32("w", x), Planes())]) for x in (values, after))
    assert merged(opened(base), opened(delta_bytes(opened(base), opened(target)))) == target


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    base, target = pair()
    (tmp_path / "weights.scw").write_bytes(base)
    (tmp_path / "update.scd").write_bytes(delta_bytes(opened(base), opened(target)))
    return tmp_path / "weights.scw"


def test_apply_and_roll_back(deployed: Path) -> None:
    base, target = pair()
    done = apply_delta(deployed, deployed.with_name("update.scd"))
    assert deployed.read_bytes() == target
    assert done.previous.read_bytes() == base
    assert done.changed == 3
    roll_back(deployed)
    assert deployed.read_bytes() == base
    with pytest.raises(UsageError, match=r"there is no update of .* to take back"):
        roll_back(deployed)


def test_twice_is_refused(deployed: Path) -> None:
    apply_delta(deployed, deployed.with_name("update.scd"))
    after = deployed.read_bytes()
    with pytest.raises(BitstreamError, match=r"the delta is for a base of content \w{12}, this one has \w{12}"):
        apply_delta(deployed, deployed.with_name("update.scd"))
    assert deployed.read_bytes() == after


def test_two_updates_at_once(deployed: Path) -> None:
    """One is applied, the other finds another base; what can be taken back is the base before both."""
    update, before = deployed.with_name("update.scd"), deployed.read_bytes()
    command = [sys.executable, "-c", APPLY, str(deployed), str(update)]
    for _ in range(3):
        running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=START_S)[1] for process in running]
        assert sorted(process.returncode for process in running) == [0, 2]
        assert any("the delta is for a base of content" in text for text in said)
        assert deployed.with_name("weights.scw.previous").read_bytes() == before
        roll_back(deployed)
        assert deployed.read_bytes() == before
    assert sorted(path.name for path in deployed.parent.iterdir()) == ["update.scd", "weights.scw"]


def test_a_link_stays_a_link(deployed: Path) -> None:
    before = deployed.read_bytes()
    (deployed.parent / "links").mkdir()
    link = deployed.parent / "links" / "active.scw"
    link.symlink_to(deployed)
    assert apply_delta(link, deployed.with_name("update.scd")).previous == deployed.with_name("weights.scw.previous")
    assert link.is_symlink()
    assert deployed.read_bytes() == pair()[1]
    roll_back(link)
    assert link.is_symlink()
    assert deployed.read_bytes() == before


def test_a_few_bytes_that_stand_for_many_are_not_decoded(deployed: Path) -> None:
    base = opened(deployed.read_bytes())
    zeros = [Item(float32("w", np.zeros((17, 1 << 20), np.float32)), Planes())]
    bomb = assemble(zeros, {}, (base.header.content, bytes(32)))
    assert len(bomb) < 100_000
    deployed.with_name("bomb.scd").write_bytes(bomb)
    before = deployed.read_bytes()
    with pytest.raises(BitstreamError, match=r"bomb.scd: weights: the update has 71303168 bytes of tensors, of"):
        apply_delta(deployed, deployed.with_name("bomb.scd"))
    assert deployed.read_bytes() == before


def test_size_gate(deployed: Path) -> None:
    before = deployed.read_bytes()
    with pytest.raises(CheckFailed, match=r"has \d+ bytes, the limit is 1000; .* is untouched"):
        apply_delta(deployed, deployed.with_name("update.scd"), max_bytes=1000)
    assert deployed.read_bytes() == before
    assert sorted(path.name for path in deployed.parent.iterdir()) == ["update.scd", "weights.scw"]


def test_a_full_disk_leaves_the_update_before(deployed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old container is not lost to an update that then fails."""
    deployed.with_name("weights.scw.previous").write_bytes(b"the one before")
    before = {path.name: path.read_bytes() for path in deployed.parent.iterdir()}
    monkeypatch.setattr(os, "fsync", _full_at_second())
    with pytest.raises(UsageError, match=r"weights.scw: cannot be written \(No space left on device\)"):
        apply_delta(deployed, deployed.with_name("update.scd"))
    assert {path.name: path.read_bytes() for path in deployed.parent.iterdir()} == before


def _full_at_second() -> Callable[[int], None]:
    calls = iter((False, True))

    def fsync(file: int) -> None:
        if next(calls):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fsync


def test_delta_and_container_are_told_apart(deployed: Path) -> None:
    with pytest.raises(BitstreamError, match="this is a whole container, not a delta"):
        apply_delta(deployed, deployed)
    with pytest.raises(BitstreamError, match="this is a delta, and a whole container is needed"):
        apply_delta(deployed.with_name("update.scd"), deployed)
