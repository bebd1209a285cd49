"""Runs MiniStack, the AWS emulator, in this process: on loopback only, with IAM enforced.

Stops in order at SIGTERM, at SIGINT, or when the process that started it is gone.
"""

import argparse
import asyncio
import base64
import bisect
import contextvars
import functools
import json
import os
import queue
import random
import re
import resource
import shutil
import signal
import socket
import socketserver
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from unicodedata import category

import uvicorn
import uvloop
import yaml

# Properties that take a number or a truth value. CloudFormation converts what a parameter holds,
# which is always text; MiniStack passes the text on.
TYPED_PROPERTIES = {
    "AccessTokenValidity",
    "IdTokenValidity",
    "MaximumConcurrency",
    "MemorySize",
    "MinimumLength",
    "PointInTimeRecoveryEnabled",
    "RefreshTokenValidity",
    "RequireLowercase",
    "RequireNumbers",
    "RequireSymbols",
    "RequireUppercase",
    "RetentionInDays",
    "Timeout",
    "VisibilityTimeout",
}

# MiniStack saves all but objects only when it stops in order; a crash loses at most this much.
SAVE_EVERY_SECONDS = 30


def configure(port: int, data: Path, keep: bool) -> None:
    """MiniStack reads its settings when it is imported."""
    shutil.rmtree(data / "tmp", ignore_errors=True)
    folders = {"STATE_DIR": data / "state", "S3_DATA_DIR": data / "objects", "TMPDIR": data / "tmp"}
    for name, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(folder)
    os.environ.update(
        GATEWAY_PORT=str(port),
        AUTH="true",
        LOG_LEVEL="WARNING",
        MINISTACK_HOST="127.0.0.1",
        PERSIST_STATE="1" if keep else "0",
        S3_PERSIST="1" if keep else "0",
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        LAMBDA_WARM_TTL_SECONDS="60",
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
    )


class PatientQueue(queue.Queue):
    """A queue that waits for an item ten times as long as it is asked to."""

    def get(self, block=True, timeout=None):
        return super().get(block, None if timeout is None else 10 * timeout)


class PatientQueues:
    Queue, Empty, Full = PatientQueue, queue.Empty, queue.Full


class KeptThread:
    """Work for a thread that is kept for more: whoever starts a thread waits until it runs."""

    kept = ThreadPoolExecutor(max_workers=10_000)

    def __init__(self, target):
        self.target = target

    def start(self) -> None:
        self.kept.submit(self.target)


class Threads:
    """As `threading`, but for what an invocation starts."""

    Event, Lock = threading.Event, threading.Lock

    @staticmethod
    def Thread(target, name: str, **named):  # noqa: N802
        return KeptThread(target) if name.endswith("-invoke") else threading.Thread(target=target, name=name, **named)


def with_libyaml(loader):
    """The same loader, whose parser is libyaml's."""

    class Loader(yaml.cyaml.CParser, loader):
        def __init__(self, stream):
            yaml.cyaml.CParser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return Loader


def typed(properties):
    if isinstance(properties, list):
        return [typed(item) for item in properties]
    if not isinstance(properties, dict):
        return properties
    return {
        name: json.loads(value) if name in TYPED_PROPERTIES and isinstance(value, str) else typed(value)
        for name, value in properties.items()
    }


# ---- behaviour of AWS that the emulator lacks ------------------------------------------------------

# About as long as the tokens of Cognito's ListUsers.
PAGINATION_TOKEN_CHARACTERS = 400


