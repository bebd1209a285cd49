"""Runs the whole system on this machine: the AWS emulator with template.yaml deployed to it."""

import argparse
import fcntl
import json
import os
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
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3
import certifi

from infra import operate
from infra.local.deployment import (
    REGION,
    ROOT,
    STACK,
    TroubleError,
    deploy,
    environments,
    executables,
    map_domain,
    package,
    roles,
    say,
    tail,
    update_functions,
)
from infra.stage import processor_time, stage

RUN = ROOT / ".local" / "run"
TEST_LOGS = ROOT / ".local" / "test-logs"
DEMO_MARK = f"/{STACK}/demo-pictures"
WATCHED = ["crates", "functions", "web/src"]
DEMO_PASSWORD = "tintype-demo"
DEMO_USERS = [
    ("basic@example.com", "Basil Basic", "Basic", False),
    ("premium@example.com", "Prema Premium", "Premium", False),
    ("enterprise@example.com", "Enno Enterprise", "Enterprise", False),
    ("admin@example.com", "Ada Admin", "Enterprise", True),
]


# ---- addresses ------------------------------------------------------------------------------------


def can_bind(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


# The emulator distinguishes the API from AWS's services by host name: the services answer at 127.0.0.1, the API
# at a second address if the system has one, otherwise at a name.
API_HOST = "127.0.0.2" if can_bind("127.0.0.2", 0) else "localhost"
ADDRESSES = ["127.0.0.1", API_HOST] if API_HOST != "localhost" else ["127.0.0.1"]


def is_free(port: int) -> bool:
    return all(can_bind(address, port) for address in ADDRESSES)


def free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if is_free(port):
            return port


# ---- the emulator ---------------------------------------------------------------------------------


def use_local_aws(port: int) -> None:
    """Directs this process and its children to the emulator, regardless of the user's AWS settings."""
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


def certificate(data: Path) -> str:
    """A file with one certificate authority, for SSL_CERT_FILE.

    A function reads all that the system trusts when it starts, which took two thirds of the processor time of a start.
    Here it needs none.
    """
    file = data / "certificate.pem"
    end = "-----END CERTIFICATE-----\n"
    file.write_text(certifi.contents().split(end)[0] + end)
    return str(file)


@contextmanager
def emulator(port: int, data: Path, keep: bool, record: Path | None = None):
    """Runs the emulator. Yields after its first response; returns after a clean shutdown."""
    log = data / "emulator.log"
    command = [sys.executable, "-m", "infra.local.emulator", "--port", str(port), "--data", str(data)]
    command += [argument for address in ADDRESSES for argument in ("--address", address)]
    command += ["--keep"] if keep else []
    command += ["--record", str(record)] if record else []
    # Functions inherit this environment, so it contains none of the user's variables.
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        # Lambda sets it by template.yaml's LoggingConfig, which the emulator does not act on.
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "SSL_CERT_FILE": certificate(data),
    }
    with log.open("w") as output:
        # In a session of its own, so that Ctrl-C reaches this script alone, which then stops it in order.
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        with stage("Start the AWS emulator"):
            deadline = time.monotonic() + 60
            while not answers(f"http://127.0.0.1:{port}/_ministack/ready"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise TroubleError(f"The AWS emulator did not start; its log ends:\n{tail(log)}")
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
        # Functions that outlived a killed emulator.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except (OSError, ValueError):
        return False


def bring_up(port: int, data: Path, code: Path, parameters: list[str]) -> dict[str, str]:
    """Deploys to the running emulator and returns the environment that describes the stack to other programs."""
    url = f"http://{API_HOST}:{port}"
    deploy(data, code, url, dict(parameter.split("=", 1) for parameter in parameters))
    names = operate.outputs(STACK)
    map_domain(API_HOST, names["ApiId"])
    operate.load_plans(names["OperateFunction"], json.loads(operate.PLANS.read_text()), add_only=True)
    client = boto3.client("cognito-idp").describe_user_pool_client(
        UserPoolId=names["UserPoolId"], ClientId=names["ClientId"]
    )["UserPoolClient"]
    return {
        "TINTYPE_URL": url,
        "TINTYPE_LOG": str(data / "emulator.log"),
        "TINTYPE_TABLE": names["TableName"],
        "TINTYPE_ORIGINALS_BUCKET": names["OriginalsBucket"],
        "TINTYPE_THUMBNAILS_BUCKET": names["ThumbnailsBucket"],
        "TINTYPE_USER_POOL_ID": names["UserPoolId"],
        "TINTYPE_CLIENT_ID": names["ClientId"],
        "TINTYPE_CLIENT_SECRET": client["ClientSecret"],
        "TINTYPE_SIGNING_KEYS": names["SigningKeysSecret"],
        "TINTYPE_SIGNING_KEY": operate.signing_keys(names["SigningKeysSecret"])[0]["key"],
        "TINTYPE_MAILS_URL": f"http://127.0.0.1:{port}/_ministack/ses/messages",
        "TINTYPE_UPLOADS_QUEUE_URL": names["UploadsQueueUrl"],
        "TINTYPE_FAILED_UPLOADS_QUEUE_URL": names["FailedUploadsQueueUrl"],
        "TINTYPE_JOBS_QUEUE_URL": names["JobsQueueUrl"],
        "TINTYPE_FAILED_JOBS_QUEUE_URL": names["FailedJobsQueueUrl"],
        "TINTYPE_FAILED_SWEEPS_QUEUE_URL": names["FailedSweepsQueueUrl"],
        "TINTYPE_AUDIT_FUNCTION": names["AuditFunction"],
        "TINTYPE_OPERATE_FUNCTION": names["OperateFunction"],
    }


def is_clean(environment: dict[str, str]) -> bool:
    """Returns True if table and buckets agree, after the tests' jobs and events are done."""
    deadline = time.monotonic() + 30
    while True:
        report = operate.audit(environment["TINTYPE_AUDIT_FUNCTION"], mend=False, grace_seconds=0)
        if not report["findings"]:
            say(f"The audit looked at {report['seen']} items and blobs and found nothing.")
            return True
        if time.monotonic() > deadline:
            say(f"The audit found:\n{json.dumps(report, indent=2)}")
            return False
        time.sleep(1)


def mend(environment: dict[str, str]) -> None:
    """Repairs the data: the emulator loses streams when it stops, and more when it crashes."""
    report = operate.audit(environment["TINTYPE_AUDIT_FUNCTION"], mend=True, grace_seconds=0)
    if report["findings"]:
        say(f"Found after the last run: {report['findings']}, mended: {report['mended']}.")


# ---- demo users -----------------------------------------------------------------------------------


def make_demo_users(environment: dict[str, str]) -> None:
    """Signs up a user for each plan and an admin."""
    url, pool = environment["TINTYPE_URL"], environment["TINTYPE_USER_POOL_ID"]
    cognito = boto3.client("cognito-idp")
    for email, name, plan, admin in DEMO_USERS:
        try:
            if cognito.admin_get_user(UserPoolId=pool, Username=email)["UserStatus"] == "CONFIRMED":
                continue
        except cognito.exceptions.UserNotFoundException:
            post(f"{url}/api/auth/signup", {"email": email, "password": DEMO_PASSWORD, "name": name})
        code = re.search(r"\b\d{6}\b", mails(environment, email)[-1]["BodyText"])[0]
        post(f"{url}/api/auth/confirm", {"email": email, "code": code})
        operate.assign_plan(environment["TINTYPE_OPERATE_FUNCTION"], email, plan)
        if admin:
            operate.make_admin(environment["TINTYPE_OPERATE_FUNCTION"], email)


def add_demo_pictures(environment: dict[str, str]) -> None:
    """Adds the demo pictures once: deleted ones stay deleted."""
    parameters = boto3.client("ssm")
    if parameters.get_parameters(Names=[DEMO_MARK])["Parameters"]:
        return
    # Pillow is imported only if there are pictures to draw.
    from infra.local import demo

    say("")
    with stage("Add demo pictures (`make run DEMO=0` leaves them out)"):
        demo.add_pictures(
            environment["TINTYPE_URL"], {email.split("@")[0]: email for email, *_ in DEMO_USERS[:3]}, DEMO_PASSWORD
        )
        parameters.put_parameter(Name=DEMO_MARK, Value="added", Type="String")


def post(url: str, body: dict) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except urllib.error.HTTPError as error:
        raise TroubleError(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from error


def mails(environment: dict[str, str], email: str) -> list[dict]:
    """The mails sent to an address, oldest first."""
    with urllib.request.urlopen(environment["TINTYPE_MAILS_URL"], timeout=10) as answer:
        accounts = json.loads(answer.read())["messages"]
    found = [mail for account in accounts.values() for mail in account if email in mail["To"]]
    return sorted(found, key=lambda mail: mail["Timestamp"])


# ---- commands -------------------------------------------------------------------------------------


@contextmanager
def only_one():
    """Two runs of one checkout would share their data."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TroubleError("The local stack of this checkout is running already.") from None
        yield


def forget() -> None:
    with only_one():
        for name in ("state", "objects", "tmp"):
            shutil.rmtree(RUN / name, ignore_errors=True)
        (RUN / "running").unlink(missing_ok=True)


def run(port: int, parameters: list[str], demo: bool) -> int:
    if not is_free(port):
        raise TroubleError(
            f"Port {port} is taken: stop what uses it or choose another, as in `make run PORT={port + 1}`."
        )
    with only_one():
        # The emulator removes its mark when it has stopped in order.
        crashed, saved = (RUN / "running").exists(), (RUN / "state" / "cloudformation.json").exists()
    if crashed and saved:
        say("The last run was not stopped in order: what its last half minute changed may be lost.")
    elif crashed:
        say("The last run was not stopped in order and had saved nothing: starting clean.")
        forget()
    with only_one():
        known = RUN / "environment.json"
        code = executables(RUN, release=False)
        use_local_aws(port)
        try:
            with emulator(port, RUN, keep=True) as process:
                environment = bring_up(port, RUN, code, parameters)
                if saved:
                    with stage("Audit what the last run left"):
                        mend(environment)
                with stage("Make the demo users"):
                    make_demo_users(environment)
                aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
                known.write_text(json.dumps(aws | environment))
                say(
                    f"\nOpen {environment['TINTYPE_URL']} in a browser.\n\nUsers, all with the password {DEMO_PASSWORD}:"
                )
                for email, _, plan, admin in DEMO_USERS:
                    say(f"  {email:<24} plan {plan}{', admin' if admin else ''}")
                say("\nCtrl-C stops it; its data stays for the next run. Logs: .local/run/emulator.log")
                if demo:
                    add_demo_pictures(environment)
                process.wait()
                raise TroubleError(f"The AWS emulator stopped by itself; its log ends:\n{tail(RUN / 'emulator.log')}")
        finally:
            known.unlink(missing_ok=True)


def test(command: list[str], parameters: list[str], release: bool, logs: Path, record: bool = False) -> int:
    """Runs a command against a temporary stack."""
    data = Path(tempfile.mkdtemp(prefix="tintype-test-"))
    try:
        code = executables(data, release)
        port = free_port()
        use_local_aws(port)
        calls = data / "calls" if record else None
        with emulator(port, data, False, calls):
            environment = bring_up(port, data, code, parameters) | {
                "TINTYPE_CALLS": str(calls or ""),
                "TINTYPE_EXECUTABLES": str(code),
                "SSL_CERT_FILE": certificate(data),
                "TINTYPE_ROLES": json.dumps(roles()),
                "TINTYPE_ENVIRONMENTS": json.dumps(environments()),
            }
            say(f"Running the tests against {environment['TINTYPE_URL']} ...")
            result = finish(subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, start_new_session=True))
            result = result or (0 if is_clean(environment) else 1)
            used = processor_time()
        say(f"The emulator and its functions took {processor_time() - used:.1f} s of processor time.")
        return result
    finally:
        logs.mkdir(parents=True, exist_ok=True)
        for log in data.glob("*.log"):
            shutil.copy(log, logs)
        shutil.rmtree(data, ignore_errors=True)


def finish(process: subprocess.Popen) -> int:
    """Waits for the leader of a session; when interrupted, ends all of its session."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        raise


def watch(build: list[str]) -> int:
    """Runs a build at each change of the code and updates the running stack's functions."""
    os.environ.update(running())
    seen = sources()
    say(f"Watching {', '.join(WATCHED)} ...")
    while True:
        time.sleep(0.3)
        if (now := sources()) == seen:
            continue
        seen = now
        with suppress(subprocess.CalledProcessError), stage("Change"):
            subprocess.run(build, check=True, cwd=ROOT)
            updated = update_functions(package(executables(RUN, release=False), RUN / "package"))
            say(f"Functions updated: {updated}.")


def sources() -> dict[str, int]:
    """The times of change of all files that are watched."""
    files = (Path(folder, name) for top in WATCHED for folder, _, names in os.walk(ROOT / top) for name in names)
    times = {}
    for file in files:
        with suppress(FileNotFoundError):
            times[str(file)] = file.stat().st_mtime_ns
    return times


def running() -> dict[str, str]:
    """The environment of the stack of `test`, within it, or else of `run`."""
    known = RUN / "environment.json"
    environment = dict(os.environ)
    if "TINTYPE_MAILS_URL" not in environment:
        environment = json.loads(known.read_text()) if known.exists() else {}
    if not answers(environment.get("TINTYPE_MAILS_URL", "")):
        raise TroubleError("The local stack is not running: start it with `make run`.")
    return environment


def function_environment(handler: str) -> dict[str, str]:
    """The environment that a function of the running stack has."""
    known = environments()
    if handler not in known:
        raise TroubleError(f"No function has the handler {handler}: {', '.join(sorted(known))}.")
    return known[handler] | {"_HANDLER": handler}


def mail(email: str) -> int:
    found = mails(running(), email)
    if not found:
        raise TroubleError(f"No mail was sent to {email}.")
    say(f"{found[-1]['Subject']}\n\n{found[-1]['BodyText']}")
    return 0


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("run", help="run the stack until Ctrl-C, keeping its data")
    start.add_argument("--port", type=int, default=8080)
    start.add_argument("--demo", type=int, choices=(0, 1), default=1, help="1: with demo pictures")
    tests = commands.add_parser("test", help="run a command against a stack of its own")
    tests.add_argument("--logs", type=Path, default=TEST_LOGS, help="folder for the emulator's log afterwards")
    tests.add_argument("--release", action="store_true", help="of the functions that `make build` built for AWS")
    tests.add_argument("--record", action="store_true", help="write all requests to the file that TINTYPE_CALLS names")
    tests.add_argument("rest", nargs=argparse.REMAINDER)
    for command in (start, tests):
        command.add_argument("--parameter", action="append", default=[], help="of template.yaml, as Name=value")
    watcher = commands.add_parser("watch", help="build at each change and update the running stack's functions")
    watcher.add_argument("rest", nargs=argparse.REMAINDER)
    inside = commands.add_parser("with", help="run a command against the running stack")
    inside.add_argument("--function", metavar="HANDLER", help="also with the environment of this function")
    inside.add_argument("rest", nargs=argparse.REMAINDER)
    letter = commands.add_parser("mail", help="print the latest mail to an address")
    letter.add_argument("email")
    commands.add_parser("forget", help="delete the data that run keeps")
    arguments = parser.parse_args()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        match arguments.command:
            case "run":
                return run(arguments.port, arguments.parameter, bool(arguments.demo))
            case "test":
                return test(arguments.rest, arguments.parameter, arguments.release, arguments.logs, arguments.record)
            case "watch":
                return watch(arguments.rest)
            case "with":
                os.environ.update(running())
                if arguments.function:
                    os.environ.update(function_environment(arguments.function))
                return subprocess.run(arguments.rest, check=False).returncode
            case "mail":
                return mail(arguments.email)
            case _:
                return forget() or 0
    except KeyboardInterrupt:
        say("\nStopped.")
        return 0 if arguments.command in ("run", "watch") else 130
    except TroubleError as trouble:
        print(trouble, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
