"""Measures the functions: start-up, size, and processor time per request of each route, on a temporary stack.

Run by `make bench`. This plays Lambda for one process at a time, which calls the stack's services. Start-up is measured from exec
to the first poll of the Runtime API; processor time is what the kernel counted for the process, its first requests left out.
With `AGAINST=folder`, the `api`, `web` and `workers` in that folder are measured in turns with the others, as are the peers for
the route that they have.
"""

import base64
import io
import json
import os
import statistics
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from benches.cost.month import Repository, decoded, wait
from benches.lambda_runtime import Function
from infra.local.deployment import environments

ROOT = Path(__file__).parent.parent
BUILT = ROOT / "target" / "lambda"
PEERS = Path(__file__).parent / "peers"
AGAINST = os.environ.get("AGAINST", "")
STARTED = (
    ("api", "create_image"),
    ("web", "page"),
    ("web", "image_page"),
    ("workers", "build_thumbnails"),
)
STARTS = 31
ROUNDS, REQUESTS, WARM = 5, 60, 20
# Ready private images; a list of them signs three URLs for each.
IMAGES = 50


class Stack:
    """What runs functions of the stack."""

    def __init__(self) -> None:
        self.environments = environments()

    def process(self, command: list[str], handler: str, more: dict[str, str] | None = None) -> Function:
        """The environment is that of the deployed function, with the credentials of this process. Without SSL_CERT_FILE, so
        that a function reads the system's certificates, as on AWS."""
        inherited = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "PATH"))}
        settings = {
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "_HANDLER": handler,
        }
        return Function(command, inherited | self.environments[handler] | settings | (more or {}))


class Bench(Stack):
    """The executables that are measured, by version."""

    def __init__(self, work: Path) -> None:
        super().__init__()
        self.versions = {"": work}
        for archive in BUILT.glob("*/bootstrap.zip"):
            with zipfile.ZipFile(archive) as code:
                code.extractall(work / f"{archive.parent.name}.zip")
            executable = work / archive.parent.name
            executable.symlink_to(work / f"{archive.parent.name}.zip" / "bootstrap")
            executable.chmod(0o755)
        if AGAINST:
            self.versions["against"] = Path(AGAINST)

    def function(self, version: str, executable: str, handler: str) -> Function:
        return self.process([str(self.versions[version] / executable)], handler)

    def start_ups(self) -> None:
        print(f"{'function':<26} {'zip MB':>8} {'first poll ms':>14} {'MB resident':>12}   medians of {STARTS} starts")
        for executable, handler in STARTED:
            starts: dict[str, list[tuple[float, float]]] = {version: [] for version in self.versions}
            for _ in range(STARTS):
                for version, figures in starts.items():
                    function = self.function(version, executable, handler)
                    figures.append((function.first_poll_ms, function.resident_mb))
                    function.stop()
            size = (BUILT / executable / "bootstrap.zip").stat().st_size / 1e6
            for version, figures in starts.items():
                poll, resident = (statistics.median(values) for values in zip(*figures, strict=True))
                shown = f"{size:8.2f}" if not version else f"{'':8}"
                print(f"{f'{handler} {version}':<26} {shown} {poll:14.1f} {resident:12.1f}", flush=True)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((640, 480), 60).convert("RGB").save(file, "JPEG", quality=80)
    return file.getvalue()


def claims(token: str) -> dict[str, str]:
    """A token's claims as the gateway's authorizer gives them: all texts."""
    payload = token.split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return {name: f"[{' '.join(value)}]" if isinstance(value, list) else str(value) for name, value in found.items()}


def event(method: str, path: str, token: str = "", body: dict | None = None, authorizer: bool = True) -> dict:
    """A request as API Gateway hands it on."""
    path, _, query = path.partition("?")
    context: dict = {
        "accountId": "000000000000",
        "apiId": "bench",
        "domainName": "bench.execute-api.us-east-1.amazonaws.com",
        "stage": "$default",
        "requestId": uuid.uuid4().hex,
        "timeEpoch": 0,
        "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
    }
    if token and authorizer:
        context["authorizer"] = {"jwt": {"claims": claims(token), "scopes": None}}
    headers = {"content-type": "application/json", "accept": "*/*", "host": context["domainName"]}
    made = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers | ({"authorization": f"Bearer {token}"} if token else {}),
        "requestContext": context,
        "isBase64Encoded": False,
    }
    return made if body is None else made | {"body": json.dumps(body)}


def draft() -> dict:
    """What an upload registers."""
    return {"content_type": "image/jpeg", "size": 1000, "title": uuid.uuid4().hex}


