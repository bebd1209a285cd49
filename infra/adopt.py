"""Begins a stack with a table, buckets and a user pool that exist: those that a deleted stack left, or a restored table.

CloudFormation imports resources into a stack that has nothing else, so `make deploy` adds the rest in an update.
"""

import json
import time
from pathlib import Path

import boto3
from samtranslator.yaml_helper import yaml_parse

IDENTIFIERS = {
    "Table": ("AWS::DynamoDB::Table", "TableName"),
    "Originals": ("AWS::S3::Bucket", "BucketName"),
    "Thumbnails": ("AWS::S3::Bucket", "BucketName"),
    "UserPool": ("AWS::Cognito::UserPool", "UserPoolId"),
}


def adopt(stack: str, template: Path, chosen: dict[str, str], held: dict[str, str]) -> None:
    """Creates a stack of resources that exist. `held`: what identifies each, by its name in the template."""
    parsed = yaml_parse(template.read_text())
    resources = {}
    for name, (kind, _) in IDENTIFIERS.items():
        properties = known_properties(parsed["Resources"][name]["Properties"], kind, held[name])
        # Without a name of its own, as in template.yaml: an update that took the name away would replace the resource.
        resources[name] = {"Type": kind, "DeletionPolicy": "Retain", "Properties": properties}
    cloudformation, change_set = boto3.client("cloudformation"), f"adopt-{time.time_ns()}"
    cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=change_set,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(
            {"Parameters": parsed["Parameters"], "Conditions": parsed["Conditions"], "Resources": resources}
        ),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in chosen.items()],
        ResourcesToImport=[
            {"ResourceType": kind, "LogicalResourceId": name, "ResourceIdentifier": {identifier: held[name]}}
            for name, (kind, identifier) in IDENTIFIERS.items()
        ],
    )
    delay = {"Delay": 2, "MaxAttempts": 300}
    waiter = cloudformation.get_waiter("change_set_create_complete")
    waiter.wait(StackName=stack, ChangeSetName=change_set, WaiterConfig=delay)
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=change_set)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=stack, WaiterConfig=delay)


def known_properties(declared: dict, kind: str, identifier: str) -> dict:
    """Returns the properties that the resource surely has, so that the update which follows sets the others.

    A restored table lacks its stream, its expiry, its own recovery and its protection ("Restoring a table" in DynamoDB's
    developer guide), and setting a stream or an expiry that exists is an error. Buckets take any property again.
    """
    if kind == "AWS::S3::Bucket":
        return {}
    left_out = {"DeletionProtection", "DeletionProtectionEnabled", "PointInTimeRecoverySpecification"}
    if kind == "AWS::DynamoDB::Table":
        dynamodb = boto3.client("dynamodb")
        if not dynamodb.describe_table(TableName=identifier)["Table"].get("StreamSpecification"):
            left_out.add("StreamSpecification")
        expiry = dynamodb.describe_time_to_live(TableName=identifier)["TimeToLiveDescription"]
        if expiry["TimeToLiveStatus"] != "ENABLED":
            left_out.add("TimeToLiveSpecification")
    return {name: value for name, value in declared.items() if name not in left_out}
