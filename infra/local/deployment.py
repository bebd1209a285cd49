"""Deploys template.yaml to the local emulator and adds what its CloudFormation leaves out."""

import base64
import hashlib
import json
import os
import platform
import re
import shutil
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import boto3
from samtranslator.yaml_helper import yaml_parse

from infra.package import ROOT, SITE, SITE_FOLDER, pack
from infra.stage import stage

TEMPLATE = ROOT / "template.yaml"
ZIP = "target/lambda/{}/bootstrap.zip"
FUNCTIONS = sorted(set(re.findall(r"CodeUri: " + ZIP.format(r"(\w+)"), TEMPLATE.read_text())))
DEBUG = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug"
STACK = "tintype"
REGION = "us-east-1"
MARK = f"/{STACK}/deployed"
UPLOADS = "deployments"


class TroubleError(Exception):
    """An error whose text is the message for the user, a sentence."""


def say(text: str) -> None:
    print(text, flush=True)


def tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def executables(data: Path, release: bool) -> Path:
    """Copies the functions' executables and the web page, which the next build replaces, and returns their folder.

    They come from the zips of `make build` with `release`, else from what `make functions` and `make web` built.
    """
    folder = data / "executables"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in FUNCTIONS:
        try:
            if release:
                with zipfile.ZipFile(ROOT / ZIP.format(name)) as archive:
                    archive.extractall(folder)
                (folder / "bootstrap").rename(folder / name)
                (folder / name).chmod(0o755)
            else:
                shutil.copy(DEBUG / name, folder)
        except FileNotFoundError as error:
            target = "build" if release else "functions"
            raise TroubleError(f"{error.filename} does not exist: run `make {target}`.") from error
    if not release:
        if not SITE.exists():
            raise TroubleError(f"{SITE} does not exist: run `make web`.")
        shutil.copytree(SITE, folder / SITE_FOLDER)
    return folder


