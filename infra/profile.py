"""Compiles the functions with a profile, which says what their requests execute: profile.py MACHINE COMMAND...

Runs the command, a build for MACHINE (x86_64 or aarch64), so that rustc optimises by `infra/profiles/MACHINE.profdata.gz`
(`-Cprofile-use`, https://doc.rust-lang.org/rustc/profile-guided-optimization.html). `make profile` makes that file.

A profile knows a function by its symbol. That contains a hash of rustc's version, the target, and the versions and features of
its crate and of all on which the crate depends. A profile for other versions does no harm, but less or nothing; the
functions of crates that changed are compiled as without one. `made_for` says these versions, `MACHINE.made-for` what they
were.
"""

import gzip
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROFILES = ROOT / "infra" / "profiles"
UNPACKED = ROOT / "target" / "profiles"
# What is built together, since the features of a package depend on that.
PACKAGES = [argument for name in ("api", "web", "workers") for argument in ("--package", f"tintype-{name}")]


def target(machine: str) -> str:
    return f"{machine}-unknown-linux-gnu"


def profile(machine: str) -> Path:
    return PROFILES / f"{machine}.profdata.gz"


def recorded(machine: str) -> Path:
    return PROFILES / f"{machine}.made-for"


def made_for(machine: str) -> str:
    """Three lines: rustc's version, a hash of the packages and their features, and whether the compiling machine is of this kind,
    which cargo-lambda treats in another way."""
    tree = output(
        *("cargo", "tree", "--locked", *PACKAGES, "--target", target(machine)),
        *("--edges", "normal,build", "--prefix", "none", "--format", "{p} {f}"),
    )
    # Without the folders of the workspace's crates, and the mark of what is repeated.
    packages = "\n".join(sorted({re.sub(r" \(.*?\)", "", line) for line in tree.splitlines()}))
    compiled = "itself" if host() == target(machine) else "another machine"
    return f"{output('rustc', '--version')}packages {hashlib.sha256(packages.encode()).hexdigest()}\non {compiled}\n"


def host() -> str:
    return re.search("^host: (.*)$", output("rustc", "-vV"), re.MULTILINE)[1]


def llvm_profdata() -> Path:
    """rustc's own, since the format changes with LLVM's version."""
    return Path(output("rustc", "--print", "sysroot").strip()) / "lib" / "rustlib" / host() / "bin" / "llvm-profdata"


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def difference(machine: str) -> str:
    """Why the profile does less than it could; empty if it fits."""
    if not profile(machine).exists():
        return "there is none"
    before, now = (text.splitlines() for text in (recorded(machine).read_text(), made_for(machine)))
    if before[0] != now[0]:
        return f"it is for {before[0]}, and this is {now[0]}. With rustup, RUSTUP_TOOLCHAIN={before[0].split()[1]} uses that"
    if before[1] != now[1]:
        return "it is for other versions of packages"
    return f"it is for a build on {before[2].removeprefix('on ')}" if before != now else ""


def flags(machine: str) -> str:
    if not profile(machine).exists():
        return ""
    content = gzip.decompress(profile(machine).read_bytes())
    # Named by its content: of packages from a registry cargo sees that a flag has changed, not that a file has.
    unpacked = UNPACKED / f"{hashlib.sha256(content).hexdigest()[:16]}.profdata"
    # A new file would make cargo compile the project's crates again.
    if not unpacked.exists() or unpacked.read_bytes() != content:
        UNPACKED.mkdir(parents=True, exist_ok=True)
        unpacked.write_bytes(content)
    # A function that changed is compiled without the profile; rustc need not say so of each.
    return f"-Cprofile-use={unpacked} -Cllvm-args=-no-pgo-warn-mismatch"


def main() -> None:
    machine, *command = sys.argv[1:]
    if why := difference(machine):
        print(f"The profile for {machine} does not fit: {why}.")
        print("The functions work, and may take a third more processor time (docs/development.md).", flush=True)
    os.environ["RUSTFLAGS"] = f"{os.environ.get('RUSTFLAGS', '')} {flags(machine)}".strip()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
