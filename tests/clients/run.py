"""Generates a Python and a TypeScript client from docs/openapi.json, and runs each from sign-up to an expiring link."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from pathlib import Path

import boto3
from PIL import Image

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "docs" / "openapi.json"
sys.path.append(str(HERE.parent))

from contract import URL, call, mailed_code

PASSWORD = "a generated client's password"


def admin_token() -> str:
    email = f"admin-{uuid.uuid4().hex}@example.org"
    call("POST", "/api/auth/signup", {"email": email, "password": PASSWORD, "name": "Admin"})
    call("POST", "/api/auth/confirm", {"email": email, "code": mailed_code(email)})
    boto3.client("cognito-idp").admin_add_user_to_group(
        UserPoolId=os.environ["TINTYPE_USER_POOL_ID"], Username=email, GroupName="admins"
    )
    return call("POST", "/api/auth/login", {"email": email, "password": PASSWORD})["access_token"]


def run(*command: str, env: dict[str, str]) -> None:
    print("$", " ".join(command), flush=True)
    subprocess.run(command, check=True, cwd=HERE, env=os.environ | env)


def main() -> None:
    with urllib.request.urlopen(f"{URL}/api/openapi.json", timeout=60) as answer:
        if json.loads(answer.read()) != json.loads(DOCUMENT.read_text()):
            raise SystemExit("The service gives another document than docs/openapi.json.")
    scripts = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        Image.new("RGB", (640, 480), "teal").save(photo)
        generated = HERE / "generated"
        env = {"PHOTO": str(photo), "ADMIN_TOKEN": admin_token(), "PASSWORD": PASSWORD}

        python = Path(folder) / "python"
        run(
            *(
                str(scripts / "openapi-python-client"),
                "generate",
                "--path",
                str(DOCUMENT),
                "--meta",
                "none",
                "--config",
                "python.yaml",
            ),
            *("--output-path", str(python / "tintype_client"), "--fail-on-warning"),
            env={"PATH": f"{scripts}:{os.environ['PATH']}"},
        )
        run(sys.executable, "journey.py", env=env | {"PYTHONPATH": str(python)})

        generated.mkdir(exist_ok=True)
        run("npx", "--no-install", "openapi-typescript", str(DOCUMENT), "--output", str(generated / "api.d.ts"), env={})
        run("npx", "--no-install", "tsc", env={})
        run("node", str(generated / "journey.js"), env=env)


if __name__ == "__main__":
    main()
