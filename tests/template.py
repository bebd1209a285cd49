"""Checks template.yaml for behaviour of CloudFormation and the services that the emulator lacks."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from infra import gradual

TEXT = (ROOT / "template.yaml").read_text()
TEMPLATE = yaml_parse(TEXT)
RESOURCES = TEMPLATE["Resources"]


def properties(name: str) -> dict:
    return RESOURCES[name]["Properties"]


def number(value) -> int:
    """Returns a number, or the default of the parameter that it refers to."""
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
    expected = {
        ("Errors", "Audit"),
        ("Errors", "Sweep"),
        ("Errors", None),
        ("IteratorAge", "Sweep"),
        ("Throttles", None),
    }
    assert watched == expected, watched


def the_dashboard_shows_metrics_that_the_functions_write() -> None:
    body = properties("OverviewDashboard")["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(re.sub(r"\$\{[^}]+\}", "x", body))["widgets"]
    shown, namespace = set(), ""
    for widget in widgets:
        for first, name, *_ in widget["properties"].get("metrics", []):
            namespace = namespace if first == "." else first
            shown |= {name} if namespace == "Tintype" else set()
    code = (ROOT / "crates" / "telemetry" / "src" / "lib.rs").read_text()
    written = set(re.findall(r'"(\w+)", (?:"(?:Count|Milliseconds)"|Counter::)', code))
    # The free tier has ten metrics.
    assert shown == written and len(written) <= 10, (shown, written)
    [query] = [widget["properties"]["query"] for widget in widgets if widget["type"] == "log"]
    used = set(re.findall(r"\((\w+)[,)]", query))
    assert used and used <= written, used


def image_formats_are_the_types_of_the_api() -> None:
    schemas = json.loads((ROOT / "docs/openapi.json").read_text())["components"]["schemas"]
    types = schemas["CreateImage"]["properties"]["content_type"]["enum"]
    parameter = TEMPLATE["Parameters"]["ImageFormats"]
    assert parameter["Default"].split(",") == [kind.removeprefix("image/") for kind in types]
    assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"])
    assert not re.fullmatch(parameter["AllowedPattern"], "jpeg,svg")


def the_user_pool_is_of_the_plan_that_suffices() -> None:
    assert properties("UserPool")["UserPoolTier"] == "LITE"


def the_domain_answers_over_ipv6() -> None:
    [configuration] = properties("Domain")["DomainNameConfigurations"]
    assert configuration["IpAddressType"] == "dualstack"
    assert TEMPLATE["Outputs"]["DomainTargetZone"]["Condition"] == "HasApiDomain"
    assert TEMPLATE["Outputs"]["DomainTargetZone"]["Value"] == {"Fn::GetAtt": ["Domain", "RegionalHostedZoneId"]}


def the_cdn_caches_what_may_be_cached() -> None:
    config = properties("Distribution")["DistributionConfig"]
    disabled = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    policies = {behaviour["PathPattern"]: behaviour["CachePolicyId"] for behaviour in config["CacheBehaviors"]}
    assert config["DefaultCacheBehavior"]["CachePolicyId"] == disabled
    cached = sorted(pattern for pattern, policy in policies.items() if policy != disabled)
    assert cached == ["/assets/*", "/media/thumbnail/*"], cached
    for name in ("CacheByHeaders", "CacheThumbnails"):
        policy = properties(name)["CachePolicyConfig"]
        # A time above 0 would be the least for which even private answers are kept.
        assert (policy["MinTTL"], policy["DefaultTTL"]) == (0, 0), policy
    never = {
        error["ErrorCode"] for error in config["CustomErrorResponses"] if error == keep_no_error(error["ErrorCode"])
    }
    assert never == {400, 403, 404, 405, 414, 500, 501, 502, 503, 504}, never
    for behaviour in [config["DefaultCacheBehavior"], *config["CacheBehaviors"]]:
        reaches_all = behaviour["CachePolicyId"] == disabled
        assert ("POST" in behaviour["AllowedMethods"]) == reaches_all, behaviour
        # Cached requests are forwarded without anything that is not in the cache key.
        assert ("OriginRequestPolicyId" in behaviour) == reaches_all, behaviour


def accept_is_in_the_key_only_where_it_is_reduced() -> None:
    reduced = [{"EventType": "viewer-request", "FunctionARN": {"Fn::GetAtt": ["NegotiateWebP", "FunctionARN"]}}]
    for behaviour in properties("Distribution")["DistributionConfig"]["CacheBehaviors"]:
        policy = behaviour["CachePolicyId"]
        if not isinstance(policy, dict):
            continue
        key = properties(policy["Ref"])["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
        reduces = behaviour.get("FunctionAssociations") == reduced
        assert reduces == (behaviour["PathPattern"] == "/media/thumbnail/*"), behaviour
        assert ("Accept" in key["HeadersConfig"]["Headers"]) == reduces, behaviour


def keep_no_error(code: int) -> dict:
    return {"ErrorCode": code, "ErrorCachingMinTTL": 0}


def the_viewers_address_comes_with_links_alone() -> None:
    listed = properties("LinkRequests")["OriginRequestPolicyConfig"]["HeadersConfig"]
    assert listed["HeaderBehavior"] == "whitelist" and "CloudFront-Viewer-Address" in listed["Headers"], listed
    # Host must be API Gateway's own, and Authorization cannot be listed.
    assert not {"Host", "Authorization"} & set(listed["Headers"]) and len(listed["Headers"]) <= 10, listed
    [behaviour] = [
        behaviour
        for behaviour in properties("Distribution")["DistributionConfig"]["CacheBehaviors"]
        if behaviour.get("OriginRequestPolicyId") == {"Ref": "LinkRequests"}
    ]
    assert behaviour["PathPattern"] == "/media/exp/*", behaviour
    readers = [name for name, resource in RESOURCES.items() if "CDN_SECRET" in str(resource)]
    assert readers == ["VisitLink"], readers


def the_cdn_is_left_out_by_default() -> None:
    assert TEMPLATE["Parameters"]["Cdn"]["Default"] == TEMPLATE["Parameters"]["CdnLogs"]["Default"] == "false"
    made = {
        name
        for name, resource in RESOURCES.items()
        if resource["Type"].startswith("AWS::CloudFront::") or name.startswith("Cdn")
    }
    conditions = {RESOURCES[name].get("Condition") for name in made}
    assert len(made) == 7 and conditions == {"HasCdn", "HasCdnLogs"}, (made, conditions)


def gradually(how: str, **parameters: str) -> tuple[dict, dict]:
    """The template with aliases, before and after SAM's transformation."""
    with tempfile.TemporaryDirectory() as folder:
        template = Path(shutil.copy(ROOT / "template.yaml", folder))
        for uri in set(re.findall(r"CodeUri: (\S+)", TEXT)):
            (template.parent / uri).parent.mkdir(parents=True, exist_ok=True)
            (template.parent / uri).write_text(uri)
        values = {name: str(declared["Default"]) for name, declared in TEMPLATE["Parameters"].items()}
        values |= parameters | {gradual.PARAMETER: how}
        parsed = gradual.with_aliases(template, how, values)
    for properties in [parsed["Globals"]["Function"], *(item["Properties"] for item in parsed["Resources"].values())]:
        if "CodeUri" in properties:
            properties["CodeUri"] = "s3://deployments/" + Path(properties["CodeUri"]).parent.name

    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    logging.disable(logging.WARNING)

    class Policies:
        def load(self) -> dict:
            return {}

    return parsed, transform(json.loads(json.dumps(parsed)), values, Policies())


