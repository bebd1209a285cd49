#!/usr/bin/env bash
# Reads a crate of the project with clippy in place of compiling it: cargo's RUSTC_WORKSPACE_WRAPPER, called with rustc and
# its arguments.
#
# `cargo clippy` reads each dependency anew, since it does not take what `cargo build` compiled. Under this wrapper cargo
# builds, so it takes the dependencies that the tests have, and only the project's own crates are read.
set -euo pipefail

arguments=()
for argument in "$@"; do
  case "$argument" in
    --emit=*) argument=--emit=dep-info,metadata ;;
    # Of the project's libraries there are only metadata.
    *.rlib) [ -e "${argument#*=}" ] || argument=${argument%.rlib}.rmeta ;;
  esac
  arguments+=("$argument")
done
# Cargo runs build scripts.
[[ " $* " != *" --crate-name build_script_"* ]] || arguments=("$@")
exec clippy-driver "${arguments[@]}" --deny warnings
