"""Makes the profile with which `make build` compiles the functions: profile.py MACHINE, within a stack.

Plays the requests of benches/functions.py, the same number for each route, to the `api` that `make profile` compiled with
`-Cprofile-generate`, and merges what its processes counted. An `api` for another architecture runs under qemu-user.
"""

import gzip
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from benches import functions
from infra import profile
from infra.profile import ROOT

REQUESTS = 100


def executable(machine: str) -> list[str]:
    """The command that runs `api`."""
    built = str(ROOT / "target" / profile.target(machine) / "release" / "api")
    # The folder of Debian's libraries for other machines.
    emulator = [f"qemu-{machine}", "-L", f"/usr/{machine}-linux-gnu"]
    return [built] if machine == platform.machine() else [*emulator, built]


def main() -> None:
    machine = sys.argv[1]
    made_for = profile.made_for(machine)
    stack, routes = functions.Stack(), functions.Requests().events
    with tempfile.TemporaryDirectory() as counts:
        for handler, event in routes.items():
            function = stack.process(executable(machine), handler, {"LLVM_PROFILE_FILE": f"{counts}/{handler}.profraw"})
            for number in range(REQUESTS):
                function.invoke(event(number))
            function.end()
        merged = Path(counts) / "merged"
        # `--sparse` leaves out functions that never ran.
        merge = [profile.llvm_profdata(), "merge", "--sparse", "--output", merged]
        subprocess.run([*merge, *(Path(counts) / f"{handler}.profraw" for handler in routes)], check=True)
        profile.PROFILES.mkdir(exist_ok=True)
        profile.profile(machine).write_bytes(gzip.compress(merged.read_bytes(), mtime=0))
    profile.recorded(machine).write_text(made_for)
    print(
        f"Wrote {profile.profile(machine).relative_to(ROOT)} from {REQUESTS} requests for each of {len(routes)} routes."
    )


if __name__ == "__main__":
    main()