class Requests:
    """The requests of a user with images: `events` has for each handler the event of its nth request."""

    def __init__(self) -> None:
        self.repository = repository = Repository()
        repository.photo = jpeg()
        for number in range(1 + IMAGES):
            repository.upload(number)
        wait(repository.all_built)
        token, (public, *private) = repository.token, repository.ids
        for image in private:
            repository.api("PATCH", f"/api/images/{image}", {"visibility": "private"})
        refresh = repository.login()["refresh_token"]
        waiting = self.pending()
        thumbnail = repository.api("GET", f"/api/images/{public}")["thumbnails"][0]["url"].partition("/media/")[2]
        self.events: dict[str, Callable[[int], dict]] = {
            "health": lambda _: event("GET", "/api/health"),
            "list_plans": lambda _: event("GET", "/api/plans"),
            "get_me": lambda _: event("GET", "/api/me", token),
            "update_me": lambda n: event("PATCH", "/api/me", token, {"name": f"Bench {n}"}),
            # Before there are others: the newest are listed.
            "list_images": lambda _: event("GET", "/api/images?limit=50", token),
            "create_image": lambda _: event("POST", "/api/images", token, draft()),
            "get_image": lambda n: event("GET", f"/api/images/{private[n % IMAGES]}", token, authorizer=False),
            "update_image": lambda n: event(
                "PATCH", f"/api/images/{private[0]}", token, {"description": uuid.uuid4().hex}
            ),
            "renew_upload": lambda _: event("POST", f"/api/images/{waiting}/upload", token),
            "explore": lambda _: event("GET", "/api/explore", authorizer=False),
            "get_thumbnail": lambda _: event("GET", f"/media/{thumbnail}"),
            "refresh": lambda _: event("POST", "/api/auth/refresh", body={"refresh_token": refresh}),
            "login": lambda _: event("POST", "/api/auth/login", body=repository.account),
            "delete_image": lambda _: event("DELETE", f"/api/images/{self.pending()}", token),
        }

    def pending(self) -> str:
        """The id of a new image that waits for its upload."""
        return self.repository.api("POST", "/api/images", draft())["image"]["id"]


def routes(bench: Bench) -> None:
    requests = Requests().events
    print(f"\n{'route':<16}" + "".join(f"{version or 'CPU ms':>10}" for version in bench.versions), end="")
    print(f"{'ratio' if AGAINST else '':>8}   medians of {ROUNDS} rounds of {REQUESTS} requests, one after the other")
    for handler, request in requests.items():
        functions = {version: bench.function(version, "api", handler) for version in bench.versions}
        values = list(rounds(functions, request).values())
        ratio = f"{values[0] / values[1]:8.2f}" if AGAINST else ""
        print(f"{handler:<16}" + "".join(f"{value:10.3f}" for value in values) + ratio, flush=True)
        for function in functions.values():
            function.stop()
    peers(bench, lambda: requests["get_image"](0))


def peers(bench: Bench, request: Callable[[], dict]) -> None:
    """The same request to functions in other languages, and to one that only sends and receives its bytes."""
    functions = {"tintype": bench.function("", "api", "get_image")}
    answer = functions["tintype"].invoke(request())
    view = json.loads(answer["body"])
    (owner, image), claimed = decoded(view["id"]), claims(request()["headers"]["authorization"])
    keys = [
        (f"USER#{owner}", f"IMAGE#{image}"),
        (f"PROFILE#{owner}", "PROFILE"),
        (f"PROFILE#{owner}", f"SESSION#{claimed['origin_jti']}"),
    ]
    keys = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys]
    read = {"RequestItems": {os.environ["TINTYPE_TABLE"]: {"Keys": keys, "ConsistentRead": True}}}
    floor = {"FLOOR_READ": json.dumps(read), "FLOOR_ANSWER": json.dumps(answer)}
    commands = {
        "floor": [str(ROOT / "target" / "release" / "floor")],
        "Python, boto3": [sys.executable, str(PEERS / "get_image.py")],
        "Node, SDK v3": ["node", str(PEERS / "get_image.mjs")],
    }
    for name, command in commands.items():
        functions[name] = bench.process(command, "get_image", floor if name == "floor" else {})
        shown = json.loads(functions[name].invoke(request())["body"])
        missing = [field for field in shown if field not in view or len(str(shown[field])) < len(str(view[field])) / 2]
        if missing or len(shown) < len(view) - 1:
            raise SystemExit(f"{name} answered without {missing}: {shown}")
    figures = rounds(functions, lambda _: request())
    print(f"\n{'GET /api/images/{id}':<26} {'CPU ms':>8} {'first poll ms':>14} {'MB resident':>12}   afterwards")
    for name, function in functions.items():
        print(f"{name:<26} {figures[name]:8.3f} {function.first_poll_ms:14.1f} {function.resident():12.1f}")
        function.stop()


def rounds(functions: dict[str, Function], request: Callable[[int], dict]) -> dict[str, float]:
    """Milliseconds of processor time per request of each function: the median of the rounds."""
    figures: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        for number in range(WARM):
            function.invoke(request(number))
    for _ in range(ROUNDS):
        for name, function in functions.items():
            before = function.processor_ms()
            for number in range(REQUESTS):
                function.invoke(request(number))
            figures[name].append((function.processor_ms() - before) / REQUESTS)
    return {name: statistics.median(values) for name, values in figures.items()}


def main() -> int:
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(Path(work))
        bench.start_ups()
        routes(bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