def be_strict_about_users(cognito) -> None:
    """Refuses, limits and answers as Cognito's API reference says, where the emulator is laxer."""

    def refuse(kind: str, message: str):
        return cognito.error_response_json(kind, message, 400)

    def out_of_bounds(parameter: str, bound: str):
        message = (
            f"1 validation error detected: Value at '{parameter}' failed to satisfy constraint: Member must {bound}"
        )
        return refuse("InvalidParameterException", message)

    def refusal(action: str, data: dict):
        """The constraints of the parameters, which Cognito checks before anything else."""
        name = data.get("Username") or data.get("AuthParameters", {}).get("USERNAME", "")
        if len(name) > 128:
            return out_of_bounds("username", "have length less than or equal to 128")
        if any(category(letter)[0] not in "LMSNP" for letter in name):
            return out_of_bounds("username", "satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+")
        code = data.get("ConfirmationCode")
        if code is not None and (not 1 <= len(code) <= 2048 or any(letter.isspace() for letter in code)):
            return out_of_bounds("confirmationCode", "satisfy regular expression pattern: [\\S]+")
        if action in ("SignUp", "ConfirmForgotPassword"):
            password = data.get("Password", "")
            if len(password) > 256:
                return out_of_bounds("password", "have length less than or equal to 256")
            if password != password.strip():
                return out_of_bounds("password", "satisfy regular expression pattern: ^[\\S]+.*[\\S]+$")
        if len(data.get("Filter") or "") > 256:
            return out_of_bounds("filter", "have length less than or equal to 256")
        return None

    def wrong_state(action: str, data: dict):
        """Refuses codes as Cognito does if the user's state allows none."""
        if action not in ("ResendConfirmationCode", "ForgotPassword"):
            return None
        pool, _ = cognito._pool_for_client(data.get("ClientId"))
        user = cognito._resolve_user(pool, data.get("Username"))[0] if pool else None
        status = user["UserStatus"] if user else None
        if action == "ResendConfirmationCode" and status not in (None, "UNCONFIRMED"):
            return refuse("InvalidParameterException", "User is already confirmed.")
        if action == "ForgotPassword" and status == "UNCONFIRMED":
            return refuse(
                "InvalidParameterException",
                "Cannot reset password for the user as there is no registered/verified email or phone_number",
            )
        if action == "ForgotPassword" and status == "FORCE_CHANGE_PASSWORD":
            return refuse("NotAuthorizedException", "User password cannot be reset in the current state.")
        return None

    run, list_users = cognito._run_idp_handler, cognito._list_users

    def run_strictly(handler, action: str, data: dict):
        return refusal(action, data) or wrong_state(action, data) or run(handler, action, data)

    def list_users_in_pages(data: dict):
        """Returns tokens as long as Cognito's, and refuses tokens that it did not create."""
        if token := data.get("PaginationToken"):
            try:
                data = data | {"PaginationToken": str(int(base64.b64decode(token, validate=True)))}
            except ValueError:
                return refuse("InvalidParameterException", "Invalid pagination token.")
        status, headers, body = list_users(data)
        answer = json.loads(body)
        if token := answer.get("PaginationToken"):
            padded = token.rjust(PAGINATION_TOKEN_CHARACTERS * 3 // 4, "0")
            answer["PaginationToken"] = base64.b64encode(padded.encode()).decode()
            return cognito.json_response(answer)
        return status, headers, body

    cognito._run_idp_handler, cognito._list_users = run_strictly, list_users_in_pages

    # A user without an attribute that the pool requires sends it with the new password ("NEW_PASSWORD_REQUIRED").
    def missing(pool: dict, user: dict) -> list[str]:
        has = cognito._attr_list_to_dict(user.get("Attributes", []))
        schema = pool.get("SchemaAttributes") or []
        required = [field["Name"] for field in schema if field.get("Required")]
        return [f"userAttributes.{name}" for name in required if name != "sub" and not has.get(name)]

    signed_in = cognito._password_auth_result

    def signed_in_strictly(pool: dict, pid: str, cid: str, user: dict, *rest, **named):
        answer = signed_in(pool, pid, cid, user, *rest, **named)
        body = json.loads(answer[2])
        if body.get("ChallengeName") != "NEW_PASSWORD_REQUIRED":
            return answer
        body["ChallengeParameters"]["requiredAttributes"] = json.dumps(missing(pool, user))
        return cognito.json_response(body)

    cognito._password_auth_result = signed_in_strictly
    respond = cognito._admin_respond_to_auth_challenge

    def respond_strictly(data: dict):
        if data.get("ChallengeName") == "NEW_PASSWORD_REQUIRED":
            pool = cognito._resolve_pool(data.get("UserPoolId"))[0]
            responses = data.get("ChallengeResponses", {})
            user = cognito._resolve_user(pool, responses.get("USERNAME"))[0] if pool else None
            for name in missing(pool, user) if user else []:
                if not responses.get(name):
                    attribute = name.removeprefix("userAttributes.")
                    message = f"Invalid attributes given, {attribute} is missing"
                    return refuse("InvalidParameterException", message)
                user["Attributes"].append({"Name": name.removeprefix("userAttributes."), "Value": responses[name]})
        return respond(data)

    cognito._admin_respond_to_auth_challenge = respond_strictly


def let_the_default_route_take_preflights(apigateway) -> None:
    """The `$default` route takes OPTIONS requests too, and CORS headers of functions are replaced by the API's own.

    "Configuring CORS for an HTTP API with a $default route and an authorizer" and "Configure CORS for HTTP APIs" in
    API Gateway's developer guide; https://github.com/aws/serverless-application-model/issues/1603.
    """
    handle = apigateway._handle_execute_in_scope

    async def handle_preflight(api_id, stage, path, method, headers, body, query, account, region, raw_query=None):
        routes = apigateway._routes.get(api_id, {}).values()
        route = next((route for route in routes if route.get("routeKey") == "$default"), None)
        if method != "OPTIONS" or route is None:
            return await handle(api_id, stage, path, method, headers, body, query, account, region, raw_query)
        integration = apigateway._integrations[api_id][route["target"].removeprefix("integrations/")]
        lower = {name.lower(): value for name, value in headers.items()}
        status, answer, content = await apigateway._invoke_lambda_proxy(
            integration, api_id, stage, path, method, lower, body, query or {}, "$default", None,
            owner_account_id=account, owner_region=region, raw_query_string=raw_query,
        )  # fmt: skip
        answer = {name: value for name, value in answer.items() if not name.lower().startswith("access-control-")}
        allowed, own, _ = apigateway._cors_preflight_response(
            apigateway._apis[api_id].get("corsConfiguration") or {}, lower.get("origin", "")
        )
        if allowed == 204:
            answer |= {name: value for name, value in own.items() if name.lower().startswith("access-control-")}
        return status, answer, content

    apigateway._handle_execute_in_scope = handle_preflight


@functools.cache
def path_pattern(route: str) -> re.Pattern:
    """Matches the paths of an HTTP API's route: `{name}` is one segment, `{name+}` one or several."""
    return re.compile(re.sub(r"\\\{.+?(\\\+)?\\\}", lambda name: ".+" if name[1] else "[^/]+", re.escape(route)))


def items_after(items: list[dict], key: dict, table: dict) -> list[dict]:
    """The items whose keys, which are strings, follow a key."""
    names = [table["pk_name"], table["sk_name"]]

    def place(item: dict) -> list[str]:
        return [item[name]["S"] for name in names]

    return items[bisect.bisect_right(items, place(key), key=place) :]


def keep_what_is_protected(stacks, cognito, dynamodb) -> None:
    """CloudFormation deletes no protected table and no protected user pool, so it cannot roll back their creation."""
    delete = stacks._delete_resource

    def delete_unprotected(kind: str, physical_id: str, *rest, **named):
        table, pool = dynamodb._tables.get(physical_id), cognito._user_pools.get(physical_id)
        if kind == "AWS::DynamoDB::Table" and table and table.get("DeletionProtectionEnabled"):
            raise ValueError("Resource cannot be deleted as it is currently protected against deletion.")
        if kind == "AWS::Cognito::UserPool" and pool and pool.get("DeletionProtection") == "ACTIVE":
            raise ValueError("The user pool cannot be deleted because deletion protection is activated.")
        return delete(kind, physical_id, *rest, **named)

    stacks._delete_resource = delete_unprotected


def let_distributions_reach_the_api(cloudfront, api: str, port: int) -> None:
    """CloudFront's data plane connects to no host of AWS's own, so not to an API of this emulator either. `api`: the host
    that the stack's API answers at.

    It adds no headers of its own: `CloudFront-Viewer-Address` is added where an origin request policy lists it, in place of
    what the viewer sent ("Add CloudFront request headers"). A cache policy that enables compression forwards
    `Accept-Encoding` ("Serve compressed files").
    """
    fetch, forward = cloudfront._fetch_from_origin, cloudfront._forward_to_origin
    predicates = cloudfront._forwarding_predicates
    listing = contextvars.ContextVar("listing", default=False)

    def predicates_of(behavior: dict):
        policy = cloudfront.origin_request_policy_config(behavior.get("origin_request_policy_id")) or {}
        listed = policy.get("HeaderBehavior") in ("whitelist", "allViewerAndWhitelistCloudFront")
        listing.set(listed and "CloudFront-Viewer-Address" in policy["Headers"])
        key = cloudfront.cache_policy_params(behavior["cache_policy_id"]) or {}
        compressed = key.get("EnableAcceptEncodingGzip") or key.get("EnableAcceptEncodingBrotli")
        header_allowed, *others = predicates(behavior)
        return lambda name: (compressed and name == "accept-encoding") or header_allowed(name), *others

    async def fetch_with_headers(origin, method, uri, query, headers, body, https, client, forwarded, arn):
        headers = {name: value for name, value in headers.items() if name != "cloudfront-viewer-address"}
        if listing.get():
            headers["cloudfront-viewer-address"] = f"{client}:46532"
        return await fetch(origin, method, uri, query, headers, body, https, client, forwarded, arn)

    def forward_to_api(origin, method, uri, query, headers, *rest):
        if ".execute-api." in origin["domain_name"]:
            origin = origin | {"domain_name": api, "http_port": port, "protocol_policy": "http-only"}
        return forward(origin, method, uri, query, headers, *rest)

    cloudfront._forwarding_predicates = predicates_of
    cloudfront._fetch_from_origin, cloudfront._forward_to_origin = fetch_with_headers, forward_to_api


def let_invocations_end(runtime, functions) -> None:
    """An update of a function lets its running invocations end, with the code that they began with.

    A function can be invoked while it is updated, and has the earlier code until then (UpdateFunctionConfiguration in Lambda's
    API reference; "Lambda function states" in its developer guide).
    """
    invalidate, kill, release = functions.invalidate_worker, runtime.kill_workers, functions.release_worker
    invalidating = threading.local()

    def kill_apart(workers) -> None:
        """In a thread: a process takes up to half a second to end, and the emulator answers nobody meanwhile."""
        threading.Thread(target=kill, args=(workers,), daemon=True).start()

    def is_running(worker) -> bool:
        return worker.in_use and worker._proc is not None and worker._proc.poll() is None

    def kill_idle(workers) -> None:
        workers = [worker for worker in workers if worker is not None]
        if not getattr(invalidating, "now", False):
            return kill(workers)
        for worker in workers:
            worker.ends_when_idle = is_running(worker)
        return kill_apart([worker for worker in workers if not worker.ends_when_idle])

    def invalidate_idle(*arguments, **named) -> None:
        invalidating.now = True
        try:
            invalidate(*arguments, **named)
        finally:
            invalidating.now = False

    def release_or_kill(worker) -> None:
        release(worker)
        if getattr(worker, "ends_when_idle", False):
            kill_apart([worker])

    runtime.kill_workers = kill_idle
    functions.invalidate_worker, functions.release_worker = invalidate_idle, release_or_kill


def refuse_large_responses(runtime) -> None:
    """A response of more bytes than Lambda takes ends its invocation with an error ("Lambda quotas": 6 MB each way)."""
    record = runtime.ProvidedWorker._record_result
    most = 6_291_556

    def is_too_large(payload) -> bool:
        # Counting again what was parsed takes time, and a byte is at most a few in JSON.
        if not isinstance(payload, dict) or len(payload.get("body") or "") < most // 8:
            return False
        return len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) > most

    def record_bounded(worker, generation: int, request_id: str, kind: str, payload) -> bool:
        if kind == "response" and is_too_large(payload):
            message = f"Response payload size exceeded maximum allowed payload size ({most} bytes)."
            kind, payload = "error", {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}
        return record(worker, generation, request_id, kind, payload)

    runtime.ProvidedWorker._record_result = record_bounded


