"""Tests `make logs` and `make trace`, against the local log and against CloudWatch Logs."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import boto3

from infra import logs, operate
from infra.local.deployment import STACK

PATIENCE = 60
REQUEST = "aws-request-1"
# As Lambda and API Gateway write them.
LINES = {
    "AccessLogGroup": {"request_id": REQUEST, "route": "GET /api/me", "status": "200", "ms": "9"},
    "ApiLogGroup": {
        "timestamp": "2026-01-01T00:00:00.000001Z",
        "level": "INFO",
        "message": "Request answered",
        "route": "get_me",
        "request_id": REQUEST,
        "method": "GET",
        "status": 200,
        "calls": "BatchGetItem 1",
        "Latency": 7.5,
        "_aws": {"Timestamp": 1767225600000},
    },
    "WorkerLogGroup": {
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "level": "WARN",
        "fields": {"message": "Found", "finding": "orphan"},
        "spans": [
            {"name": "invocation", "requestId": "another", "xrayTraceId": "Root=1-2-4;Parent=4;Sampled=0"},
            {"name": "page", "route": "audit", "request_id": REQUEST, "image": "an-image"},
        ],
    },
}
# A function's own segment, and the subsegments that it and its function sent.
SEGMENTS = [
    {"id": "a", "name": "tintype-GetMe", "start_time": 1.0, "end_time": 1.01},
    {
        "id": "b",
        "name": "tintype-GetMe",
        "parent_id": "a",
        "start_time": 1.001,
        "end_time": 1.009,
        "subsegments": [{"id": "d", "name": "Overhead", "start_time": 1.008, "end_time": 1.009}],
    },
    {
        "id": "c",
        "name": "DynamoDB",
        "parent_id": "b",
        "start_time": 1.002,
        "end_time": 1.006,
        "fault": True,
        "aws": {"operation": "BatchGetItem"},
    },
]


def shown(*arguments: str, local: bool = True) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if local or name != "TINTYPE_LOG"}
    command = [sys.executable, "-m", "infra.logs", *arguments]
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


def check_local() -> None:
    with urllib.request.urlopen(f"{os.environ['TINTYPE_URL']}/api/plans", timeout=60) as answer:
        request = answer.headers["x-request-id"]
    # The emulator writes a function's lines after its answer.
    deadline = time.monotonic() + PATIENCE
    while (found := shown("--id", request))[0] and time.monotonic() < deadline:
        time.sleep(0.1)
    status, text = found
    [line] = text.splitlines()
    assert status == 0 and all(part in line for part in ("INFO list_plans 200", "calls=Query 1", request)), text
    assert shown("--id", request, "--route", "get_me")[0] == 1
    assert f"request={request}" in shown("--route", "list_plans")[1]


def check_cloud() -> None:
    client, names = boto3.client("logs"), operate.outputs(STACK)
    for group, event in LINES.items():
        client.create_log_stream(logGroupName=names[group], logStreamName="test")
        record = {"timestamp": int(time.time() * 1000), "message": json.dumps(event)}
        client.put_log_events(logGroupName=names[group], logStreamName="test", logEvents=[record])
    status, text = shown("--id", REQUEST, local=False)
    # By time; the gateway's line has that of its arrival.
    worker, function, gateway = text.splitlines()
    assert status == 0 and "GET /api/me 200 9 ms" in gateway, text
    assert "INFO get_me 200 7.5 ms Request answered" in function and "calls=BatchGetItem 1" in function, text
    assert worker.endswith(f"WARN audit Found finding=orphan image=an-image request={REQUEST}"), text
    assert shown("--id", "aws-request-2", local=False)[0] == 1


def main() -> int:
    check_local()
    check_cloud()
    trace = list(logs.tree(SEGMENTS))
    assert trace == [
        "10.0 ms tintype-GetMe",
        "  8.0 ms tintype-GetMe",
        "    4.0 ms DynamoDB BatchGetItem failed",
        "    1.0 ms Overhead",
    ], trace
    assert logs.line({"_aws": {"Timestamp": 1767225600000}, "Latency": 7.5, "route": "get_me"}) is None
    ended, event = ({"xrayTraceId": f"Root={root};Parent=4;Sampled=1"} for root in ("1-2-3", "1-2-5"))
    assert logs.trace_ids([*LINES.values(), ended, {"spans": [event]}, ended]) == ["1-2-3", "1-2-5"]
    print("The lines of a request are found locally and in CloudWatch Logs, and a trace is shown as a tree.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
