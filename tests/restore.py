"""Backs a stack up, deletes it with its table and its buckets, restores the backup into a new stack, and logs in there."""

import subprocess
import sys
import tempfile
import urllib.request
import uuid
from pathlib import Path

import boto3

from infra import backup, operate
from infra.adopt import adopt
from infra.local import demo, stack
from infra.local.deployment import MARK, STACK, package, parameters
from tests.restart import get, log_in, publish, running, wait

BUCKET = f"backups-{uuid.uuid4()}"


def run(*arguments: str) -> subprocess.CompletedProcess:
    """`make backup` or `make restore`."""
    command = [sys.executable, "-m", "infra.backup", "--stack", STACK, "--bucket", BUCKET, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def back_up(*options: str) -> str:
    done = run("backup", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[1].rstrip(":")


def originals(bucket: str, prefix: str = "originals/") -> dict[str, int]:
    return backup.listed(bucket, prefix)


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def exported(url: str, headers: dict[str, str]) -> dict[str, tuple[str, bytes]]:
    """The title and the original of each image of the user."""
    demo.post(f"{url}/api/me/export", {}, headers)
    images = get(f"{url}/api/me/export", headers)["images"]
    return {image["id"]: (image["title"], fetched(image["image_url"])) for image in images}


def check_backups(url: str, headers: dict[str, str]) -> str:
    """A backup has what is there, and the earlier ones go. Returns the name of the last."""
    names = operate.outputs(STACK)
    deleted = publish(url, headers, "Deleted")
    first, source = back_up(), names["OriginalsBucket"]
    before = originals(BUCKET, f"{STACK}/originals/")
    assert before == originals(source) and len(before) == 3, before
    demo.call("DELETE", f"{url}/api/images/{deleted}", headers)
    wait("The file is not deleted", lambda: len(originals(source)) == 2)
    back_up("--keep", "2")
    last = back_up("--keep", "2")
    assert originals(BUCKET, f"{STACK}/originals/") == originals(source)
    assert first not in backup.manifests(BUCKET, STACK) and len(backup.manifests(BUCKET, STACK)) == 2
    held = boto3.client("dynamodb").list_backups(TableName=names["TableName"])["BackupSummaries"]
    assert len(held) == 2, held
    return last


def check_guard() -> None:
    """A backup of a bucket that is empty by mistake does not delete the copies."""
    client, copies, nothing = boto3.client("s3"), (BUCKET, "lost/originals/"), (BUCKET, "nothing/")
    for number in range(12):
        client.put_object(Bucket=BUCKET, Key=f"{copies[1]}{number}", Body=b"x")
    try:
        backup.copy(nothing, copies, False)
    except backup.BackupError as error:
        assert "PRUNE=1" in str(error), error
    else:
        raise AssertionError("twelve of twelve copies are deleted")
    assert len(originals(*copies)) == 12
    assert backup.copy(nothing, copies, True) == (0, 12)
    unknown = run("restore", "--of", STACK, "--backup", "20200101t000000000000")
    assert unknown.returncode and "no such backup" in unknown.stderr, unknown


def lose(names: dict[str, str]) -> None:
    """Deletes the stack, its table and its buckets. The user pool is left."""
    cloudformation = boto3.client("cloudformation")
    cloudformation.delete_stack(StackName=STACK)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    boto3.client("dynamodb").delete_table(TableName=names["TableName"])
    for name in ("OriginalsBucket", "ThumbnailsBucket"):
        bucket = boto3.resource("s3").Bucket(names[name])
        bucket.objects.all().delete()
        bucket.delete()


def restore(data: Path, code: Path, port: int, name: str) -> dict[str, str]:
    """What `make restore` and `make deploy ADOPT=` do."""
    done = run("restore", "--of", STACK)
    assert done.returncode == 0 and f"Table={STACK}-{name} " in done.stdout, done
    # Cut off and run again, it makes nothing twice.
    again = run("restore", "--of", STACK)
    assert again.returncode == 0 and "0 originals copied" in again.stdout, again
    assert again.stdout.splitlines()[-2:] == done.stdout.splitlines()[-2:]
    adopted = dict(pair.split("=") for pair in done.stdout.split("ADOPT='")[1].split("'")[0].split())
    chosen = parameters(f"http://{stack.API_HOST}:{port}")
    adopt(STACK, package(code, data / "package"), chosen, adopted)
    boto3.client("ssm").delete_parameters(Names=[MARK])
    environment = stack.bring_up(port, data, code, [])
    assert environment["TINTYPE_TABLE"] == adopted["Table"], environment
    return environment


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tintype-restore-") as folder:
        data = Path(folder)
        with running(data, keep=False) as (environment, code, port):
            url = environment["TINTYPE_URL"]
            headers = log_in(url)
            images = [publish(url, headers, f"Picture {number}") for number in range(2)]
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            last = check_backups(url, headers)
            check_guard()
            before = exported(url, headers)
            assert before.keys() == set(images)

            lose(operate.outputs(STACK))
            environment = restore(data, code, port, last)
            headers = log_in(url)
            # Thumbnails are built from the originals, as the audit finds.
            operate.audit(environment["TINTYPE_AUDIT_FUNCTION"], True, 0)
            assert stack.is_clean(environment)
            assert exported(url, headers) == before
            for image in images:
                thumbnails = get(f"{url}/api/images/{image}", headers)["thumbnails"]
                assert thumbnails and all(fetched(thumbnail["url"]) for thumbnail in thumbnails)
            publish(url, headers, "After the restore")
    print("A stack that is lost but for its user pool and its backup is there again.")


if __name__ == "__main__":
    main()
