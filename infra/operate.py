"""Commands for the operator of a deployed stack: load the plans, make an admin, rotate keys, audit.

Uses the credentials, region and endpoint of the environment, so it serves AWS and the local stack alike.
"""

import argparse
import json
import secrets
import socket
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config

from infra.settings import use_region_of

LOCAL_STACK = "tintype"
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


def load_plans(function: str, plans: list[dict], add_only: bool = False) -> list[str]:
    """Writes the plans that the table lacks or, unless told to add only, has otherwise; returns their names."""
    return invoke(function, {"command": "load_plans", "plans": plans, "add_only": add_only})["written"]


def make_admin(function: str, email: str) -> None:
    invoke(function, {"command": "make_admin", "email": email})


def assign_plan(function: str, email: str, plan: str) -> None:
    invoke(function, {"command": "assign_plan", "email": email, "plan": plan})


def invoke(function: str, request: dict) -> dict:
    """Runs a function, and returns its response. Ends with a message if it fails or refuses the request."""
    answer = patient_client().invoke(FunctionName=function, Payload=json.dumps(request))
    response = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        sys.exit(f"The function {function} failed: {response.get('errorMessage', response)}")
    if "refused" in response:
        sys.exit(response["refused"])
    return response


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
    total = {"seen": 0, "findings": {}, "mended": {}, "expired": 0, "named": []}
    place = None
    while True:
        report = invoke(function, {"mend": mend, "grace_seconds": grace_seconds, "place": place})
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
    run(sys.argv[1:])


def run(given: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", help="name of the CloudFormation stack; without it the local one")
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
    arguments = parser.parse_args(given)

    stack = arguments.stack or LOCAL_STACK
    if arguments.stack:
        use_region_of(stack)
    try:
        names = outputs(stack)
        if arguments.command == "rotate-keys":
            days = int(parameter(stack, "RefreshTokenDays"))
            count = rotate_keys(names["SigningKeysSecret"], days, arguments.compromised)
            when = "at once" if arguments.compromised else f"in {ROTATION_LEAD_SECONDS // 60} minutes"
            print(f"A new key signs {when}; keys that are accepted: {count}.")
            return
        if arguments.command == "plans":
            plans = json.loads(arguments.file.read_text())
            changed = load_plans(names["OperateFunction"], plans, arguments.add_only)
            print("Plans written: " + (", ".join(changed) or "none, as all are there") + ".")
            if changed and not arguments.add_only:
                print("Thumbnails of users who are on them follow.")
        elif arguments.command == "audit":
            report = audit(names["AuditFunction"], arguments.mend, arguments.grace)
            print(json.dumps(report, indent=2))
            left = any(count > report["mended"].get(kind, 0) for kind, count in report["findings"].items())
            sys.exit(1 if left else 0)
        else:
            make_admin(names["OperateFunction"], arguments.email)
            print(f"{arguments.email} is an admin from the next login on.")
    except boto3.exceptions.botocore.exceptions.ClientError as error:
        sys.exit(f"AWS refused: {error.response['Error']['Message']}")


if __name__ == "__main__":
    main()
