"""Runs the whole system on this machine: the AWS emulator with template.yaml deployed to it."""

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import boto3

from infra import operate

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / ".local" / "run"
TEMPLATE = ROOT / "template.yaml"
ZIPS = [ROOT / "target" / "lambda" / name / "bootstrap.zip" for name in ("api", "workers")]
STACK = "tintype"
REGION = "us-east-1"
DEMO_PASSWORD = "tintype-demo"
DEMO_USERS = [
    ("basic@example.com", "Basil Basic", "Basic", False),
    ("premium@example.com", "Prema Premium", "Premium", False),
    ("enterprise@example.com", "Enno Enterprise", "Enterprise", False),
    ("admin@example.com", "Ada Admin", "Enterprise", True),
]


class Trouble(Exception):
    """Said to the user as one sentence."""


def say(text: str) -> None:
    print(text, flush=True)


# ---- addresses ------------------------------------------------------------------------------------


def can_bind(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def api_host() -> str:
    """The API needs a host name of its own: services answer on 127.0.0.1. Not every system has the second."""
    return "127.0.0.2" if can_bind("127.0.0.2", 0) else "localhost"


def bind_hosts() -> list[str]:
    return ["127.0.0.1"] + ([api_host()] if api_host() != "localhost" else [])


def free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if all(can_bind(host, port) for host in bind_hosts()):
            return port


# ---- the emulator ---------------------------------------------------------------------------------


def use_local_aws(port: int) -> None:
    """Turns this process and those it starts to the emulator, whatever AWS settings the user has."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "SAM_CLI_"))]:
        del os.environ[name]
    loopback = "127.0.0.1,127.0.0.2,localhost"
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        SAM_CLI_TELEMETRY="0",
        NO_PROXY=loopback,
        no_proxy=loopback,
    )


@contextmanager
def emulator(port: int, data: Path, keep: bool):
    """The emulator, from its first answer until it has stopped and saved."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / "emulator.log"
    command = [sys.executable, "-m", "infra.local.emulator", "--port", str(port), "--data", str(data)]
    command += [argument for host in bind_hosts() for argument in ("--host", host)]
    command += ["--keep"] if keep else []
    # Functions inherit this environment: nothing of the user's may leak into them.
    environment = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with log.open("w") as output:
        # In a session of its own, so that Ctrl-C reaches this script alone, which then stops it in order.
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/_ministack/ready"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"The AWS emulator did not start; its log ends:\n{tail(log)}")
            time.sleep(0.1)
        yield process
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


# ---- deployment -----------------------------------------------------------------------------------


def parameters(public_url: str) -> dict[str, str]:
    return {
        "Architecture": "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
        "PublicUrl": public_url,
        "TlsOnly": "false",
        "DeletionProtection": "false",
        "PointInTimeRecovery": "false",
        "BuilderConcurrency": str(max(2, os.cpu_count() or 2)),
        "BuilderTimeout": "60",
        "BuilderRetryAfter": "60",
    }


def fingerprint(chosen: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(chosen).encode())
    for file in [TEMPLATE, *ZIPS, Path(__file__)]:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def deploy(data: Path, public_url: str) -> None:
    """Brings the stack to what template.yaml and the built functions say."""
    chosen = parameters(public_url)
    mark, wanted = data / "deployed", fingerprint(chosen)
    cloudformation = boto3.client("cloudformation")
    if mark.exists() and mark.read_text() == wanted and deployed(cloudformation):
        say("Nothing changed since the last deployment.")
        return

    say("Deploying template.yaml ...")
    mark.unlink(missing_ok=True)
    boto3.client("s3").create_bucket(Bucket="deployments")
    log = data / "deploy.log"
    # A configuration file of its own: one that `sam deploy --guided` left is for AWS.
    config = data / "samconfig.toml"
    config.write_text("version = 0.1\n")
    command = [str(Path(sys.executable).with_name("sam")), "deploy", "--template-file", str(TEMPLATE)]
    command += ["--config-file", str(config), "--stack-name", STACK, "--s3-bucket", "deployments"]
    command += ["--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset"]
    command += ["--parameter-overrides", *(f"{name}={value}" for name, value in chosen.items())]
    with log.open("w") as output:
        result = subprocess.run(command, cwd=data, stdout=output, stderr=subprocess.STDOUT)
    if result.returncode:
        raise Trouble("The deployment failed:\n" + (reasons(cloudformation) or tail(log)))
    reconcile_api(cloudformation, chosen)
    mark.write_text(wanted)


def deployed(cloudformation) -> bool:
    try:
        status = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
    except cloudformation.exceptions.ClientError:
        return False
    return status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def reasons(cloudformation) -> str:
    try:
        events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    except cloudformation.exceptions.ClientError:
        return ""
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return "\n".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)


