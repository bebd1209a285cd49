#!/usr/bin/env bash
# Runs the black-box tests and those of the web page, or the black-box tests whose name contains the argument.
#
# Three parts at the same time, on separate stacks: concurrent tests, then an update; one after another, tests that read
# everything in a stack or keep its workers busy; and the tests of the web page, then some that need neither.
set -euo pipefail
cd "$(dirname "$0")/.."

stage() { python infra/stage.py "$@"; }
http() { stage "$1" cargo test --locked --workspace --test http "${@:2}"; }

beside_each_other() {
  set -e
  # More threads than processors: many tests wait for retries.
  RUST_TEST_THREADS=8 http "Tests beside each other"
  # Here, since the other two parts take longer than those.
  stage "Update under constant requests" python -m tests.update
}

one_by_one() {
  set -e
  # Beside others, because these two wait: for the emulator's clock to start the audit, and for the end of a deleted account.
  stage "Schedule of the audit" python tests/schedule.py &
  local schedule=$!
  stage "Shell blocks of the documents" python tests/documents.py README.md docs/walkthrough.md &
  local documents=$!
  stage "OpenAPI contract" python tests/contract.py
  wait $schedule
  wait $documents
  stage "Plan file" python -m tests.plan_file
  stage "Log lines" python -m tests.log_lines
  stage "Second emulator" python tests/second_opinion.py
  stage "Files for sam local" python -m tests.sam_local
  stage "Rotation of the signing keys" python -m tests.rotation
  stage "CDN" python -m tests.cdn
  # The CDN changes no other function's role.
  http "Roles of links on a stack with the CDN" budget::each_route_of_links
  stage "Rehearsal of a deployment" python -m tests.deployment
  http "Simultaneous creations" titles:: -- --ignored
  # Before the upload, whose images each audit would check.
  http "Audit" audit:: -- --ignored
  http "Upload of many files" cli::many -- --ignored
}

web() {
  set -e
  stage "Browser tests" npm run --silent --prefix web e2e
  # Here, since the other two parts take longer than the browser.
  stage "Generated clients" python tests/clients/run.py
  stage "Client at a terminal" python -m tests.terminal
  stage "Restart at another port" python -m tests.restart
  stage "Backup and restore" python -m tests.restore
}

named() {
  set -e
  RUST_TEST_THREADS=4 http "Tests named $1" "$1"
  http "Tests named $1 that run alone" "$1" -- --ignored --skip hold::
}

export -f stage http beside_each_other one_by_one web named
on_stack() { exec python -m infra.local.stack test "$@"; }

if [ $# -gt 0 ]; then
  on_stack bash -c 'named "$1"' bash "$1"
fi

logs=.local/test-logs
mkdir -p $logs/one-by-one $logs/web
trap 'kill -TERM $(jobs -p) 2>/dev/null || true; wait' EXIT
trap 'exit 130' INT TERM HUP

status=0
on_stack --logs $logs/one-by-one --parameter Cdn=true bash -c one_by_one > $logs/one-by-one/output 2>&1 &
on_stack --logs $logs/web bash -c web > $logs/web/output 2>&1 &
on_stack bash -c beside_each_other &
for _ in 1 2 3; do wait -n || status=1; done
cat $logs/one-by-one/output $logs/web/output
exit $status
