"""Deploys template.yaml to AWS with `sam deploy`, so that a first deployment that fails leaves nothing behind.

CloudFormation undoes a failed creation by deleting what it made, and neither a protected table nor a protected user pool can
be deleted. So a stack is created without DeletionProtection and gets it in a second deployment. The URL of a CDN is told to
the functions in another one: the distribution depends on the API, and the API on its functions.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from infra.adopt import IDENTIFIERS, adopt

ROOT = Path(__file__).resolve().parents[1]
PROTECTION = "DeletionProtection"
# Such a stack retains nothing: its resources are protected only after it was complete.
REMOVABLE = ("ROLLBACK_COMPLETE",)
STUCK = ("ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED")


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


def deploy(
    stack: str, template: Path, chosen: dict[str, str], options: list[str], held: dict[str, str] | None = None
) -> None:
    """Creates or updates a stack. `chosen`: parameters; the others keep their values. `options`: of `sam deploy`. `held`: the
    resources that a new stack adopts."""
    found = described(stack)
    status = found["StackStatus"] if found else None
    if status in STUCK:
        raise DeploymentError(
            f"The stack {stack} is in state {status}: see its events, then delete it or continue its rollback."
        )
    if status in REMOVABLE:
        print(f"Deleting what a failed creation of the stack {stack} left.", flush=True)
        cloudformation = boto3.client("cloudformation")
        cloudformation.delete_stack(StackName=stack)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 5})
        status = None
    is_new = status in (None, "REVIEW_IN_PROGRESS")
    if held and not is_new:
        raise DeploymentError(f"The stack {stack} exists; only a new stack adopts resources.")
    if held:
        print("Adopting " + ", ".join(held.values()) + ".", flush=True)
        adopt(stack, template, chosen | {PROTECTION: "later"}, held)
        found = described(stack)
    elif is_new:
        if chosen.get(PROTECTION) == "false":
            return sam_deploy(stack, template, chosen, options)
        sam_deploy(stack, template, chosen | {PROTECTION: "later"}, options)
        print("The stack is complete. Protecting its table and its user pool.", flush=True)
        return sam_deploy(stack, template, chosen | {PROTECTION: "true"}, options)
    # The resources were adopted, or the deployment that protects them was interrupted.
    if PROTECTION not in chosen and parameter(found, PROTECTION) == "later":
        chosen = chosen | {PROTECTION: "true"}
    return sam_deploy(stack, template, chosen, options)


def public_url(before: dict | None, chosen: dict[str, str], after: dict) -> str | None:
    """Another value that PublicUrl needs, if any: with a CDN and without an own domain it is the CDN's URL, which is known
    only when the distribution is there, and no longer when it is gone. One that an operator chose stays."""
    if "PublicUrl" in chosen:
        return None
    held, url = parameter(after, "PublicUrl") or "", output(after, "CdnUrl") or ""
    if parameter(after, "DomainName") or held not in ("", output(before, "CdnUrl")):
        return None
    return url if url != held else None


def sam_deploy(stack: str, template: Path, chosen: dict[str, str], options: list[str]) -> None:
    command = [str(Path(sys.executable).with_name("sam")), "deploy", "--template-file", str(template)]
    command += ["--stack-name", stack, "--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset", *options]
    if chosen:
        command += ["--parameter-overrides", *(f'{name}="{value}"' for name, value in chosen.items())]
    if code := subprocess.run(command, check=False).returncode:
        raise DeploymentError(f"`sam deploy` ended with exit status {code}.")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", required=True, help="name of the CloudFormation stack")
    parser.add_argument("--template", type=Path, default=ROOT / "template.yaml")
    parser.add_argument("--option", action="append", default=[], help="of `sam deploy`, as --option=--s3-bucket=name")
    parser.add_argument(
        "--adopt", nargs="+", default=[], metavar="Name=id", help="resources that a new stack takes over"
    )
    parser.add_argument("parameters", nargs="*", metavar="Name=value")
    arguments = parser.parse_args()
    chosen, held = (pairs(parser, given) for given in (arguments.parameters, arguments.adopt))
    if held and held.keys() != IDENTIFIERS.keys():
        parser.error(f"a stack adopts all of {', '.join(IDENTIFIERS)}, or nothing")
    try:
        tell_concurrency(arguments.stack, arguments.template, chosen)
        before, options = described(arguments.stack), arguments.option or ["--resolve-s3"]
        deploy(arguments.stack, arguments.template, chosen, options, held)
        url = public_url(before, chosen, described(arguments.stack))
        if url is not None:
            print(
                f"Deploying once more: the service's URLs begin with {url or 'the address of each request'}.",
                flush=True,
            )
            sam_deploy(arguments.stack, arguments.template, {"PublicUrl": url}, options)
        open_to_ipv6(arguments.stack)
    except DeploymentError as error:
        sys.exit(str(error))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS refused: {error}")


if __name__ == "__main__":
    main()
