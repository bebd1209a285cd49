"""Uses the command-line client at a terminal: prompts, questions before deletions, and the progress of an upload."""

import os
import re
import sys
import tempfile
import uuid
from pathlib import Path

import boto3
import pexpect

from infra.local.pictures import PICTURES, draw
from tests.contract import PASSWORD, call, mailed_code

ROOT = Path(__file__).parents[1]
NEW_PASSWORD = "another one's password"
FILES = 40


class Terminal:
    """The client at a terminal, with a configuration folder of its own."""

    def __init__(self, config: Path):
        config.mkdir()
        (config / "config.toml").write_text("keyring = false\n")
        self.environment = {"TINTYPE_CONFIG_DIR": str(config), "TINTYPE_URL": os.environ["TINTYPE_URL"]}

    def run(self, arguments: list[str], dialogue: list[tuple[str, str]], says: str, status: int) -> str:
        """Answers each prompt. Returns all that the terminal showed."""
        client = pexpect.spawn(
            str(ROOT / "target" / "debug" / "tintype"),
            arguments,
            env=self.environment | {"PATH": os.environ["PATH"], "TERM": "xterm"},
            dimensions=(24, 120),
            encoding="utf-8",
            timeout=60,
        )
        shown = ""
        for prompt, answer in dialogue:
            client.expect_exact(prompt)
            shown += client.before + prompt
            # The prompt comes before the terminal stops showing what is typed.
            assert "assword" not in prompt or client.waitnoecho()
            client.sendline(answer)
        client.expect(pexpect.EOF)
        client.close()
        shown += client.before
        assert says in shown, f"{arguments} does not say {says!r}:\n{shown}"
        assert client.exitstatus == status, f"{arguments} ended with {client.exitstatus}:\n{shown}"
        return shown


def signed_up() -> str:
    email = f"terminal-{uuid.uuid4().hex}@example.org"
    call("POST", "/api/auth/signup", {"email": email, "password": PASSWORD, "name": "Terminal"})
    call("POST", "/api/auth/confirm", {"email": email, "code": mailed_code(email)})
    return email


def made_by_an_administrator() -> str:
    email = f"terminal-{uuid.uuid4().hex}@example.org"
    boto3.client("cognito-idp").admin_create_user(
        UserPoolId=os.environ["TINTYPE_USER_POOL_ID"],
        Username=email,
        TemporaryPassword=PASSWORD,
        MessageAction="SUPPRESS",
        UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
    )
    return email


def check_login(terminal: Terminal, email: str) -> None:
    ask = [("E-mail: ", email), ("Password: ", "not it")]
    terminal.run(["login"], ask, "password", 3)
    shown = terminal.run(["login"], [("E-mail: ", email), ("Password: ", PASSWORD)], f"as {email}", 0)
    assert PASSWORD not in shown, shown


def check_new_password(terminal: Terminal) -> None:
    email = made_by_an_administrator()
    begin = [("Password: ", PASSWORD), ("New password: ", NEW_PASSWORD)]
    terminal.run(["login", "--email", email], [*begin, ("Repeat password: ", "no")], "do not match", 2)
    terminal.run(["login", "--email", email], [*begin, ("Repeat password: ", NEW_PASSWORD)], f"as {email}", 0)


def check_upload(terminal: Terminal, folder: Path) -> None:
    folder.mkdir()
    picture = draw(PICTURES[0]._replace(size=(1200, 800)))
    for number in range(FILES):
        # Distinct by what follows the picture.
        (folder / f"photograph {number}.jpg").write_bytes(picture + number.to_bytes(2, "big"))
    shown = terminal.run(["upload", str(folder)], [], f"{FILES} uploaded", 0)
    # Bars are drawn, and drawn anew in their place. Where all files are sent at once, none is half full.
    assert "=" * 30 in shown and "\x1b[" in shown, shown
    # No time is left once all bytes are sent.
    assert not re.search(r"left +Waiting", shown), shown


def check_deletion(terminal: Terminal, email: str) -> None:
    terminal.run(["rm", "--all"], [('Type "yes" to go on: ', "no")], "Nothing was deleted", 2)
    terminal.run(["rm", "--all"], [('Type "yes" to go on: ', "yes")], f"Deleted {FILES} images", 0)
    question = "Type its e-mail address to go on: "
    terminal.run(["account", "delete"], [(question, "ada@example.org")], "nothing was deleted", 2)
    ask = [(question, email.upper()), ("Password: ", PASSWORD)]
    terminal.run(["account", "delete", "--no-wait"], ask, "is being deleted", 0)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        terminal, email = Terminal(Path(folder) / "config"), signed_up()
        check_login(terminal, email)
        check_upload(terminal, Path(folder) / "pictures")
        check_deletion(terminal, email)
        check_new_password(terminal)
    return 0


if __name__ == "__main__":
    sys.exit(main())
