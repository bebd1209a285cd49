"""Measures what the service costs: runs each of a user's actions on a local stack, counts what AWS would bill for them, and
multiplies by public prices. Run by `make cost`; docs/cost.md explains the figures.

Counted are the requests that reach the emulator, by the function that sent them, the bytes of responses and log lines, and the
processor time of the functions. Assumed are `LATENCY` and `PLATFORM_LOG`.
"""

import hashlib
import io
import json
import math
import os
import re
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from PIL import Image, ImageFilter

from benches.cost.units import bill, item_size
from infra import operate
from infra.local import stack

TABLE = json.loads(Path(__file__).with_name("prices.json").read_text())
PRICES = {name: price for name, (price, _, _) in TABLE["dollars"].items()}
# Megabytes of memory with which a function has one vCPU ("Configure Lambda function memory").
ONE_VCPU = 1769
MEMORY = defaultdict(lambda: 256, {"build_thumbnails": 512, "run_job": 512, "audit": 512})
# Assumed milliseconds that a function waits for a call.
LATENCY = {"BatchGetItem": 5, "Query": 5, "TransactWriteItems": 12, "PutItem": 6, "UpdateItem": 6, "DeleteItem": 6,
           "SendMessage": 8, "GetSecretValue": 15, "s3_1": 40, "s3_2": 25, None: 20, "cognito": 60}  # fmt: skip
# Assumed bytes of the lines that Lambda writes itself for an invocation, and of a line of API Gateway's access log.
PLATFORM_LOG, ACCESS_LOG = 900, 350
# S3 sends a message for an upload; Lambda receives and deletes it.
MESSAGE_REQUESTS = 3
# Of an upload's write units those in the partition of its owner's images: two puts of the image in transactions.
IMAGE_WRITES = 4
MONTH_SECONDS = 30 * 86400
# A month beside others' prices: photos uploaded and kept, and views of thumbnails.
PHOTOS, VIEWS = 100_000, 10_000_000
HITS = 0.9
PATIENCE = 120
PASSWORD = "a bench's password"


class Meter:
    """What AWS bills for an action, and what each function did for it."""

    def __init__(self) -> None:
        self.url = os.environ["TINTYPE_URL"]
        self.host = urlsplit(self.url).netloc
        self.buckets = {os.environ["TINTYPE_ORIGINALS_BUCKET"], os.environ["TINTYPE_THUMBNAILS_BUCKET"]}
        self.calls, self.log = Path(os.environ["TINTYPE_CALLS"]), Path(os.environ["TINTYPE_LOG"])
        self.handlers: dict[str, str] = {}

    def measure(self, name: str, count: int, action: Callable[[int], object], done: Callable[[], bool] | None = None):
        """Runs an action this many times, waits until the workers have done their part, and returns the average."""
        action(-1)
        wait(done)
        calls, log, cpu = self.calls.stat().st_size, self.log.stat().st_size, self.processor_ms()
        for number in range(count):
            action(number)
        wait(done)
        used = self.processor_ms()
        return Average(self, name, count, calls, log, {handler: used[handler] - cpu[handler] for handler in used})

    def processor_ms(self) -> Counter:
        """The processor time of all running functions, by handler. Notes by which key each signs its calls."""
        total: Counter = Counter()
        for process in Path("/proc").iterdir():
            try:
                variables = (process / "environ").read_bytes().split(b"\0")
                environment = dict(entry.decode().split("=", 1) for entry in variables if b"=" in entry)
                # Only of this stack: others may run.
                if not environment.get("AWS_ENDPOINT_URL", "") or "_HANDLER" not in environment:
                    continue
                if urlsplit(environment["AWS_ENDPOINT_URL"]).port != urlsplit(os.environ["AWS_ENDPOINT_URL"]).port:
                    continue
                handler = environment["_HANDLER"]
                self.handlers[environment["AWS_ACCESS_KEY_ID"]] = handler
                threads = (process / "task").iterdir()
                total[handler] += sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
            except (OSError, ValueError, UnicodeDecodeError):
                continue
        return Counter({handler: spent / 1e6 for handler, spent in total.items()})


