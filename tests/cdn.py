"""Uses the service through the distribution that `Cdn=true` deploys.

The emulator's data plane chooses a behaviour, forwards by its policies, adds the headers of the origin and answers; it keeps no
copies, so how CloudFront caches is not shown here. `tests/template.py` holds the settings, `tests/http/caching.rs` the headers.
"""

import hashlib
import http.client
import io
import json
import os
import re
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3
from PIL import Image

from infra import operate
from infra.local import demo, stack
from infra.local.deployment import STACK

EMAIL = "cdn@example.com"
PASSWORD = "Quiet-Harbour-42"
PATIENCE = 60
FORM = "application/x-www-form-urlencoded"


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


def send(
    host: str, method: str, path: str, body=None, source: str = "127.0.0.1", https: bool = True, **headers
) -> Reply:
    """A request to a host of the emulator, from this address of the loopback network."""
    port = urlsplit(os.environ["TINTYPE_URL"]).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"Host": host, "X-Forwarded-Proto": "https" if https else "http"}
    if isinstance(body, dict):
        body, headers["Content-Type"] = json.dumps(body), "application/json"
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def check_settings(config: dict, secret: str) -> None:
    assert (config["Enabled"], config["HttpVersion"], config["IsIPV6Enabled"]) == (True, "http2and3", True), config
    [origin] = config["Origins"]["Items"]
    [header] = origin["CustomHeaders"]["Items"]
    text = boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    [value] = json.loads(text).values()
    assert header == {"HeaderName": "x-tintype-cdn", "HeaderValue": value} and len(value) == 64, header["HeaderName"]
    assert value not in os.environ["TINTYPE_ENVIRONMENTS"], "the secret is in an environment"


def check_page(host: str, direct: str) -> None:
    page = send(host, "GET", "/", Accept_Encoding="br")
    assert page.status == 200 and page.headers["x-cache"] == "Miss from cloudfront", (page.status, page.headers)
    assert page.body == send(direct, "GET", "/", Accept_Encoding="br").body
    asset = re.search(r'"(/assets/[^"]+\.js)"', send(host, "GET", "/").body.decode())[1]
    for encoding in ("br", "gzip"):
        file = send(host, "GET", asset, Accept_Encoding=encoding)
        assert (file.status, file.headers["content-encoding"]) == (200, encoding), file.headers
    plain = send(host, "GET", "/images?next=1", https=False)
    assert (plain.status, plain.headers["location"]) == (301, f"https://{host}/images?next=1"), plain.headers
    # Only what may change something takes other methods.
    assert send(host, "POST", asset, {}).status == 403
    assert send(host, "POST", "/api/health", {}).status == 405
    preflight = {"Origin": "https://app.example.org", "Access_Control_Request_Method": "GET"}
    allowed = send(host, "OPTIONS", asset, **preflight)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, "*"), allowed.headers


def user(host: str) -> tuple[dict, str]:
    """A user on the plan with links, signed up and logged in through the CDN; and the cookie of their session."""
    assert send(host, "POST", "/api/auth/signup", {"email": EMAIL, "password": PASSWORD, "name": "Ada"}).status == 201
    code = re.search(r"\b\d{6}\b", stack.mails(dict(os.environ), EMAIL)[-1]["BodyText"])[0]
    assert send(host, "POST", "/api/auth/confirm", {"email": EMAIL, "code": code}).status == 204
    login = send(host, "POST", "/api/auth/login", {"email": EMAIL, "password": PASSWORD, "cookie": True})
    assert login.status == 200, login.body
    return login.json(), login.headers["set-cookie"].split(";")[0]


def check_api(host: str, session: dict, cookie: str) -> dict:
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    assert send(host, "GET", "/api/me").status == 401
    assert send(host, "GET", "/api/me", **bearer).status == 200
    refreshed = send(host, "POST", "/api/auth/refresh", {}, Cookie=cookie, Sec_Fetch_Site="same-origin")
    assert refreshed.status == 200, refreshed.body
    assert send(host, "GET", "/api/images?limit=0", **bearer).status == 422
    missing = send(host, "GET", "/media/thumbnail/a/b/200.jpg")
    assert (missing.status, missing.headers["cache-control"]) == (404, "no-store"), missing.headers
    return bearer