def adjust(api: str, port: int) -> None:
    from ministack import app
    from ministack.core import concurrency, iam_actions, iam_evaluator, lambda_runtime
    from ministack.services import apigateway, cloudfront, cognito, dynamodb, lambda_svc, s3, sqs
    from ministack.services.cloudformation import engine, stacks
    from samtranslator.open_api import open_api

    # Nagle's algorithm costs every invocation 40 ms.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    # Waits for a first log line, for quiet after a line, and at most, in seconds. Functions write
    # their line before they answer, so waiting longer only adds to each invocation.
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (0.050, 0.001, 0.250)
    # A query checks its condition's grammar anew for each item of the partition, which was most of a query's time.
    dynamodb._condition_syntax_error = functools.lru_cache(dynamodb._condition_syntax_error)
    # A scan looked at the keys of all items for those after the place where it begins. They are in that order.
    dynamodb._apply_exclusive_start_key_scan = items_after
    # Each request parses all policies of its caller's role anew.
    parse = iam_evaluator.parse_policy_document
    parse_text = functools.lru_cache(parse)

    def parse_once(document):
        return parse_text(document) if isinstance(document, str) else parse(document)

    iam_evaluator.parse_policy_document = parse_once
    # Each of a transaction's hundred writes was authorised for itself, with the same outcome for all of a kind.
    checks = iam_actions.dynamodb_transaction_checks
    iam_actions.dynamodb_transaction_checks = lambda *request: list(dict.fromkeys(checks(*request)))
    # The system's random numbers are read by a call during which another thread takes the interpreter.
    uuid.uuid4 = lambda: uuid.UUID(int=random.getrandbits(128), version=4)
    # Each invocation and each event of S3 started a thread.
    concurrency.threading = Threads

    def tell_soon(bucket: str, key: str, event: str, *rest, **named) -> None:
        if bucket in s3._bucket_notifications:
            named["sequencer"] = s3._next_event_sequencer(event)
            asyncio.get_running_loop().call_soon(
                functools.partial(s3._fire_s3_event, bucket, key, event, *rest, **named)
            )

    s3._fire_s3_event_async = tell_soon
    # SAM copies the whole API for each of its routes, twice, and writes back what it changed: seven eighths of a
    # deployment's transformation, during which no request is answered.
    open_api._deepcopy = lambda document: document
    # Each request of a deployment parses the template, in Python 0.19 s, with libyaml 0.025, and none is answered meanwhile.
    if yaml.__with_libyaml__:
        engine.CfnLoader = with_libyaml(engine.CfnLoader)
    # A deployment reads and hashes the archive of one function after another, and no request was answered meanwhile.
    blocks, run_apart = stacks._runs_on_worker_thread, stacks.run_reentrant
    stacks._runs_on_worker_thread = lambda kind: kind == "AWS::Lambda::Function" or blocks(kind)

    async def run_between_requests(function, kind: str, *rest):
        if blocks(kind):
            return await run_apart(function, kind, *rest)
        await asyncio.sleep(0.01)
        return function(kind, *rest)

    stacks.run_reentrant = run_between_requests
    # Each request compared its path with each route twice, and prepared each route's pattern anew.
    apigateway._path_matches = lambda route, path: path_pattern(route).fullmatch(path) is not None
    # Each process that is started reads the whole archive of its function to find where it was unpacked.
    lambda_svc._provided_runtime_code_dir = functools.lru_cache(lambda_svc._provided_runtime_code_dir)
    # Two threads for each process, idle ones too, look ten times a second whether to stop: with hundreds of processes
    # the interpreter does nothing else. An event still wakes its thread at once.
    lambda_runtime.queue = PatientQueues
    serve_forever = socketserver.BaseServer.serve_forever

    def serve_patiently(server, poll_interval=0.5):
        serve_forever(server, max(poll_interval, 0.5))

    socketserver.BaseServer.serve_forever = serve_patiently
    let_invocations_end(lambda_runtime, lambda_svc)
    refuse_large_responses(lambda_runtime)
    be_strict_about_users(cognito)
    let_the_default_route_take_preflights(apigateway)
    keep_what_is_protected(stacks, cognito, dynamodb)
    let_distributions_reach_the_api(cloudfront, api, port)
    # Requests to the user pool are handled in threads, and one that looks for a user failed where another added one.
    handle, one_at_a_time = cognito._run_idp_handler, threading.Lock()

    def handle_alone(handler, action, data):
        with one_at_a_time:
            return handle(handler, action, data)

    cognito._run_idp_handler = handle_alone
    # A queue's URL has the port that it was created at; with another port its messages would reach no function.
    new_url = sqs._queue_url
    sqs._queue_url = lambda name: sqs._queue_name_to_url.get(name) or new_url(name)
    # The emulator restores positions in a stream but not its records, so the event source would deliver nothing.
    lambda_svc._restore_esm_positions = lambda store, positions: None

    def resolve_domain(host: str, path: str):
        return app._get_module("apigateway_v1").resolve_base_path_mapping(host.split(":")[0].lower(), path)

    # The original accepts only names with a dot as a domain of an API, so not "localhost".
    app._resolve_custom_domain_request = resolve_domain

    def print_log(function, request_id, text, *rest, **named):
        handler = function.get("config", function).get("Handler")
        for line in text.splitlines():
            print(handler, line, flush=True)

    # The original keeps a stream for each invocation, which soon makes saving slow.
    lambda_svc._emit_lambda_logs = print_log

    provision, update = stacks._provision_resource, stacks._update_resource

    def provision_typed(kind, name, properties, stack):
        return provision(kind, name, typed(properties), stack)

    def update_typed(kind, physical_id, old, new, *rest, **named):
        if kind == "AWS::DynamoDB::Table":
            # The original replaces a table whose name is not the one that it would generate, as an imported one's.
            old, new = ({"TableName": physical_id} | properties for properties in (old, new))
        return update(kind, physical_id, typed(old), typed(new), *rest, **named)

    stacks._provision_resource, stacks._update_resource = provision_typed, update_typed


