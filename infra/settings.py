"""The stacks that are deployed from this checkout: a section of samconfig.toml for each, in the form that `sam deploy` reads,
named by the stack, with its region, profile and parameters.
"""

import os
import shlex
from pathlib import Path

import tomlkit

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "samconfig.toml"


class Settings:
    def __init__(self, file: Path = FILE) -> None:
        self.file = file
        self.document = tomlkit.parse(file.read_text()) if file.exists() else tomlkit.document()

    def stacks(self) -> list[str]:
        return [name for name in self.document if name != "version" and self.section(name).get("stack_name") == name]

    def section(self, stack: str) -> dict:
        return self.document.get(stack, {}).get("deploy", {}).get("parameters", {})

    def parameters(self, stack: str) -> dict[str, str]:
        """The parameters of the template that the stack was deployed with."""
        given = self.section(stack).get("parameter_overrides", "")
        parts = shlex.split(given) if isinstance(given, str) else given
        return dict(part.split("=", 1) for part in parts if "=" in part)

    def save(self, stack: str, values: dict, parameters: dict[str, str]) -> None:
        """Adds to the section of a stack. Comments in the file stay."""
        values = {"stack_name": stack, **values}
        if merged := self.parameters(stack) | parameters:
            values["parameter_overrides"] = " ".join(f"{name}={quoted(value)}" for name, value in merged.items())
        self.document.setdefault("version", 0.1)
        section = self.document
        for name in (stack, "deploy", "parameters"):
            section = section.setdefault(name, tomlkit.table(is_super_table=name != "parameters"))
        section.update({name: value for name, value in values.items() if section.get(name) != value})
        text = tomlkit.dumps(self.document)
        if not self.file.exists() or self.file.read_text() != text:
            self.file.write_text(text)


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def use_region_of(stack: str, settings: Settings | None = None) -> None:
    """Makes the region and the profile of a stack those of the calls that follow, if the file names them."""
    section = (settings or Settings()).section(stack)
    if region := section.get("region"):
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = region
    if profile := section.get("profile"):
        os.environ["AWS_PROFILE"] = profile
