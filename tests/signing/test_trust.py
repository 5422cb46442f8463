"""Everything that a signature must refuse, by name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from bundle_samples import write

from splitc.bundle import open_bundle, write_manifest
from splitc.errors import BundleError, SignatureError, SplitcError, UsageError
from splitc.signing import Trust, open_trusted, read_private, sign_bundle, sign_update, trusted_update


def reseal(bundle: Path) -> None:
    """What an attacker who can write the bundle does: a file is changed and the manifest made anew."""
    (bundle / "cloud" / "model.onnx").write_text("{ }")
    write_manifest(bundle, name="x", splitc="0.1.0", tools={}, inputs={})


def refusal(signed: Path, *keys: Path) -> str:
    with pytest.raises(SignatureError) as caught:
        open_trusted(signed, keys)
    assert caught.value.exit_code == 1
    return str(caught.value)


def test_a_signed_bundle_is_a_bundle(signed: Path, public: Path) -> None:
    assert open_bundle(signed).is_signed
    opened = open_trusted(signed, [public])
    assert "signature.json" not in opened.manifest.files
    assert sorted(os.listdir(signed.parent)) == ["keys", "state", "x"]


def test_a_missing_signature(signed: Path, public: Path) -> None:
    (signed / "signature.json").unlink()
    assert "is not signed" in refusal(signed, public)
    assert open_trusted(signed, []).name == "x"


def test_another_key(signed: Path, keys: tuple[Path, Path]) -> None:
    assert "which is none of those named" in refusal(signed, keys[1].with_name("theirs.pub"))


def test_one_of_several_keys(signed: Path, keys: tuple[Path, Path], public: Path) -> None:
    assert open_trusted(signed, [keys[1].with_name("theirs.pub"), public]).is_signed


def test_a_claim_to_be_another_key(signed: Path, keys: tuple[Path, Path], public: Path) -> None:
    """Signed by theirs, with the name of ours written over it."""
    ours = json.loads((signed / "signature.json").read_text())["key"]
    sign_bundle(signed, read_private(keys[1]), 5)
    table = json.loads((signed / "signature.json").read_text())
    (signed / "signature.json").write_text(json.dumps({**table, "key": ours}))
    assert "was not signed by key" in refusal(signed, public)


def test_a_resealed_manifest(signed: Path, public: Path) -> None:
    reseal(signed)
    assert open_bundle(signed).name == "x"
    assert "the bundle was changed after it was signed" in refusal(signed, public)


def test_a_raised_release(signed: Path, public: Path) -> None:
    table = json.loads((signed / "signature.json").read_text())
    (signed / "signature.json").write_text(json.dumps({**table, "release": 6}))
    assert "was not signed by key" in refusal(signed, public)


def test_a_rolled_back_version(signed: Path, keys: tuple[Path, Path], public: Path, tmp_path: Path) -> None:
    shutil.copytree(signed, tmp_path / "old")
    sign_bundle(signed, read_private(keys[0]), 6)
    for _ in range(2):  # the same release is no step back
        assert open_trusted(signed, [public]).is_signed
    assert "is release 5, and release 6 was used here: a step back" in refusal(tmp_path / "old", public)


def test_looking_remembers_nothing(signed: Path, public: Path, state: Path) -> None:
    assert Trust([public]).bundle(open_bundle(signed)).release == 5
    assert not state.exists()


def test_releases_are_of_one_key_and_one_name(signed: Path, keys: tuple[Path, Path], public: Path) -> None:
    open_trusted(signed, [public])
    write(signed.with_name("y"), name="y")
    sign_bundle(signed.with_name("y"), read_private(keys[0]), 1)
    assert open_trusted(signed.with_name("y"), [public]).name == "y"
    sign_bundle(signed, read_private(keys[1]), 1)
    assert open_trusted(signed, [keys[1].with_name("theirs.pub")]).name == "x"


@pytest.mark.parametrize("text", ["", "[]", '{"a": 0}', '{"a": true}', '{"a": "1"}', '{"a": 1, "a": 2}', "NaN"])
def test_a_damaged_memory_is_never_forgotten_in_silence(signed: Path, public: Path, state: Path, text: str) -> None:
    state.mkdir()
    (state / "releases.json").write_text(text)
    with pytest.raises(UsageError, match=r"releases\.json"):
        open_trusted(signed, [public])


def test_a_memory_that_cannot_be_written(signed: Path, public: Path, state: Path) -> None:
    state.write_text("a file where the folder should be")
    with pytest.raises(UsageError, match="cannot be written"):
        open_trusted(signed, [public])


def test_a_key_in_the_bundle_vouches_for_nothing(signed: Path, public: Path) -> None:
    from splitc.bundle import Bundle
    from splitc.bundle.manifest import read_manifest

    shutil.copy(public, signed / "k.pub")
    with pytest.raises(UsageError, match="lies in the bundle"):
        Trust([signed / "k.pub"]).bundle(Bundle(signed, read_manifest(signed)))


@pytest.mark.parametrize("plant", ["link", "folder", "pipe"])
def test_a_signature_that_is_no_plain_file(signed: Path, public: Path, plant: str) -> None:
    place = signed / "signature.json"
    data = place.read_bytes()
    place.unlink()
    if plant == "link":
        (signed.parent / "elsewhere").write_bytes(data)
        place.symlink_to(signed.parent / "elsewhere")
    else:
        place.mkdir() if plant == "folder" else os.mkfifo(place)
    with pytest.raises(SplitcError):
        open_trusted(signed, [public])


def test_every_flipped_bit_is_refused(signed: Path, public: Path) -> None:
    """Of the statement and of the manifest; each file behind it is the manifest's to check."""
    for name in ("signature.json", "manifest.json"):
        place, whole = signed / name, (signed / name).read_bytes()
        for bit in range(0, 8 * len(whole), 7):
            data = bytearray(whole)
            data[bit // 8] ^= 1 << bit % 8
            place.write_bytes(data)
            with pytest.raises((SignatureError, BundleError)):
                open_trusted(signed, [public])
        place.write_bytes(whole)
    assert open_trusted(signed, [public]).is_signed


def test_a_damaged_bundle_is_not_signed(signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / "cloud" / "model.onnx").write_text("[]")
    before = (signed / "signature.json").read_bytes()
    with pytest.raises(BundleError, match="is damaged"):
        sign_bundle(signed, read_private(keys[0]), 6)
    assert (signed / "signature.json").read_bytes() == before


def test_the_same_statement_is_the_same_bytes(signed: Path, keys: tuple[Path, Path]) -> None:
    before = (signed / "signature.json").read_bytes()
    sign_bundle(signed, read_private(keys[0]), 5)
    assert (signed / "signature.json").read_bytes() == before


class TestUpdates:
    @pytest.fixture
    def update(self, tmp_path: Path, keys: tuple[Path, Path]) -> Path:
        (tmp_path / "u.scd").write_bytes(b"what changes")
        sign_update(tmp_path / "u.scd", read_private(keys[0]), 3, "camera 7")
        return tmp_path / "u.scd"

    def test_what_was_checked_is_what_is_used(self, update: Path, public: Path) -> None:
        checked = trusted_update(update, [public])
        update.write_bytes(b"something else")
        assert checked.read() == b"what changes"

    def test_a_flipped_bit(self, update: Path, public: Path) -> None:
        update.write_bytes(b"what changed")
        with pytest.raises(SignatureError, match="the update was changed after it was signed"):
            trusted_update(update, [public])

    def test_a_missing_signature(self, update: Path, public: Path) -> None:
        update.with_name("u.scd.sig").unlink()
        with pytest.raises(SignatureError, match=r"there is no u\.scd\.sig beside it"):
            trusted_update(update, [public])

    def test_another_key(self, update: Path, keys: tuple[Path, Path]) -> None:
        with pytest.raises(SignatureError, match="none of those named"):
            trusted_update(update, [keys[1].with_name("theirs.pub")])

    def test_a_bundles_signature_is_no_updates(self, update: Path, signed: Path, public: Path) -> None:
        shutil.copy(signed / "signature.json", update.with_name("u.scd.sig"))
        with pytest.raises(SignatureError, match="is about bundle 'x', not about this update"):
            trusted_update(update, [public])

    def test_a_step_back(self, update: Path, public: Path, keys: tuple[Path, Path]) -> None:
        older = update.with_name("older.scd")
        older.write_bytes(b"before")
        sign_update(older, read_private(keys[0]), 2, "camera 7")
        trusted_update(update, [public])
        with pytest.raises(SignatureError, match="update 'camera 7': is release 2, and release 3 was used here"):
            trusted_update(older, [public])
