"""Who may import whom: the table of rooms, executed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "splitc"
BASE = {"errors", "types", "registry", "version", "files"}
NATIVE = {"native"}
LOW = {"recipe", "graph", "device", "codec"}
ENGINES = {"backends", "bundle"}
MAY_IMPORT = {
    "__main__": {"cli"},
    "errors": set(),
    "types": set(),
    "version": set(),
    "files": {"errors", "types"},
    "registry": {"errors", "types"},
    "cache": {"errors", "types", "files"},
    "native": set(),
    "recipe": BASE,
    "graph": BASE,
    "device": BASE,
    "codec": BASE | NATIVE,
    "weights": BASE | NATIVE | {"codec"},
    "zoo": BASE,
    "tasks": BASE,
    "plan": BASE | LOW,
    "passes": BASE | {"graph", "codec", "weights", "plan"},
    "train": BASE | {"cache", "tasks", "graph", "codec"},
    "gradients": BASE | {"graph"},
    "lint": BASE | {"device"},
    "backends": BASE | {"codec"},
    "bundle": BASE | {"codec"},
    "signing": BASE | {"bundle"},
    "runtime": BASE | {"tasks"} | ENGINES | {"codec"},
    "evaluate": BASE | {"tasks"} | LOW | ENGINES | {"plan", "passes", "runtime"},
    "report": BASE | LOW | ENGINES | {"plan", "passes", "runtime", "evaluate"},
    "records": BASE | ENGINES | {"graph", "device"},
    "profiler": BASE | ENGINES | {"records", "runtime"},
    "lowering": BASE
    | {"tasks"}
    | {"cache", "recipe", "graph", "device", "weights", "plan", "passes", "runtime", "evaluate"},
    "trials": BASE | {"tasks"} | LOW | {"cache", "backends", "plan", "passes", "gradients", "runtime", "evaluate"},
    "driver": BASE
    | LOW
    | ENGINES
    | {
        "cache",
        "zoo",
        "tasks",
        "plan",
        "passes",
        "runtime",
        "evaluate",
        "report",
        "records",
        "lint",
        "lowering",
        "trials",
        "train",
    },
}
"""A room may always import itself. ``cli`` may import everything; only ``python -m splitc`` imports it."""
NETWORK = {"grpc", "tritonclient", "prometheus_client"}
OUTSIDE = {"onnx", "onnx_ir", "torch", "onnxruntime", "PIL", "pycocotools", "rich", "typer", "cryptography"} | NETWORK
"""Heavy or special packages, and below, the only rooms that may import them."""
MAY_USE = {
    "graph": {"onnx_ir", "onnx"},
    "passes": {"onnx_ir", "onnx", "onnxruntime"},
    "train": {"onnx_ir", "torch"},
    "gradients": {"onnx_ir"},
    "lint": {"onnx_ir"},
    "evaluate": {"onnx_ir", "PIL"},
    "backends": {"onnxruntime"},
    "records": {"onnxruntime"},
    "profiler": {"onnxruntime"},
    "zoo": {"torch", "onnxruntime"},
    "runtime": {"PIL"} | NETWORK,
    "tasks": {"PIL", "pycocotools"},
    "lowering": {"onnx_ir"},
    "trials": {"PIL", "onnx_ir"},
    "driver": {"onnx_ir"},
    "signing": {"cryptography"},
    "cli": {"rich", "typer"},
}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            if node.module == "splitc":
                yield from (f"splitc.{alias.name}" for alias in node.names)


FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_table(path: Path) -> None:
    room = room_of(path)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top in OUTSIDE:
            assert top in MAY_USE.get(room, set()), f"{room} imports {name}"
        if top != "splitc" or not rest:
            continue
        other = rest.split(".")[0]
        if other == room or room == "cli":
            continue
        assert other in MAY_IMPORT[room], f"{room} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_entered_by_their_door(path: Path) -> None:
    """``from splitc.plan import Plan``, never ``from splitc.plan.search import Plan``, except inside the room."""
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "splitc" and len(parts) > 2 and parts[1] not in (room_of(path), "native"):
            raise AssertionError(f"{path.name} imports {name}")


MODULES_OF_FILES = {"tempfile", "fcntl", "hashlib"}
"""What only ``files`` needs: temporary places, locks, hashes of files."""
NAMES_OF_FILES = {("os", "rename"), ("os", "renames"), ("os", "replace"), ("os", "link"), ("shutil", "move")}
MAY_ALSO = {
    "codec/bitstream.py": {"hashlib"},  # a codec's description, in memory
    "codec/entropy/base.py": {"hashlib"},  # tables, in memory
    "codec/fitted.py": {"hashlib"},  # fitted parameters, in memory
    "codec/stream.py": {"hashlib"},  # reconstructed symbols, in memory
    "weights/header.py": {"hashlib"},  # a header, in memory
    "weights/tensor.py": {"hashlib"},  # an array, in memory
    "graph/halves/equality.py": {"hashlib"},  # expressions, in memory, by BLAKE2
    "bundle/manifest.py": {"hashlib"},  # a pair id: hashes of a list of hashes
    "backends/_rtx_build.py": {"tempfile"},  # a file without a name, in a program that imports nothing of splitc
    "profiler/exclusive.py": {"fcntl"},  # a lock whose holder is ended by the next one, not waited for
}


def file_operations(tree: ast.AST) -> Iterator[str]:
    """What a module does that ``files`` is for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES_OF_FILES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES_OF_FILES:
            yield node.module
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{a.name}" for a in node.names if (node.module, a.name) in NAMES_OF_FILES)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            is_path_replace = node.func.attr == "replace" and len(node.args) == 1 and not node.keywords
            if (owner, node.func.attr) in NAMES_OF_FILES or node.func.attr == "rename" or is_path_replace:
                yield f"{owner}.{node.func.attr}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_files_renames_locks_and_hashes_files(path: Path) -> None:
    """A text's ``replace`` takes two arguments, ``dataclasses.replace`` takes keywords, a path's takes one."""
    if room_of(path) != "files":
        found = set(file_operations(ast.parse(path.read_text("utf-8"))))
        assert found == MAY_ALSO.get(path.relative_to(ROOT).as_posix(), set())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os; os.replace(a, b)", {"os.replace"}),
        ("from os import rename", {"os.rename"}),
        ("from shutil import move, copyfile", {"shutil.move"}),
        ("from tempfile import TemporaryDirectory", {"tempfile"}),
        ("Path(a).rename(b); path.replace(b)", {".rename", "path.replace"}),
        ("text.replace(a, b); dataclasses.replace(one, name=2)", set()),
    ],
)
def test_what_counts_as_an_operation_on_files(text: str, found: set[str]) -> None:
    assert set(file_operations(ast.parse(text))) == found


