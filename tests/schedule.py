"""Compares the audit's schedule with template.yaml and triggers it once: the audit runs, repairs and saves its position."""

import json
import os
import sys
import time

import boto3

STACK = "tintype"
PATIENCE = 90
PLACE = {"pk": "AUDIT", "sk": "PLACE"}


def declared() -> tuple[str, dict]:
    """Returns the rule of the schedule in the processed template, and the function's settings."""
    template = boto3.client("cloudformation").get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    rules = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Events::Rule"
    }
    [(name, rule)] = rules.items()
    [target] = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["Audit", "Arn"]}, target
    assert rule["ScheduleExpression"] == {"Ref": "AuditSchedule"}, rule
    permissions = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Permission"
        and resource["Properties"].get("Principal") == "events.amazonaws.com"
    ]
    [permission] = permissions
    assert permission["FunctionName"] == {"Ref": "Audit"}, permission
    assert permission["SourceArn"] == {"Fn::GetAtt": [name, "Arn"]}, permission
    return name, template["Parameters"]["AuditSchedule"]


def main() -> int:
    logical, parameter = declared()
    physical = boto3.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=logical)
    name = physical["StackResourceDetail"]["PhysicalResourceId"]
    events, table = boto3.client("events"), boto3.resource("dynamodb").Table(os.environ["TINTYPE_TABLE"])
    rule = events.describe_rule(Name=name)
    assert (rule["ScheduleExpression"], rule["State"]) == (parameter["Default"], "ENABLED"), rule
    [target] = events.list_targets_by_rule(Rule=name)["Targets"]
    assert json.loads(target["Input"]) == {"mend": True, "keep_place": True}, target

    table.delete_item(Key=PLACE)
    # The rule's minute counts from its creation.
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)", State="ENABLED")
    try:
        deadline = time.monotonic() + PATIENCE
        while not (item := table.get_item(Key=PLACE, ConsistentRead=True).get("Item")):
            if time.monotonic() > deadline:
                print(f"The scheduled audit did not run within {PATIENCE} s.")
                return 1
            time.sleep(0.2)
    finally:
        events.put_rule(Name=name, ScheduleExpression=rule["ScheduleExpression"], State=rule["State"])
    print(f"The audit ran as scheduled and keeps its place: {item['place']}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
