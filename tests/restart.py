"""Runs the local stack twice on the same data, at two ports: what was kept is there, and uploads and jobs go on working."""

import io
import json
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from infra.local import demo, stack

EMAIL = stack.DEMO_USERS[0][0]
PATIENCE = 60


def get(url: str, headers: dict[str, str]) -> dict:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return json.loads(answer.read())


def wait(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"{what} after {PATIENCE} s"
        time.sleep(0.1)


@contextmanager
def running(data: Path, keep: bool) -> Iterator[tuple[dict[str, str], Path, int]]:
    """Runs a stack with the demo users at a free port. Yields its environment, the folder of its executables, and the port."""
    code, port = stack.executables(data, release=False), stack.free_port()
    stack.use_local_aws(port)
    with stack.emulator(port, data, keep=keep):
        environment = stack.bring_up(port, data, code, [])
        stack.make_demo_users(environment)
        yield environment, code, port


def log_in(url: str) -> dict[str, str]:
    """Returns the headers of the first demo user's requests."""
    tokens = demo.post(f"{url}/api/auth/login", {"email": EMAIL, "password": stack.DEMO_PASSWORD})
    return {"authorization": f"Bearer {tokens['access_token']}"}


def publish(url: str, headers: dict[str, str], title: str) -> str:
    """Uploads an image and waits until it has its thumbnails."""
    content = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(content, "JPEG")
    body = {"title": title, "content_type": "image/jpeg", "size": len(content.getvalue())}
    created = demo.post(f"{url}/api/images", body, headers)
    upload, image = created["upload"], created["image"]["id"]
    demo.call(upload["method"], upload["url"], upload["headers"], content.getvalue())
    wait(f"{title} is not ready", lambda: get(f"{url}/api/images/{image}", headers)["status"] == "ready")
    return image


def run(data: Path, kept: list[str]) -> str:
    """Starts the stack at a free port, checks images that an earlier run kept, and publishes one more."""
    with running(data, keep=True) as (environment, _, _):
        url = environment["TINTYPE_URL"]
        headers = log_in(url)
        for image in kept:
            assert get(f"{url}/api/images/{image}", headers)["status"] == "ready"
        image = publish(url, headers, f"Picture {len(kept)}")
        if kept:
            job = demo.post(f"{url}/api/images/delete", {"all": True}, headers)["job"]["id"]
            wait("The job is not done", lambda: get(f"{url}/api/jobs/{job}", headers)["status"] == "done")
            assert get(f"{url}/api/images", headers)["results"] == []
        return image


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tintype-restart-") as folder:
        image = run(Path(folder), [])
        run(Path(folder), [image])
    print("A second run at another port has the data of the first, builds uploads and runs jobs.")


if __name__ == "__main__":
    main()
