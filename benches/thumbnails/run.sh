#!/usr/bin/env bash
# Measures the thumbnail engine beside sharp, libvips and Pillow, from nothing but cargo, python3,
# node and npm. Everything it makes or installs is under .local/bench-thumbnails; the results go to
# docs/. Arguments are handed to bench.py (`--help` lists them).
set -euo pipefail
cd "$(dirname "$0")/../.."
work=.local/bench-thumbnails
mkdir -p "$work"

if [ ! -x "$work/venv/bin/python" ]; then
    python3 -m venv "$work/venv"
fi
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement benches/thumbnails/requirements.txt
# Debian's libvips is older than the one from PyPI and another peer. It wants root; without, the
# benchmark goes on with one libvips.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -x "$work/venv-debian/bin/python" ]; then
    if apt-get install --yes --quiet --no-install-recommends libvips42 >"$work/apt.log" 2>&1; then
        python3 -m venv "$work/venv-debian"
        "$work/venv-debian/bin/python" -m pip install --quiet --disable-pip-version-check pyvips==3.2.0
    else
        echo "libvips42 could not be installed: see $work/apt.log" >&2
    fi
fi
mkdir -p "$work/node"
cp benches/thumbnails/package.json "$work/node/package.json"
(cd "$work/node" && npm install --silent --no-audit --no-fund)
cp benches/thumbnails/peer_sharp.mjs "$work/node/"

cargo build --release --package tintype-imaging --example bench_worker
exec "$work/venv/bin/python" benches/thumbnails/bench.py --work "$work" "$@"
