"""Runs the shell blocks of documents, in order, against the stack, and checks the statuses that their comments name.

A document is one shell session. A comment of three digits at the end of a line, as in `# 404`, is a line that the block
prints.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from infra.local.stack import make_demo_users

ROOT = Path(__file__).parent.parent
SECONDS = 300

# Targets that build for minutes, need AWS, or start stacks: make only prints their commands.
PREAMBLE = r"""
set -eo pipefail
make() {
  case " $* " in
    *" STACK="* | *" -n "*) command make --dry-run "$@" > /dev/null ;;
    *" mail "* | *" admin "* | *" audit "* | *" plans "*) command make "$@" ;;
    *) command make --dry-run "$@" > /dev/null ;;
  esac
}
"""


def blocks(document: Path) -> list[tuple[int, str]]:
    """The shell blocks of a document, each with its first line's number."""
    found, start, fence = [], None, re.compile(r"^```(\w*)$")
    lines = document.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        mark = fence.match(line)
        if mark and start is None:
            start = (number + 1, mark[1])
        elif mark:
            if start[1] != "sh":
                sys.exit(f"{document}:{start[0] - 1}: a block is {start[1] or 'nothing'}, not sh: nobody would run it.")
            found.append((start[0], "\n".join(lines[start[0] - 1 : number - 1])))
            start = None
    if not found:
        sys.exit(f"{document} has no shell blocks.")
    return found


def untracked() -> set[str]:
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {line for line in status.stdout.splitlines() if line.startswith("??")}


def run(document: Path, environment: dict[str, str]) -> None:
    parts = blocks(document)
    script = PREAMBLE + "".join(f"echo $'\\n@@ {number}'\n{text}\n" for number, text in parts)
    script += "echo $'\\n@@ end'\n"
    shell = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    printed = re.split(r"^@@ (\w+)\n", shell.stdout, flags=re.MULTILINE)
    outputs = dict(zip(printed[1::2], printed[2::2], strict=True))
    if shell.returncode or "end" not in outputs:
        last = printed[-2] if len(printed) > 2 else "1"
        sys.exit(f"{document}:{last}: the block failed ({shell.returncode}):\n{outputs.get(last, shell.stdout)}")
    for number, text in parts:
        lines = iter(outputs[str(number)].splitlines())
        for status in re.findall(r"# (\d{3})$", text, flags=re.MULTILINE):
            # In the order of the comments: looking for one uses up the lines before it.
            if status not in lines:
                sys.exit(f"{document}:{number}: the block does not print {status}:\n{outputs[str(number)]}")
    print(f"{document}: {len(parts)} blocks run.")


def main() -> None:
    make_demo_users(dict(os.environ))
    before = untracked()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "tmp").mkdir()
        (home / "Pictures/2024").mkdir(parents=True)
        for name, turn in (("harbour", 0), ("pier", 30)):
            picture = Image.linear_gradient("L").resize((900, 600)).rotate(turn)
            picture.save(home / f"Pictures/2024/{name}.jpg")
        (home / "config").mkdir()
        (home / "config/config.toml").write_text("keyring = false\n")
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        environment = os.environ | {
            "HOME": folder,
            "TMPDIR": str(home / "tmp"),
            "TINTYPE_CONFIG_DIR": str(home / "config"),
            "PATH": f"{target / 'debug'}:{os.environ['PATH']}",
        }
        for document in sys.argv[1:]:
            run(Path(document), environment)
    if left := untracked() - before:
        sys.exit(f"The blocks left files in the checkout: {sorted(left)}")


if __name__ == "__main__":
    main()
