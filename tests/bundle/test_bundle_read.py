"""A bundle that was touched is refused by name, and nothing in it can lead outside."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from bundle_samples import fill, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splitc.bundle import open_bundle, parse_json
from splitc.bundle import read as read_module
from splitc.bundle.manifest import MAX_MANIFEST_BYTES, manifest_from_bytes
from splitc.errors import BundleError

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
"""The machine may be busy: time is no property."""


def refusal(path, **options):
    with pytest.raises(BundleError) as caught:
        open_bundle(path, **options)
    return str(caught.value)


def edit(bundle, change):
    """Apply ``change`` to the parsed manifest and write it back."""
    path = bundle.path / "manifest.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def test_what_a_bundle_offers(tmp_path):
    def more(folder):
        fill(folder)
        for name in ["edge/engines/orin/model.engine", "edge/engines/orin/build.json", "edge/engines/cpu/model.onnx"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text('{"a": 1}')

    write(tmp_path / "x", more)
    bundle = open_bundle(tmp_path / "x")
    assert (bundle.name, len(bundle.pair_id)) == ("x", 64)
    assert bundle.edge_model == bundle.file("edge/model.onnx")
    assert bundle.cloud_model == bundle.file("cloud/model.onnx")
    assert bundle.contract_path.read_text() == bundle.recipe_path.read_text() == "{}"
    assert bundle.engines("cloud") == {}
    assert bundle.engines("edge") == {
        "cpu": ("edge/engines/cpu/model.onnx",),
        "orin": ("edge/engines/orin/build.json", "edge/engines/orin/model.engine"),
    }
    assert bundle.read_json("edge/engines/orin/build.json") == {"a": 1}
    assert "verify.json" not in bundle
    for name in ["verify.json", "../x", "/etc/passwd", "manifest.json"]:
        with pytest.raises(BundleError, match="has no file"):
            bundle.file(name)


def test_damage_is_named(bundle):
    (bundle.path / "edge/model.onnx").write_text("[]")
    (bundle.path / "cloud/model.onnx").write_text("longer")
    (bundle.path / "contract.json").unlink()
    (bundle.path / "edge/extra").touch()
    assert refusal(bundle.path) == (
        f"{bundle.path}: is damaged: contract.json is missing; edge/extra is not listed in manifest.json; "
        "cloud/model.onnx has 6 bytes, expected 2. Build or copy it again."
    )


def test_a_changed_byte(bundle):
    (bundle.path / "edge/model.onnx").write_text("[]")
    assert refusal(bundle.path) == (
        f"{bundle.path}: is damaged: edge/model.onnx has sha256 4f53cda18c2b, expected 44136fa355b3. "
        "Build or copy it again."
    )
    assert open_bundle(bundle.path, verify=False).name == "x"


def test_many_faults_are_counted(bundle):
    for number in range(12):
        (bundle.path / f"extra{number:02}").touch()
    assert "extra09 is not listed in manifest.json; and 2 more. Build" in refusal(bundle.path)


def test_parsed_files_are_hashed_even_without_verify(bundle):
    opened = open_bundle(bundle.path, verify=False)
    bundle.contract_path.write_text("[]")
    assert "contract.json: has changed since the bundle was opened." in refusal(bundle.path, verify=False)
    with pytest.raises(BundleError, match=r"recipe\.lock\.toml: is not JSON: Expecting value at line 1, column 1\."):
        write_text_and_read(opened, "recipe.lock.toml")


def write_text_and_read(opened, name):
    """Reading a listed file that is not JSON."""
    listed = write(opened.path.parent / "y", lambda folder: (fill(folder), (folder / name).write_text("schema = 1")))
    return listed.read_json(name)


def test_mixed_halves(bundle, tmp_path):
    other = write(tmp_path / "y", lambda folder: (fill(folder), (folder / "cloud/model.onnx").write_text("[]")))
    shutil.copy(other.cloud_model, bundle.cloud_model)
    edit(bundle, lambda table: table["files"].update(json.loads((other.path / "manifest.json").read_text())["files"]))
    assert refusal(bundle.path) == (
        f"{bundle.path}: pair id {bundle.pair_id[:12]} does not belong to its contract and graphs "
        f"({other.pair_id[:12]}); the halves were mixed from different builds. Build it again."
    )


def link_outside(path):
    (path / "edge/model.onnx").unlink()
    (path / "edge/model.onnx").symlink_to("/etc/passwd")


def link_folder(path):
    (path / "cloud/engines").symlink_to("/etc")


def pipe(path):
    os.mkfifo(path / "edge/pipe")


def odd_name(path):
    (path / "edge/.hidden").touch()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (link_outside, "'edge/model.onnx' is a symbolic link; a bundle holds plain files only."),
        (link_folder, "'cloud/engines' is a symbolic link; a bundle holds plain files only."),
        (pipe, "'edge/pipe' is not a plain file."),
        (odd_name, "'edge/.hidden' is not a name that a bundle may hold."),
        (lambda path: (path / "a/b/c/d/e/f/g/h/i/j").mkdir(parents=True), "is not a plain file."),
    ],
)
def test_files_that_no_bundle_holds(bundle, change, message):
    change(bundle.path)
    found = refusal(bundle.path)
    assert found.startswith(f"{bundle.path}: ")
    assert found.endswith(message)


def test_too_many_files(bundle, monkeypatch):
    monkeypatch.setattr(read_module, "MAX_FILES", 3)
    assert refusal(bundle.path) == f"{bundle.path}: holds more than 3 files."


def test_a_link_to_the_whole_bundle_is_fine(bundle, tmp_path):
    (tmp_path / "link").symlink_to(bundle.path)
    assert open_bundle(tmp_path / "link").manifest == bundle.manifest


DIGEST = {"bytes": 2, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(schema=2), "schema 2 is newer than this splitc reads (1); upgrade splitc."),
        (lambda t: t.update(schema=0), "'schema' input should be greater than or equal to 1, got '0'."),
        (lambda t: t.update(schema="1"), "'schema' input should be a valid integer, got '1'."),
        (lambda t: t.update(clock="now"), "'clock' extra inputs are not permitted, got 'now'."),
        (lambda t: t.pop("tools"), "'tools' field required, got 'dict'."),
        (lambda t: t.pop("files"), "is not the manifest of a splitc bundle."),
        (lambda t: t.update(pair_id="A" * 64), "'pair_id' is not 64 lower-case hexadecimal digits, got 'AAAA"),
        (lambda t: t.update(name="/home/me"), "'name' is not 1 to 120 letters, digits, spaces or ._+- (never a path)"),
        (lambda t: t["tools"].update(ort="/usr/lib"), "'tools.ort' is not 1 to 120 letters, digits"),
        (lambda t: t["inputs"].update(model="x"), "'inputs.model' is not 64 lower-case hexadecimal digits, got 'x'."),
        (lambda t: t["files"].update({"../x": DIGEST}), "'files.../x' is not a plain relative file name, got '../x'."),
        (lambda t: t["files"].update({"/etc/passwd": DIGEST}), "is not a plain relative file name, got '/etc/passwd'."),
        (lambda t: t["files"].update({"manifest.json": DIGEST}), "is not a plain relative file name"),
        (lambda t: t["files"].update({"Contract.json": DIGEST}), "files holds two names that differ only in case."),
        (
            lambda t: t["files"]["contract.json"].update(bytes=-1),
            "input should be greater than or equal to 0, got '-1'",
        ),
        (lambda t: t["files"]["contract.json"].update(bytes=2**40), "'files.contract.json.bytes' input should be less"),
        (lambda t: t["files"]["contract.json"].update(bytes=True), "input should be a valid integer, got 'True'."),
        (lambda t: t["files"]["contract.json"].update(mode=7), "'files.contract.json.mode' extra inputs"),
        (lambda t: t["files"].pop("contract.json"), "files does not list contract.json, which every bundle has."),
        (lambda t: t.update(files={f"f{i}": DIGEST for i in range(10_001)}), "'files' dictionary should have at most"),
        (lambda t: t.update(tools={f"f{i}": "1" for i in range(1_001)}), "'tools' dictionary should have at most"),
    ],
)
def test_manifests_that_are_refused(bundle, change, message):
    edit(bundle, change)
    found = refusal(bundle.path)
    assert found.startswith(f"{bundle.path}/manifest.json: ")
    assert message in found
    assert len(found) < 500


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "m: is not JSON: Expecting value at line 1, column 1."),
        (b"\xff", "m: is not UTF-8 text (byte 0)."),
        (b'{"a": 1, "a": 2}', "m: is refused: the key 'a' occurs twice in one object."),
        (b"[NaN]", "m: is refused: NaN is not a JSON number."),
        (b'{"a": ["\\ud800"]}', "m: is refused: half a surrogate pair is no text."),
        (b'{"\\uDFFF": 1}', "m: is refused: half a surrogate pair is no text."),
        (b"[" * 100_000, "m: is nested too deeply."),
        (b"[" + b"1" * 5000 + b"]", "m: is refused: Exceeds the limit"),
    ],
)
def test_json_that_is_refused(data, message):
    with pytest.raises(BundleError) as caught:
        parse_json(data, "m")
    assert str(caught.value).startswith(message)


def test_paths_in_json_may_hold_bytes_that_are_no_text():
    assert parse_json(b'["caf\\udce9.png"]', "m", has_paths=True) == ["caf\udce9.png"]
    for data in (b'["caf\\udce9.png"]', b'["\\ud800"]', b'["\\udc7f"]'):
        with pytest.raises(BundleError, match="half a surrogate pair"):
            parse_json(data, "m", has_paths=b"udce9" not in data)


def test_places_that_are_no_bundle(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/manifest.json").symlink_to("/etc/hostname")
    assert refusal(tmp_path / "absent") == f"{tmp_path}/absent: is not a bundle: no such folder."
    assert refusal(tmp_path / "file") == f"{tmp_path}/file: is not a bundle: not a folder."
    assert refusal(tmp_path) == f"{tmp_path}: is not a bundle: it has no manifest.json."
    assert refusal(tmp_path / "linked") == f"{tmp_path}/linked: is not a bundle: it has no manifest.json."


def test_a_huge_manifest_is_not_parsed(bundle):
    (bundle.path / "manifest.json").write_bytes(b" " * (MAX_MANIFEST_BYTES + 1))
    assert refusal(bundle.path) == f"{bundle.path}/manifest.json: is larger than 4194304 bytes."


def test_a_file_too_large_to_read_at_once(bundle):
    edit(bundle, lambda table: table["files"]["contract.json"].update(bytes=2**26 + 1))
    os.truncate(bundle.contract_path, 2**26 + 1)
    assert "has 67108865 bytes, more than the 67108864 that are read at once." in refusal(bundle.path, verify=False)


@PATIENT
@given(st.data())
def test_one_flipped_bit_anywhere_is_refused(bundle, data):
    name = data.draw(st.sampled_from([*sorted(bundle.manifest.files), "manifest.json"]))
    original = (bundle.path / name).read_bytes()
    bit = data.draw(st.integers(0, 8 * len(original) - 1))
    damaged = bytearray(original)
    damaged[bit // 8] ^= 1 << bit % 8
    (bundle.path / name).write_bytes(damaged)
    try:
        assert name == "manifest.json" or refusal(bundle.path)
        assert opens_or_refuses(bundle.path)
    finally:
        (bundle.path / name).write_bytes(original)


def opens_or_refuses(path) -> bool:
    try:
        open_bundle(path)
    except BundleError:
        return True
    return True


@PATIENT
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["schema", "pair_id", "files", "a"]), x),
    )
)
def test_any_json_is_a_manifest_or_a_refusal(value):
    with pytest.raises(BundleError):
        manifest_from_bytes(json.dumps(value).encode(), "m")
