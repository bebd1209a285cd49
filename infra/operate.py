"""What an operator does to a deployed stack: loads the plans, makes an admin.

Uses the credentials, region and endpoint of the environment, so it serves AWS and the local stack alike.
"""

import argparse
import base64
import json
import sys
import time
import uuid
from pathlib import Path

import boto3
from botocore.config import Config

PLANS = Path(__file__).with_name("plans.json")


def outputs(stack: str) -> dict[str, str]:
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def load_plans(names: dict[str, str], file: Path, add_only: bool = False) -> list[str]:
    """Writes the file's plans that the table lacks or, unless told to add only, has otherwise; returns their names.

    For a plan that was there it begins the job that brings the images of its users into line.
    """
    table = boto3.resource("dynamodb").Table(names["TableName"])
    changed = []
    for plan in json.loads(file.read_text()):
        key = {"pk": "PLANS", "sk": f"PLAN#{plan['name']}"}
        held = table.get_item(Key=key, ConsistentRead=True).get("Item", {})
        if held and (add_only or all(held.get(field) == value for field, value in plan.items())):
            continue
        version = held.get("version", 0)
        table.put_item(
            Item={**held, **key, **plan, "version": version + 1},
            ConditionExpression="attribute_not_exists(pk) OR version = :seen",
            ExpressionAttributeValues={":seen": version},
        )
        changed.append(plan["name"])
        if held:
            begin_change(table, names["JobsQueueUrl"], plan["name"])
    return changed


def begin_change(table, queue_url: str, plan: str) -> None:
    """Begins a job of nobody's, as `PUT /api/plans/{name}` begins one of an admin's."""
    owner, key, now = uuid.UUID(int=0), uuid.uuid4(), int(time.time() * 1000)
    table.put_item(
        Item={
            "pk": f"USER#{owner}",
            "sk": f"JOB#{key}",
            "kind": "change_plan",
            "plan": plan,
            "status": "queued",
            "place": "0##",
            "done": 0,
            "started_at": now,
            "moved_at": now,
        }
    )
    job = base64.urlsafe_b64encode(owner.bytes + key.bytes).rstrip(b"=").decode()
    boto3.client("sqs").send_message(QueueUrl=queue_url, MessageBody=json.dumps({"job": job, "sent_at": now}))


def make_admin(user_pool: str, email: str) -> None:
    boto3.client("cognito-idp").admin_add_user_to_group(UserPoolId=user_pool, Username=email, GroupName="admins")


def audit(function: str, mend: bool, grace_seconds: int) -> dict:
    """Compares the stack's table and buckets, a run of the function at a time, and returns what all runs found."""
    # A run takes up to a quarter of an hour, and a second try of it would only do the same again.
    client = boto3.client("lambda", config=Config(read_timeout=910, retries={"max_attempts": 0}))
    total = {"seen": 0, "findings": {}, "mended": {}, "expired": 0, "named": []}
    place = None
    while True:
        order = {"mend": mend, "grace_seconds": grace_seconds, "place": place}
        answer = client.invoke(FunctionName=function, Payload=json.dumps(order))
        report = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            sys.exit(f"The audit failed: {report.get('errorMessage', report)}")
        for kind in ("findings", "mended"):
            for name, count in report[kind].items():
                total[kind][name] = total[kind].get(name, 0) + count
        total["seen"] += report["seen"]
        total["expired"] += report["expired"]
        total["named"] += report["named"]
        place = report["next"]
        if not place:
            return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="tintype", help="name of the CloudFormation stack")
    commands = parser.add_subparsers(dest="command", required=True)
    plans = commands.add_parser("plans", help="load or update the default plans")
    plans.add_argument("--add-only", action="store_true", help="leave plans that are there as they are")
    plans.add_argument("file", nargs="?", type=Path, default=PLANS)
    admin = commands.add_parser("admin", help="make a user an admin")
    admin.add_argument("email")
    check = commands.add_parser(
        "audit", help="compare table and buckets; fails where something is found and not mended"
    )
    check.add_argument("--mend", action="store_true", help="mend what can be mended")
    check.add_argument("--grace", type=int, default=3600, help="leave alone what changed in the last seconds")
    arguments = parser.parse_args()

    try:
        names = outputs(arguments.stack)
        if arguments.command == "plans":
            changed = load_plans(names, arguments.file, arguments.add_only)
            print("Plans written: " + (", ".join(changed) or "none, as all are there") + ".")
            if changed and not arguments.add_only:
                print("Thumbnails of users who are on them follow.")
        elif arguments.command == "audit":
            report = audit(names["AuditFunction"], arguments.mend, arguments.grace)
            print(json.dumps(report, indent=2))
            left = any(count > report["mended"].get(kind, 0) for kind, count in report["findings"].items())
            sys.exit(1 if left else 0)
        else:
            make_admin(names["UserPoolId"], arguments.email)
            print(f"{arguments.email} is an admin from the next login on.")
    except boto3.exceptions.botocore.exceptions.ClientError as error:
        sys.exit(f"AWS refused: {error.response['Error']['Message']}")


if __name__ == "__main__":
    main()
