"""Runs the functions against moto, another emulator of AWS, for what it supports: the table's conditions and transactions, S3's
presigned PUT, and Cognito's flows. Differences between moto, MiniStack and AWS are listed in docs/aws.md.

`python tests/second_opinion.py` needs the executables of `make functions` and the Python tools of `make test-tools`.
"""

import base64
import hashlib
import io
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from PIL import Image
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[1]
# Those of the running stack, or those that `make functions` built.
EXECUTABLES = Path(os.environ.get("TINTYPE_EXECUTABLES", ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug"))
REGION = "us-east-1"
PASSWORD = "Quiet-Harbour-42"
EMAIL = "ada@example.com"


class Function:
    """A function's executable, and the Runtime API that sends it events."""

    def __init__(self, executable: str, handler: str, environment: dict[str, str]):
        events, results = queue.Queue(), queue.Queue()

        class Runtime(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(events.get()).encode()
                self.send_response(200)
                self.send_header("lambda-runtime-aws-request-id", str(uuid.uuid4()))
                self.send_header("lambda-runtime-deadline-ms", str(int((time.time() + 60) * 1000)))
                self.send_header(
                    "lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:f"
                )
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()
                results.put((self.path.endswith("/response"), json.loads(body or "null")))

            def log_message(self, *_) -> None:
                pass

        self.handler, self.events, self.results = handler, events, results
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        own = {
            "_HANDLER": handler,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": handler,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        }
        self.process = subprocess.Popen([EXECUTABLES / executable], env=environment | own, stdout=subprocess.DEVNULL)

    def invoke(self, event: dict):
        self.events.put(event)
        succeeded, result = self.results.get(timeout=60)
        assert succeeded, (self.handler, result)
        return result

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.server.shutdown()


class Service:
    """The functions, each started when it is first needed."""

    def __init__(self, environment: dict[str, str]):
        self.environment, self.running = environment, {}

    def function(self, handler: str) -> Function:
        if handler not in self.running:
            executable = "workers" if handler in ("build_thumbnails", "sweep") else "api"
            self.running[handler] = Function(executable, handler, self.environment)
        return self.running[handler]

    def call(self, handler: str, method: str, path: str, body=None, token: str | None = None, headers=None):
        """The status, the headers and the JSON of an answer."""
        headers = {"content-type": "application/json"} | (headers or {})
        context = {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": str(uuid.uuid4()),
            "timeEpoch": 0,
            "stage": "$default",
            "domainName": "moto.example.org",
        }
        if token:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            context["authorizer"] = {
                "jwt": {"claims": {name: str(value) for name, value in claims.items()}, "scopes": None}
            }
        path, _, query = path.partition("?")
        event = {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers}
        event |= {"requestContext": context, "isBase64Encoded": False}
        if body is not None:
            event["body"] = json.dumps(body)
        answer = self.function(handler).invoke(event)
        text = answer.get("body") or "null"
        text = base64.b64decode(text) if answer.get("isBase64Encoded") else text
        try:
            content = json.loads(text)
        except ValueError:
            content = text
        return answer["statusCode"], answer.get("headers", {}), content

    def stop(self) -> None:
        for function in self.running.values():
            function.stop()


def expect(answer, status: int, code: str | None = None):
    assert answer[0] == status, answer
    assert code is None or answer[2]["code"] == code, answer
    return answer[2]


def plain(value, names: dict):
    """A part of the template with conditions taken as true and references replaced."""
    if isinstance(value, list):
        return [plain(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("Ref", name)]:
            return names[name]
        case [("Fn::If", [_, yes, _])]:
            return plain(yes, names)
    return {name: plain(item, names) for name, item in value.items()}


@contextmanager
def stack():
    """moto with the template's table, buckets, user pool and secret; the environment of the functions."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    aws = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    os.environ.update(aws)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        template = yaml_parse((ROOT / "template.yaml").read_text())
        defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
        declared = {name: resource.get("Properties", {}) for name, resource in template["Resources"].items()}
        table = plain(declared["Table"], defaults)
        for name in ("TimeToLiveSpecification", "PointInTimeRecoverySpecification", "DeletionProtectionEnabled"):
            table.pop(name)
        table["StreamSpecification"]["StreamEnabled"] = True
        boto3.client("dynamodb").create_table(TableName="tintype", **table)
        for bucket in ("originals", "thumbnails"):
            boto3.client("s3").create_bucket(Bucket=bucket)
        cognito, pool = boto3.client("cognito-idp"), plain(declared["UserPool"], defaults | {"SesIdentityArn": ""})
        pool.pop("EmailConfiguration")
        rules = pool["Policies"]["PasswordPolicy"]
        pool["Policies"]["PasswordPolicy"] = {
            name: value if isinstance(value, int) else value == "true" for name, value in rules.items()
        }
        pool_id = cognito.create_user_pool(PoolName="tintype", **pool)["UserPool"]["Id"]
        client = plain(declared["UserPoolClient"], defaults | {"UserPool": pool_id})
        client_id = cognito.create_user_pool_client(ClientName="tintype", **client)["UserPoolClient"]["ClientId"]
        cognito.create_group(UserPoolId=pool_id, GroupName="admins")
        secret = boto3.client("secretsmanager").create_secret(Name="keys", SecretString='{"key": "a key"}')["ARN"]
        jobs = boto3.client("sqs").create_queue(QueueName="jobs")["QueueUrl"]
        for plan in json.loads((ROOT / "infra" / "plans.json").read_text()):
            item = {"pk": "PLANS", "sk": f"PLAN#{plan['name']}", **plan, "version": 1}
            boto3.resource("dynamodb").Table("tintype").put_item(Item=item)
        yield aws | {
            "TABLE": "tintype",
            "ORIGINALS_BUCKET": "originals",
            "THUMBNAILS_BUCKET": "thumbnails",
            "USER_POOL_ID": pool_id,
            "USER_POOL_URL": f"https://cognito-idp.{REGION}.amazonaws.com/{pool_id}",
            "CLIENT_ID": client_id,
            "SIGNING_KEYS": secret,
            "JOBS_QUEUE_URL": jobs,
            "DEFAULT_PLAN": "Enterprise",
            "PASSWORD_MIN_LENGTH": "10",
            "PUBLIC_URL": "https://moto.example.org",
        }
    finally:
        server.stop()


def check_accounts(service: Service, differences: list[str]) -> str:
    """Cognito's flows; returns an access token."""
    sign_up = {"email": EMAIL, "password": PASSWORD, "name": "Ada"}
    expect(service.call("signup", "POST", "/api/auth/signup", sign_up), 201)
    other = sign_up | {"password": PASSWORD + "!"}
    expect(service.call("signup", "POST", "/api/auth/signup", other), 409, "email_taken")
    expect(
        service.call("signup", "POST", "/api/auth/signup", sign_up | {"email": "b@example.com", "password": "short"}),
        422,
    )
    login = {"email": EMAIL, "password": PASSWORD}
    if service.call("login", "POST", "/api/auth/login", login)[0] == 200:
        differences.append("AdminInitiateAuth gives tokens to a user who is not confirmed")
    expect(service.call("login", "POST", "/api/auth/login", login | {"password": "wrong"}), 401, "bad_credentials")
    expect(service.call("confirm", "POST", "/api/auth/confirm", {"email": EMAIL, "code": "123456"}), 204)
    for email in (EMAIL, "c@example.com"):
        expect(service.call("forgot_password", "POST", "/api/auth/forgot-password", {"email": email}), 202)
    expect(service.call("login", "POST", "/api/auth/login", login | {"password": "wrong"}), 401, "bad_credentials")
    expect(service.call("login", "POST", "/api/auth/login", login | {"email": "c@example.com"}), 401, "bad_credentials")
    session = expect(service.call("login", "POST", "/api/auth/login", login), 200)
    renewal = {"refresh_token": session["refresh_token"]}
    expect(service.call("refresh", "POST", "/api/auth/refresh", renewal), 200)
    return session["access_token"]


def put(upload: dict, content: bytes, **other: str) -> int:
    headers = {name: value for name, value in upload["headers"].items() if name.lower() != "content-length"} | other
    request = urllib.request.Request(upload["url"], content, headers, method=upload["method"])
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def check_images(service: Service, token: str, differences: list[str]) -> dict:
    """Titles, usage and presigned uploads; returns an image that is ready."""
    file = io.BytesIO()
    Image.new("RGB", (640, 480), (40, 90, 160)).save(file, "JPEG")
    content = file.getvalue()
    draft = {"title": "Harbour", "content_type": "image/jpeg", "size": len(content), "visibility": "public"}
    draft["sha256"] = hashlib.sha256(content).hexdigest()
    create = lambda body, **headers: service.call("create_image", "POST", "/api/images", body, token, headers)
    created = expect(create(draft, **{"idempotency-key": "one"}), 201)
    assert expect(create(draft, **{"idempotency-key": "one"}), 201)["image"]["id"] == created["image"]["id"]
    expect(create(draft | {"title": "Quay"}, **{"idempotency-key": "one"}), 422, "idempotency_mismatch")
    expect(create(draft), 409, "title_taken")

    upload = created["upload"]
    for wrong, change in [
        ("another size", {"content": content + b"x"}),
        ("another content", {"content": content[:-1] + b"x"}),
        ("another type", {"content": content, "content-type": "image/png"}),
    ]:
        status = put(upload, **change)
        if status == 200:
            differences.append(f"a presigned PUT admits {wrong}")
            boto3.client("s3").delete_object(
                Bucket="originals", Key=boto3.client("s3").list_objects_v2(Bucket="originals")["Contents"][0]["Key"]
            )
        else:
            assert status in (400, 403), (wrong, status)
    assert put(upload, content) == 200
    if put(upload, content) != 412:
        differences.append("If-None-Match: * does not keep an object from being replaced")

    key = boto3.client("s3").list_objects_v2(Bucket="originals")["Contents"][0]["Key"]
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-01-01T00:00:00.000Z",
    }
    record |= {"eventName": "ObjectCreated:Put", "userIdentity": {}, "requestParameters": {}, "responseElements": {}}
    record["s3"] = {"bucket": {"name": "originals"}, "object": {"key": key, "size": len(content)}}
    message = {"messageId": "1", "receiptHandle": "1", "body": json.dumps({"Records": [record]}), "attributes": {}}
    message |= {"messageAttributes": {}, "eventSource": "aws:sqs", "md5OfBody": ""}
    for _ in range(2):
        built = service.function("build_thumbnails").invoke({"Records": [message]})
        assert not built["batchItemFailures"], built
    path = f"/api/images/{created['image']['id']}"
    image = expect(service.call("get_image", "GET", path, token=token), 200)
    assert image["status"] == "ready" and image["thumbnails"], image
    usage = expect(service.call("get_me", "GET", "/api/me", token=token), 200)["usage"]
    assert usage["images"] == 1, usage

    # Titles and versions under concurrency.
    second = expect(create(draft | {"title": "Quay"}), 201)["image"]
    other = f"/api/images/{second['id']}"
    expect(service.call("update_image", "PATCH", other, {"title": "Harbour"}, token), 409, "title_taken")
    stale = {"if-match": '"99"'}
    expect(service.call("update_image", "PATCH", other, {"title": "Pier"}, token, stale), 412, "precondition_failed")
    expect(service.call("update_image", "PATCH", other, {"title": "Pier"}, token), 200)
    expect(create(draft | {"title": "Quay"}), 201)
    listed = expect(service.call("list_images", "GET", "/api/images?limit=2", token=token), 200)
    assert len(listed["results"]) == 2 and listed["next_cursor"], listed
    page = expect(
        service.call("list_images", "GET", f"/api/images?limit=2&cursor={listed['next_cursor']}", token=token), 200
    )
    assert [item["title"] for item in page["results"]] == ["Harbour"], page
    expect(service.call("delete_image", "DELETE", other, token=token), 204)
    expect(service.call("delete_image", "DELETE", other, token=token), 404)
    batch = {"images": [draft | {"title": title} for title in ("Harbour", "Mole", "Mole")]}
    statuses = [
        item["status"]
        for item in expect(service.call("create_batch", "POST", "/api/images/batch", batch, token), 207)["results"]
    ]
    assert statuses == [409, 201, 409], statuses
    return image


def check_links(service: Service, token: str, image: dict) -> None:
    body = {"base_image": image["id"], "expiry_in_seconds": 300, "max_downloads": 2}
    link = expect(service.call("create_link", "POST", "/api/expiring-links", body, token), 201)
    path = link["link_url"].removeprefix("https://moto.example.org")
    statuses = [service.call("visit_link", "GET", path)[0] for _ in range(3)]
    assert statuses == [302, 302, 410], statuses
    own = f"/api/expiring-links/{link['id']}"
    expect(service.call("update_link", "PATCH", own, {"max_downloads": 3, "rotate": True}, token), 200)
    assert service.call("visit_link", "GET", path)[0] == 410
    moved = expect(service.call("get_link", "GET", own, token=token), 200)["link_url"]
    assert service.call("visit_link", "GET", moved.removeprefix("https://moto.example.org"))[0] == 302
    expect(service.call("delete_link", "DELETE", own, token=token), 204)
    expect(service.call("get_link", "GET", own, token=token), 404)


def main() -> None:
    differences: list[str] = []
    with stack() as environment:
        service = Service(environment)
        try:
            token = check_accounts(service, differences)
            image = check_images(service, token, differences)
            check_links(service, token, image)
        finally:
            service.stop()
    for difference in differences:
        print(f"moto: {difference}")
    print("moto and the functions agree on the rest.")


if __name__ == "__main__":
    sys.exit(main())