class Average:
    """The billed units of one action, and of each function for it."""

    def __init__(self, meter: Meter, name: str, count: int, calls: int, log: int, cpu: dict[str, float]) -> None:
        self.name, self.units, self.functions = name, Counter(), defaultdict(Counter)
        with meter.calls.open() as file:
            file.seek(calls)
            for line in file:
                call = json.loads(line)
                handler = meter.handlers.get(call["key"])
                presigned = "X-Amz-Signature" in call["query"]
                if handler is None and not presigned and call["host"] != meter.host:
                    continue  # The operator's, or this script's.
                units = bill(call, meter.host, meter.buckets)
                self.units += units
                if handler and not presigned and call["host"] != meter.host:
                    function = self.functions[handler]
                    function += Counter({kind: units[kind] for kind in ("read", "write") if units[kind]})
                    function["calls"] += 1
                    function["wait_ms"] += latency(call, units)
        with meter.log.open("rb") as file:
            file.seek(log)
            for line in file.read().decode(errors="replace").splitlines():
                handler, _, text = line.partition(" ")
                if re.fullmatch(r"\w+", handler) and text.startswith("{"):
                    self.units["log_bytes"] += len(text) + 1
                    ended = re.search(r'"message":"(Request (answered|failed)|Invocation ended)"', text)
                    self.functions[handler]["invocations"] += bool(ended)
        for handler, spent in cpu.items():
            self.functions[handler]["cpu_ms"] += spent
        self.functions = {handler: one for handler, one in self.functions.items() if one["invocations"]}
        for handler, function in self.functions.items():
            self.units["invocations"] += function["invocations"]
            self.units["log_bytes"] += PLATFORM_LOG * function["invocations"]
            self.units["gb_seconds"] += gb_seconds(function, MEMORY[handler])
        self.units["log_bytes"] += ACCESS_LOG * self.units["requests"]
        self.units = Counter({unit: number / count for unit, number in self.units.items()})
        for function in self.functions.values():
            for unit in function:
                function[unit] /= count

    def dollars(self) -> dict[str, float]:
        """Dollars for a million, by what is billed."""
        return {unit: number * PRICES[unit] * 1e6 for unit, number in self.units.items()}

    def total(self, *without: str) -> float:
        return sum(cost for unit, cost in self.dollars().items() if unit not in without)


def latency(call: dict, units: Counter) -> float:
    if "CognitoIdentityProvider" in call["target"]:
        return LATENCY["cognito"]
    operation = call["target"].partition(".")[2] or next((kind for kind in ("s3_1", "s3_2") if units[kind]), None)
    return LATENCY.get(operation, LATENCY[None])


def milliseconds(function: Counter, memory: int) -> float:
    """The billed time: processor time at the share of a vCPU that the memory brings, and waiting."""
    return function["cpu_ms"] / min(1, memory / ONE_VCPU) + function["wait_ms"]


def gb_seconds(function: Counter, memory: int) -> float:
    return milliseconds(function, memory) / 1000 * memory / 1024


def wait(done: Callable[[], bool] | None) -> None:
    deadline = time.monotonic() + PATIENCE
    while done and not done():
        if time.monotonic() > deadline:
            sys.exit(f"The workers did not end within {PATIENCE} s.")
        time.sleep(0.2)


def call(
    method: str, url: str, token: str = "", body: dict | bytes | None = None, headers: dict | None = None
) -> bytes:
    headers = {"authorization": f"Bearer {token}"} if token and headers is None else headers or {}
    if isinstance(body, dict):
        headers, body = headers | {"content-type": "application/json"}, json.dumps(body).encode()
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url.split('?')[0]} answered {error.code}: {error.read()[:300]}")


