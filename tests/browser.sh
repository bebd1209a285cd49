#!/usr/bin/env bash
# Runs the tests of the web page in Chromium, against a stack of their own: all, or those that Playwright's arguments choose.
cd "$(dirname "$0")/.."
exec python -m infra.local.stack test --logs .local/test-logs/web npm run --silent --prefix web e2e -- "$@"