def reconcile_api(cloudformation, chosen: dict[str, str]) -> None:
    """Gives the HTTP API what its OpenAPI body says: CloudFormation does that on AWS, the emulator does not."""
    template = cloudformation.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):
        template = json.loads(template)
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    values = {name: chosen.get(name, spec.get("Default")) for name, spec in template["Parameters"].items()}
    for name, spec in template["Parameters"].items():
        if spec["Type"] == "CommaDelimitedList":
            values[name] = values[name].split(",")
    functions = boto3.client("lambda")

    def attribute(resource: str, name: str) -> str:
        if name == "Arn":
            return functions.get_function_configuration(FunctionName=ids[resource])["FunctionArn"]
        raise Trouble(f"The local stack does not know the attribute {resource}.{name}.")

    def substitute(name: str) -> str:
        pseudo = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::URLSuffix": "amazonaws.com", "AWS::StackName": STACK}
        return pseudo.get(name) or (attribute(*name.split(".")) if "." in name else ids[name])

    def resolve(value):
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "Ref" in value:
            return values[value["Ref"]] if value["Ref"] in values else substitute(value["Ref"])
        if "Fn::GetAtt" in value:
            return attribute(*value["Fn::GetAtt"])
        if "Fn::Sub" in value:
            return re.sub(r"\$\{([\w:.]+)\}", lambda match: substitute(match[1]), value["Fn::Sub"])
        return {key: resolve(item) for key, item in value.items()}

    body = resolve(template["Resources"]["HttpApi"]["Properties"]["Body"])
    api = boto3.client("apigatewayv2")
    api_id = ids["HttpApi"]

    api.update_api(ApiId=api_id, CorsConfiguration=cors(body["x-amazon-apigateway-cors"]))

    authorizers = {item["Name"]: item["AuthorizerId"] for item in api.get_authorizers(ApiId=api_id)["Items"]}
    for name, scheme in body["components"]["securitySchemes"].items():
        authorizer = scheme["x-amazon-apigateway-authorizer"]
        settings = {
            "ApiId": api_id,
            "Name": name,
            "AuthorizerType": "JWT",
            "IdentitySource": [authorizer["identitySource"]],
            "JwtConfiguration": {
                "Issuer": authorizer["jwtConfiguration"]["issuer"],
                "Audience": authorizer["jwtConfiguration"]["audience"],
            },
        }
        if name in authorizers:
            api.update_authorizer(AuthorizerId=authorizers[name], **settings)
        else:
            authorizers[name] = api.create_authorizer(**settings)["AuthorizerId"]

    integrations = {
        item["IntegrationUri"]: item["IntegrationId"]
        for page in api.get_paginator("get_integrations").paginate(ApiId=api_id)
        for item in page["Items"]
    }
    routes = {
        item["RouteKey"]: item
        for page in api.get_paginator("get_routes").paginate(ApiId=api_id)
        for item in page["Items"]
    }
    wanted = set()
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            key = path if path == "$default" else f"{method.replace('x-amazon-apigateway-any-method', 'any').upper()} {path}"
            wanted.add(key)
            uri = operation["x-amazon-apigateway-integration"]["uri"]
            if uri not in integrations:
                integrations[uri] = api.create_integration(
                    ApiId=api_id,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=uri,
                    PayloadFormatVersion=operation["x-amazon-apigateway-integration"]["payloadFormatVersion"],
                )["IntegrationId"]
            schemes = [name for scheme in operation.get("security", []) for name in scheme if name in authorizers]
            settings = {"RouteKey": key, "Target": f"integrations/{integrations[uri]}", "AuthorizationType": "NONE"}
            if schemes:
                settings |= {"AuthorizationType": "JWT", "AuthorizerId": authorizers[schemes[0]]}
            held = routes.get(key)
            if held is None:
                api.create_route(ApiId=api_id, **settings)
            elif any(held.get(name) != value for name, value in settings.items()):
                api.update_route(ApiId=api_id, RouteId=held["RouteId"], **settings)
    for key in routes.keys() - wanted:
        api.delete_route(ApiId=api_id, RouteId=routes[key]["RouteId"])