class Repository:
    """A user of the stack, and the actions that are measured."""

    def __init__(self) -> None:
        self.url = os.environ["TINTYPE_URL"]
        self.email = f"cost-{uuid.uuid4().hex}@example.org"
        self.account = {"email": self.email, "password": PASSWORD}
        call("POST", f"{self.url}/api/auth/signup", body=self.account | {"name": "Cost"})
        code = re.search(r"\b\d{6}\b", stack.mails(dict(os.environ), self.email)[-1]["BodyText"])[0]
        call("POST", f"{self.url}/api/auth/confirm", body={"email": self.email, "code": code})
        operate.assign_plan(os.environ["TINTYPE_OPERATE_FUNCTION"], self.email, "Premium")
        self.token = self.login()["access_token"]
        self.photo = photo()
        self.ids: list[str] = []
        self.deleted: list[str] = []
        self.s3 = boto3.client("s3")

    def login(self) -> dict:
        return json.loads(call("POST", f"{self.url}/api/auth/login", body=self.account))

    def api(self, method: str, path: str, body: dict | None = None) -> dict:
        text = call(method, self.url + path, self.token, body)
        return json.loads(text) if text else {}

    def change_plan(self, name: str) -> None:
        operate.assign_plan(os.environ["TINTYPE_OPERATE_FUNCTION"], self.email, name)
        wait(no_job_runs)

    def draft(self) -> dict:
        sha256 = hashlib.sha256(self.photo).hexdigest()
        content = {"content_type": "image/jpeg", "size": len(self.photo), "sha256": sha256}
        return content | {"title": f"Holiday {uuid.uuid4().hex[:8]}", "visibility": "public"}

    def upload(self, _: int) -> None:
        made = self.api("POST", "/api/images", self.draft())
        call(made["upload"]["method"], made["upload"]["url"], body=self.photo, headers=made["upload"]["headers"])
        self.ids.append(made["image"]["id"])

    def batch(self, _: int) -> None:
        self.api("POST", "/api/images/batch", {"images": [self.draft() for _ in range(50)]})

    def image(self, number: int) -> dict:
        return self.api("GET", f"/api/images/{self.ids[number % len(self.ids)]}")

    def delete(self, _: int) -> None:
        self.deleted.append(self.ids.pop())
        self.api("DELETE", f"/api/images/{self.deleted[-1]}")

    def all_built(self) -> bool:
        items = self.items()
        return all(items[tuple(decoded(image))]["state"] == {"S": "ready"} for image in self.ids)

    def items(self) -> dict[tuple[str, ...], dict]:
        """The items of images by owner and image, read as the operator, whose calls are not counted."""
        pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=os.environ["TINTYPE_TABLE"])
        keyed = {(item["pk"]["S"], item["sk"]["S"]): item for page in pages for item in page["Items"]}
        return {
            (pk.removeprefix("USER#"), sk.removeprefix("IMAGE#")): item
            for (pk, sk), item in keyed.items()
            if sk.startswith("IMAGE#")
        }

    def all_swept(self) -> bool:
        return not any(self.blobs(image) for image in self.deleted)

    def blobs(self, image: str) -> list[dict]:
        owner, key = decoded(image)
        found = []
        for bucket, top in [("TINTYPE_ORIGINALS_BUCKET", "originals"), ("TINTYPE_THUMBNAILS_BUCKET", "thumbnails")]:
            answer = self.s3.list_objects_v2(Bucket=os.environ[bucket], Prefix=f"{top}/{owner}/{key}/")
            found += answer.get("Contents", [])
        return found


def no_job_runs() -> bool:
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=os.environ["TINTYPE_TABLE"])
    jobs = [item for page in pages for item in page["Items"] if item["sk"]["S"].startswith("JOB#")]
    return all(job["status"] == {"S": "done"} for job in jobs)


def decoded(image: str) -> list[str]:
    """The owner's and the image's UUID in an image's id: 32 bytes in Crockford's base32."""
    number = 0
    for letter in image:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    data = (number >> (5 * len(image) - 256)).to_bytes(32, "big")
    return [str(uuid.UUID(bytes=data[:16])), str(uuid.UUID(bytes=data[16:]))]