def recorded(app, file: Path):
    """Writes each HTTP request, and the status and size of its response, to a file as a line of JSON. The bodies of calls to
    DynamoDB are written too: how much a call reads and writes depends on them."""

    async def record(scope, receive, send):
        if scope["type"] != "http":
            return await app(scope, receive, send)
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request, response, status = bytearray(), bytearray(), 0

        async def read():
            message = await receive()
            request.extend(message.get("body", b""))
            return message

        async def write(message):
            nonlocal status
            status = message.get("status", status)
            response.extend(message.get("body", b""))
            await send(message)

        await app(scope, read, write)
        entry = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "host": headers.get("host", ""),
            "target": headers.get("x-amz-target", ""),
            # The access key that signed it, by which the caller is known.
            "key": headers.get("authorization", "").partition("Credential=")[2].partition("/")[0],
            "status": status,
            "sent": len(request),
            "received": len(response),
        }
        if entry["target"].startswith("DynamoDB_"):
            entry |= {"request": json.loads(request), "response": json.loads(response or b"{}")}
        # In one write: whoever reads the file meanwhile sees whole lines.
        with file.open("ab", buffering=0) as lines:
            lines.write(json.dumps(entry).encode() + b"\n")

    return record


class Server(uvicorn.Server):
    def capture_signals(self):
        """Leaves signals to `serve`: uvicorn would end the process by them, before the functions are stopped."""
        return nullcontext()


