"""Puts the demo pictures into the repository, through the API like any client."""

import hashlib
import json
import urllib.error
import urllib.request

from infra.local.pictures import PICTURES, draw


def call(method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def post(url: str, body: dict, headers: dict[str, str] | None = None) -> dict:
    headers = {"content-type": "application/json"} | (headers or {})
    return json.loads(call("POST", url, headers, json.dumps(body).encode()))


def add_pictures(url: str, owners: dict[str, str], password: str) -> None:
    """Uploads the missing pictures. `owners`: e-mail addresses by the names in the pictures' definitions."""
    tokens = {}
    for owner, email in owners.items():
        login = post(f"{url}/api/auth/login", {"email": email, "password": password})
        tokens[owner] = {"authorization": f"Bearer {login['access_token']}"}
    for picture in PICTURES:
        content = draw(picture)
        body = {
            "title": picture.title,
            "description": picture.description,
            "visibility": "public" if picture.public else "private",
            "content_type": f"image/{picture.kind}",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        # The key is the same in each run, so that a run continues an interrupted one.
        key = {"idempotency-key": f"demo {picture.title}"}
        try:
            upload = post(f"{url}/api/images", body, tokens[picture.owner] | key)["upload"]
            call(upload["method"], upload["url"], upload["headers"], content)
        except urllib.error.HTTPError as error:
            # The title is taken, or the image exists.
            if error.code not in (409, 412):
                raise
