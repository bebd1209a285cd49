"""Checks that functions and tests are compiled with the same features of their dependencies.

`cargo build` leaves out the features that only dev-dependencies ask for, so a feature of the SDK that only tests have
makes `cargo test` compile everything above it a second time, for minutes. Such a feature belongs to the dependencies of
tests/Cargo.toml that are no dev-dependencies.
"""

import subprocess
import sys
from collections import defaultdict


def features(edges: str) -> dict[str, set[str]]:
    """The features of each package, a text for each way in which it is compiled."""
    command = ["cargo", "tree", "--locked", "--workspace", "--edges", edges, "--prefix", "none", "--format", "{p}|{f}"]
    found = defaultdict(set)
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for line in filter(None, lines):
        package, names = line.removesuffix(" (*)").split("|")
        found[package].add(names)
    return found


def main() -> int:
    functions, tests = features("normal,build"), features("normal,build,dev")
    differing = [package for package in functions if functions[package] != tests[package]]
    for package in differing:
        said = [" / ".join(sorted(names)) for names in (functions[package], tests[package])]
        print(f"{package} has the features {said[0]} in functions, and {said[1]} in tests.")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