def listener(address: str, port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((address, port))
    return listening


async def serve(port: int, addresses: list[str], keep: bool, record: Path | None) -> None:
    """By uvicorn on uvloop, which takes a quarter less processor time for a request than MiniStack's own server, hypercorn."""
    from ministack import app

    # `proxy_headers` would replace the caller's address by what the caller says; the date is the emulator's to send.
    config = uvicorn.Config(
        recorded(app.app, record) if record else app.app,
        http="httptools",
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_level="warning",
        # Longer than any client keeps an idle connection: one that sends a request while this end closes gets a reset.
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=1,
    )
    server = Server(config)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve([listener(address, port) for address in addresses]))

    parent, since_save = os.getppid(), 0
    while not serving.done():
        await asyncio.wait([serving], timeout=1)
        if os.getppid() != parent:
            stop()
        since_save += 1
        if keep and since_save >= SAVE_EVERY_SECONDS:
            app.save_all(app._build_persistence_save_dict())
            since_save = 0
    await serving
    # Before the event loop waits for its threads: some wait for a function.
    stop_functions()


def stop_functions() -> None:
    from ministack.core import lambda_runtime

    workers = [worker for pool in lambda_runtime._workers.values() for worker in pool]
    # At the same time: each waits until the server that its process asks for events has looked whether to stop.
    with ThreadPoolExecutor(max(1, len(workers))) as pool:
        list(pool.map(lambda worker: lambda_runtime.kill_workers([worker]), workers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", action="append", required=True, help="where to listen")
    parser.add_argument("--data", type=Path, required=True, help="folder for state, objects and temporary files")
    parser.add_argument("--keep", action="store_true", help="keep state for the next start")
    parser.add_argument("--record", type=Path, help="file for all requests and their responses")
    arguments = parser.parse_args()

    configure(arguments.port, arguments.data.resolve(), arguments.keep)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # As `infra/local/stack.py` maps it.
    api = arguments.address[1] if len(arguments.address) > 1 else "localhost"
    adjust(api, arguments.port)
    mark = arguments.data / "running"
    mark.touch()
    try:
        uvloop.run(serve(arguments.port, arguments.address, arguments.keep, arguments.record))
        mark.unlink()
    finally:
        stop_functions()


if __name__ == "__main__":
    main()
