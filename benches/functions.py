"""Measures the functions: start-up, size, and processor time per request of each route, on a temporary stack.

Run by `make bench`. Start-up is measured from exec to the first poll of the Lambda Runtime API, here a listening socket;
processor time is what the kernel counted for the function's processes over all requests of a route, first ones left out.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
STARTED = (
    ("api", "create_image"),
    ("web", "page"),
    ("web", "image_page"),
    ("workers", "build_thumbnails"),
)
STARTS = 31
REQUESTS = 200


def start_up(executable: str, handler: str) -> tuple[float, float]:
    """Milliseconds from exec to the first poll, and MB resident then."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        environment = {
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "_HANDLER": handler,
            **{
                name: "bench"
                for name in (
                    "TABLE",
                    "ORIGINALS_BUCKET",
                    "THUMBNAILS_BUCKET",
                    "ORIGINALS_DOMAIN",
                    "THUMBNAILS_DOMAIN",
                    "CLIENT_ID",
                    "SIGNING_KEYS",
                )
            },
            "USER_POOL_ID": "us-east-1_bench",
            "USER_POOL_URL": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_bench",
        }
        began = time.perf_counter()
        process = subprocess.Popen([executable], env=environment, stdout=subprocess.DEVNULL)
        connection, _ = listener.accept()
        connection.recv(1)
        took = (time.perf_counter() - began) * 1000
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        process.kill()
        process.wait()
        connection.close()
        return took, pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_ms(handler: str) -> float:
    """Sums over all running processes of a function."""
    total = 0
    for process in Path("/proc").iterdir():
        try:
            if f"_HANDLER={handler}\0".encode() in (process / "environ").read_bytes():
                total += sum(
                    int((thread / "schedstat").read_text().split()[0]) for thread in (process / "task").iterdir()
                )
        except (OSError, ValueError):
            continue
    return total / 1e6


def call(method: str, path: str, token: str = "", body: dict | None = None) -> dict:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    url = path if path.startswith("http") else os.environ["TINTYPE_URL"] + path
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {path} answered {error.code}: {error.read()[:300]}") from error
    return json.loads(text) if text[:1] in b"{[" and text else {}


def user() -> tuple[str, str, str]:
    email, password = f"bench-{uuid.uuid4().hex}@example.org", "a bench's password"
    call("POST", "/api/auth/signup", body={"email": email, "password": password, "name": "Bench"})
    # All codes of the local pool are equal.
    call("POST", "/api/auth/confirm", body={"email": email, "code": "123456"})
    tokens = call("POST", "/api/auth/login", body={"email": email, "password": password})
    return email, tokens["access_token"], tokens["refresh_token"]


def measure(handler: str, request) -> None:
    for number in range(10):
        request(-1 - number)
    before, began = processor_ms(handler), time.perf_counter()
    for number in range(REQUESTS):
        request(number)
    took, spent = (time.perf_counter() - began) * 1000, processor_ms(handler) - before
    print(f"{handler:<16} {spent / REQUESTS:8.2f} {took / REQUESTS:10.1f}", flush=True)


def routes() -> None:
    email, token, refresh = user()
    draft = {"content_type": "image/jpeg", "size": 1000}
    ids: list[str] = []

    def create(_: int) -> None:
        made = call("POST", "/api/images", token, draft | {"title": uuid.uuid4().hex})
        ids.append(made["image"]["id"])

    print(f"\n{'route':<16} {'CPU ms':>8} {'client ms':>10}   {REQUESTS} requests each, one after the other")
    measure("health", lambda _: call("GET", "/api/health"))
    measure("list_plans", lambda _: call("GET", "/api/plans"))
    measure("get_me", lambda _: call("GET", "/api/me", token))
    measure("update_me", lambda n: call("PATCH", "/api/me", token, {"name": f"Bench {n}"}))
    measure("create_image", create)
    measure("get_image", lambda n: call("GET", f"/api/images/{ids[n]}", token))
    measure("list_images", lambda _: call("GET", "/api/images?limit=50", token))
    measure("update_image", lambda n: call("PATCH", f"/api/images/{ids[n]}", token, {"description": uuid.uuid4().hex}))
    measure("renew_upload", lambda n: call("POST", f"/api/images/{ids[n]}/upload", token))
    measure("explore", lambda _: call("GET", "/api/explore"))
    measure("refresh", lambda _: call("POST", "/api/auth/refresh", body={"refresh_token": refresh}))
    measure("delete_image", lambda _: call("DELETE", f"/api/images/{ids.pop()}", token))
    login = {"email": email, "password": "a bench's password"}
    measure("login", lambda _: call("POST", "/api/auth/login", body=login))


def main() -> int:
    print(f"{'function':<16} {'zip MB':>8} {'first poll ms':>14} {'MB resident':>12}   medians of {STARTS} starts")
    for name, handler in STARTED:
        archive = ROOT / "target" / "lambda" / name / "bootstrap.zip"
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as code:
            code.extractall(folder)
            executable = str(Path(folder) / "bootstrap")
            Path(executable).chmod(0o755)
            starts = [start_up(executable, handler) for _ in range(STARTS)]
        poll, resident = (statistics.median(values) for values in zip(*starts, strict=True))
        print(f"{handler:<16} {archive.stat().st_size / 1e6:8.2f} {poll:14.1f} {resident:12.1f}", flush=True)
    routes()
    return 0


if __name__ == "__main__":
    sys.exit(main())
