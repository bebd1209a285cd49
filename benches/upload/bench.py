"""Measures how long `tintype upload` takes for a folder, beside the AWS CLI's `aws s3 cp --recursive` of the same folder into the same
bucket of the same emulator, in one run.

Run by `make bench-upload`. The builder is paused for both, rounds alternate in which comes first, and each is timed from the
start of its process to its end, which is after the last PUT was accepted. Both have their own defaults for how many files go
side by side: 8 for `tintype`, 10 for `aws`.
"""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import boto3

ROOT = Path(__file__).parents[2]
TINTYPE = ROOT / "target" / "release" / "tintype"
AWS = ROOT / ".local" / "bench-upload" / "venv" / "bin" / "aws"
PASSWORD = "a bench's password"


def folder_of(folder: Path, count: int, least: int, most: int) -> int:
    """Files that begin as JPEGs do, and are random otherwise; their bytes in sum. Sizes spread over the orders of magnitude."""
    grain = random.Random(7)
    total = 0
    for number in range(count):
        size = int(least * (most / least) ** grain.random())
        file = folder / f"folder {number % 20}" / f"photograph {number}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"\xff\xd8\xff" + grain.randbytes(size - 3))
        total += size
    return total


def call(path: str, body: dict) -> None:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(os.environ["TINTYPE_URL"] + path, json.dumps(body).encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path} answered {error.code}: {error.read()[:300]}") from error


def timed(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if result.returncode:
        raise SystemExit(f"{command} ended with {result.returncode}:\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")
    return took


def originals():
    return boto3.resource("s3").Bucket(os.environ["TINTYPE_ORIGINALS_BUCKET"])


def tintype(folder: Path, count: int) -> float:
    """Logs in as a new user, whose journal is empty."""
    email = f"bench-{uuid.uuid4().hex}@example.org"
    call("/api/auth/signup", {"email": email, "password": PASSWORD, "name": "Bench"})
    # All codes of the local pool are equal.
    call("/api/auth/confirm", {"email": email, "code": "123456"})
    with tempfile.TemporaryDirectory() as config:
        Path(config, "config.toml").write_text("keyring = false\n")
        environment = {"TINTYPE_CONFIG_DIR": config, "TINTYPE_URL": os.environ["TINTYPE_URL"]}
        login = [TINTYPE, "login", "--email", email, "--password-stdin"]
        subprocess.run(login, env=environment, input=PASSWORD, text=True, check=True, capture_output=True)
        took = timed([TINTYPE, "upload", str(folder), "--no-wait", "--quiet"], environment)
        listed = subprocess.run(
            [TINTYPE, "list", "--all", "--json"], env=environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert len(listed) == count, f"{len(listed)} images are there"
        subprocess.run([TINTYPE, "rm", "--all", "--yes"], env=environment, check=True, capture_output=True)
    # The sweep must have finished before the next upload is timed.
    while any(True for _ in originals().objects.limit(1)):
        time.sleep(0.5)
    return took


def aws(folder: Path, count: int) -> float:
    bucket, prefix = originals(), f"originals/{uuid.uuid4()}"
    took = timed(
        [AWS, "s3", "cp", "--recursive", "--quiet", str(folder), f"s3://{bucket.name}/{prefix}"], dict(os.environ)
    )
    there = list(bucket.objects.filter(Prefix=prefix))
    assert len(there) == count, f"{len(there)} objects are there"
    bucket.objects.filter(Prefix=prefix).delete()
    return took


def switch_builder(on: bool) -> None:
    client = boto3.client("lambda")
    queue = os.environ["TINTYPE_UPLOADS_QUEUE_URL"].rsplit("/", 1)[1]
    for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
        if mapping["EventSourceArn"].rsplit(":", 1)[1] == queue:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)
            return
    raise SystemExit("The builder has no queue.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--least", type=int, default=20_000, help="bytes")
    parser.add_argument("--most", type=int, default=1_000_000, help="bytes")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tintype-bench-"))
    times: dict[str, list[float]] = {"tintype": [], "aws": []}
    tools = {"tintype": tintype, "aws": aws}
    try:
        total = folder_of(folder, arguments.files, arguments.least, arguments.most)
        version = subprocess.run([AWS, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.match(r"aws-cli/\S+", version)[0]
        print(f"{arguments.files} files, {total / 1e6:.0f} MB, {os.cpu_count()} processors, {version}", flush=True)
        switch_builder(on=False)
        # The first round of each program fills the caches of files, functions and emulator.
        for number in range(arguments.rounds + 1):
            for name in sorted(tools, reverse=number % 2 == 0):
                took = tools[name](folder, arguments.files)
                boto3.client("sqs").purge_queue(QueueUrl=os.environ["TINTYPE_UPLOADS_QUEUE_URL"])
                rate = f"{arguments.files / took:6.0f} files/s {total / took / 1e6:7.1f} MB/s"
                print(
                    f"round {number} {name:<8} {took:7.2f} s {rate}{'  (not counted)' if not number else ''}",
                    flush=True,
                )
                if number:
                    times[name].append(took)
    finally:
        shutil.rmtree(folder)
        switch_builder(on=True)
    ours, theirs = (statistics.median(times[name]) for name in ("tintype", "aws"))
    print(f"median: tintype {ours:.2f} s, aws {theirs:.2f} s, ratio {ours / theirs:.2f}")
    return 0 if ours <= 1.5 * theirs else 1


if __name__ == "__main__":
    sys.exit(main())
