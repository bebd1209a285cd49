#!/usr/bin/env bash
# Compares the image engine's examples, which `cargo test` compiles, with libjpeg-turbo and Pillow, and measures its memory.
set -euo pipefail
cd "$(dirname "$0")/.."
examples=${CARGO_TARGET_DIR:-target}/debug/examples
python crates/jpeg-scaled/tests/against_libjpeg.py "$examples/planes"
python crates/imaging/tests/against_pillow.py "$examples/bench_worker"
python crates/imaging/tests/memory.py "$examples/bench_worker"