def package(code: Path, folder: Path) -> Path:
    """Lays out template.yaml and the zips that it names in a folder, and returns the template there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in FUNCTIONS:
        file = folder / ZIP.format(name)
        file.parent.mkdir(parents=True)
        pack(file, (code / name).read_bytes(), code / SITE_FOLDER if name == "web" else None, 1)
    return Path(shutil.copy(TEMPLATE, folder))


def parameters(public_url: str) -> dict[str, str]:
    declared = yaml_parse(TEMPLATE.read_text())["Parameters"]
    # All parameters: an omitted one would keep the value of the last deployment instead of its default.
    return {name: str(parameter["Default"]) for name, parameter in declared.items()} | {
        "Architecture": "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
        "PublicUrl": public_url,
        "TlsOnly": "false",
        "DeletionProtection": "false",
        "PointInTimeRecovery": "false",
        "BuilderConcurrency": str(max(2, os.cpu_count() or 2)),
        "BuilderTimeout": "60",
        "BuilderRetryAfter": "60",
    }


def roles() -> dict[str, dict]:
    """What the deployed roles allow each function, by its handler: pairs of an action and a resource, as its own
    policies have them, and the names of the policies that SAM attaches."""

    def listed(value) -> list:
        return value if isinstance(value, list) else [value]

    iam, allowed = boto3.client("iam"), {}
    for page in boto3.client("lambda").get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            role, grants = function["Role"].rsplit("/", 1)[-1], set()
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
                for statement in listed(document["Statement"]):
                    for action in listed(statement["Action"]):
                        grants.update((action, resource) for resource in listed(statement["Resource"]))
            attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
            allowed[function["Handler"]] = {
                "grants": sorted(grants),
                "attached": sorted(policy["PolicyName"] for policy in attached),
            }
    return allowed


def environments() -> dict[str, dict[str, str]]:
    """The environment of each function, by its handler, as `lambda:ListFunctions` shows it."""
    pages = boto3.client("lambda").get_paginator("list_functions").paginate()
    functions = [function for page in pages for function in page["Functions"]]
    return {function["Handler"]: function.get("Environment", {}).get("Variables", {}) for function in functions}


def fingerprint(code: Path, chosen: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(chosen).encode())
    for file in [TEMPLATE, Path(__file__), *sorted(path for path in code.rglob("*") if path.is_file())]:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def deploy(data: Path, code: Path, public_url: str, wishes: dict[str, str]) -> None:
    """Deploys template.yaml and the executables; quick if nothing has changed."""
    chosen = parameters(public_url) | wishes
    wanted = fingerprint(code, chosen)
    parameter_store = boto3.client("ssm")
    # Stored in the emulator, so that a crash takes it back together with everything else.
    marks = parameter_store.get_parameters(Names=[MARK])["Parameters"]
    if [mark["Value"] for mark in marks] == [wanted]:
        say("Nothing changed since the last deployment.")
        return
    parameter_store.delete_parameters(Names=[MARK])

    with stage("Deploy template.yaml"):
        apply(package(code, data / "package"), chosen)
    parameter_store.put_parameter(Name=MARK, Value=wanted, Type="String")


def apply(template: Path, chosen: dict[str, str]) -> None:
    """Creates the stack, or updates it. `sam deploy` does the same in twice the time: it hashes its zip for each function."""
    cloudformation, uploads = boto3.client("cloudformation"), boto3.resource("s3").Bucket(UPLOADS)
    uploads.create()
    older, text = list(uploads.objects.all()), with_uploads(template)
    uploads.put_object(Key=template.name, Body=text.encode())
    request = {
        "StackName": STACK,
        "TemplateURL": f"{uploads.meta.client.meta.endpoint_url}/{UPLOADS}/{template.name}",
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in chosen.items()],
    }
    status = stack_status(cloudformation)
    is_new = status in ("", "DELETE_COMPLETE", "ROLLBACK_COMPLETE")
    try:
        if is_new:
            cloudformation.create_stack(**request)
        else:
            cloudformation.update_stack(**request)
        while (status := stack_status(cloudformation)).endswith("_IN_PROGRESS"):
            time.sleep(0.1)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise TroubleError(f"The deployment failed: {status}\n{reasons(cloudformation)}".rstrip())
    except cloudformation.exceptions.ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise TroubleError(f"The deployment failed: {error}") from error
    complete(cloudformation, chosen)
    if not is_new:
        # The template that CloudFormation compares with does not include updates by `make watch`.
        update_functions(template)
    for upload in older:
        if upload.key not in text and upload.key != template.name:
            upload.delete()


def with_uploads(template: Path) -> str:
    """Uploads the zips beside the template, and returns the template with their places."""
    uploads, text = boto3.resource("s3").Bucket(UPLOADS), template.read_text()
    for name in FUNCTIONS:
        file = template.parent / ZIP.format(name)
        # By its content, so that CloudFormation sees which functions changed.
        key = f"{hashlib.sha256(file.read_bytes()).hexdigest()}.zip"
        uploads.upload_file(str(file), key)
        text = text.replace(f"CodeUri: {ZIP.format(name)}", f"CodeUri: s3://{UPLOADS}/{key}")
    return text


def stack_status(cloudformation) -> str:
    """Empty if there is no stack."""
    try:
        return cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
    except cloudformation.exceptions.ClientError:
        return ""


def update_functions(template: Path) -> int:
    """Gives the deployed functions the zips beside the template, where they have others; returns how many had."""
    declared = yaml_parse(template.read_text())
    functions, cloudformation = boto3.client("lambda"), boto3.client("cloudformation")
    pages = functions.get_paginator("list_functions").paginate()
    deployed = {function["FunctionName"]: function["CodeSha256"] for page in pages for function in page["Functions"]}
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    zips, updated = {}, 0
    for resource in resources:
        if resource["ResourceType"] != "AWS::Lambda::Function":
            continue
        properties = declared["Resources"][resource["LogicalResourceId"]]["Properties"]
        uri = properties.get("CodeUri", declared["Globals"]["Function"]["CodeUri"])
        if uri not in zips:
            zips[uri] = base64.b64encode(hashlib.sha256((template.parent / uri).read_bytes()).digest()).decode()
            boto3.client("s3").upload_file(str(template.parent / uri), UPLOADS, uri)
        name = resource["PhysicalResourceId"]
        if deployed[name] != zips[uri]:
            # The next `make run` compares again.
            boto3.client("ssm").delete_parameters(Names=[MARK])
            functions.update_function_code(FunctionName=name, S3Bucket=UPLOADS, S3Key=uri)
            updated += 1
    return updated


def reasons(cloudformation) -> str:
    try:
        events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    except cloudformation.exceptions.ClientError:
        return ""
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return "\n".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed)


# ---- CloudFormation features that the emulator lacks --------------------------------------


def complete(cloudformation, chosen: dict[str, str]) -> None:
    template = cloudformation.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    expiry = template["Resources"]["Table"]["Properties"]["TimeToLiveSpecification"]
    dynamodb = boto3.client("dynamodb")
    if (
        dynamodb.describe_time_to_live(TableName=ids["Table"])["TimeToLiveDescription"]["TimeToLiveStatus"]
        == "DISABLED"
    ):
        dynamodb.update_time_to_live(TableName=ids["Table"], TimeToLiveSpecification=expiry)
    body = template["Resources"]["HttpApi"]["Properties"]["Body"]
    import_api(ids["HttpApi"], resolved(body, chosen, ids))


def resolved(body: dict, chosen: dict[str, str], ids: dict[str, str]) -> dict:
    """A part of a template with the functions that SAM puts into an API's body replaced by their values."""
    values = {
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::StackName": STACK,
        "AWS::URLSuffix": "amazonaws.com",
        **ids,
        **chosen,
    }
    functions = boto3.client("lambda")

    def substitute(match: re.Match) -> str:
        name, _, attribute = match[1].partition(".")
        if attribute == "ProviderName":
            return f"cognito-idp.{REGION}.amazonaws.com/{ids[name]}"
        if attribute == "Arn":
            return functions.get_function_configuration(FunctionName=ids[name])["FunctionArn"]
        return values[match[1]]

    def resolve(value):
        match value:
            case {"Ref": name}:
                return values[name]
            case {"Fn::Sub": text}:
                return re.sub(r"\$\{([\w:.]+)\}", substitute, text)
            case dict():
                return {key: resolve(item) for key, item in value.items()}
            case list():
                return [resolve(item) for item in value]
        return value

    return resolve(body)