def modules_of(folder: Path) -> dict[str, Path]:
    """Every module below ``folder`` by its full name."""
    paths = (path for path in sorted(folder.rglob("*.py")))
    return {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


def imported_modules(path: Path, known: Collection[str]) -> set[str]:
    """Modules that a file imports anywhere: in functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in inside}
    return found & set(known)


def circle_in(edges: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a row, the first one again at the end; empty if there are none."""
    left = {name: set(others) for name, others in edges.items()}
    while leaves := [name for name, others in left.items() if not others & left.keys()]:
        for name in leaves:
            del left[name]
    path: list[str] = []
    while left:
        at = min(left) if not path else min(left[path[-1]] & left.keys())
        if at in path:
            return [*path[path.index(at) :], at]
        path.append(at)
    return []


def test_no_modules_import_each_other() -> None:
    """Not in a row either: an import inside a function, or for type checkers, is the same knot."""
    modules = modules_of(ROOT)
    edges = {name: imported_modules(path, modules) - {name} for name, path in modules.items()}
    assert " -> ".join(circle_in(edges)) == ""


def test_circles_are_found_wherever_the_import_stands(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("from room.a import A\n")
    (room / "a.py").write_text("from room import b\nA = 1\n")
    (room / "b.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.c import C\n")
    (room / "c.py").write_text("def f():\n    import room.a\n")
    (room / "d.py").write_text("import os\nfrom room.c import C\n")
    modules = modules_of(room)
    edges = {name: imported_modules(path, modules) for name, path in modules.items()}
    assert circle_in(edges) == ["room.a", "room.b", "room.c", "room.a"]
    assert circle_in(edges | {"room.c": set()}) == []


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(path) for path in FILES}
    assert rooms - {"cli"} == set(MAY_IMPORT)


def test_importing_splitc_loads_nothing_heavy() -> None:
    code = "import splitc, sys; print(' '.join(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name.split(".")[0] for name in loaded} & (OUTSIDE | {"zstandard", "skimage"})


def test_the_runtime_loads_no_compiler() -> None:
    """The edge box has no graph tools: what runs a bundle must not import them."""
    code = "import splitc.runtime, sys; print(' '.join(sorted(sys.modules)))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    compiler = {f"splitc.{room}" for room in ("graph", "plan", "passes", "recipe", "zoo", "driver")}
    assert not loaded & (compiler | {"onnx", "onnx_ir", "torch"})


def test_public_names_resolve() -> None:
    import splitc

    for name in splitc.__all__:
        assert getattr(splitc, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = splitc.nothing


def test_a_public_class_name_has_one_meaning() -> None:
    """Triton demands ``TritonPythonModel`` of every model's module."""
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice.keys() == {"TritonPythonModel"}, twice


MOST_LINES, MOST_PARAMETERS = 40, 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_stay_small(path: Path) -> None:
    """Beyond this a second function, or a dataclass, is hiding."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            parameters = len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs])
            assert lines <= MOST_LINES, f"{node.name} has {lines} lines"
            assert parameters <= MOST_PARAMETERS, f"{node.name} has {parameters} parameters"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_bare_string_documents_something(path: Path) -> None:
    """A docstring opens its module, class or function, or follows the name that it is about."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        body = getattr(node, "body", None)
        for before, one in pairwise([None, *body] if isinstance(body, list) else []):
            is_text = (
                isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str)
            )
            opens = before is None and isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            )
            assert not is_text or opens or isinstance(before, ast.Assign | ast.AnnAssign), f"line {one.lineno}"
