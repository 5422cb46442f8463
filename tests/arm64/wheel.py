"""A wheel of this tree with native coders that were built for AArch64: ``wheel.py REPOSITORY CORE_SO OUT``.

pip reads its metadata as that of any wheel, so what it installs for ``splitc[edge]`` is what pyproject.toml says.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

TAG = "cp311-cp311-linux_aarch64"
SUFFIX = ".cpython-311-aarch64-linux-gnu.so"


def main(repository: str, core: str, out: str) -> None:
    """Build the wheel of this machine, put the other coders into it, and name it after their machine."""
    made = Path(out) / "here"
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(made)]
    subprocess.run([*command, repository], check=True)
    (source,) = made.glob("*.whl")
    name, version = source.name.split("-")[:2]
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(Path(out) / f"{name}-{version}-{TAG}.whl", "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith(".so"):
                entry.filename, data = f"splitc/native/_core{SUFFIX}", Path(core).read_bytes()
            if entry.filename.endswith("/WHEEL"):
                lines = (line for line in data.decode().splitlines() if not line.startswith("Tag:"))
                data = "\n".join([*lines, f"Tag: {TAG}", ""]).encode()
            if entry.filename.endswith("/RECORD"):  # the rows of the files that changed lose their hash
                rows = (row.split(",")[0] for row in data.decode().splitlines() if row)
                names = (f"splitc/native/_core{SUFFIX}" if row.endswith(".so") else row for row in rows)
                data = "".join(f"{row},,\n" for row in names).encode()
            new.writestr(entry.filename, data)


if __name__ == "__main__":
    main(*sys.argv[1:])
