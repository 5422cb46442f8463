#!/usr/bin/env bash
# Decodes and recodes the chunks in FILE with every instruction set at hand and, under emulation, on AArch64.
# Prints one line a build; all must be alike. Exit status 77: a tool is missing, named on the last line.
#   cross.sh FILE WORK_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
chunks=$1
work=$2
flags=(-std=c++17 -O2 -Wall -Wextra -Wconversion -ffp-contract=off -static "-I$here/../../splitc/native")

missing() { echo "missing: $1"; exit 77; }
command -v g++ > /dev/null || missing g++

g++ "${flags[@]}" -Wno-maybe-uninitialized -Wno-uninitialized "$here/replay.cpp" -o "$work/replay"
for level in scalar avx2 avx512; do
  if grep -q "$level" /proc/cpuinfo || [ "$level" = scalar ]; then
    echo "$level: $(SPLITC_SIMD=$level "$work/replay" "$chunks")"
  fi
done

command -v aarch64-linux-gnu-g++ > /dev/null || missing aarch64-linux-gnu-g++
emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || missing qemu-aarch64
aarch64-linux-gnu-g++ "${flags[@]}" "$here/replay.cpp" -o "$work/replay-aarch64"
for level in scalar neon; do
  echo "aarch64 $level: $(SPLITC_SIMD=$level "$emulator" "$work/replay-aarch64" "$chunks")"
done
