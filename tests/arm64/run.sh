#!/usr/bin/env bash
# The edge side on AArch64: `pip install splitc[edge]` into a Debian arm64 root under emulation, the quickstart's edge half
# on ONNX Runtime there, and its bitstreams compared byte for byte with those of this machine. A slower lane, for root:
#
#   bash tests/arm64/run.sh WORK_FOLDER [PYTHON]       about five minutes; the root is kept in WORK_FOLDER for the next run
#
# PYTHON has splitc with its zoo extra, nanobind and cmake. Exit status 77: a tool is missing, named on the last line.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
python=${2:-python3}
root=$work/root
suite=bookworm
series=3.11 # Debian's Python of that suite

missing() { echo "missing: $1"; exit 77; }
[ "$(id -u)" = 0 ] || missing "root, for chroot"
for tool in mmdebstrap qemu-aarch64-static aarch64-linux-gnu-g++ cmake; do
  command -v "$tool" > /dev/null || missing "$tool"
done

say() { echo "== $*"; }

if [ ! -x "$root/usr/bin/python$series" ]; then
  say "a Debian arm64 root"
  mmdebstrap --quiet --variant=extract --architectures=arm64 --skip=check/qemu \
    --include="python3,libpython$series-dev,libstdc++6,libgomp1" "$suite" "$root"
  cp "$(command -v qemu-aarch64-static)" "$root/"
fi
there() { chroot "$root" /qemu-aarch64-static "/usr/bin/python$series" "$@"; }
there -c "import platform; assert platform.machine() == 'aarch64', platform.machine()"

say "the native coders for AArch64"
cmake -S "$repository/splitc/native" -B "$work/native" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
  -DPython_EXECUTABLE="$("$python" -c 'import sys; print(sys.executable)')" \
  -DPython_INCLUDE_DIR="$root/usr/include/python$series" > "$work/cmake.log"
# Python's own configuration header lies in a folder of the architecture
export CPLUS_INCLUDE_PATH="$root/usr/include"
cmake --build "$work/native" --parallel 2 >> "$work/cmake.log"

say "a wheel for AArch64, and pip install splitc[edge]"
rm -rf "$work/wheel" "$root/srv/edge"
mkdir -p "$work/wheel"
"$python" "$here/wheel.py" "$repository" "$(echo "$work"/native/_core*.so)" "$work/wheel"
wheel=$(echo "$work"/wheel/*.whl)
platforms=()
for tag in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 linux; do platforms+=(--platform "${tag}_aarch64"); done
"$python" -m pip install --quiet --disable-pip-version-check --target "$root/srv/edge" --python-version "$series" \
  --only-binary=:all: "${platforms[@]}" "$wheel[edge]"

say "the quickstart, built here"
rm -rf "$work/bundle"
"$python" -c "from splitc.cli import main; main()" build "$repository/recipes/quickstart.toml" --out "$work/bundle"

say "its edge half, here and there"
pictures="$("$python" -c "import skimage, pathlib; print(pathlib.Path(skimage.__file__).parent / 'data')")"
rm -rf "$root/srv/pair" "$work/here" && mkdir -p "$root/srv/pair/pictures"
for picture in camera chelsea coffee; do cp "$pictures/$picture.png" "$root/srv/pair/pictures/"; done
cp -r "$work/bundle" "$root/srv/pair/bundle"
cp "$here/edge.py" "$root/srv/pair/"
"$python" "$here/edge.py" "$root/srv/pair" "$work/here"
there -c "import sys; sys.path.insert(0, '/srv/edge'); sys.argv = ['edge', '/srv/pair', '/srv/pair/there']; exec(open('/srv/pair/edge.py').read())"
"$python" "$here/compare.py" "$work/here" "$root/srv/pair/there"
