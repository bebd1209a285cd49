"""Deploys template.yaml to AWS: asks once for what it needs, keeps the answers in samconfig.toml, shows each change before it is
made, and leaves nothing behind where a first deployment fails.

CloudFormation undoes a failed creation by deleting what it made, and neither a protected table nor a protected user pool can
be deleted. So a stack is created without DeletionProtection and gets it in an update. The URL of a CDN is told to the functions
in another one: the distribution depends on the API, and the API on its functions.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from infra import gradual, operate
from infra.adopt import IDENTIFIERS, adopt
from infra.settings import FILE, ROOT, Settings, quoted, use_region_of

TEMPLATE = ROOT / "template.yaml"
PROTECTION = "DeletionProtection"
# Such a stack retains nothing: its resources are protected only after it was complete.
REMOVABLE = ("ROLLBACK_COMPLETE",)
STUCK = ("ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED")
COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
# Parameters that a new stack is asked for. The others have defaults that fit most.
ASKED = ("AlarmEmail", "DomainName", "CertificateArn", "Cdn")


class DeploymentError(Exception):
    """An error whose text is the message for the user, a sentence."""


def described(stack: str) -> dict | None:
    """Returns the stack, or None if it does not exist."""
    try:
        return boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise


class Deployment:
    """The deployment of one stack. `chosen`: parameters; the others keep their values. `held`: the resources that a new stack
    adopts. `asks`: whether somebody at a terminal confirms the change."""

    def __init__(
        self,
        stack: str,
        template: Path,
        chosen: dict[str, str],
        settings: Settings,
        held: dict[str, str],
        asks: bool,
    ) -> None:
        self.stack, self.template, self.chosen, self.settings = stack, template, chosen, settings
        self.held, self.asks = held, asks
        self.cloudformation = boto3.client("cloudformation")
        self.declared = yaml_parse(template.read_text())["Parameters"]

    def run(self) -> None:
        before = described(self.stack)
        status = before["StackStatus"] if before else None
        if status in STUCK:
            raise DeploymentError(
                f"The stack {self.stack} is in state {status}: see its events, then delete it or continue its rollback."
            )
        if status in REMOVABLE:
            print(f"Deleting what a failed creation of the stack {self.stack} left.", flush=True)
            self.cloudformation.delete_stack(StackName=self.stack)
            self.cloudformation.get_waiter("stack_delete_complete").wait(
                StackName=self.stack, WaiterConfig={"Delay": 5}
            )
            status = None
        is_new = status in (None, "REVIEW_IN_PROGRESS")
        if self.held and not is_new:
            raise DeploymentError(f"The stack {self.stack} exists; only a new stack adopts resources.")
        chosen = self.chosen
        if is_new and chosen.get(PROTECTION) != "false":
            chosen = chosen | {PROTECTION: "later"}
        if self.held:
            names = ", ".join(self.held.values())
            if self.asks and not is_yes(f"Begin the stack {self.stack} with {names}?"):
                raise DeploymentError("Nothing was changed.")
            print(f"Adopting {names}.", flush=True)
            adopt(self.stack, self.template, chosen, self.held)
        self.apply(chosen, self.asks)
        after = described(self.stack)
        # Also where an earlier deployment was interrupted before this.
        if PROTECTION not in self.chosen and parameter(after, PROTECTION) == "later":
            print("The stack is complete. Protecting its table and its user pool.", flush=True)
            self.update({PROTECTION: "true"})
        elif self.chosen.get(PROTECTION) == "true" and parameter(after, PROTECTION) != "true":
            self.update({PROTECTION: "true"})
        url = public_url(before, self.chosen, after)
        if url is not None:
            origin = url or "the address of each request"
            print(f"Updating the functions: the service's URLs begin with {origin}.", flush=True)
            self.update({"PublicUrl": url})

    def apply(self, chosen: dict[str, str], asks: bool) -> None:
        """Brings the stack to the template, by a change set that `sam deploy` makes and shows."""
        earlier, template = self.change_sets(), self.template
        if how := self.value(gradual.PARAMETER, chosen):
            template = ROOT / ".aws-sam" / f"{self.stack}.json"
            template.parent.mkdir(exist_ok=True)
            parameters = {name: self.value(name, chosen) for name in self.declared}
            template.write_text(json.dumps(gradual.with_aliases(self.template, how, parameters)))
        command = [str(Path(sys.executable).with_name("sam")), "deploy", "--template-file", str(template)]
        command += ["--config-file", str(self.settings.file), "--config-env", self.stack]
        command += ["--capabilities", "CAPABILITY_IAM", "--no-execute-changeset", "--no-fail-on-empty-changeset"]
        if chosen:
            command += ["--parameter-overrides", *(f"{name}={quoted(value)}" for name, value in chosen.items())]
        if code := subprocess.run(command, check=False).returncode:
            raise DeploymentError(f"`sam deploy` ended with exit status {code}.")
        new = self.change_sets() - earlier
        if new and asks and not is_yes(f"Make these changes to the stack {self.stack}?"):
            self.cloudformation.delete_change_set(StackName=self.stack, ChangeSetName=new.pop())
            found = described(self.stack)
            if found and found["StackStatus"] == "REVIEW_IN_PROGRESS":
                self.cloudformation.delete_stack(StackName=self.stack)
            raise DeploymentError("Nothing was changed.")
        # Not before CloudFormation took them; before the change, which goes on if this command is interrupted.
        self.settings.save(self.stack, {}, self.chosen)
        if new:
            last = self.last_event()
            self.cloudformation.execute_change_set(StackName=self.stack, ChangeSetName=new.pop())
            self.follow(last)
        if how:
            gradual.drop_old_versions(self.stack)

    def value(self, name: str, chosen: dict[str, str]) -> str:
        """The value that a parameter has after the deployment."""
        held = parameter(described(self.stack), name) if name not in chosen else None
        return chosen[name] if name in chosen else held or str(self.declared[name].get("Default", ""))

    def change_sets(self) -> set[str]:
        """The names of the change sets that can be executed."""
        try:
            pages = self.cloudformation.get_paginator("list_change_sets").paginate(StackName=self.stack)
            summaries = [summary for page in pages for summary in page["Summaries"]]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return set()
            raise
        return {item["ChangeSetName"] for item in summaries if item["ExecutionStatus"] == "AVAILABLE"}

    def update(self, changed: dict[str, str]) -> None:
        """Changes parameters of the stack, and nothing else."""
        if self.value(gradual.PARAMETER, {}):
            # The aliases need new versions.
            return self.apply(changed, asks=False)
        names = {item["ParameterKey"] for item in described(self.stack)["Parameters"]}
        last = self.last_event()
        self.cloudformation.update_stack(
            StackName=self.stack,
            UsePreviousTemplate=True,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": changed[name]}
                if name in changed
                else {"ParameterKey": name, "UsePreviousValue": True}
                for name in sorted(names)
            ],
        )
        self.follow(last)

    def last_event(self) -> str:
        return self.cloudformation.describe_stack_events(StackName=self.stack)["StackEvents"][0]["EventId"]

    def events_after(self, last: str) -> list[dict]:
        """The events after one, the oldest first."""
        found = []
        for page in self.cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.stack):
            for event in page["StackEvents"]:
                if event["EventId"] == last:
                    return found[::-1]
                found.append(event)
        return found[::-1]

    def follow(self, last: str) -> None:
        """Prints what happens after an event until the change is over."""
        pause = 0.1
        while True:
            status = described(self.stack)["StackStatus"]
            for event in self.events_after(last):
                last = event["EventId"]
                if not event["ResourceStatus"].endswith("_IN_PROGRESS"):
                    reason = event.get("ResourceStatusReason", "")
                    line = f"{event['ResourceStatus']:<24} {event['LogicalResourceId']:<40} {reason}"
                    print(line.rstrip(), flush=True)
            if not status.endswith("_IN_PROGRESS"):
                break
            time.sleep(pause)
            pause = min(pause * 1.5, 5)
        if status not in COMPLETE:
            raise DeploymentError(f"The stack {self.stack} is in state {status}: the lines with FAILED say why.")


def is_yes(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def answer(question: str, default: str, pattern: str) -> str:
    """Asks until the answer, or the default for an empty one, matches."""
    while True:
        text = input(f"{question} [{default or 'none'}]: ").strip() or default
        if re.fullmatch(pattern, text):
            return text
        print(f"{text or 'That'} is not of the form {pattern}.")


def choose_stack(settings: Settings, asks: bool) -> str:
    """Returns the stack to deploy where the command names none."""
    known = settings.stacks()
    if len(known) == 1:
        return known[0]
    if not asks:
        which = f"one of {', '.join(known)}" if known else "its name"
        raise DeploymentError(f"Say which stack, by STACK=...: {which}.")
    if known:
        print("samconfig.toml has the stacks " + ", ".join(known) + ".")
    return answer("Name of the stack", known[0] if known else "tintype", STACK_NAME)


STACK_NAME = r"[A-Za-z][A-Za-z0-9-]{0,127}"
REGION = r"[a-z]{2}(-[a-z]+)+-[0-9]"


def prepare(stack: str, given: dict[str, str], settings: Settings, template: Path, asks: bool) -> dict[str, str]:
    """Returns the parameters of a stack: those of its section in samconfig.toml, and the given ones. At the first deployment,
    asks for region and parameters."""
    if not re.fullmatch(STACK_NAME, stack):
        raise DeploymentError(f"{stack!r} is no name of a stack: letters, digits and hyphens, beginning with a letter.")
    section, values = settings.section(stack), {}
    if not section.get("region"):
        region = boto3.session.Session().region_name
        if asks:
            region = answer("Region", region or "", REGION)
        if not region:
            raise DeploymentError("Say which region, by AWS_REGION or `aws configure`.")
        values["region"] = region
        if os.environ.get("AWS_PROFILE"):
            values["profile"] = os.environ["AWS_PROFILE"]
    if "resolve_s3" not in section and "s3_bucket" not in section:
        # A bucket for the zips, which `sam deploy` makes.
        values["resolve_s3"] = True
    if "region" in values:
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = values["region"]
    use_region_of(stack, settings)
    known = settings.parameters(stack)
    if asks and not known and described(stack) is None:
        declared = yaml_parse(template.read_text())["Parameters"]
        given = given | ask_parameters(declared, given)
    account = boto3.client("sts").get_caller_identity()["Account"]
    print(f"The stack {stack}, in the account {account}, in {os.environ['AWS_REGION']}.", flush=True)
    settings.save(stack, values, {})
    return known | given


def ask_parameters(declared: dict, given: dict[str, str]) -> dict[str, str]:
    answers = {}
    for name in ASKED:
        if name in given or (name == "CertificateArn" and not answers.get("DomainName")):
            continue
        allowed, default = declared[name].get("AllowedValues"), str(declared[name]["Default"])
        print("\n" + declared[name]["Description"])
        text = answer(name, default, "|".join(allowed) if allowed else declared[name].get("AllowedPattern", ".*"))
        if text != default:
            answers[name] = text
    return answers


def public_url(before: dict | None, chosen: dict[str, str], after: dict) -> str | None:
    """Another value that PublicUrl needs, if any: with a CDN and without an own domain it is the CDN's URL, which is known
    only when the distribution is there, and no longer when it is gone. One that an operator chose stays."""
    if "PublicUrl" in chosen:
        return None
    held, url = parameter(after, "PublicUrl") or "", output(after, "CdnUrl") or ""
    if parameter(after, "DomainName") or held not in ("", output(before, "CdnUrl")):
        return None
    return url if url != held else None


def parameter(found: dict | None, name: str) -> str | None:
    """Returns the value of a parameter in an existing stack."""
    parameters = found.get("Parameters", []) if found else []
    return next((item["ParameterValue"] for item in parameters if item["ParameterKey"] == name), None)


def output(found: dict | None, name: str) -> str | None:
    """An output of a stack that is there."""
    outputs = found.get("Outputs", []) if found else []
    return next((item["OutputValue"] for item in outputs if item["OutputKey"] == name), None)


def open_to_ipv6(stack: str) -> None:
    """Makes the API's own address answer over IPv6 too: SAM's HttpApi has no property for it. Where a deployment imports
    the API anew, this sets it again."""
    boto3.client("apigatewayv2").update_api(ApiId=output(described(stack), "ApiId"), IpAddressType="dualstack")


def advice(limit: int, builders: int, jobs: int) -> str | None:
    """Says which parameters fit the account, where the workers could take more than half of its concurrency.

    A new account often has 10 ("Lambda quotas"), and 2 is the least that an event source takes as its maximum.
    """
    half = limit // 2
    if builders + jobs <= half:
        return None
    fitting_jobs = max(2, min(jobs, half // 4))
    fitting = max(2, half - fitting_jobs)
    return (
        f"This account runs at most {limit} functions at once in this region, and BuilderConcurrency={builders} with "
        f"JobConcurrency={jobs} could take {min(limit, builders + jobs)} of them from the API. Deploy with PARAMETERS="
        f"'BuilderConcurrency={fitting} JobConcurrency={fitting_jobs}', or ask for a higher quota: Service Quotas, AWS "
        "Lambda, Concurrent executions."
    )


def tell_concurrency(stack: str, template: Path, chosen: dict[str, str]) -> None:
    limit = boto3.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    declared, found = yaml_parse(template.read_text())["Parameters"], described(stack)

    def value(name: str) -> int:
        return int(chosen.get(name) or parameter(found, name) or declared[name]["Default"])

    if text := advice(limit, value("BuilderConcurrency"), value("JobConcurrency")):
        print(text, flush=True)


def pairs(parser: argparse.ArgumentParser, given: list[str]) -> dict[str, str]:
    split = [text.partition("=") for text in given]
    for name, equals, _ in split:
        if not equals:
            parser.error(f"{name!r} is not of the form Name=value")
    return {name: value.strip('"') for name, _, value in split}


def make(*arguments: str) -> None:
    if code := subprocess.run(["make", "--no-print-directory", *arguments], cwd=ROOT, check=False).returncode:
        raise DeploymentError(f"`make {arguments[0]}` ended with exit status {code}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", help="name of the CloudFormation stack, and of its section in samconfig.toml")
    parser.add_argument("--config", type=Path, default=FILE, help="samconfig.toml")
    parser.add_argument("--template", type=Path, help="deploy this, without a build and without plans")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument(
        "--adopt", nargs="+", default=[], metavar="Name=id", help="resources that a new stack takes over"
    )
    parser.add_argument("parameters", nargs="*", metavar="Name=value")
    arguments = parser.parse_args()
    given, held = (pairs(parser, texts) for texts in (arguments.parameters, arguments.adopt))
    if held and held.keys() != IDENTIFIERS.keys():
        parser.error(f"a stack adopts all of {', '.join(IDENTIFIERS)}, or nothing")
    asks, settings, template = sys.stdin.isatty() and not arguments.yes, Settings(arguments.config), arguments.template
    try:
        if not asks and not arguments.yes:
            raise DeploymentError("There is no terminal to confirm the changes: say YES=1 to make them unseen.")
        stack = arguments.stack or choose_stack(settings, asks)
        chosen = prepare(stack, given, settings, template or TEMPLATE, asks)
        is_new = described(stack) is None
        if not template:
            declared = yaml_parse(TEMPLATE.read_text())["Parameters"]["Architecture"]["Default"]
            held_architecture = parameter(described(stack), "Architecture")
            make("build", f"ARCH={chosen.get('Architecture') or held_architecture or declared}")
        tell_concurrency(stack, template or TEMPLATE, chosen)
        Deployment(stack, template or TEMPLATE, chosen, settings, held, asks).run()
        open_to_ipv6(stack)
        if not template:
            operate.run(["--stack", stack, "plans", "--add-only"])
        url = output(described(stack), "CdnUrl") or output(described(stack), "ApiUrl")
        print(f"The stack {stack} is deployed: {url}")
        if is_new:
            print(f"Sign up there, then make yourself an admin: make admin EMAIL=... STACK={stack}")
    except DeploymentError as error:
        sys.exit(str(error))
    except (KeyboardInterrupt, EOFError):
        sys.exit("\nInterrupted. Run the same command again; a change that CloudFormation has begun goes on.")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS refused: {error}")


if __name__ == "__main__":
    main()