def cors(body: dict) -> dict:
    settings = {name[0].upper() + name[1:]: value for name, value in body.items()}
    return {name: [value] if name.startswith("Allow") and isinstance(value, str) else value for name, value in settings.items()}


def map_domain(api_id: str) -> None:
    api = boto3.client("apigatewayv2")
    try:
        api.create_domain_name(DomainName=api_host())
    except api.exceptions.ConflictException:
        pass
    for mapping in api.get_api_mappings(DomainName=api_host())["Items"]:
        if mapping["ApiId"] == api_id:
            return
        api.delete_api_mapping(DomainName=api_host(), ApiMappingId=mapping["ApiMappingId"])
    api.create_api_mapping(DomainName=api_host(), ApiId=api_id, Stage="$default")


def bring_up(port: int, data: Path) -> dict[str, str]:
    """Deploys to the running emulator and returns the environment that tells others of the stack."""
    url = f"http://{api_host()}:{port}"
    deploy(data, url)
    names = operate.outputs(STACK)
    map_domain(names["ApiId"])
    operate.load_plans(names["TableName"], json.loads(operate.PLANS.read_text()))
    client = boto3.client("cognito-idp").describe_user_pool_client(
        UserPoolId=names["UserPoolId"], ClientId=names["ClientId"]
    )["UserPoolClient"]
    return {
        "TINTYPE_URL": url,
        "TINTYPE_TABLE": names["TableName"],
        "TINTYPE_ORIGINALS_BUCKET": names["OriginalsBucket"],
        "TINTYPE_THUMBNAILS_BUCKET": names["ThumbnailsBucket"],
        "TINTYPE_USER_POOL_ID": names["UserPoolId"],
        "TINTYPE_CLIENT_ID": names["ClientId"],
        "TINTYPE_SIGNING_KEY": client["ClientSecret"],
        "TINTYPE_MAILS_URL": f"http://127.0.0.1:{port}/_ministack/ses/messages",
        "TINTYPE_UPLOADS_QUEUE": names["UploadsQueueUrl"],
        "TINTYPE_FAILED_UPLOADS_QUEUE": names["FailedUploadsQueueUrl"],
        "TINTYPE_FAILED_SWEEPS_QUEUE": names["FailedSweepsQueueUrl"],
    }


# ---- demo users -----------------------------------------------------------------------------------


