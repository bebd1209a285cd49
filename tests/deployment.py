"""Rehearses `make deploy` on the emulator: a first deployment that fails, one that is interrupted, one that asks, and updates.

`infra.deploy` runs where it is what is tested. The states before it are made with CloudFormation's API, which takes a tenth of
the time.
"""

import itertools
import json
import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import boto3
from samtranslator.yaml_helper import yaml_parse

from infra import deploy, operate
from infra.adopt import IDENTIFIERS
from infra.local.deployment import REGION, UPLOADS, package, with_uploads
from infra.settings import Settings, use_region_of

STACK = "rehearsal"
FUNCTIONS = {"Audit", "Fallback", "Health", "Sweep"}
SECONDS = 120


def command(template: Path, *arguments: str, stack: str | None = STACK) -> list[str]:
    """`make deploy` without the build."""
    options = ["--template", str(template), "--config", str(template.with_name("samconfig.toml"))]
    return [sys.executable, "-m", "infra.deploy", *(["--stack", stack] if stack else []), *options, *arguments]


def run(template: Path, *parameters: str, stack: str | None = STACK) -> subprocess.CompletedProcess:
    arguments = command(template, "--yes", *parameters, stack=stack)
    return subprocess.run(arguments, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def at_terminal(arguments: list[str], answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Runs a command at a terminal, and gives each answer when its question is there. Returns its status and output."""
    terminal, other = pty.openpty()
    process = subprocess.Popen(arguments, stdin=other, stdout=other, stderr=other, close_fds=True)
    os.close(other)
    text, answered, left, end = "", 0, list(answers), time.monotonic() + SECONDS
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            # The terminal's other end is closed.
            break
        text += chunk.decode(errors="replace")
        if left and left[0][0] in text[answered:]:
            answered = len(text)
            os.write(terminal, (left.pop(0)[1] + "\n").encode())
    process.kill()
    assert not left, (left, text)
    return process.wait(), text


def make(template: Path, stack: str = STACK, **parameters: str) -> str:
    """Creates or updates a stack with CloudFormation's API, and returns its status."""
    cloudformation = boto3.client("cloudformation")
    boto3.client("s3").put_object(Bucket=UPLOADS, Key=template.name, Body=template.read_bytes())
    found = deploy.described(stack)
    held = {item["ParameterKey"] for item in found["Parameters"]} if found else set()
    request = {
        "StackName": stack,
        "TemplateURL": f"{cloudformation.meta.endpoint_url}/{UPLOADS}/{template.name}",
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Parameters": [
            *({"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()),
            *({"ParameterKey": name, "UsePreviousValue": True} for name in held - parameters.keys()),
        ],
    }
    (cloudformation.update_stack if found else cloudformation.create_stack)(**request)
    while (status := deploy.described(stack)["StackStatus"]).endswith("_IN_PROGRESS"):
        time.sleep(0.1)
    return status


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
    which the emulator cannot. Its zips are uploaded."""
    boto3.client("s3").create_bucket(Bucket=UPLOADS)
    parsed = yaml_parse(with_uploads(template))
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
    refused = run(template, "DomainName=images.example.org")
    assert refused.returncode and "A DomainName needs a CertificateArn." in refused.stdout + refused.stderr, refused
    assert status() in (None, "REVIEW_IN_PROGRESS"), status()
    arn = "arn:aws:ses:us-east-1:000000000000:identity/example.org"
    try:
        make(template, STACK + "-mail", SesIdentityArn=arn)
    except boto3.exceptions.botocore.exceptions.ClientError as error:
        assert "A SesIdentityArn needs a MailFrom." in str(error), error
    else:
        raise AssertionError("a SesIdentityArn without a MailFrom is accepted")


def check_failed_creation(broken: Path) -> None:
    before = tables_and_pools()
    # Protected resources are not rolled back, here as on AWS; otherwise this would prove nothing.
    assert make(broken, STACK + "-protected", DeletionProtection="true") == "ROLLBACK_FAILED"
    left = tables_and_pools()
    assert left != before
    failed = run(broken)
    assert failed.returncode and "ROLLBACK_COMPLETE" in failed.stderr and "Broken" in failed.stdout, failed
    assert (status(), tables_and_pools()) == ("ROLLBACK_COMPLETE", left), status()


def check_questions(template: Path) -> None:
    """The first deployment asks, and its answers are kept; nothing is made before somebody agrees."""
    broken_stack, settings_file = deploy.described(STACK), template.with_name("samconfig.toml")
    assert broken_stack["StackStatus"] == "ROLLBACK_COMPLETE"
    settings_file.unlink()
    unasked = subprocess.run(
        command(template, stack=None), check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert unasked.returncode and "YES=1" in unasked.stderr and unasked.stderr.count("\n") == 1, unasked
    unnamed = run(template, stack=None)
    assert unnamed.returncode and "STACK=" in unnamed.stderr, unnamed
    assert not settings_file.exists()
    # Where a creation failed, the stack is made anew.
    first = [("Name of the stack", STACK), ("Region", "nowhere"), ("Region", REGION)]
    code, text = at_terminal(command(template, stack=None), [*first, (f"changes to the stack {STACK}?", "n")])
    assert code and "Deleting what a failed creation" in text and "Nothing was changed." in text, text
    assert "+ Add" in text and "AWS::DynamoDB::Table" in text, f"the changes are shown: {text}"
    assert status() is None, status()

    settings_file.write_text("# of this team\n" + settings_file.read_text().replace(STACK, STACK + "-other"))
    answers = [("Name of the stack", STACK), ("Region", REGION), ("AlarmEmail [none]", "me@example.org")]
    answers += [("DomainName [none]", ""), ("Cdn [false]", "maybe"), ("Cdn [false]", ""), ("changes to the stack", "y")]
    # The file has another stack, so it asks which.
    settings = Settings(settings_file)
    assert settings.stacks() == [STACK + "-other"]
    settings.save(STACK + "-third", {"region": REGION}, {"MailFrom": 'A "quoted" name <a@example.org>'})
    code, text = at_terminal(command(template, stack=None), answers)
    assert code == 0 and "Protecting its table and its user pool." in text, text
    assert f"make admin EMAIL=... STACK={STACK}" in text, text
    assert (status(), protection()) == ("UPDATE_COMPLETE", (True, "ACTIVE")), status()
    settings = Settings(settings_file)
    assert settings.parameters(STACK) == {"AlarmEmail": "me@example.org"}, settings.document
    assert settings.section(STACK)["region"] == REGION
    assert settings.parameters(STACK + "-third") == {"MailFrom": 'A "quoted" name <a@example.org>'}
    assert settings_file.read_text().startswith("# of this team\n")
    assert deploy.parameter(deploy.described(STACK), "AlarmEmail") == "me@example.org"


def check_updates(template: Path) -> None:
    # The state after a creation that was interrupted before its protection.
    make(template, DeletionProtection="later")
    assert protection() == (False, "INACTIVE")
    # Parameters are kept, by their names in samconfig.toml or as they are in the stack.
    make(template, LogRetentionDays="7")
    deployed = run(template, "BuilderConcurrency=7")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert protection() == (True, "ACTIVE")
    found = deploy.described(STACK)
    held = {name: deploy.parameter(found, name) for name in ("LogRetentionDays", "BuilderConcurrency", "AlarmEmail")}
    assert held == {"LogRetentionDays": "7", "BuilderConcurrency": "7", "AlarmEmail": "me@example.org"}, held
    kept = {"AlarmEmail": "me@example.org", "BuilderConcurrency": "7"}
    assert Settings(template.with_name("samconfig.toml")).parameters(STACK) == kept
    # Again, at a terminal: no question, as there is nothing to change.
    code, text = at_terminal(command(template), [])
    assert code == 0 and "is deployed" in text, text
    assert deploy.described(STACK)["LastUpdatedTime"] == found["LastUpdatedTime"]


def check_aliases(template: Path) -> None:
    """With an alias, event sources call the version that it names, each change publishes one, and two are kept."""
    functions = boto3.client("lambda")
    for number, level in enumerate(("INFO", "WARN", "ERROR"), 1):
        deployed = run(template, "GradualDeployment=AllAtOnce", f"LogLevel={level}")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        for name in (resource(logical) for logical in FUNCTIONS):
            live = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
            pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
            versions = {item["Version"]: item for page in pages for item in page["Versions"]}
            assert versions.keys() == {"$LATEST", live, str(max(1, number - 1))} and live == str(number), versions
            assert versions[live]["LoggingConfig"]["ApplicationLogLevel"] == level, versions[live]
    [mapping] = functions.list_event_source_mappings(FunctionName=f"{resource('Sweep')}:live")["EventSourceMappings"]
    assert mapping["FunctionArn"].endswith(":live"), mapping
    event = (Path(__file__).parent / "events" / "http-api.json").read_bytes()
    response = functions.invoke(FunctionName=resource("Health"), Qualifier="live", Payload=event)
    assert json.loads(response["Payload"].read())["statusCode"] == 200


def check_cdn(template: Path) -> None:
    """The CDN's URL becomes the service's, until the CDN is gone."""

    def urls() -> tuple[str | None, str | None]:
        found = deploy.described(STACK)
        return deploy.parameter(found, "PublicUrl"), deploy.output(found, "CdnUrl")

    # The emulator sees no change in a condition alone.
    days = itertools.cycle(["14", "30"])
    deployed = run(template, "GradualDeployment=", "Cdn=true", f"LogRetentionDays={next(days)}")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    aliases = boto3.client("lambda").list_aliases(FunctionName=resource("Health"))["Aliases"]
    assert not aliases, aliases
    public, cdn = urls()
    assert public == cdn and cdn.startswith("https://"), (public, cdn)
    secret = boto3.client("secretsmanager").get_secret_value
    [before] = json.loads(secret(SecretId=resource("CdnSecret"))["SecretString"]).values()
    make(template, CdnSecretNumber="2")
    assert urls() == (cdn, cdn)
    [value] = json.loads(secret(SecretId=resource("CdnSecret"))["SecretString"]).values()
    assert value != before
    distribution = boto3.client("cloudfront").get_distribution_config(Id=resource("Distribution"))["DistributionConfig"]
    [header] = distribution["Origins"]["Items"][0]["CustomHeaders"]["Items"]
    assert header["HeaderValue"] == value
    deployed = run(template, "Cdn=false", f"LogRetentionDays={next(days)}")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert urls() == ("", None)


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
    """The connection of a call in progress is probed within a minute, as the options of its socket show (tcp(7))."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address, known = listener.getsockname(), {}

        def serve() -> None:
            connection, peer = listener.accept()
            with connection:
                connection.recv(65536)
                with own_socket(peer, address) as client:
                    known["on"] = client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                    known["seconds"] = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                body = b'{"ok": true}'
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

        server = threading.Thread(target=serve)
        server.start()
        endpoint = os.environ["AWS_ENDPOINT_URL"]
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{address[1]}"
        try:
            operate.patient_client().invoke(FunctionName="audit", Payload=b"{}")["Payload"].read()
        finally:
            os.environ["AWS_ENDPOINT_URL"] = endpoint
            server.join()
    assert known == {"on": 1, "seconds": operate.KEEP_ALIVE_SECONDS}, known


def own_socket(local: tuple, remote: tuple) -> socket.socket:
    """A copy of this process's socket that is connected from one address to the other: a port alone does not name it,
    as connections to other addresses may have the same one."""
    for descriptor in Path("/proc/self/fd").iterdir():
        # What is no connected socket, or was closed meanwhile, is passed over.
        with suppress(OSError), socket.fromfd(int(descriptor.name), socket.AF_INET, socket.SOCK_STREAM) as candidate:
            if (candidate.getsockname(), candidate.getpeername()) == (local, remote):
                return candidate.dup()
    raise AssertionError(f"No socket from {local} to {remote}.")


def check_settings() -> None:
    """The commands of an operator are sent to the region of their stack."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "samconfig.toml")
        settings.save("far", {"region": "eu-north-1", "profile": "photos"}, {})
        names = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE")
        before = {name: os.environ.get(name) for name in names}
        try:
            use_region_of("near", settings)
            assert {name: os.environ.get(name) for name in names} == before
            use_region_of("far", settings)
            assert [os.environ[name] for name in names] == ["eu-north-1", "eu-north-1", "photos"]
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def main() -> None:
    check_advice()
    check_public_url()
    check_keep_alive()
    check_settings()
    folder = Path(tempfile.mkdtemp(prefix="tintype-deployment-"))
    try:
        template = slim(package(Path(os.environ["TINTYPE_EXECUTABLES"]), folder / "package"))
        check_rules(template)
        check_failed_creation(with_a_fault(template))
        check_questions(template)
        check_updates(template)
        check_aliases(template)
        check_cdn(template)
        check_adoption(template)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("A first deployment that fails is rolled back, and one that succeeds ends protected.")


if __name__ == "__main__":
    main()
