"""Measures how long `tintype upload` takes for a folder of small photographs, and the AWS CLI, s5cmd and rclone.

Run by `make bench-upload`. In one run, each program sends the same folder into the same bucket of the same emulator; then
to a server that only answers (answers.py), where the time is the program's own; then to the same server with a delay
before each answer, as if it were far away. The builder is paused, and `tintype` does not wait for it, so each time is
from the start of the process to its end, which is after the last PUT was accepted. The programs take turns, and another
one begins each round. Processor time is user and system time, of the program alone and of the emulator with its functions.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import boto3

from infra.local.pictures import PICTURES, draw

ROOT = Path(__file__).parents[2]
TINTYPE = Path(os.environ.get("TINTYPE_BIN", ROOT / "target" / "release" / "tintype"))
VENV = ROOT / ".local" / "bench-upload" / "venv"
AWS, RCLONE = VENV / "bin" / "aws", VENV / "bin" / "rclone"
PASSWORD = "a bench's password"


class Spent(NamedTuple):
    wall: float
    """Seconds."""
    cpu: float
    """Seconds of the processor, of the program and what it started."""
    stack: float = 0.0
    """Seconds of the processor, of the emulator and the functions."""


def stack_cpu() -> float:
    """Seconds of the processor that the emulator and its functions have taken."""
    parents, times = {}, {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, fields = status.read_text().rsplit(")", 1)
            number, fields = int(name.split()[0]), fields.split()
            parents[number], times[number] = int(fields[1]), int(fields[11]) + int(fields[12])
    own = os.getpid()

    def lineage(number: int) -> list[int]:
        found = []
        while number in parents:
            found.append(number)
            number = parents[number]
        return found

    stack = parents[own]
    others = (number for number in times if stack in (line := lineage(number)) and own not in line and number != stack)
    return sum(times[number] for number in others) / os.sysconf("SC_CLK_TCK")


class Place(NamedTuple):
    """Where the files go."""

    url: str
    """Of Tintype's API."""
    endpoint: str
    """Of S3."""
    bucket: str
    credentials: dict[str, str]
    """Environment of the programs that sign requests to S3."""


def folder_of(folder: Path, count: int, size: int) -> int:
    """Distinct JPEG files of about `size` bytes; their bytes in sum. They differ in a comment, and end with one that fills
    them up, so that a picture is drawn only once."""
    picture = draw(PICTURES[0]._replace(size=(900, 600)))
    start, rest = picture[:2], picture[2:-2]
    total = 0
    for number in range(count):
        text = uuid.UUID(int=number).bytes
        comments = [text]
        left = size - len(picture) - 20
        while left > 4:
            comments.append(os.urandom(min(left - 4, 65_000)))
            left -= len(comments[-1]) + 4
        segments = b"".join(b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment for comment in comments)
        file = folder / f"folder {number % 20}" / f"photograph {number}.jpg"
        file.parent.mkdir(exist_ok=True)
        total += file.write_bytes(start + segments + rest + b"\xff\xd9")
    return total


def call(url: str, body: dict | None = None) -> bytes:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url} answered {error.code}: {error.read()[:300]}") from error


def timed(command: list, environment: dict[str, str]) -> Spent:
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{command} ended with {process.returncode}:\n{output.read()[-2000:].decode()}")
    return Spent(took, usage.ru_utime + usage.ru_stime)


def tintype(folder: Path, place: Place, config: Path, _prefix: str) -> Spent:
    """Logs in as a new user, whose journal is empty."""
    email = f"bench-{uuid.uuid4().hex}@example.org"
    if place.url != place.endpoint:
        call(f"{place.url}/api/auth/signup", {"email": email, "password": PASSWORD, "name": "Bench"})
        # All codes of the local pool are equal.
        call(f"{place.url}/api/auth/confirm", {"email": email, "code": "123456"})
    (config / "config.toml").write_text("keyring = false\n")
    environment = {"TINTYPE_CONFIG_DIR": str(config), "TINTYPE_URL": place.url}
    login = [TINTYPE, "login", "--email", email, "--password-stdin"]
    subprocess.run(login, env=environment, input=PASSWORD, text=True, check=True, capture_output=True)
    return timed([TINTYPE, "upload", folder, "--no-wait", "--quiet"], environment)