def call(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise Trouble(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from error


def mails(environment: dict[str, str], email: str) -> list[dict]:
    """The mails sent to an address, oldest first."""
    with urllib.request.urlopen(environment["TINTYPE_MAILS_URL"], timeout=10) as answer:
        accounts = json.loads(answer.read())["messages"]
    found = [mail for account in accounts.values() for mail in account if email in mail["To"]]
    return sorted(found, key=lambda mail: mail["Timestamp"])


def make_demo_users(environment: dict[str, str]) -> None:
    url, pool = environment["TINTYPE_URL"], environment["TINTYPE_USER_POOL_ID"]
    cognito = boto3.client("cognito-idp")
    table = boto3.resource("dynamodb").Table(environment["TINTYPE_TABLE"])
    for email, name, plan, admin in DEMO_USERS:
        try:
            status = cognito.admin_get_user(UserPoolId=pool, Username=email)["UserStatus"]
        except cognito.exceptions.UserNotFoundException:
            status = None
        if status == "CONFIRMED":
            continue
        call(f"{url}/api/auth/signup", {"email": email, "password": DEMO_PASSWORD, "name": name})
        code = re.search(r"\b\d{6}\b", mails(environment, email)[-1]["BodyText"])[0]
        call(f"{url}/api/auth/confirm", {"email": email, "code": code})
        attributes = cognito.admin_get_user(UserPoolId=pool, Username=email)["UserAttributes"]
        sub = next(attribute["Value"] for attribute in attributes if attribute["Name"] == "sub")
        table.update_item(
            Key={"pk": f"PROFILE#{sub}", "sk": "PROFILE"},
            UpdateExpression="SET #plan = :plan, plan_pk = :plan_pk ADD version :one",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames={"#plan": "plan"},
            ExpressionAttributeValues={":plan": plan, ":plan_pk": f"PLAN#{plan}", ":one": 1},
        )
        if admin:
            operate.make_admin(pool, email)


# ---- commands -------------------------------------------------------------------------------------


def need_zips() -> None:
    for file in ZIPS:
        if not file.exists():
            raise Trouble(f"{file.relative_to(ROOT)} is not built: run `make build`.")


@contextmanager
def only_one():
    """Two runs in one checkout would share their data."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Trouble("A local stack of this checkout is running already.") from None
        yield


def run(port: int) -> int:
    need_zips()
    if not all(can_bind(host, port) for host in bind_hosts()):
        raise Trouble(f"Port {port} is taken: stop what uses it or choose another, as in `make run PORT={port + 1}`.")
    with only_one():
        running, known = RUN / "running", RUN / "environment.json"
        if running.exists():
            if (RUN / "state" / "cloudformation.json").exists():
                say("The last run was not stopped in order: what changed in its last half minute may be lost.")
            else:
                say("The last run was not stopped in order before it saved anything: starting clean.")
                shutil.rmtree(RUN / "state", ignore_errors=True)
                shutil.rmtree(RUN / "objects", ignore_errors=True)
        running.touch()
        use_local_aws(port)
        say("Starting the AWS emulator ...")
        try:
            with emulator(port, RUN, keep=True) as process:
                environment = bring_up(port, RUN)
                make_demo_users(environment)
                known.write_text(json.dumps(environment | local_aws()))
                say(f"\nTintype runs at {environment['TINTYPE_URL']}\n\nUsers, all with the password {DEMO_PASSWORD}:")
                for email, _, plan, admin in DEMO_USERS:
                    say(f"  {email:<24} plan {plan}{', admin' if admin else ''}")
                say("\nCtrl-C stops it; what is in it stays for the next run.")
                process.wait()
                raise Trouble(f"The AWS emulator stopped by itself; its log ends:\n{tail(RUN / 'emulator.log')}")
        except KeyboardInterrupt:
            say("\nStopped; data is kept in .local/run.")
            running.unlink(missing_ok=True)
        finally:
            known.unlink(missing_ok=True)
    return 0


def local_aws() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def test(command: list[str]) -> int:
    """Runs a command against a stack of its own, which is gone afterwards."""
    need_zips()
    data = Path(tempfile.mkdtemp(prefix="tintype-test-"))
    try:
        port = free_port()
        use_local_aws(port)
        say("Starting an AWS emulator for the tests ...")
        with emulator(port, data, keep=False):
            environment = bring_up(port, data)
            say(f"Running the tests against {environment['TINTYPE_URL']} ...")
            return subprocess.run(command, cwd=ROOT, env=os.environ | environment).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        logs = ROOT / ".local" / "test-logs"
        logs.mkdir(parents=True, exist_ok=True)
        for log in data.glob("*.log"):
            shutil.copy(log, logs)
        shutil.rmtree(data, ignore_errors=True)


def running_environment() -> dict[str, str]:
    known = RUN / "environment.json"
    if not known.exists():
        raise Trouble("The local stack is not running: start it with `make run`.")
    return json.loads(known.read_text())


def mail(email: str) -> int:
    found = mails(running_environment(), email)
    if not found:
        raise Trouble(f"No mail was sent to {email}.")
    say(f"{found[-1]['Subject']}\n\n{found[-1]['BodyText']}")
    return 0


def within(command: list[str]) -> int:
    return subprocess.run(command, env=os.environ | running_environment()).returncode


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("run", help="run the stack until Ctrl-C, keeping its data")
    start.add_argument("--port", type=int, default=8080)
    tests = commands.add_parser("test", help="run a command against a stack of its own")
    tests.add_argument("rest", nargs=argparse.REMAINDER)
    letter = commands.add_parser("mail", help="print the latest mail to an address")
    letter.add_argument("email")
    inside = commands.add_parser("with", help="run a command with the running stack's environment")
    inside.add_argument("rest", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        match arguments.command:
            case "run":
                return run(arguments.port)
            case "test":
                return test(arguments.rest)
            case "mail":
                return mail(arguments.email)
            case _:
                return within(arguments.rest)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
