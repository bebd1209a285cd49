"""Checks the running service against its OpenAPI document with schemathesis, with a login and without.

Nothing that it sends may bring a 5xx or an answer that the document does not have. The same requests every time.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

URL = os.environ["TINTYPE_URL"]
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "5")
ANONYMOUS_PHASES = os.environ.get("ANONYMOUS_PHASES", "examples,fuzzing")
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
PASSWORD = "a contract's password"


def call(method: str, path: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")


def mailed_code(email: str) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with urllib.request.urlopen(os.environ["TINTYPE_MAILS_URL"], timeout=10) as answer:
            accounts = json.loads(answer.read())["messages"]
        for mail in (mail for account in accounts.values() for mail in account if email in mail["To"]):
            return re.search(r"\b\d{6}\b", mail["BodyText"])[0]
        time.sleep(0.1)
    raise SystemExit(f"No mail came to {email}.")


def log_in() -> str:
    email = f"contract-{uuid.uuid4().hex}@example.org"
    call("POST", "/api/auth/signup", {"email": email, "password": PASSWORD, "name": "Contract"})
    call("POST", "/api/auth/confirm", {"email": email, "code": mailed_code(email)})
    return call("POST", "/api/auth/login", {"email": email, "password": PASSWORD})["access_token"]


def open_operations() -> list[str]:
    """The ids of the operations that anybody may call, as options of schemathesis."""
    paths = call("GET", "/api/openapi.json")["paths"].values()
    operations = [operation for path in paths for operation in path.values()]
    ids = [one["operationId"] for one in operations if not one["security"] or {} in one["security"]]
    assert 0 < len(ids) < len(operations), ids
    return [option for name in ids for option in ("--include-operation-id", name)]


def check(phases: str, *options: str) -> int:
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{URL}/api/openapi.json"]
    command += ["--checks", ",".join(CHECKS)]
    command += ["--phases", phases, "--max-examples", EXAMPLES, "--max-redirects", "0"]
    command += ["--generation-deterministic", "--no-color"]
    # One thread: in several, CPython 3.11 loses count in ast.parse, which Hypothesis calls ("recursion depth mismatch").
    command += ["--workers", "1", "--warnings", "off", *options]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    print("Without a login:", flush=True)
    # What needs a login is 401 then, whatever else is sent: `make hold` sends each value of each parameter.
    failed = check(ANONYMOUS_PHASES)
    failed |= check("coverage", *open_operations())
    print("With a login:", flush=True)
    # Logging out would end the session for the rest.
    failed |= check(
        "examples,coverage,fuzzing", "--header", f"Authorization: Bearer {log_in()}", "--exclude-operation-id", "logout"
    )
    return failed


if __name__ == "__main__":
    sys.exit(main())