def writer_of(bucket: str) -> dict[str, str]:
    """Creates a role that may use the bucket, and returns its credentials, as environment.

    The service signs its URLs with a role's credentials, whose policies S3 evaluates at each request; the stack's own
    programs are the account's root, for which nothing is evaluated.
    """
    client, name = boto3.client("iam"), f"bench-{uuid.uuid4().hex}"
    account = boto3.client("sts").get_caller_identity()["Account"]
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
    version = "2012-10-17"
    role = client.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": version, "Statement": [trust]})
    )["Role"]
    policy = json.dumps({"Version": version, "Statement": [allowed]})
    client.put_role_policy(RoleName=name, PolicyName="bucket", PolicyDocument=policy)
    found = boto3.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="bench")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


def aws(*settings: str) -> Callable:
    def run(folder: Path, place: Place, config: Path, prefix: str) -> Spent:
        file = config / "aws"
        file.write_text("\n".join(["[default]", *(["s3 ="] if settings else []), *(f"  {it}" for it in settings), ""]))
        environment = os.environ | place.credentials
        environment |= {"AWS_CONFIG_FILE": str(file), "AWS_ENDPOINT_URL": place.endpoint}
        target = f"s3://{place.bucket}/{prefix}"
        return timed([AWS, "s3", "cp", "--recursive", "--quiet", folder, target], environment)

    return run


def s5cmd(folder: Path, place: Place, _config: Path, prefix: str) -> Spent:
    program = next(VENV.glob("lib/*/site-packages/s5cmd/bin/s5cmd"))
    program.chmod(0o755)
    target = f"s3://{place.bucket}/{prefix}/"
    command = [program, "--endpoint-url", place.endpoint, "--log", "error", "cp", f"{folder}/", target]
    return timed(command, os.environ | place.credentials)


def rclone(*options: str) -> Callable:
    def run(folder: Path, place: Place, config: Path, prefix: str) -> Spent:
        (config / "rclone").write_text(
            f"[bench]\ntype = s3\nprovider = Other\nenv_auth = true\nregion = {os.environ['AWS_REGION']}\n"
            f"endpoint = {place.endpoint}\nforce_path_style = true\n"
        )
        target = f"bench:{place.bucket}/{prefix}"
        command = [RCLONE, "--config", config / "rclone", "copy", *options, folder, target]
        return timed(command, os.environ | place.credentials)

    return run


TOOLS: dict[str, Callable] = {
    "tintype": tintype,
    "aws": aws(),
    "aws, 32 at once": aws("max_concurrent_requests = 32"),
    "s5cmd": s5cmd,
    "rclone": rclone(),
    "rclone, 32 at once": rclone(
        "--transfers=32", "--no-traverse", "--no-check-dest", "--s3-no-head", "--s3-no-check-bucket"
    ),
}


def switch_builder(on: bool) -> None:
    client = boto3.client("lambda")
    queue = os.environ["TINTYPE_UPLOADS_QUEUE_URL"].rsplit("/", 1)[1]
    for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
        if mapping["EventSourceArn"].rsplit(":", 1)[1] == queue:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)
            return
    raise SystemExit("The builder has no queue.")


def emptied(count: int) -> None:
    """Checks that this many originals are there, and removes them. Their records stay: they are other users' than the next
    round's."""
    bucket = boto3.resource("s3").Bucket(os.environ["TINTYPE_ORIGINALS_BUCKET"])
    there = sum(1 for _ in bucket.objects.all())
    if there != count:
        raise SystemExit(f"{there} objects are there")
    bucket.objects.delete()
    boto3.client("sqs").purge_queue(QueueUrl=os.environ["TINTYPE_UPLOADS_QUEUE_URL"])


