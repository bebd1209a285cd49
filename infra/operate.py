"""Commands for the operator of a deployed stack: load the plans, make an admin, rotate keys, audit.

Uses the credentials, region and endpoint of the environment, so it serves AWS and the local stack alike.
"""

import argparse
import base64
import json
import secrets
import socket
import sys
import time
import uuid
from pathlib import Path

import boto3
from botocore.config import Config

KEEP_ALIVE_SECONDS = 60
# Twice as long as functions keep what they read (`crates/store/src/signing.rs`).
ROTATION_LEAD_SECONDS = 600
PLANS = Path(__file__).with_name("plans.json")


def outputs(stack: str) -> dict[str, str]:
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def parameter(stack: str, name: str) -> str:
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return next(item["ParameterValue"] for item in described["Parameters"] if item["ParameterKey"] == name)


def load_plans(names: dict[str, str], file: Path, add_only: bool = False) -> list[str]:
    """Writes the file's plans that the table lacks or, unless told to add only, has otherwise; returns their names.

    A changed plan and the job that rebuilds its users' thumbnails are one transaction, as `PUT /api/plans/{name}`
    makes it. The job's message is sent first: a message without a job is dropped, while a job without a message would
    wait for the next audit.
    """
    dynamodb = boto3.resource("dynamodb").meta.client
    table, changed = names["TableName"], []
    for plan in json.loads(file.read_text()):
        key = {"pk": "PLANS", "sk": f"PLAN#{plan['name']}"}
        held = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        if held is None:
            put = {"Item": {**key, **plan, "version": 1}, "ConditionExpression": "attribute_not_exists(pk)"}
            dynamodb.put_item(TableName=table, **put)
        elif add_only or all(held.get(field) == value for field, value in plan.items()):
            continue
        else:
            job, item = change_job(plan["name"])
            body = json.dumps({"job": job, "sent_at": item["started_at"]})
            # The delay covers the duration of the transaction.
            boto3.client("sqs").send_message(QueueUrl=names["JobsQueueUrl"], MessageBody=body, DelaySeconds=1)
            put = {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
            change = change_of(plan, held["version"])
            dynamodb.transact_write_items(
                TransactItems=[{"Update": {"TableName": table, "Key": key, **change}}, {"Put": put}]
            )
        changed.append(plan["name"])
    return changed


def change_of(plan: dict, version: int) -> dict:
    """Returns an update of the plan's fields, conditional on its version. The time of its last assignment stays."""
    fields = {**plan, "version": version + 1}
    return {
        "UpdateExpression": "SET " + ", ".join(f"#f{index} = :f{index}" for index in range(len(fields))),
        "ConditionExpression": "version = :seen",
        "ExpressionAttributeNames": {f"#f{index}": name for index, name in enumerate(fields)},
        "ExpressionAttributeValues": {
            ":seen": version,
            **{f":f{index}": value for index, value in enumerate(fields.values())},
        },
    }


def change_job(plan: str) -> tuple[str, dict]:
    """The id and the item of a new job that no user owns and that rebuilds the thumbnails of a plan's users."""
    owner, key, now = uuid.UUID(int=0), uuid.uuid4(), int(time.time() * 1000)
    item = {
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
    return encode_id(owner.bytes + key.bytes), item


def encode_id(data: bytes) -> str:
    """Encodes an id as the API does: Crockford's base32 in lower case, without padding."""
    rfc4648, crockford = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghjkmnpqrstvwxyz"
    return base64.b32encode(data).rstrip(b"=").decode().translate(str.maketrans(rfc4648, crockford))


def signing_keys(secret: str) -> list[dict]:
    """The keys of the secret, the latest first, each with the time from which it signs, in seconds since 1970."""
    text = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
    return [{"from": 0} | key for key in text.get("keys", [text])]


def rotate_keys(secret: str, session_days: int, compromised: bool = False) -> int:
    """Adds a key that signs from ten minutes on, and returns how many keys are accepted then.

    Functions read the keys every five minutes, so all accept the new key before any signs with it. A key that was replaced
    is accepted for as long as a session lasts, as nothing else that was signed lives longer. With `compromised` the new key
    signs at once and no other is accepted.
    """
    now = int(time.time())
    if compromised:
        keys = [{"key": secrets.token_urlsafe(48), "from": now}]
    else:
        kept, replaced_at = [], None
        for key in signing_keys(secret):
            if replaced_at is None or replaced_at + session_days * 86400 > now:
                kept.append(key)
            # A key that does not sign yet replaces no other.
            replaced_at = key["from"] if key["from"] <= now else replaced_at
        keys = [{"key": secrets.token_urlsafe(48), "from": now + ROTATION_LEAD_SECONDS}, *kept]
    boto3.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=json.dumps({"keys": keys}))
    return len(keys)


def make_admin(user_pool: str, email: str) -> None:
    boto3.client("cognito-idp").admin_add_user_to_group(UserPoolId=user_pool, Username=email, GroupName="admins")


def patient_client():
    """A client of Lambda for calls that take up to a quarter of an hour, without a second try, which would only do the
    same again. Routers forget silent connections, AWS's NAT gateways after 350 s, so this one is kept alive."""
    client = boto3.client("lambda", config=Config(read_timeout=910, retries={"max_attempts": 0}, tcp_keepalive=True))
    # botocore only turns keep-alive on, and the system's default is two hours of silence before the first probe.
    idle = getattr(socket, "TCP_KEEPIDLE", None) or socket.TCP_KEEPALIVE
    client._endpoint.http_session._socket_options.append((socket.IPPROTO_TCP, idle, KEEP_ALIVE_SECONDS))
    return client


def audit(function: str, mend: bool, grace_seconds: int) -> dict:
    """Compares the stack's table and buckets, a run of the function at a time, and returns what all runs found."""
    client = patient_client()
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
    rotation = commands.add_parser("rotate-keys", help="replace the key that signs sessions, links and cursors")
    rotation.add_argument(
        "--compromised", action="store_true", help="accept no earlier key: ends all sessions; links show other URLs"
    )
    check = commands.add_parser(
        "audit", help="compare table and buckets; fails where something is found and not mended"
    )
    check.add_argument("--mend", action="store_true", help="mend what can be mended")
    check.add_argument("--grace", type=int, default=3600, help="leave alone what changed in the last seconds")
    arguments = parser.parse_args()

    try:
        names = outputs(arguments.stack)
        if arguments.command == "rotate-keys":
            days = int(parameter(arguments.stack, "RefreshTokenDays"))
            count = rotate_keys(names["SigningKeysSecret"], days, arguments.compromised)
            when = "at once" if arguments.compromised else f"in {ROTATION_LEAD_SECONDS // 60} minutes"
            print(f"A new key signs {when}; keys that are accepted: {count}.")
            return
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
