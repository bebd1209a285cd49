#!/usr/bin/env bash
# Runs the black-box tests and those of the web page, or the black-box tests whose name contains the argument.
#
# All run in two parts at the same time, on separate stacks: concurrent tests and then those of the web page; and, one after
# another, tests that read everything in a stack or keep its workers busy.
set -euo pipefail
cd "$(dirname "$0")/.."

stage() { python infra/stage.py "$@"; }
http() { stage "$1" cargo test --locked --workspace --test http "${@:2}"; }

beside_each_other() { RUST_TEST_THREADS=4 http "Tests beside each other"; }

one_by_one() {
  set -e
  stage "OpenAPI contract" python tests/contract.py
  stage "Generated clients" python tests/clients/run.py
  stage "Shell blocks of the documents" python tests/documents.py README.md docs/walkthrough.md
  stage "Schedule of the audit" python tests/schedule.py
  stage "Plan file" python -m tests.plan_file
  stage "Second emulator" python tests/second_opinion.py
  stage "Rotation of the signing keys" python -m tests.rotation
  stage "CDN" python -m tests.cdn
  http "Roles of a stack with the CDN" budget::
  stage "Rehearsal of a deployment" python -m tests.deployment
  http "Simultaneous creations" titles:: -- --ignored
  # Before the upload, whose 2,000 images each audit would check.
  http "Audit" audit:: -- --ignored
  http "Upload of many files" cli::many -- --ignored
}

named() {
  set -e
  RUST_TEST_THREADS=4 http "Tests named $1" "$1"
  http "Tests named $1 that run alone" "$1" -- --ignored --skip hold::
}

export -f stage http beside_each_other one_by_one named
on_stack() { exec python -m infra.local.stack test "$@"; }

if [ $# -gt 0 ]; then
  on_stack bash -c 'named "$1"' bash "$1"
fi

logs=.local/test-logs/one-by-one
mkdir -p $logs
on_stack --logs $logs --parameter Cdn=true bash -c one_by_one > $logs/output 2>&1 &
second=$!
on_stack bash -c beside_each_other &
first=$!
trap 'kill -TERM $first $second 2>/dev/null || true; wait' EXIT
trap 'exit 130' INT TERM HUP

status=0
wait $first || status=1
python infra/stage.py "Browser tests" tests/browser.sh &
first=$!
wait $first || status=1
echo "==> One after another ..."
wait $second || status=1
cat $logs/output
exit $status
