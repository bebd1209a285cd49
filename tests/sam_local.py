"""Checks the files for `sam local` as far as it goes without Docker: SAM's own code reads them, and the executables in the zips,
with the environment that SAM makes of the files, answer the events of tests/events.
"""

import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

ROOT = Path(__file__).resolve().parents[1]
EVENTS = ROOT / "tests" / "events"
SECONDS = 60


def run(*command: str) -> subprocess.CompletedProcess:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done


def event(name: str, path: str | None = None) -> dict:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    if path:
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
    return event


def invoked(executable: Path, variables: dict[str, str], event: dict) -> dict | None:
    """Runs a function's executable for one event, and plays Lambda's Runtime API for it."""
    answers = []

    class Runtime(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(event).encode() if not answers else b""
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
            self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answers.append((self.path, json.loads(body or b"null")))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Runtime) as server:
        server.timeout = SECONDS
        # As the image's runtime interface emulator sets it.
        runtime = {"_HANDLER": variables["AWS_LAMBDA_FUNCTION_HANDLER"]}
        runtime["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{server.server_port}"
        environment = variables | runtime
        process = subprocess.Popen([executable], env=environment, cwd=executable.parent, stdout=subprocess.DEVNULL)
        try:
            while not answers:
                server.handle_request()
                assert process.poll() is None, f"{executable} ended"
        finally:
            process.kill()
            process.wait()
    path, answer = answers[0]
    assert path.endswith("/response"), answers
    return answer


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        zips = Path(os.environ["TINTYPE_EXECUTABLES"]).parent / "package" / "template.yaml"
        said = run(sys.executable, "-m", "infra.sam_local", "--folder", name, "--template", str(zips)).stdout
        template, environment = folder / "sam-local.json", folder / "sam-local-environment.json"
        assert f"sam local start-api --template {template} --env-vars {environment}" in said, said
        run("sam", "validate", "--lint", "--template-file", str(template), "--region", "us-east-1")
        built = run("sam", "build", "--template-file", str(template), "--build-dir", str(folder / "build"))
        assert "Build Succeeded" in built.stdout + built.stderr, built

        stacks, _ = SamLocalStackProvider.get_stacks(str(template))
        functions = SamFunctionProvider(stacks)
        known = json.loads(environment.read_text())
        runner = LocalLambdaRunner(None, functions, str(folder), str(folder), env_vars_values=known)
        resolved = {one.name: (one, runner._make_env_vars(one).resolve()) for one in functions.get_all()}
        assert resolved.keys() == known.keys() and len(known) > 40
        for logical, (function, variables) in resolved.items():
            deployed = json.loads(os.environ["TINTYPE_ENVIRONMENTS"])[function.handler]
            handler = {"AWS_LAMBDA_FUNCTION_HANDLER": function.handler}
            wanted = deployed | handler | {"AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"]}
            assert wanted.items() <= variables.items(), (logical, wanted.items() - variables.items())
            assert Path(function.codeuri).is_file(), function.codeuri

        # Every route of the document.
        document = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
        documented = {(method.upper(), path) for path, methods in document.items() for method in methods}
        routes = {
            (method, route.path) for route in ApiProvider(stacks, cwd=name).api.routes for method in route.methods
        }
        plain = lambda pairs: {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in pairs}
        assert plain(documented) <= plain(routes), plain(documented) - plain(routes)

        for logical, given, expected in [
            ("Health", event("sam-local"), {"statusCode": 200}),
            ("ListPlans", event("sam-local", "/api/plans"), {"statusCode": 200}),
            ("BuildThumbnails", event("uploads-queue"), {"batchItemFailures": []}),
            ("RunJob", event("jobs-queue"), {"batchItemFailures": []}),
        ]:
            function, variables = resolved[logical]
            place = folder / logical
            with zipfile.ZipFile(function.codeuri) as archive:
                archive.extractall(place)
            executable = place / "bootstrap"
            executable.chmod(0o755)
            answer = invoked(executable, {name: str(value) for name, value in variables.items()}, given)
            assert expected.items() <= answer.items(), (logical, answer)
    print("SAM reads the files for `sam local`, and functions answer with the environment that it makes of them.")


if __name__ == "__main__":
    main()
