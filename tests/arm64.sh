#!/usr/bin/env bash
# Runs tests as arm64 under qemu-user: `engine`, those of the image crates; `instructions`, which compares the number of
# the engine's instructions with x86-64 after `engine`; `functions`, within a stack, black-box tests that
# run the executables of `make build ARCH=arm64` in place of the native ones.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(uname -m)" = aarch64 ]; then
  echo "This machine is arm64: make test runs these tests."
  exit
fi
if ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-gcc >/dev/null; then
  echo "qemu-aarch64 or aarch64-linux-gnu-gcc is missing: install them, such as Debian's qemu-user and gcc-aarch64-linux-gnu."
  exit 1
fi
# The folder of Debian's arm64 libraries.
emulate="$(command -v qemu-aarch64) -L /usr/aarch64-linux-gnu"

engine() {
  export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$emulate
  local crates
  crates=$(cargo tree --locked --package tintype-imaging --edges normal --prefix none | grep -F "($PWD/" | cut -d' ' -f1 | sort -u)
  # shellcheck disable=SC2086
  cargo test --locked --target aarch64-unknown-linux-gnu $(printf -- '--package %s ' $crates)
}

instructions() {
  python tests/instructions.py target/aarch64-unknown-linux-gnu/debug/examples/bench_worker target/debug/examples/bench_worker
}

functions() {
  local name
  # Not local: the trap runs after the function.
  folder=$(mktemp -d)
  trap 'rm -r "$folder"' EXIT
  for name in api web workers; do
    python -m zipfile -e target/lambda/$name/bootstrap.zip "$folder/$name.zip"
    # The machine in the ELF header: 183 is AArch64.
    if [ "$(od -An -tu2 -j18 -N2 "$folder/$name.zip/bootstrap" | tr -d ' ')" != 183 ]; then
      echo "target/lambda/$name is not for arm64: run make build ARCH=arm64."
      exit 1
    fi
    chmod +x "$folder/$name.zip/bootstrap"
    printf '#!/bin/sh\nexec %s %s\n' "$emulate" "$folder/$name.zip/bootstrap" > "$folder/$name"
    chmod +x "$folder/$name"
  done
  TINTYPE_EXECUTABLES=$folder RUST_TEST_THREADS=2 \
    cargo test --locked --workspace --test http -- kills:: batch_faults:: account_faults::
}

"$1"
