"""Tests the operator's commands `plans` and `admin` as `make plans` and `make admin` run them."""

import json
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path


def operate(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "infra.operate", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def main() -> int:
    plan = {
        "name": f"file-{uuid.uuid4().hex}",
        "thumbnail_heights": [100],
        "original_link": True,
        "expiring_links": False,
        "max_image_bytes": 1_000_000,
        "max_images": 10,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plans.json"

        def load(*options: str, **change) -> subprocess.CompletedProcess:
            file.write_text(json.dumps([plan | change]))
            return operate("plans", *options, str(file))

        none = "Plans written: none, as all are there.\n"
        written = f"Plans written: {plan['name']}.\nThumbnails of users who are on them follow.\n"
        for expected, done in [
            (written, load()),
            (none, load()),
            (none, load("--add-only", max_images=20)),
            (written, load(max_images=20)),
        ]:
            assert (done.returncode, done.stdout) == (0, expected), done
        refused = load(thumbnail_heights=[1])
        assert refused.returncode == 1 and "thumbnail_heights must be" in refused.stderr, refused
    unknown = operate("admin", "nobody@example.com")
    assert (unknown.returncode, unknown.stderr) == (1, "No user has this e-mail address.\n"), unknown
    print("The operator's commands write what differs, and say what they refuse.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
