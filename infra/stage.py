"""Runs a command as a stage of a build or of tests: stage.py NAME COMMAND...

Prints how long it took and how much processor time, and adds both to the file that STAGES names, if any.
"""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stage(name: str):
    print(f"==> {name}", flush=True)
    began, used, outcome = time.monotonic(), processor_time(), "failed"
    try:
        yield
        outcome = "done"
    finally:
        seconds, used = time.monotonic() - began, processor_time() - used
        # Of what this process started: a deployment is the work of the emulator, which counts for itself.
        print(f"==> {name}: {outcome} in {seconds:.1f} s, processor time {used:.1f} s", flush=True)
        if stages := os.environ.get("STAGES"):
            with Path(stages).open("a") as file:
                file.write(f"{seconds:8.1f}  {used:8.1f}  {name}{' (failed)' if outcome == 'failed' else ''}\n")


def processor_time() -> float:
    """Seconds of this process and of all that it has waited for."""
    return sum(
        getattr(resource.getrusage(whose), mode)
        for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        for mode in ("ru_utime", "ru_stime")
    )


def main() -> None:
    name, *command = sys.argv[1:]
    with stage(name):
        process = subprocess.Popen(command)
        # Ctrl-C also reaches the command, which decides how to end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: process.send_signal(number))
        status = process.wait()
        if status:
            sys.exit(status if status > 0 else 128 - status)


if __name__ == "__main__":
    main()
