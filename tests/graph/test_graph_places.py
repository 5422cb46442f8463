"""A model and its data take their place together: whenever the writer is killed, one whole pair stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser
from onnx.numpy_helper import from_array, to_array

from splitc import graph
from splitc.errors import UsageError

TEXT = """<ir_version: 10, opset_import: ["" : 17]> g (float[N,400] x) => (float[N,400] y) { y = Add(x, w) }"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(out: Path, value: int, external: bool = True) -> None:
    proto = parser.parse_model(TEXT)
    proto.graph.initializer.append(from_array(np.full(400, value, np.float32), "w"))
    source = out.parent / "source"
    source.mkdir(exist_ok=True)
    onnx.save(proto, source / "m.onnx")
    with graph.model_file(out) as place:
        graph.save(graph.load(source / "m.onnx").ir_model, place, external=external)


def value(out: Path) -> int:
    (weights,) = onnx.load(out).graph.initializer
    (found,) = set(to_array(weights).tolist())
    return int(found)


def test_other_data_get_a_name_of_their_own_and_the_old_go(tmp_path: Path) -> None:
    out = tmp_path / "place" / "m.onnx"
    out.parent.mkdir()
    write(out, 1)
    assert names(out.parent) == ["m.onnx", "m.onnx.data", "source"]
    write(out, 1)
    assert names(out.parent) == ["m.onnx", "m.onnx.data", "source"]
    write(out, 2)
    assert value(out) == 2
    (data,) = [name for name in names(out.parent) if name.endswith(".data")]
    assert data != "m.onnx.data"
    write(out, 3)
    assert value(out) == 3
    assert names(out.parent) == ["m.onnx", "m.onnx.data", "source"]
    write(out, 4, external=False)
    assert value(out) == 4
    assert names(out.parent) == ["m.onnx", "source"]


def test_neighbours_are_left_alone(tmp_path: Path) -> None:
    others = ["m.onnx.data.old", "m.onnx.0123456789ab.data.txt", "m.onnx.bin", "n.onnx.data", "m.onnx.1.data"]
    for name in others:
        (tmp_path / name).touch()
    write(tmp_path / "m.onnx", 1)
    write(tmp_path / "m.onnx", 2, external=False)
    assert names(tmp_path) == sorted([*others, "m.onnx", "source"])


def test_equal_models_are_equal_bytes_whatever_stood_there(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.onnx", 0 if name == "a" else 1)
        write(tmp_path / f"{name}.onnx", 2)
    one, other = ((tmp_path / f"{name}.onnx").read_bytes() for name in "ab")
    assert one == other.replace(b"b.onnx.", b"a.onnx.")


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_graph_places import write
replace, left = os.replace, int(sys.argv[2])
def dying(one, other):
    global left
    if Path(other).parent != Path(sys.argv[1]).parent:  # a library's, in the hidden folder
        return replace(one, other)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    replace(one, other)
os.replace = dying
write(Path(sys.argv[1]), 2)
"""


@pytest.mark.parametrize("renames", [0, 1, 2])
@pytest.mark.parametrize("old", [1, None])
def test_killed_before_each_rename(tmp_path: Path, renames: int, old: int | None) -> None:
    out = tmp_path / "m.onnx"
    if old is not None:
        write(out, old)
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(renames), here], env=environment, check=False, timeout=120
    )
    assert done.returncode == (0 if renames == 2 else -9)
    if renames == 2:
        assert value(out) == 2
    elif old is not None:
        assert value(out) == old
    else:
        assert not out.exists()
    write(out, 3)
    assert value(out) == 3
    assert len(names(tmp_path)) == 3


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; name a file in it"):
        graph.model_file(tmp_path).__enter__()
