"""Adds to a template what a gradual deployment takes: each function gets versions and the alias `live`, which API and event
sources call, and CodeDeploy moves the alias to a new version bit by bit.

The template cannot have it by itself: SAM takes no condition for `AutoPublishAlias`.
"""

import hashlib
import json
from pathlib import Path

import boto3
from samtranslator.yaml_helper import yaml_parse

PARAMETER = "GradualDeployment"
ALIAS = "live"
# With this the alias moves at once, without CodeDeploy.
AT_ONCE = "AllAtOnce"
ALARMS = ("DeploymentFailuresAlarm", "DeploymentErrorsAlarm")


def with_aliases(template: Path, how: str, parameters: dict[str, str]) -> dict:
    """Returns the template with aliases. `parameters`: all that the stack will have.

    SAM names a version by the function's properties, in which a parameter is only a reference, so an alias would keep the
    version with the earlier value. AutoPublishCodeSha256 is a part of that name too.
    """
    parsed = yaml_parse(template.read_text())
    shared = parsed["Globals"]["Function"]
    shared["AutoPublishAlias"] = ALIAS
    if how != AT_ONCE:
        shared["DeploymentPreference"] = {"Type": how, "Alarms": [{"Ref": name} for name in ALARMS]}
        for name in ALARMS:
            # It holds in this template.
            parsed["Conditions"].pop(parsed["Resources"][name].pop("Condition"), None)
    place, hashes = template.parent.resolve(), {}

    def absolute(properties: dict) -> str:
        uri = properties["CodeUri"]
        if not uri.startswith("s3://"):
            properties["CodeUri"] = uri = str(place / uri)
            hashes[uri] = hashes.get(uri) or hashlib.sha256(Path(uri).read_bytes()).hexdigest()
        return hashes.get(uri, uri)

    default = absolute(shared)
    for resource in parsed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = resource["Properties"]
            code = absolute(properties) if "CodeUri" in properties else default
            # The path of the zip is the checkout's.
            rest = [{name: value for name, value in part.items() if name != "CodeUri"} for part in (shared, properties)]
            text = json.dumps([code, rest, parameters], sort_keys=True)
            properties["AutoPublishCodeSha256"] = hashlib.sha256(text.encode()).hexdigest()
    return parsed


def drop_old_versions(stack: str) -> None:
    """Deletes the versions before the previous one, which CloudFormation keeps and which count as storage of Lambda."""
    functions, cloudformation = boto3.client("lambda"), boto3.client("cloudformation")
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    for resource in resources:
        if resource["ResourceType"] != "AWS::Lambda::Function":
            continue
        name = resource["PhysicalResourceId"]
        live = int(functions.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"])
        pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
        versions = [item["Version"] for page in pages for item in page["Versions"] if item["Version"] != "$LATEST"]
        for version in sorted((int(version) for version in versions if int(version) < live), reverse=True)[1:]:
            functions.delete_function(FunctionName=name, Qualifier=str(version))
