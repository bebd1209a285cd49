"""Writes the files with which `sam local` runs the functions of a stack, the running local one or one on AWS: the template, with
the zips' places, and the environment that each function has in the stack. `sam local` overrides only variables that the template
declares, so the template for the local stack declares the emulator's address too.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from infra.operate import LOCAL_STACK
from infra.settings import ROOT, use_region_of

FOLDER = ROOT / ".aws-sam"
ENDPOINT = "AWS_ENDPOINT_URL"


def environments(stack: str) -> dict[str, dict[str, str]]:
    """The environment of each function, by its name in the template."""
    functions, cloudformation = boto3.client("lambda"), boto3.client("cloudformation")
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    names = {item["PhysicalResourceId"]: item["LogicalResourceId"] for page in pages for item in resources(page)}
    pages = functions.get_paginator("list_functions").paginate()
    return {
        names[item["FunctionName"]]: item.get("Environment", {}).get("Variables", {})
        for page in pages
        for item in page["Functions"]
        if item["FunctionName"] in names
    }


def resources(page: dict) -> list[dict]:
    return [item for item in page["StackResourceSummaries"] if item["ResourceType"] == "AWS::Lambda::Function"]


def write(stack: str, template: Path, folder: Path) -> tuple[Path, Path]:
    """Returns the files of the template and of the environment."""
    parsed, known = yaml_parse(template.read_text()), environments(stack)
    endpoint = os.environ.get(ENDPOINT)
    if endpoint:
        parsed["Globals"]["Function"]["Environment"]["Variables"][ENDPOINT] = ""
        known = {name: variables | {ENDPOINT: endpoint} for name, variables in known.items()}
    place = template.parent.resolve()
    for properties in (
        parsed["Globals"]["Function"],
        *(resource.get("Properties", {}) for resource in parsed["Resources"].values()),
    ):
        if "CodeUri" in properties:
            file = place / properties["CodeUri"]
            if not file.exists():
                # The zips of `make run` are for this machine's C library, which may be newer than Lambda's.
                sys.exit(f"{file} does not exist: run `make build`, with the ARCH of the stack.")
            properties["CodeUri"] = str(file)
    found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    for item in found["Parameters"]:
        if declared := parsed["Parameters"].get(item["ParameterKey"]):
            value = item["ParameterValue"]
            declared["Default"] = int(value) if declared["Type"] == "Number" else value
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "sam-local.json", folder / "sam-local-environment.json"
    for file, content in zip(files, (parsed, known), strict=True):
        file.write_text(json.dumps(content, indent=2))
        # The environment names what only the functions may read.
        file.chmod(0o600)
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", help="name of the CloudFormation stack; without it the local one")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--template", type=Path, default=ROOT / "template.yaml")
    arguments = parser.parse_args()
    if arguments.stack:
        use_region_of(arguments.stack)
    try:
        file, environment = write(arguments.stack or LOCAL_STACK, arguments.template, arguments.folder)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS refused: {error}")
    options = f"--template {file} --env-vars {environment}"
    if not arguments.stack:
        # The emulator listens on loopback alone, and takes any credentials.
        options += " --docker-network host"
        print("export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1")
    print(f"sam local start-api {options}")
    print(f"sam local invoke Health --event tests/events/sam-local.json {options}")
    print(f"sam local invoke BuildThumbnails --event tests/events/uploads-queue.json {options}")


if __name__ == "__main__":
    main()