def photo() -> bytes:
    """A picture of 12 megapixels that takes about as many bytes as a phone's."""
    noise = Image.effect_noise((1000, 750), 90).resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = Image.effect_noise((4000, 3000), 9)
    channels = [
        Image.blend(noise, grain, 0.4),
        noise.filter(ImageFilter.GaussianBlur(3)),
        Image.blend(noise, grain, 0.2),
    ]
    file = io.BytesIO()
    Image.merge("RGB", channels).save(file, "JPEG", quality=85)
    return file.getvalue()


def scene() -> bytes:
    """The same size with texture of all scales, weaker the finer it is, as photographs have it."""
    channels = []
    for _ in range(3):
        channel = Image.effect_noise((4000, 3000), 60)
        for cells in (512, 256, 128, 64, 32, 16, 8):
            coarse = Image.effect_noise((cells * 4 // 3, cells), 120).resize((4000, 3000), Image.Resampling.BICUBIC)
            channel = Image.blend(channel, coarse, 0.4)
        channels.append(channel)
    file = io.BytesIO()
    Image.merge("RGB", channels).save(file, "JPEG", quality=85)
    return file.getvalue()


# ---- the report -----------------------------------------------------------------------------------------

NAMES = {"requests": "API Gateway", "invocations": "Lambda", "gb_seconds": "Lambda", "read": "DynamoDB", "write": "DynamoDB",
         "s3_1": "S3", "s3_2": "S3", "sqs": "SQS", "bytes_out": "transfer", "log_bytes": "logs"}  # fmt: skip
SERVICES = ("API Gateway", "Lambda", "DynamoDB", "S3", "SQS", "logs", "transfer")


def rows(averages: list[Average]) -> None:
    print(f"\nDollars for a million ({TABLE['region']}, {TABLE['date']}, without free tiers)\n")
    print("| action | " + " | ".join(SERVICES) + " | total |\n|---|" + "---|" * (len(SERVICES) + 1))
    for one in averages:
        costs: Counter = Counter()
        for unit, cost in one.dollars().items():
            costs[NAMES[unit]] += cost
        print(f"| {one.name} | " + " | ".join(f"{costs[name]:.2f}" for name in SERVICES) + f" | {one.total():.2f} |")
    print("\nFunctions, for one action: calls to AWS, request units, processor and billed milliseconds\n")
    print(
        "| action | function | invocations | calls | read | write | CPU ms | MB | billed ms |\n|---|---|---|---|---|---|---|---|---|"
    )
    for one in averages:
        for handler, function in sorted(one.functions.items()):
            parts = [f"{function[unit]:.1f}" for unit in ("invocations", "calls", "read", "write", "cpu_ms")]
            billed = milliseconds(function, MEMORY[handler])
            print(f"| {one.name} | {handler} | {' | '.join(parts)} | {MEMORY[handler]} | {billed:.0f} |")


def at_edge(view: Average, size: float) -> float:
    """Dollars for a view through the CDN, with the function that reduces `Accept`. Transfer to CloudFront is free."""
    return (
        PRICES["cdn_requests"]
        + PRICES["cdn_function"]
        + size * PRICES["cdn_bytes"]
        + (1 - HITS) * view.total("bytes_out") / 1e6
    )


def month(upload: Average, view: Average, stored: float) -> None:
    """The same month here and elsewhere. `stored`: dollars for the photos."""
    size, uploads = view.units["bytes_out"], PHOTOS * upload.total() / 1e6
    here = {f"Tintype, without CDN, thumbnails of {size / 1000:.1f} kB": uploads + stored + VIEWS * view.total() / 1e6}
    for kilobytes in (size / 1000, 45):
        name = f"Tintype, with CDN, thumbnails of {kilobytes:.1f} kB"
        here[name] = uploads + stored + VIEWS * at_edge(view, 1000 * kilobytes)
    print(
        f"\nA month with {PHOTOS:,} photos uploaded and kept, and {VIEWS:,} views of thumbnails\n\n| | dollars |\n|---|---|"
    )
    for name, dollars in here.items():
        print(f"| {name} | {dollars:.2f} |")
    for other in TABLE["others"]:
        dollars = PHOTOS * other.get("photo", 0) + VIEWS * other.get("view", 0) + other.get("month", 0)
        print(f"| {other['name']} | {dollars:.2f} |")


def memory_table(name: str, function: Counter, memories: tuple[int, ...]) -> None:
    print(
        f"\n{name}: milliseconds, and dollars for a million invocations, by memory\n\n| MB | ms | dollars |\n|---|---|---|"
    )
    for memory in memories:
        cost = gb_seconds(function, memory) * PRICES["gb_seconds"] * 1e6
        print(f"| {memory} | {milliseconds(function, memory):.0f} | {cost:.2f} |")


def idle() -> None:
    polls = 2 * 5 * MONTH_SECONDS / 20
    free = max(0, polls - 1e6)
    print("\nIdle, dollars a month\n\n| | |\n|---|---|")
    print(
        f"| SQS: {polls:,.0f} empty receives of two event sources, five each of 20 s, less a million free | {free * PRICES['sqs']:.2f} |"
    )
    print(f"| Secrets Manager: the signing keys | {PRICES['secret']:.2f} |")
    print(f"| in all | {free * PRICES['sqs'] + PRICES['secret']:.2f} |")
    print(f"| `Cdn=true` adds: its secret | {PRICES['secret']:.2f} |")
    template = (Path(__file__).parents[2] / "template.yaml").read_text()
    alarms = len(re.findall(r"Type: AWS::CloudWatch::Alarm\n    Condition: HasAlarms", template))
    print(f"| `AlarmEmail` adds: {alarms} alarms, of which 10 are free | {max(0, alarms - 10) * PRICES['alarm']:.2f} |")
    print(f"| `Dashboard=true` adds: a dashboard, of which 3 are free | 0.00 or {PRICES['dashboard']:.2f} |")


def walls(upload: Average) -> None:
    """What an upload takes of each documented quota, at a rate of uploads a second."""
    builder, creator = upload.functions["build_thumbnails"], upload.functions["create_image"]
    build, create = milliseconds(builder, MEMORY["build_thumbnails"]) / 1000, milliseconds(creator, 256) / 1000
    quotas = [
        ("BuilderConcurrency, 20 by default", build, 20),
        ("RequestRate, 500 to a route by default", 1, 500),
        ("Lambda, 1,000 at once in an account", build + create, 1000),
        ("S3, 3,500 PUT to a prefix, here of one user", 1, 3500),
        ("HTTP APIs, 10,000 requests in an account", upload.units["requests"], 10_000),
        ("DynamoDB, 40,000 write units to a table", upload.units["write"], 40_000),
        ("one partition, 1,000 write units, here of one user", IMAGE_WRITES, 1000),
    ]
    print(
        "\nShare of each quota that uploads take, a second\n\n| quota | first reached at | 1 | 100 | 10,000 |\n|---|---|---|---|---|"
    )
    for name, each, limit in sorted(quotas, key=lambda quota: quota[2] / quota[1]):
        shares = " | ".join(f"{rate * each / limit:.1%}" for rate in (1, 100, 10_000))
        print(f"| {name} | {math.floor(limit / each):,} | {shares} |")


def plan_without_webp() -> str:
    """A plan as Premium, but without WebP thumbnails."""
    plans = json.loads((Path(__file__).parents[2] / "infra/plans.json").read_text())
    premium = next(plan for plan in plans if plan["name"] == "Premium")
    plan = premium | {"name": "Plain", "webp_thumbnails": False}
    operate.load_plans(os.environ["TINTYPE_OPERATE_FUNCTION"], [plan])
    return plan["name"]


def webp(meter: Meter, plain: str) -> None:
    """What WebP thumbnails cost and save."""
    without, repository = Repository(), Repository()
    without.change_plan(plain)
    without.photo, repository.photo = scene(), scene()
    uploads = [
        meter.measure("upload, without WebP thumbnails", 20, without.upload, without.all_built),
        meter.measure("upload, with WebP thumbnails", 20, repository.upload, repository.all_built),
    ]
    averages, lines = list(uploads), []
    for thumbnail in repository.image(0)["thumbnails"]:
        url, height = thumbnail["url"], thumbnail["height"]
        jpeg, variant = (
            meter.measure(f"view at {height} pixels, {kind}", 100, lambda _, url=url, kind=kind: call("GET", url, headers={"accept": f"image/{kind}"}))
            for kind in ("jpeg", "webp")
        )  # fmt: skip
        averages += [jpeg, variant]
        sizes = [one.units["bytes_out"] for one in (jpeg, variant)]
        more = uploads[1].total() - uploads[0].total()
        views = more / (jpeg.total() - variant.total())
        at_edges = more / 1e6 / (at_edge(jpeg, sizes[0]) - at_edge(variant, sizes[1]))
        lines.append(
            f"At {height} pixels {sizes[0] / 1000:.1f} and {sizes[1] / 1000:.1f} kB: paid after {views:.0f} views, {at_edges:.0f} with the CDN."
        )
    rows(averages)
    stored = [sum(blob["Size"] for blob in one.blobs(one.ids[0]) if blob["Key"].startswith("thumb")) for one in (without, repository)]  # fmt: skip
    print(f"\nThumbnails of a million images: {stored[0] / 1000:.1f} and {stored[1] / 1000:.1f} GB, ", end="")
    print(f"{1e6 * (stored[1] - stored[0]) * PRICES['s3_bytes']:.2f} dollars a month more.")
    print("\n".join(lines))


def main() -> int:
    meter, repository, plain = Meter(), Repository(), plan_without_webp()
    repository.change_plan(plain)
    upload = meter.measure("upload of a photo", 20, repository.upload, repository.all_built)
    upload.units["sqs"] += MESSAGE_REQUESTS
    image = repository.image(0)
    thumbnail, original = image["thumbnails"][0]["url"], image["image_url"]
    blobs = repository.blobs(repository.ids[0])
    item = repository.items()[tuple(decoded(image["id"]))]
    averages = [
        upload,
        meter.measure("registration of 50 photos in a batch", 4, repository.batch),
        meter.measure("view of a thumbnail", 100, lambda _: call("GET", thumbnail)),
        meter.measure("view of an original", 20, lambda _: call("GET", original)),
        meter.measure("page of the feed", 50, lambda _: call("GET", f"{repository.url}/api/explore?limit=20")),
        meter.measure("page of own images", 50, lambda _: repository.api("GET", "/api/images?limit=20")),
        meter.measure("one image", 50, repository.image),
        meter.measure("login", 20, lambda _: call("POST", f"{repository.url}/api/auth/login", body={"email": repository.email, "password": PASSWORD})),
        meter.measure("deletion of an image", 10, repository.delete, repository.all_swept),
    ]  # fmt: skip
    rows(averages)

    view = averages[2]
    size = view.units["bytes_out"]
    print(
        f"\nA million views of a thumbnail of {size / 1000:.1f} kB: {view.total():.2f} dollars; with the CDN, {HITS:.0%} of them"
    )
    print(f"answered at the edge, {1e6 * at_edge(view, size):.2f}.")
    originals, thumbnails = (
        [blob["Size"] for blob in blobs if blob["Key"].startswith(top)] for top in ("orig", "thumb")
    )
    ratio, per_image = sum(thumbnails) / sum(originals), 2 * item_size(item)
    stored = 1e12 * PRICES["s3_bytes"] * (1 + ratio)
    table = 1e12 / sum(originals) * per_image * (PRICES["table_bytes"] + PRICES["backup_bytes"])
    print(f"\nA stored TB of originals of {sum(originals) / 1e6:.1f} MB, a month: {stored:.2f} dollars in S3, of which")
    print(f"{1e12 * PRICES['s3_bytes'] * ratio:.2f} for thumbnails, and {table:.2f} in the table and its backup.")
    month(upload, view, stored * sum(originals) * PHOTOS / 1e12)
    idle()
    memory_table("build_thumbnails", upload.functions["build_thumbnails"], (256, 512, 1024, 1769))
    memory_table("create_image", upload.functions["create_image"], (128, 256, 512, 1024))
    walls(upload)
    webp(meter, plain)
    return 0


if __name__ == "__main__":
    sys.exit(main())
