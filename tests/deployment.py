"""Rehearses `make deploy` on the emulator: a first deployment that fails, one that is interrupted, and one that succeeds."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import boto3
from samtranslator.yaml_helper import yaml_parse

from infra import deploy, operate
from infra.adopt import IDENTIFIERS
from infra.local.deployment import UPLOADS, package

STACK = "rehearsal"
FUNCTIONS = {"Audit", "Fallback", "Health", "Sweep"}


def run(template: Path, *parameters: str) -> subprocess.CompletedProcess:
    """Runs `make deploy` without the build, into an existing bucket."""
    command = [sys.executable, "-m", "infra.deploy", "--stack", STACK, "--template", str(template)]
    command += [f"--option={option}" for option in options(template)]
    return subprocess.run([*command, *parameters], check=False, capture_output=True, text=True)


def options(template: Path) -> list[str]:
    return [f"--s3-bucket={UPLOADS}", f"--config-file={template.parents[1] / 'samconfig.toml'}"]


def status() -> str | None:
    found = deploy.described(STACK)
    return found["StackStatus"] if found else None


def resource(logical: str) -> str:
    found = boto3.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=logical)
    return found["StackResourceDetail"]["PhysicalResourceId"]


def protection() -> tuple[bool, str]:
    table = boto3.client("dynamodb").describe_table(TableName=resource("Table"))["Table"]
    pool = boto3.client("cognito-idp").describe_user_pool(UserPoolId=resource("UserPool"))["UserPool"]
    return table["DeletionProtectionEnabled"], pool["DeletionProtection"]


def tables_and_pools() -> set[str]:
    pools = boto3.client("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]
    return {pool["Id"] for pool in pools} | set(boto3.client("dynamodb").list_tables()["TableNames"])


def slim(template: Path) -> Path:
    """template.yaml with four of its functions, which deploys in a tenth of the time, and without the alarm that calculates,
    which the emulator cannot."""
    parsed = yaml_parse(template.read_text())
    parsed["Resources"] = {
        name: resource
        for name, resource in parsed["Resources"].items()
        if (resource["Type"] != "AWS::Serverless::Function" or name in FUNCTIONS) and name != "UploadsWaitAlarm"
    }
    file = template.with_name("slim.json")
    file.write_text(json.dumps(parsed))
    return file


def with_a_fault(template: Path) -> Path:
    """The template with a resource that fails when table and user pool have been made: nobody signals it."""
    parsed = json.loads(template.read_text())
    properties = {"Handle": {"Ref": "Unsignalled"}, "Timeout": "1", "Count": 1}
    parsed["Resources"] |= {
        "Unsignalled": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Broken": {
            "Type": "AWS::CloudFormation::WaitCondition",
            "DependsOn": ["Table", "UserPool"],
            "Properties": properties,
        },
    }
    file = template.with_name("broken.json")
    file.write_text(json.dumps(parsed))
    return file


def check_rules(template: Path) -> None:
    for given, message in [
        (
            "SesIdentityArn=arn:aws:ses:us-east-1:000000000000:identity/example.org",
            "A SesIdentityArn needs a MailFrom.",
        ),
        ("DomainName=images.example.org", "A DomainName needs a CertificateArn."),
    ]:
        refused = run(template, given)
        assert refused.returncode and message in refused.stdout + refused.stderr, refused
        assert status() in (None, "REVIEW_IN_PROGRESS"), status()


def check_failed_creation(broken: Path) -> None:
    before = tables_and_pools()
    # Protected resources are not rolled back, here as on AWS; otherwise this would prove nothing.
    failed = run(broken, "DeletionProtection=false")
    assert failed.returncode, failed.stdout
    assert (status(), tables_and_pools()) == ("ROLLBACK_COMPLETE", before), status()
    with suppress(deploy.DeploymentError):
        deploy.sam_deploy(STACK + "-protected", broken, {"DeletionProtection": "true"}, options(broken))
    protected = deploy.described(STACK + "-protected")
    assert protected["StackStatus"] == "ROLLBACK_FAILED", protected["StackStatus"]

    before = tables_and_pools()
    failed = run(broken)
    assert failed.returncode and "Deleting what a failed creation" in failed.stdout, failed.stdout
    assert (status(), tables_and_pools()) == ("ROLLBACK_COMPLETE", before), status()


def check_creation(template: Path) -> None:
    succeeded = run(template, "AlarmEmail=me@example.org")
    assert succeeded.returncode == 0, succeeded.stdout + succeeded.stderr
    assert (status(), protection()) == ("UPDATE_COMPLETE", (True, "ACTIVE")), status()
    # The state after a creation that was interrupted between its two deployments.
    deploy.sam_deploy(STACK, template, {"DeletionProtection": "later"}, options(template))
    assert protection() == (False, "INACTIVE")
    assert run(template).returncode == 0
    assert protection() == (True, "ACTIVE")
    # Parameters that a deployment does not name keep their values.
    assert run(template, "DeletionProtection=false").returncode == 0
    assert run(template, "LogRetentionDays=7").returncode == 0
    assert protection() == (False, "INACTIVE")


def check_cdn(template: Path) -> None:
    """The CDN's URL becomes the service's, until the CDN is gone."""

    # The emulator sees no change in a condition alone.
    days = itertools.cycle(["14", "30"])

    def urls(*parameters: str) -> tuple[str | None, str | None]:
        deployed = run(template, *parameters, f"LogRetentionDays={next(days)}")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        found = deploy.described(STACK)
        return deploy.parameter(found, "PublicUrl"), deploy.output(found, "CdnUrl")

    public, cdn = urls("Cdn=true")
    assert public == cdn and cdn.startswith("https://"), (public, cdn)
    secret = boto3.client("secretsmanager").get_secret_value
    [before] = json.loads(secret(SecretId=resource("CdnSecret"))["SecretString"]).values()
    assert urls("CdnSecretNumber=2") == (cdn, cdn)
    [value] = json.loads(secret(SecretId=resource("CdnSecret"))["SecretString"]).values()
    assert value != before
    distribution = boto3.client("cloudfront").get_distribution_config(Id=resource("Distribution"))["DistributionConfig"]
    [header] = distribution["Origins"]["Items"][0]["CustomHeaders"]["Items"]
    assert header["HeaderValue"] == value
    assert urls("Cdn=false") == ("", None)


def check_adoption(template: Path) -> None:
    """A deleted stack leaves its data. A new one takes over buckets and user pool, and a table that was restored."""
    held = {name: resource(name) for name in IDENTIFIERS}
    dynamodb, s3, cognito = boto3.client("dynamodb"), boto3.client("s3"), boto3.client("cognito-idp")
    item = {"pk": {"S": "NOTE"}, "sk": {"S": "NOTE"}}
    dynamodb.put_item(TableName=held["Table"], Item=item)
    s3.put_object(Bucket=held["Originals"], Key="note", Body=b"kept")
    email = "kept@example.org"
    cognito.admin_create_user(UserPoolId=held["UserPool"], Username=email, MessageAction="SUPPRESS")
    restored = f"{STACK}-restored"
    dynamodb.restore_table_to_point_in_time(
        SourceTableName=held["Table"], TargetTableName=restored, UseLatestRestorableTime=True
    )
    cloudformation = boto3.client("cloudformation")
    cloudformation.delete_stack(StackName=STACK)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    assert set(held.values()) & tables_and_pools() == {held["Table"], held["UserPool"]}

    held["Table"] = restored
    adopted = run(template, "--adopt", *(f"{name}={identifier}" for name, identifier in held.items()))
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    found = {name: resource(name) for name in IDENTIFIERS}
    assert found == held, (found, held)
    assert (status(), protection()) == ("UPDATE_COMPLETE", (True, "ACTIVE")), status()
    assert dynamodb.get_item(TableName=restored, Key=item)["Item"] == item
    assert dynamodb.describe_table(TableName=restored)["Table"]["StreamSpecification"]["StreamEnabled"]
    assert s3.get_object(Bucket=held["Originals"], Key="note")["Body"].read() == b"kept"
    assert cognito.admin_get_user(UserPoolId=held["UserPool"], Username=email)["Username"]
    again = run(template, "--adopt", *(f"{name}={identifier}" for name, identifier in held.items()))
    assert again.returncode and "only a new stack adopts" in again.stderr, again


def check_public_url() -> None:
    def stack(public: str, cdn: str | None = None, domain: str = "") -> dict:
        parameters = {"PublicUrl": public, "DomainName": domain}
        return {
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            "Outputs": [{"OutputKey": "CdnUrl", "OutputValue": cdn}] if cdn else [],
        }

    own, cdn = "https://images.example.org", "https://d1.cloudfront.example"
    for before, chosen, after, expected in [
        (None, {}, stack(""), None),
        (None, {}, stack("", cdn), cdn),
        (stack(cdn, cdn), {}, stack(cdn, cdn), None),
        (stack(cdn, cdn), {}, stack(cdn), ""),
        # The operator's parameters stay.
        (None, {"PublicUrl": own}, stack(own, cdn), None),
        (stack(own), {}, stack(own, cdn), None),
        (stack(own, cdn), {}, stack(own), None),
        (None, {}, stack("", cdn, "images.example.org"), None),
    ]:
        assert deploy.public_url(before, chosen, after) == expected, (before, chosen, after)


def check_advice() -> None:
    assert deploy.advice(1000, 20, 5) is None
    assert deploy.advice(50, 20, 5) is None
    for limit, fitting in [
        (10, "BuilderConcurrency=3 JobConcurrency=2"),
        (40, "BuilderConcurrency=15 JobConcurrency=5"),
    ]:
        text = deploy.advice(limit, 20, 5)
        assert fitting in text and f"at most {limit} functions" in text, text


def check_keep_alive() -> None:
    """The connection of a call in progress is probed within a minute, as the kernel's list of sockets shows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, known = listener.getsockname()[1], {}

        def serve() -> None:
            connection, peer = listener.accept()
            with connection:
                connection.recv(65536)
                lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
                own = next(line.split() for line in lines if line.split()[1].endswith(f":{peer[1]:04X}"))
                timer, jiffies = own[5].split(":")
                known.update(timer=int(timer, 16), seconds=int(jiffies, 16) / os.sysconf("SC_CLK_TCK"))
                body = b'{"ok": true}'
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

        server = threading.Thread(target=serve)
        server.start()
        endpoint = os.environ["AWS_ENDPOINT_URL"]
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        try:
            operate.patient_client().invoke(FunctionName="audit", Payload=b"{}")["Payload"].read()
        finally:
            os.environ["AWS_ENDPOINT_URL"] = endpoint
            server.join()
    # Timer 2 is the one of keep-alive.
    assert known["timer"] == 2 and known["seconds"] <= operate.KEEP_ALIVE_SECONDS, known


def main() -> None:
    check_advice()
    check_public_url()
    check_keep_alive()
    folder = Path(tempfile.mkdtemp(prefix="tintype-deployment-"))
    try:
        # A configuration of its own: one that `sam deploy --guided` left is for AWS.
        (folder / "samconfig.toml").write_text("version = 0.1\n")
        template = slim(package(Path(os.environ["TINTYPE_EXECUTABLES"]), folder / "package"))
        check_rules(template)
        check_failed_creation(with_a_fault(template))
        check_creation(template)
        check_cdn(template)
        check_adoption(template)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("A first deployment that fails is rolled back, and one that succeeds ends protected.")


if __name__ == "__main__":
    main()