def may_link(host: str) -> None:
    """Puts the user on the plan that has links, which an admin does."""
    operate.make_admin(os.environ["TINTYPE_OPERATE_FUNCTION"], EMAIL)
    login = send(host, "POST", "/api/auth/login", {"email": EMAIL, "password": PASSWORD}).json()
    admin = {"Authorization": f"Bearer {login['access_token']}"}
    [found] = send(host, "GET", f"/api/users?email_prefix={EMAIL}", **admin).json()["results"]
    assigned = send(host, "PUT", f"/api/users/{found['id']}/plan", {"plan": "Enterprise"}, **admin)
    assert assigned.status == 202, assigned.body


def publish(host: str, bearer: dict) -> dict:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(picture, "PNG")
    content = picture.getvalue()
    draft = {"title": "Harbour", "content_type": "image/png", "size": len(content), "visibility": "public"}
    created = send(host, "POST", "/api/images", draft | {"sha256": hashlib.sha256(content).hexdigest()}, **bearer)
    assert created.status == 201, created.body
    upload, at = created.json()["upload"], f"/api/images/{created.json()['image']['id']}"
    demo.call(upload["method"], upload["url"], upload["headers"], content)
    deadline = time.monotonic() + PATIENCE
    while (image := send(host, "GET", at, **bearer).json())["status"] != "ready":
        assert time.monotonic() < deadline, image
        time.sleep(0.1)
    return image


def check_thumbnail(host: str, path: str) -> None:
    """The distribution reduces `Accept` as the function would decide by it."""
    for accept, kind in (
        (None, "png"),
        ("*/*", "png"),
        ("image/*", "png"),
        ("image/webp;q=0, */*", "png"),
        ("image/png, image/webp;q=0.9", "png"),
        ("image/webp;q=0.4, */*;q=0.5", "png"),
        ("image/webp", "webp"),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "webp"),
        ("IMAGE/WEBP;q=0.5, image/jpeg, image/*;q=0.5", "webp"),
    ):
        thumbnail = send(host, "GET", path, **({"Accept": accept} if accept else {}))
        assert (thumbnail.status, thumbnail.headers["content-type"]) == (200, f"image/{kind}"), (accept, thumbnail)
        assert thumbnail.headers["vary"] == "Accept", thumbnail.headers


def check_link(host: str, direct: str, bearer: dict) -> None:
    image = publish(host, bearer)
    check_thumbnail(host, urlsplit(image["thumbnails"][0]["url"]).path)
    wish = {"base_image": image["id"], "expiry_in_seconds": 300, "password": "right"}
    path = urlsplit(send(host, "POST", "/api/expiring-links", wish, **bearer).json()["link_url"]).path
    page = send(host, "GET", path, Accept="text/html")
    assert page.status == 401 and b'type="password"' in page.body, page.body

    def attempt(at: str, source: str, password: str, **headers) -> int:
        return send(at, "POST", path, f"password={password}", source, Content_Type=FORM, **headers).status

    assert [attempt(host, "127.0.0.5", "wrong") for _ in range(10)] == [401] * 10
    assert attempt(host, "127.0.0.5", "right") == 429
    # A viewer's own headers do not reach the function.
    claim = {"CloudFront_Viewer_Address": "127.0.0.7:1", "X_Tintype_Cdn": "guess"}
    assert attempt(host, "127.0.0.5", "right", **claim) == 429
    assert attempt(host, "127.0.0.6", "right") == 303
    # Nor do they count at the API's own address.
    claims = [f"127.0.1.{number}:1" for number in range(10)]
    tries = [
        attempt(direct, "127.0.0.8", "wrong", CloudFront_Viewer_Address=claim, X_Tintype_Cdn="guess")
        for claim in claims
    ]
    assert tries == [401] * 10, tries
    assert attempt(direct, "127.0.0.8", "right", **claim) == 429
    assert attempt(host, "127.0.0.7", "right") == 303


def main() -> None:
    names = operate.outputs(STACK)
    host, direct = urlsplit(names["CdnUrl"]).netloc, urlsplit(os.environ["TINTYPE_URL"]).netloc
    assert names["ApiUrl"] == names["CdnUrl"], names["ApiUrl"]
    found = boto3.client("cloudfront").list_distributions()["DistributionList"]["Items"]
    [distribution] = [item for item in found if item["DomainName"] == host]
    config = boto3.client("cloudfront").get_distribution_config(Id=distribution["Id"])["DistributionConfig"]
    resource = boto3.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId="CdnSecret")
    check_settings(config, resource["StackResourceDetail"]["PhysicalResourceId"])
    check_page(host, direct)
    session, cookie = user(host)
    bearer = check_api(host, session, cookie)
    may_link(host)
    check_link(host, direct, bearer)
    print("The page, the API and links work through the CDN, and link passwords count by the viewer's address.")


if __name__ == "__main__":
    main()
