"""Checks that `infra.profile` hands a build the profile of its architecture, and says when it does not fit."""

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

from infra import profile

SHOW = [sys.executable, "-c", "import os; print(os.environ['RUSTFLAGS'])"]


def built(machine: str) -> str:
    """What a build prints that shows the flags it gets."""
    code = "import sys; from infra import profile; profile.PROFILES = profile.UNPACKED = profile.Path(sys.argv.pop(1)); profile.main()"
    command = [sys.executable, "-c", code, str(profile.PROFILES), machine, *SHOW]
    return subprocess.run(command, cwd=profile.ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    for machine in ("x86_64", "aarch64"):
        # The magic number of LLVM's indexed profiles.
        assert gzip.decompress(profile.profile(machine).read_bytes()).startswith(b"\xfflprofi\x81"), machine
        assert len(profile.recorded(machine).read_text().splitlines()) == 3, machine
    with tempfile.TemporaryDirectory() as folder:
        profile.PROFILES = Path(folder)
        told, flags = built("x86_64").split("(docs", 1)
        assert "there is none" in told, told
        assert "-Cprofile-use" not in flags, flags
        profile.profile("x86_64").write_bytes(gzip.compress(b"a profile"))
        profile.recorded("x86_64").write_text(profile.made_for("x86_64"))
        fits = built("x86_64")
        assert fits.startswith("-Cprofile-use="), fits
        profile.profile("x86_64").write_bytes(gzip.compress(b"another"))
        assert built("x86_64") != fits, "A build with another profile would keep what was compiled with the first."
        profile.recorded("x86_64").write_text("rustc 1.0.0 (a59de37e9 2015-05-13)\npackages 0\non itself\n")
        other = built("x86_64")
        assert "is for rustc 1.0.0" in other and "RUSTUP_TOOLCHAIN=1.0.0" in other, other
        version, packages, _ = profile.made_for("x86_64").splitlines()
        profile.recorded("x86_64").write_text(f"{version}\npackages 0\non itself\n")
        assert "other versions of packages" in built("x86_64"), built("x86_64")
        profile.recorded("x86_64").write_text(f"{version}\n{packages}\non the moon\n")
        assert "a build on the moon" in built("x86_64"), built("x86_64")
    print("A build gets the profile of its architecture, and is told when it does not fit.")


if __name__ == "__main__":
    main()