def measure(tools: list[str], folder: Path, count: int, rounds: int, place: Place, after: Callable) -> dict:
    found: dict[str, list[Spent]] = {name: [] for name in tools}
    # The first round of each program fills the caches of files, functions and emulator.
    for number in range(rounds + 1):
        first = number % len(tools)
        for name in tools[first:] + tools[:first]:
            with tempfile.TemporaryDirectory() as config:
                before = stack_cpu()
                spent = TOOLS[name](folder, place, Path(config), f"originals/{uuid.uuid4()}")
                spent = spent._replace(stack=stack_cpu() - before)
            said = after(count) or ""
            first_time = "" if number else "  (not counted)"
            line = f"round {number} {name:<18} {spent.wall:7.2f} s, processor {spent.cpu:6.2f} s, stack {spent.stack:6.2f} s"
            print(f"{line}{first_time}  {said}", flush=True)
            if number:
                found[name].append(spent)
    return {
        name: Spent(*(statistics.median(column) for column in zip(*spent, strict=True)))
        for name, spent in found.items()
        if spent
    }


def told(title: str, medians: dict[str, Spent], count: int) -> float:
    """Prints the medians. Returns the time of `tintype` relative to that of the fastest other program."""
    print(f"\n{title}, medians:")
    for name, spent in medians.items():
        rates = f"{count / spent.wall:6.0f} files/s, {spent.cpu / count * 1e3:6.3f} ms of processor a file"
        times = f"{spent.wall:7.2f} s, processor {spent.cpu:6.2f} s, stack {spent.stack:6.2f} s"
        print(f"  {name:<18} {times}, {rates}")
    others = [spent.wall for name, spent in medians.items() if name != "tintype"]
    ratio = medians["tintype"].wall / min(others) if "tintype" in medians and others else 0.0
    print(f"  tintype to the fastest other one: {ratio:.2f}\n", flush=True)
    return ratio


def answering(tools: list[str], folder: Path, count: int, rounds: int, delay: float) -> dict[str, Spent]:
    server = subprocess.Popen(
        [sys.executable, ROOT / "benches" / "upload" / "answers.py", str(delay)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"

        def requests(_count: int) -> str:
            methods = json.loads(call(f"{url}/-/requests"))
            return ", ".join(f"{number} {method}" for method, number in sorted(methods.items()))

        return measure(tools, folder, count, rounds, Place(url, url, "originals", {}), requests)
    finally:
        server.stdin.close()
        server.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--size", type=int, default=100_000, help="bytes of each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", default="", help="names of the programs to run, with ; between them")
    parser.add_argument("--only", choices=["stack", "answers", "far"], help="measure one of the three")
    parser.add_argument("--delay", type=float, default=50, help="milliseconds until a far server answers")
    arguments = parser.parse_args()
    tools = arguments.tools.split(";") if arguments.tools else list(TOOLS)
    count, rounds = arguments.files, arguments.rounds
    folder = Path(tempfile.mkdtemp(prefix="tintype-bench-"))
    ratios = []
    try:
        total = folder_of(folder, count, arguments.size)
        versions = {"aws": [AWS, "--version"], "rclone": [RCLONE, "version"]}
        said = [
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0][:40]
            for command in versions.values()
        ]
        print(f"{count} files, {total / 1e6:.0f} MB, {os.cpu_count()} processors, {', '.join(said)}", flush=True)
        if arguments.only in (None, "stack"):
            switch_builder(on=False)
            bucket = os.environ["TINTYPE_ORIGINALS_BUCKET"]
            place = Place(os.environ["TINTYPE_URL"], os.environ["AWS_ENDPOINT_URL"], bucket, writer_of(bucket))
            medians = measure(tools, folder, count, rounds, place, emptied)
            switch_builder(on=True)
            told("The emulator", medians, count)
        if arguments.only in (None, "answers"):
            medians = answering(tools, folder, count, rounds, 0)
            ratios.append(told("A server that only answers", medians, count))
        if arguments.only in (None, "far"):
            title = f"A server that only answers, {arguments.delay:.0f} ms after each file"
            ratios.append(told(title, answering(tools, folder, count, rounds, arguments.delay), count))
    finally:
        shutil.rmtree(folder)
    # The emulator takes one processor, and more of it for signed URLs and registering than for other programs' requests.
    return 0 if all(ratio <= 1 for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
