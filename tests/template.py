"""Holds template.yaml to what CloudFormation and the services do with it, where the emulator does otherwise."""

import re
import sys
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

TEXT = (Path(__file__).resolve().parents[1] / "template.yaml").read_text()
TEMPLATE = yaml_parse(TEXT)
RESOURCES = TEMPLATE["Resources"]


def properties(name: str) -> dict:
    return RESOURCES[name]["Properties"]


def number(value) -> int:
    """A number, or the default of the parameter that stands for it."""
    return int(TEMPLATE["Parameters"][value["Ref"]]["Default"] if isinstance(value, dict) else value)


def route_limits_are_numbers() -> None:
    for route, settings in properties("HttpApi")["RouteSettings"].items():
        for name, value in settings.items():
            assert type(value) is int, f"{name} of {route} is {value}"


def messages_stay_hidden_for_six_times_the_timeout() -> None:
    default = TEMPLATE["Globals"]["Function"]["Timeout"]
    queues = 0
    for name, resource in RESOURCES.items():
        for event in resource["Properties"].get("Events", {}).values():
            if event["Type"] != "SQS":
                continue
            queue = event["Properties"]["Queue"]["Fn::GetAtt"][0]
            timeout = number(resource["Properties"].get("Timeout", default))
            assert number(properties(queue)["VisibilityTimeout"]) >= 6 * timeout, f"{queue} for {name}"
            queues += 1
    assert queues == 2, queues


def any_origin_may_read_and_one_may_upload() -> None:
    for bucket, writes in [("Originals", True), ("Thumbnails", False)]:
        rules = properties(bucket)["CorsConfiguration"]["CorsRules"]
        for method in ("GET", "HEAD"):
            [rule] = [rule for rule in rules if method in rule["AllowedMethods"]]
            assert rule["AllowedOrigins"] == ["*"], (bucket, rule)
        puts = [rule for rule in rules if "PUT" in rule["AllowedMethods"]]
        assert len(puts) == writes and all({"Ref": "AllowedOrigin"} in rule["AllowedOrigins"] for rule in puts), bucket


def no_host_name_is_of_one_partition() -> None:
    # Principals are names of services, which are the same in all partitions.
    hosts = [
        line for line in TEXT.splitlines() if re.search(r"amazonaws|cloudfront\.net", line) and "Service:" not in line
    ]
    assert not hosts, hosts
    issuer = properties("HttpApi")["Auth"]["Authorizers"]["Users"]["JwtConfiguration"]["issuer"]
    assert issuer == {"Fn::Sub": "https://${UserPool.ProviderName}"}, issuer
    assert TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["USER_POOL_URL"] == issuer


def alarms_fit_what_they_watch() -> None:
    [age, tries] = properties("UploadsWaitAlarm")["Metrics"]
    assert tries["Expression"] == {"Fn::Sub": f"{age['Id']} / ${{BuilderRetryAfter}}"}, tries
    assert properties("UploadsWaitAlarm")["Threshold"] > 2
    alarms = [resource["Properties"] for resource in RESOURCES.values() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    watched = {
        (alarm["MetricName"], dimension.get("Value", {}).get("Ref"))
        for alarm in alarms
        if alarm.get("Namespace") == "AWS/Lambda"
        for dimension in alarm.get("Dimensions", [{}])
    }
    assert watched == {("Errors", "Audit"), ("Errors", "Sweep"), ("IteratorAge", "Sweep"), ("Throttles", None)}, watched


def the_user_pool_is_of_the_plan_that_suffices() -> None:
    assert properties("UserPool")["UserPoolTier"] == "LITE"


def the_domain_answers_over_ipv6() -> None:
    [configuration] = properties("Domain")["DomainNameConfigurations"]
    assert configuration["IpAddressType"] == "dualstack"
    assert TEMPLATE["Outputs"]["DomainTargetZone"]["Value"] == {"Fn::GetAtt": ["Domain", "RegionalHostedZoneId"]}


CHECKS = (
    route_limits_are_numbers,
    messages_stay_hidden_for_six_times_the_timeout,
    any_origin_may_read_and_one_may_upload,
    no_host_name_is_of_one_partition,
    alarms_fit_what_they_watch,
    the_user_pool_is_of_the_plan_that_suffices,
    the_domain_answers_over_ipv6,
)


def main() -> int:
    failed = 0
    for check in CHECKS:
        try:
            check()
        except AssertionError as error:
            failed += 1
            print(f"{check.__name__.replace('_', ' ')}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
