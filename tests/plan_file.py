"""Tests `make plans`: a plan and the job for its users' thumbnails change together or not at all, and
the job runs at once."""

import json
import os
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import boto3
from boto3.dynamodb.conditions import Key

from infra.operate import load_plans

NOBODY = {"pk": f"USER#{uuid.UUID(int=0)}"}
PATIENCE = 60


class CrashError(Exception):
    pass


def crash(**_) -> None:
    raise CrashError


class PlanFile:
    def __init__(self, folder: Path) -> None:
        self.name = f"file-{uuid.uuid4().hex}"
        self.path = folder / "plans.json"
        self.names = {"TableName": os.environ["TINTYPE_TABLE"], "JobsQueueUrl": os.environ["TINTYPE_JOBS_QUEUE_URL"]}
        self.table = boto3.resource("dynamodb").Table(self.names["TableName"])
        self.key = {"pk": "PLANS", "sk": f"PLAN#{self.name}"}

    def load(self, heights: list[int], **options) -> list[str]:
        plan = {
            "name": self.name,
            "thumbnail_heights": heights,
            "original_link": True,
            "expiring_links": False,
            "max_image_bytes": 1_000_000,
            "max_images": 10,
        }
        self.path.write_text(json.dumps([plan]))
        return load_plans(self.names, self.path, **options)

    def plan(self) -> dict:
        return self.table.get_item(Key=self.key, ConsistentRead=True)["Item"]

    def jobs(self) -> list[dict]:
        condition = Key("pk").eq(NOBODY["pk"]) & Key("sk").begins_with("JOB#")
        found = self.table.query(KeyConditionExpression=condition, ConsistentRead=True)["Items"]
        return [job for job in found if job["plan"] == self.name]


def crashes_at(operation: str, action) -> None:
    """Runs an action in a process that ends at its first call of an operation."""
    events = boto3.DEFAULT_SESSION._session.get_component("event_emitter")
    events.register(f"before-call.{operation}", crash)
    try:
        with suppress(CrashError):
            action()
            raise SystemExit(f"{operation} was not called.")
    finally:
        events.unregister(f"before-call.{operation}", crash)


def main() -> int:
    boto3.setup_default_session()
    with tempfile.TemporaryDirectory() as folder:
        file = PlanFile(Path(folder))
        assert file.load([100]) == [file.name]
        assert file.load([100]) == [], "an unchanged plan is not written"
        assert file.load([50], add_only=True) == [], "a plan that is there stays as it is"
        assert (file.plan()["version"], file.jobs()) == (1, []), "a new plan has no users, so it needs no job"

        for operation in ("sqs.SendMessage", "dynamodb.TransactWriteItems"):
            crashes_at(operation, lambda: file.load([50]))
            assert (file.plan()["version"], file.jobs()) == (1, []), f"cut off at {operation}"

        # An assignment marks its plan; a change keeps the mark.
        file.table.update_item(
            Key=file.key, UpdateExpression="SET assigned_at = :now", ExpressionAttributeValues={":now": 1}
        )
        assert file.load([50]) == [file.name]
        plan = file.plan()
        assert (plan["version"], plan["thumbnail_heights"], plan["assigned_at"]) == (2, [50], 1), plan
        deadline = time.monotonic() + PATIENCE
        while [job["status"] for job in file.jobs()] != ["done"]:
            assert time.monotonic() < deadline, f"the job did not end within {PATIENCE} s: {file.jobs()}"
            time.sleep(0.1)
        file.table.delete_item(Key=file.key)
    print("Plans and their jobs change together, and the job of a changed plan runs at once.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
