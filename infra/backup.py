"""Backs a stack up into a bucket, and makes table and buckets of a backup for a new stack.

AWS Backup takes buckets only with versions, which keep what was deleted. So a backup is one of DynamoDB for the table, and a
copy of the originals, which holds what the last backup found. Thumbnails are built anew. The user pool stays where it is: no
service of AWS copies passwords.
"""

import argparse
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.operate import outputs
from infra.settings import use_region_of

SIDE_BY_SIDE = 32
# A copy that is to lose more than this part is taken for a mistake.
MOST_DELETED = 0.1
# Seconds between two looks at a table, and the looks that a large table takes.
DELAY, LOOKS = 5, 17280


class BackupError(Exception):
    """An error whose text is the message for the user, a sentence."""


def s3():
    return boto3.client("s3", config=Config(max_pool_connections=SIDE_BY_SIDE))


def listed(bucket: str, prefix: str) -> dict[str, int]:
    """The sizes of objects, by what follows the prefix."""
    pages = s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"][len(prefix) :]: item["Size"] for page in pages for item in page.get("Contents", [])}


def copy(source: tuple[str, str], target: tuple[str, str], prune: bool | None) -> tuple[int, int]:
    """Copies the objects that the target lacks. Originals never change. `prune`: None to keep what the source no longer has,
    False to delete it unless it is much. Returns the numbers of objects copied and deleted."""
    client, here, there = s3(), listed(*source), listed(*target)
    extra = [] if prune is None else sorted(there.keys() - here.keys())
    if extra and not prune and len(extra) > max(10, MOST_DELETED * len(there)):
        raise BackupError(
            f"{len(extra)} of the {len(there)} originals in the backup are no longer in the stack. PRUNE=1 deletes them; "
            "nothing was changed."
        )
    missing = [key for key, size in here.items() if there.get(key) != size]

    def one(key: str) -> None:
        client.copy_object(
            CopySource={"Bucket": source[0], "Key": source[1] + key}, Bucket=target[0], Key=target[1] + key
        )

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(one, missing))
    for start in range(0, len(extra), 1000):
        objects = [{"Key": target[1] + key} for key in extra[start : start + 1000]]
        client.delete_objects(Bucket=target[0], Delete={"Objects": objects, "Quiet": True})
    return len(missing), len(extra)


def manifests(bucket: str, stack: str) -> list[str]:
    """The names of the backups of a stack, the oldest first."""
    return sorted(name.removesuffix(".json") for name in listed(bucket, f"{stack}/backups/"))


def back_up(stack: str, bucket: str, keep: int, prune: bool) -> str:
    """Backs a stack up, deletes all but the latest `keep` backups, and returns the name of the new one. The table comes first:
    an image that is made meanwhile has a file too many in the copy, which nobody sees, and not one too few."""
    names, dynamodb, client = outputs(stack), boto3.client("dynamodb"), s3()
    name = datetime.now(timezone.utc).strftime("%Y%m%dt%H%M%S%f")
    made = dynamodb.create_backup(TableName=names["TableName"], BackupName=f"{stack}-{name}")
    arn = made["BackupDetails"]["BackupArn"]
    try:
        source, target = (names["OriginalsBucket"], "originals/"), (bucket, f"{stack}/originals/")
        copied, deleted = copy(source, target, prune)
    except (BackupError, BotoCoreError, ClientError):
        dynamodb.delete_backup(BackupArn=arn)
        raise
    manifest = {"table": arn, "user_pool": names["UserPoolId"]}
    client.put_object(Bucket=bucket, Key=f"{stack}/backups/{name}.json", Body=json.dumps(manifest).encode())
    for old in manifests(bucket, stack)[:-keep]:
        key = f"{stack}/backups/{old}.json"
        table = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())["table"]
        with suppress(dynamodb.exceptions.BackupNotFoundException):
            dynamodb.delete_backup(BackupArn=table)
        client.delete_object(Bucket=bucket, Key=key)
    print(f"Backup {name}: the table, and {copied} new originals; {deleted} were deleted since the last one.")
    return name


def restore(stack: str, bucket: str, source: str, name: str | None) -> dict[str, str]:
    """Makes table and buckets from a backup of the stack `source`, for a new stack, and returns what that adopts. If it is cut
    off, the same call goes on."""
    known = manifests(bucket, source)
    if not known or name not in (None, *known):
        which = f"it has {', '.join(known)}" if known else "it has none"
        raise BackupError(f"The bucket {bucket} has no such backup of the stack {source}; {which}.")
    name = name or known[-1]
    client, dynamodb = s3(), boto3.client("dynamodb")
    key = f"{source}/backups/{name}.json"
    manifest = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    table = f"{stack}-{name}"
    try:
        dynamodb.restore_table_from_backup(TargetTableName=table, BackupArn=manifest["table"])
        print(f"Restoring the table {table}, which takes minutes, or hours if it is large.", flush=True)
    except (dynamodb.exceptions.TableAlreadyExistsException, dynamodb.exceptions.TableInUseException):
        print(f"The table {table} is there already.", flush=True)
    account = boto3.client("sts").get_caller_identity()["Account"]
    held = {"Table": table, "UserPool": manifest["user_pool"]}
    for logical in ("Originals", "Thumbnails"):
        # At most 63 characters.
        held[logical] = f"{re.sub('[^a-z0-9-]', '-', stack.lower())[:16]}-{logical.lower()}-{account}-{name[:15]}"
        make_bucket(client, held[logical])
    copied, _ = copy((bucket, f"{source}/originals/"), (held["Originals"], "originals/"), None)
    print(f"{copied} originals copied.", flush=True)
    wait = {"Delay": DELAY, "MaxAttempts": LOOKS}
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig=wait)
    return held


def make_bucket(client, name: str) -> None:
    region = client.meta.region_name
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=name, **place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack to back up, or the new one")
    parser.add_argument("--bucket", required=True, help="the bucket of the backups")
    commands = parser.add_subparsers(dest="command", required=True)
    backup = commands.add_parser("backup")
    backup.add_argument("--keep", type=int, default=7, help="backups of the table that are kept")
    backup.add_argument("--prune", action="store_true", help="delete originals from the backup, however many")
    restoring = commands.add_parser("restore")
    restoring.add_argument("--of", required=True, help="the stack that was backed up")
    restoring.add_argument("--backup", help="its name; without it the latest")
    arguments = parser.parse_args()
    stack, bucket = arguments.stack, arguments.bucket
    use_region_of(stack)
    try:
        if arguments.command == "backup":
            back_up(stack, bucket, max(1, arguments.keep), arguments.prune)
        else:
            held = restore(stack, bucket, arguments.of, arguments.backup)
            adopted = " ".join(f"{name}={identifier}" for name, identifier in held.items())
            print(f"Now deploy:\nmake deploy STACK={stack} ADOPT='{adopted}'\nmake audit STACK={stack} MEND=1")
    except BackupError as error:
        sys.exit(str(error))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS refused: {error}")


if __name__ == "__main__":
    main()
