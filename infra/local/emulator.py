"""Runs MiniStack, the AWS emulator, in this process: on loopback only, with IAM enforced.

Stops in order at SIGTERM, at SIGINT, or when the process that started it is gone.
"""

import argparse
import asyncio
import functools
import json
import os
import resource
import shutil
import signal
import socketserver
import threading
from pathlib import Path

# Properties that take a number or a truth value. CloudFormation converts what a parameter holds,
# which is always text; MiniStack passes the text on.
TYPED_PROPERTIES = {
    "AccessTokenValidity",
    "DeletionProtectionEnabled",
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


def typed(properties):
    if isinstance(properties, list):
        return [typed(item) for item in properties]
    if not isinstance(properties, dict):
        return properties
    return {
        name: json.loads(value) if name in TYPED_PROPERTIES and isinstance(value, str) else typed(value)
        for name, value in properties.items()
    }


def adjust() -> None:
    from ministack import app
    from ministack.core import lambda_runtime
    from ministack.services import cognito, dynamodb, lambda_svc
    from ministack.services.cloudformation import stacks

    # Nagle's algorithm costs every invocation 40 ms.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    # Waits for a first log line, for quiet after a line, and at most, in seconds. Functions write
    # their line before they answer, so waiting longer only adds to each invocation.
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (0.003, 0.001, 0.250)
    # A query checks its condition's grammar anew for each item of the partition, which was most of a query's time.
    dynamodb._condition_syntax_error = functools.lru_cache(dynamodb._condition_syntax_error)
    # Requests to the user pool are handled in threads, and one that looks for a user failed where another added one.
    handle, one_at_a_time = cognito._run_idp_handler, threading.Lock()

    def handle_alone(handler, action, data):
        with one_at_a_time:
            return handle(handler, action, data)

    cognito._run_idp_handler = handle_alone
    # Positions in a stream are restored but its records are not, and the source would stay silent.
    lambda_svc._restore_esm_positions = lambda store, positions: None

    def resolve_domain(host: str, path: str):
        return app._get_module("apigateway_v1").resolve_base_path_mapping(host.split(":")[0].lower(), path)

    # The original lets no name without a dot be a domain of an API, so not "localhost".
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
        return update(kind, physical_id, typed(old), typed(new), *rest, **named)

    stacks._provision_resource, stacks._update_resource = provision_typed, update_typed


async def serve(port: int, addresses: list[str], keep: bool) -> None:
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack import app

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    config = Config()
    config.bind = [f"{address}:{port}" for address in addresses]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"
    server = asyncio.create_task(hypercorn_serve(app.app, config, shutdown_trigger=stop.wait))

    parent, since_save = os.getppid(), 0
    while not server.done():
        await asyncio.wait([server], timeout=1)
        if os.getppid() != parent:
            stop.set()
        since_save += 1
        if keep and since_save >= SAVE_EVERY_SECONDS:
            app.save_all(app._build_persistence_save_dict())
            since_save = 0
    await server


def stop_functions() -> None:
    from ministack.core import lambda_runtime

    lambda_runtime.kill_workers([worker for pool in lambda_runtime._workers.values() for worker in pool])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", action="append", required=True, help="where to listen")
    parser.add_argument("--data", type=Path, required=True, help="folder for state, objects and temporary files")
    parser.add_argument("--keep", action="store_true", help="keep state for the next start")
    arguments = parser.parse_args()

    configure(arguments.port, arguments.data.resolve(), arguments.keep)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    adjust()
    mark = arguments.data / "running"
    mark.touch()
    try:
        asyncio.run(serve(arguments.port, arguments.address, arguments.keep))
        mark.unlink()
    finally:
        stop_functions()


if __name__ == "__main__":
    main()
