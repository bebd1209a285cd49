"""Runs functions with `cargo lambda watch` and sends them the events of tests/events with `cargo lambda invoke`."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from infra.local.stack import free_port

SECONDS = 600
# By executable and handler: the file of each event, and what the response has.
CALLS = {
    ("api", "health"): {name: {"statusCode": 200} for name in ("http-api", "sam-local", "function-url", "alb")},
    ("workers", "build_thumbnails"): {"uploads-queue": {"batchItemFailures": []}},
    ("workers", "run_job"): {"jobs-queue": {"batchItemFailures": []}},
    ("workers", "sweep"): {"table-stream": None},
}


def wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("cargo lambda watch does not listen.")


def invoke(port: int, executable: str, event: str) -> dict | None:
    file = str(ROOT / "tests" / "events" / f"{event}.json")
    command = ["cargo", "lambda", "invoke", "--invoke-address", "127.0.0.1", "--invoke-port", str(port)]
    done = subprocess.run(
        [*command, executable, "--data-file", file], stdout=subprocess.PIPE, timeout=SECONDS, check=True, text=True
    )
    return json.loads(done.stdout)


def main() -> int:
    failed = 0
    for (executable, handler), events in CALLS.items():
        port = free_port()
        with_function = [sys.executable, "-m", "infra.local.stack", "with", "--function", handler]
        watch = ["cargo", "lambda", "watch", "--ignore-changes", "--bin", executable, "--invoke-port", str(port)]
        process = subprocess.Popen([*with_function, *watch], cwd=ROOT)
        try:
            wait_for(port, process)
            for event, expected in events.items():
                response = invoke(port, executable, event)
                good = response == expected if expected is None else expected.items() <= response.items()
                failed |= not good
                print(f"{handler} {event}: {'ok' if good else response}", flush=True)
        finally:
            process.terminate()
            process.wait()
    return failed


if __name__ == "__main__":
    sys.exit(main())