def import_api(api_id: str, body: dict) -> None:
    """Creates CORS, authorizers, integrations and routes as the OpenAPI document defines them."""
    api = boto3.client("apigatewayv2")

    def held(operation: str, key: str) -> dict[str, dict]:
        pages = api.get_paginator(operation).paginate(ApiId=api_id)
        return {item[key]: item for page in pages for item in page["Items"]}

    cors = body["x-amazon-apigateway-cors"]
    api.update_api(ApiId=api_id, CorsConfiguration={name[0].upper() + name[1:]: value for name, value in cors.items()})

    authorizers = {name: item["AuthorizerId"] for name, item in held("get_authorizers", "Name").items()}
    for name, scheme in body["components"]["securitySchemes"].items():
        authorizer = scheme["x-amazon-apigateway-authorizer"]
        jwt = authorizer["jwtConfiguration"]
        settings = {
            "ApiId": api_id,
            "Name": name,
            "AuthorizerType": "JWT",
            "IdentitySource": [authorizer["identitySource"]],
            "JwtConfiguration": {"Issuer": jwt["issuer"], "Audience": jwt["audience"]},
        }
        if name in authorizers:
            api.update_authorizer(AuthorizerId=authorizers[name], **settings)
        else:
            authorizers[name] = api.create_authorizer(**settings)["AuthorizerId"]

    integrations = {uri: item["IntegrationId"] for uri, item in held("get_integrations", "IntegrationUri").items()}
    routes = held("get_routes", "RouteKey")
    wanted = {}
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            integration = operation["x-amazon-apigateway-integration"]
            uri = integration["uri"]
            if uri not in integrations:
                integrations[uri] = api.create_integration(
                    ApiId=api_id,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=uri,
                    PayloadFormatVersion=integration["payloadFormatVersion"],
                )["IntegrationId"]
            key = path if path == "$default" else f"{method.upper()} {path}"
            wanted[key] = {"Target": f"integrations/{integrations[uri]}", "AuthorizationType": "NONE"}
            for scheme in operation.get("security", []):
                for name in scheme.keys() & authorizers.keys():
                    wanted[key] |= {"AuthorizationType": "JWT", "AuthorizerId": authorizers[name]}

    for key, settings in wanted.items():
        if key not in routes:
            api.create_route(ApiId=api_id, RouteKey=key, **settings)
        elif any(routes[key].get(name) != value for name, value in settings.items()):
            api.update_route(ApiId=api_id, RouteId=routes[key]["RouteId"], **settings)
    for key in routes.keys() - wanted.keys():
        api.delete_route(ApiId=api_id, RouteId=routes[key]["RouteId"])


def map_domain(host: str, api_id: str) -> None:
    """Makes the API answer at a host name that needs no resolver."""
    api = boto3.client("apigatewayv2")
    with suppress(api.exceptions.ConflictException):
        api.create_domain_name(DomainName=host)
    for mapping in api.get_api_mappings(DomainName=host)["Items"]:
        if mapping["ApiId"] == api_id:
            return
        api.delete_api_mapping(DomainName=host, ApiMappingId=mapping["ApiMappingId"])
    api.create_api_mapping(DomainName=host, ApiId=api_id, Stage="$default")
