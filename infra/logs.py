"""Shows the log lines of a stack: the latest, or all about one request, image, job or message.

Reads CloudWatch Logs with the credentials and region of the environment, or the log of the local stack that the environment
names (TINTYPE_LOG).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.operate import LOCAL_STACK, outputs
from infra.settings import use_region_of

GROUPS = ("AccessLogGroup", "ApiLogGroup", "WorkerLogGroup")
# Of an event's own fields, those that stand in columns or are not for reading.
IN_COLUMNS = {"message", "status", "ms"}
# What the line that ends an invocation says beside its metrics.
SAID = ("message", "method", "status", "outcome", "cause", "calls")
ABOUT = ("image", "job", "message_id")
MOST_TRACES = 5  # BatchGetTraces takes no more.


def local_events(file: Path, since: float) -> Iterator[dict]:
    """The emulator's log has lines of functions, which begin with the function's handler, and others."""
    for line in file.read_text(errors="replace").splitlines():
        _, _, text = line.partition(" ")
        event = parsed(text)
        if event and at(event) >= since:
            yield event


def cloud_events(stack: str, since: float, text: str | None) -> Iterator[dict]:
    names, client = outputs(stack), boto3.client("logs")
    pattern = {"filterPattern": json.dumps(text)} if text else {}
    found = []
    for group in GROUPS:
        pages = client.get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=names[group], startTime=int(since * 1000), **pattern):
            for record in page["events"]:
                event = parsed(record["message"]) or {"fields": {"message": record["message"].strip()}}
                found.append({"timestamp": record["timestamp"] / 1000} | event)
    yield from found


def parsed(text: str) -> dict | None:
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def at(event: dict) -> float:
    """The time of an event in seconds since 1970; 0 if it does not say."""
    stamp = event.get("timestamp", event.get("_aws", {}).get("Timestamp", 0))
    if isinstance(stamp, str):
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
    return stamp / 1000 if stamp > 1e11 else stamp


def known(event: dict) -> dict:
    """What is known of an event's invocation: by the line that ends it, or by an event's spans, of which the innermost counts."""
    spans = {name: value for span in event.get("spans", []) for name, value in span.items() if name != "name"}
    return event | spans


def is_about(event: dict, text: str | None, route: str | None) -> bool:
    return (text is None or text in json.dumps(event)) and (route is None or known(event).get("route") == route)


def line(event: dict) -> str | None:
    """An event as text; None for what is not for reading: Lambda's own records, and lines of older functions, which have
    nothing but metrics."""
    if event.get("type", "").startswith("platform.") or ("_aws" in event and "message" not in event):
        return None
    when = datetime.fromtimestamp(at(event), timezone.utc).strftime("%H:%M:%S.%f")[:-3]
    if "_aws" in event:
        said = {name: event[name] for name in SAID if name in event}
        fields = said | {"ms": event.get("Latency"), "aws_ms": event.get("AwsLatency")}
    elif "fields" in event:
        fields = event["fields"]
    else:
        # A line of API Gateway's access log.
        columns = ["GATEWAY", event.get("route", ""), event.get("status", ""), f"{event.get('ms', '')} ms"]
        return f"{when} {' '.join(map(str, columns))} {event.get('request_id', '')}"
    about = known(event)
    parts = [when, event.get("level", ""), about.get("route", "-")]
    parts += [str(fields["status"])] if "status" in fields else []
    parts += [f"{fields['ms']} ms"] if "ms" in fields else []
    parts.append(fields.get("message", ""))
    rest = {name: value for name, value in fields.items() if name not in IN_COLUMNS and value not in (None, "")}
    named = {name: about[name] for name in ABOUT if about.get(name)}
    parts += [f"{name}={value}" for name, value in (rest | named).items()]
    parts.append(f"request={about.get('request_id', about.get('requestId', '-'))}")
    return " ".join(parts)


def trace_ids(events: list[dict]) -> list[str]:
    """The ids of the X-Ray traces that were sampled."""
    found = {}
    for event in events:
        header = dict(part.split("=", 1) for part in str(known(event).get("xrayTraceId", "")).split(";") if "=" in part)
        if header.get("Sampled") == "1":
            found[header["Root"]] = None
    return list(found)


def tree(documents: list[dict]) -> Iterator[str]:
    """The segments and subsegments of a trace, each below its parent, with their milliseconds."""
    below: dict[str | None, list[dict]] = {}
    everything = {}

    def add(document: dict, parent: str | None) -> None:
        everything[document["id"]] = document
        below.setdefault(parent, []).append(document)
        for inner in document.get("subsegments", []):
            add(inner, document["id"])

    for document in documents:
        add(document, document.get("parent_id"))

    def lines(document: dict, depth: int) -> Iterator[str]:
        ms = 1000 * (document.get("end_time", document["start_time"]) - document["start_time"])
        operation = document.get("aws", {}).get("operation")
        name = document["name"] + (f" {operation}" if operation else "")
        yield f"{'  ' * depth}{ms:.1f} ms {name}{' failed' if document.get('fault') else ''}"
        for inner in sorted(below.get(document["id"], []), key=lambda inner: inner["start_time"]):
            yield from lines(inner, depth + 1)

    roots = [document for parent, documents in below.items() if parent not in everything for document in documents]
    for root in sorted(roots, key=lambda root: root["start_time"]):
        yield from lines(root, 0)


def show(events: list[dict]) -> int:
    lines = [text for event in sorted(events, key=at) if (text := line(event))]
    print("\n".join(lines) if lines else "No line was found; SINCE says how many minutes back to look.")
    return 0 if lines else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", help="name of the CloudFormation stack; without it the local one")
    parser.add_argument("--since", type=float, help="minutes; 10, or a day for one id")
    parser.add_argument("--route", help="only lines of this function, such as create_image or sweep")
    parser.add_argument("--text", help="only lines with this text")
    parser.add_argument("--id", help="all lines about a request, an image, a job or a message, and its X-Ray traces")
    arguments = parser.parse_args()
    minutes = arguments.since or (24 * 60 if arguments.id else 10)
    since, text, local = time.time() - 60 * minutes, arguments.id or arguments.text, os.environ.get("TINTYPE_LOG")
    if arguments.stack and not local:
        use_region_of(arguments.stack)
    try:
        found = local_events(Path(local), since) if local else cloud_events(arguments.stack or LOCAL_STACK, since, text)
        events = [event for event in found if is_about(event, text, arguments.route)]
        status = show(events)
        traces = trace_ids(events)[:MOST_TRACES] if arguments.id and not local else []
        if traces:
            for trace in boto3.client("xray").batch_get_traces(TraceIds=traces)["Traces"]:
                print(f"\nTrace {trace['Id']}")
                print("\n".join(tree([json.loads(segment["Document"]) for segment in trace["Segments"]])))
        return status
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS refused: {error}")


if __name__ == "__main__":
    sys.exit(main())
