"""Updates every function of the running stack under constant requests: none of them fails, and nothing is lost."""

import itertools
import json
import os
import shutil
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import boto3

from infra.deploy import described
from infra.local.deployment import STACK, apply, package
from tests.contract import URL, log_in

PATIENCE = 120
# Of each client, before the update and after it.
REQUESTS = 20


class Client(threading.Thread):
    """Sends requests one after another, and notes those that do not have the expected status."""

    def __init__(self, expected: int, request: Callable[[], urllib.request.Request]):
        super().__init__(daemon=True)
        self.expected, self.request = expected, request
        self.answered, self.failed, self.bodies = 0, [], []
        self.counts, self.stopped = threading.Condition(), False

    def run(self) -> None:
        while not self.stopped:
            request = self.request()
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, body = error.code, error.read()
            except OSError as error:
                status, body = 0, str(error).encode()
            with self.counts:
                if status == self.expected:
                    self.bodies.append(body)
                else:
                    self.failed.append((request.get_method(), request.full_url, status, body[:300]))
                self.answered += 1
                self.counts.notify_all()

    def answers(self, count: int) -> None:
        """Waits for further answers."""
        with self.counts:
            goal = self.answered + count
            assert self.counts.wait_for(lambda: self.answered >= goal, PATIENCE), f"{self.request().full_url} hangs"


def changed(code: Path) -> Path:
    """A copy of the executables, each with one byte more, which the loader ignores."""
    folder = Path(tempfile.mkdtemp(prefix="tintype-update-"))
    shutil.copytree(code, folder, dirs_exist_ok=True)
    for executable in (file for file in folder.iterdir() if file.is_file()):
        with executable.open("ab") as file:
            file.write(b"\n")
    return folder


def codes() -> dict[str, str]:
    pages = boto3.client("lambda").get_paginator("list_functions").paginate()
    return {function["FunctionName"]: function["CodeSha256"] for page in pages for function in page["Functions"]}


def main() -> int:
    headers = {"authorization": f"Bearer {log_in()}", "content-type": "application/json"}
    numbers = itertools.count()

    def get(path: str) -> Callable[[], urllib.request.Request]:
        return lambda: urllib.request.Request(URL + path, headers=headers)

    def create() -> urllib.request.Request:
        title = f"{next(numbers)} {uuid.uuid4()}"
        body = {"title": title, "content_type": "image/png", "size": 1000}
        return urllib.request.Request(URL + "/api/images", json.dumps(body).encode(), headers, method="POST")

    creator = Client(201, create)
    clients = [creator, Client(200, get("/api/me")), Client(200, get("/api/images?limit=1")), Client(200, get("/"))]
    for client in clients:
        client.start()
    for client in clients:
        client.answers(REQUESTS)
    before = codes()
    folder = changed(Path(os.environ["TINTYPE_EXECUTABLES"]))
    try:
        chosen = {item["ParameterKey"]: item["ParameterValue"] for item in described(STACK)["Parameters"]}
        apply(package(folder, folder / "package"), chosen)
        after = codes()
        for client in clients:
            client.answers(REQUESTS)
            client.stopped = True
        for client in clients:
            client.join(PATIENCE)
    finally:
        shutil.rmtree(folder)

    assert before.keys() == after.keys() and not before.items() & after.items(), "not every function was updated"
    failed = [request for client in clients for request in client.failed]
    for request in failed:
        print(*request)
    lost = 0
    for body in creator.bodies:
        image = json.loads(body)["image"]
        with urllib.request.urlopen(get(f"/api/images/{image['id']}")(), timeout=60) as answer:
            lost += json.loads(answer.read())["title"] != image["title"]
    total = sum(client.answered for client in clients)
    print(f"{total} requests during an update of {len(after)} functions, {len(failed)} failed, {lost} images lost.")
    return 1 if failed or lost else 0


if __name__ == "__main__":
    sys.exit(main())
