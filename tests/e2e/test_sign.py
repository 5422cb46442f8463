"""``splitc keygen``, ``sign``, ``verify --key`` and ``--require-signature``, as users meet them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from e2e_setting import cli, listing
from refusals import assert_refused, unchanged

from splitc.bundle import write_manifest


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITC_STATE", str(tmp_path / "state"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert cli("keygen", tmp_path / "k", "--json").document["public"] == str(tmp_path / "k.pub")
    return tmp_path / "k"


@pytest.fixture
def signed(bundle: Path, tmp_path: Path, key: Path) -> Path:
    shutil.copytree(bundle, tmp_path / "b")
    document = cli("sign", tmp_path / "b", "--key", key, "--release", 7, "--json").document
    assert (document["kind"], document["name"], document["release"]) == ("bundle", "tiny", 7)
    return tmp_path / "b"


def uses(bundle: Path, source: Path) -> list[list[object]]:
    """Commands that use a bundle and end before they need more than it: whoever refuses, refuses first."""
    return [
        ["run", bundle, source / "pictures" / "picture00.png"],
        ["serve", bundle, "--listen", "no address"],
        ["engine", bundle, "--side", "edge"],
    ]


def test_who_signed(signed: Path, key: Path) -> None:
    document = cli("verify", signed, "--key", f"{key}.pub", "--json").document
    assert (document["ok"], document["release"]) == (True, 7)
    assert "release 7, signed by" in cli("verify", signed, "--key", f"{key}.pub").out


def test_a_signed_bundle_runs(signed: Path, key: Path, source: Path) -> None:
    outcome = cli("run", signed, source / "pictures/picture00.png", "--require-signature", f"{key}.pub", "--json")
    assert len(outcome.document["results"]) == 1


@pytest.mark.parametrize("use", range(3), ids=["run", "serve", "engine"])
def test_refusals_by_name(signed: Path, key: Path, source: Path, tmp_path: Path, use: int) -> None:
    demand = ["--require-signature", f"{key}.pub"]
    words = uses(signed, source)[use]

    assert cli("keygen", tmp_path / "other").code == 0
    assert_refused(cli(*words, "--require-signature", tmp_path / "other.pub"), 1, "which is none of those named")

    newer = shutil.copytree(signed, tmp_path / "newer")
    assert cli("sign", newer, "--key", key, "--release", 8).code == 0
    cli(*uses(newer, source)[use], *demand)  # whatever becomes of it, release 8 was used here
    assert_refused(cli(*words, *demand), 1, "is release 7, and release 8 was used here: a step back")

    data = bytearray((newer / "signature.json").read_bytes())
    data[-40] ^= 1
    (newer / "signature.json").write_bytes(data)
    assert cli(*uses(newer, source)[use], *demand).code in (1, 2)

    (newer / "signature.json").unlink()
    assert_refused(cli(*uses(newer, source)[use], *demand), 1, "is not signed")


def test_a_resealed_manifest(signed: Path, key: Path, source: Path) -> None:
    kept = json.loads((signed / "manifest.json").read_text())
    (signed / "report.html").write_text("another page")
    write_manifest(signed, **{name: kept[name] for name in ("name", "splitc", "tools", "inputs")})
    words = ["run", signed, source / "pictures/picture00.png"]
    assert cli(*words).code == 0  # hashes alone cannot tell
    assert_refused(cli(*words, "--require-signature", f"{key}.pub"), 1, "was changed after it was signed")


def test_a_flipped_bit_in_any_file(signed: Path, key: Path) -> None:
    for path in sorted(path for path in signed.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        data = bytearray(whole)
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        assert cli("verify", signed, "--key", f"{key}.pub").code in (1, 2), path
        path.write_bytes(whole)
    assert cli("verify", signed, "--key", f"{key}.pub").code == 0


def test_what_cannot_be_signed(signed: Path, key: Path, tmp_path: Path) -> None:
    shutil.copy(key, signed / "k")
    with unchanged(signed):
        inside = cli("sign", signed, "--key", signed / "k", "--release", 8)
        assert_refused(inside, 2, "lies in the bundle, which is given away")
        assert_refused(cli("sign", signed, "--key", key, "--release", 8), 2, "k is not listed in manifest.json")
        assert_refused(cli("sign", signed, "--key", key, "--release", 8, "--name", "x"), 2, "leave out --name")
        assert_refused(cli("sign", signed, "--key", key, "--release", 0), 2, "--release")
        assert_refused(cli("sign", signed, "--key", tmp_path / "no", "--release", 8), 2, "no: cannot be read")


def test_signing_leaves_nothing_else(signed: Path, tmp_path: Path) -> None:
    assert listing(tmp_path) == {"b", "k", "k.pub"}


def test_a_passphrase(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "b")
    (tmp_path / "phrase").write_text("correct horse\n")
    locked = ["--key", tmp_path / "k", "--release", 1]
    assert cli("keygen", tmp_path / "k", "--passphrase-file", tmp_path / "phrase").code == 0
    assert_refused(cli("sign", tmp_path / "b", *locked), 2, "its passphrase is another")
    assert cli("sign", tmp_path / "b", *locked, "--passphrase-file", tmp_path / "phrase").code == 0
    (tmp_path / "phrase").write_text("\n")
    assert_refused(cli("keygen", tmp_path / "j", "--passphrase-file", tmp_path / "phrase"), 2, "is no passphrase")


def test_updates(inputs: Path, tmp_path: Path, key: Path) -> None:
    for name in ("m0.scw", "update.scd"):
        shutil.copy(inputs / name, tmp_path)
    base, update, demand = tmp_path / "m0.scw", tmp_path / "update.scd", ["--require-signature", f"{key}.pub"]
    before = base.read_bytes()
    assert_refused(cli("delta", "apply", base, update, *demand), 1, "is not signed: there is no update.scd.sig")
    assert_refused(cli("sign", update, "--key", key, "--release", 2), 2, "an update needs --name")
    assert cli("sign", update, "--key", key, "--release", 2, "--name", "net").code == 0
    assert cli("verify", update, "--key", f"{key}.pub", "--json").document["kind"] == "update"

    whole = update.read_bytes()
    update.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert_refused(cli("delta", "apply", base, update, *demand), 1, "was changed after it was signed")
    assert base.read_bytes() == before

    update.write_bytes(whole)
    assert cli("delta", "apply", base, update, *demand).code == 0
    assert base.read_bytes() == (inputs / "m1.scw").read_bytes()


def test_an_older_update(inputs: Path, tmp_path: Path, key: Path) -> None:
    """Release 1 was taken back and release 2 was applied; whoever sends release 1 again is refused."""
    for name in ("m0.scw", "update.scd"):
        shutil.copy(inputs / name, tmp_path)
    base, old, demand = tmp_path / "m0.scw", tmp_path / "update.scd", ["--require-signature", f"{key}.pub"]
    shutil.copy(old, tmp_path / "new.scd")
    for update, release in ((old, 1), (tmp_path / "new.scd", 2)):
        assert cli("sign", update, "--key", key, "--release", release, "--name", "net").code == 0
    assert cli("delta", "apply", base, tmp_path / "new.scd", *demand).code == 0
    assert cli("delta", "rollback", base).code == 0
    assert_refused(cli("delta", "apply", base, old, *demand), 1, "update 'net': is release 1, and release 2 was used")
    assert base.read_bytes() == (inputs / "m0.scw").read_bytes()


def test_the_bill_of_materials(bundle: Path) -> None:
    text = (bundle / "sbom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    names = {part["name"] for part in json.loads(text)["components"]}
    assert names >= {"splitc", "onnxruntime", "numpy", "onnx", "model", "data"}


def test_without_the_extra(signed: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith(("splitc.signing.", "cryptography"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    words = "signatures need 'cryptography"
    assert_refused(cli("verify", signed, "--key", f"{key}.pub"), 3, words, "pip install 'splitc[sign]'")