def a_gradual_deployment_moves_every_caller_of_a_function() -> None:
    written, processed = gradually("Canary10Percent5Minutes")
    resources = processed["Resources"]
    of_type = lambda kind: {name: item for name, item in resources.items() if item["Type"] == kind}
    functions, aliases = of_type("AWS::Lambda::Function"), of_type("AWS::Lambda::Alias")
    groups = of_type("AWS::CodeDeploy::DeploymentGroup")
    assert len(functions) == len(aliases) == len(groups) == len(of_type("AWS::Lambda::Version")) > 40
    for name, alias in aliases.items():
        update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        assert update["DeploymentGroupName"]["Ref"] in groups, name
    for group in groups.values():
        properties = group["Properties"]
        assert [alarm["Name"]["Ref"] for alarm in properties["AlarmConfiguration"]["Alarms"]] == list(gradual.ALARMS)
        assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
    assert all(RESOURCES[alarm]["Condition"] == "IsGradual" for alarm in gradual.ALARMS)
    # API, event sources, schedule, and their permissions name aliases, and no function itself.
    callers = of_type("AWS::Lambda::EventSourceMapping") | of_type("AWS::Lambda::Permission")
    assert len(callers) > 60
    for name, caller in callers.items():
        assert caller["Properties"]["FunctionName"]["Ref"] in aliases, name
    body = json.dumps(resources["HttpApi"]["Properties"]["Body"])
    called = set(re.findall(r"functions/\$\{(\w+)", body))
    assert len(called) > 40 and called <= aliases.keys(), called - aliases.keys()
    [rule] = of_type("AWS::Events::Rule").values() or of_type("AWS::Scheduler::Schedule").values()
    assert "Aliaslive" in json.dumps(rule["Properties"]), rule
    # CloudFormation's quotas.
    assert len(resources) <= 500 and len(json.dumps(processed)) < 1_000_000, len(resources)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(written, file)
        file.flush()
        # Among other things for circular dependencies.
        linted = subprocess.run(["cfn-lint", file.name], capture_output=True, text=True, check=False)
        assert linted.returncode == 0, linted.stdout


def a_version_is_published_when_code_or_a_parameter_changes() -> None:
    versions = []
    for parameters in ({}, {}, {"PublicUrl": "https://images.example.org"}):
        resources = gradually(gradual.AT_ONCE, **parameters)[1]["Resources"]
        versions.append({name for name, item in resources.items() if item["Type"] == "AWS::Lambda::Version"})
        assert not any(item["Type"].startswith("AWS::CodeDeploy") for item in resources.values())
    assert versions[0] == versions[1] and not versions[0] & versions[2]


CHECKS = (
    a_gradual_deployment_moves_every_caller_of_a_function,
    a_version_is_published_when_code_or_a_parameter_changes,
    route_limits_are_numbers,
    messages_stay_hidden_for_six_times_the_timeout,
    any_origin_may_read_and_one_may_upload,
    no_host_name_is_of_one_partition,
    alarms_fit_what_they_watch,
    the_dashboard_shows_metrics_that_the_functions_write,
    image_formats_are_the_types_of_the_api,
    the_user_pool_is_of_the_plan_that_suffices,
    the_domain_answers_over_ipv6,
    the_cdn_caches_what_may_be_cached,
    accept_is_in_the_key_only_where_it_is_reduced,
    the_viewers_address_comes_with_links_alone,
    the_cdn_is_left_out_by_default,
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
