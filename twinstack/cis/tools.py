"""The linters of others, run on what is rendered: hadolint, the compose-spec schema, Compose.

hadolint reads Dockerfiles (its own rules, and ShellCheck's over RUN). check-jsonschema brings the
compose-spec schema, which knows every key; Compose itself knows in addition whether what one
section speaks of is there in another. Compose stops at its first complaint and says nothing of
unknown keys within extensions, so neither can stand for the other.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twinstack.cis.finding import Finding
from twinstack.compose.client import compose_program
from twinstack.errors import CannotTell, Missing
from twinstack.linux.process import run

TIMEOUT_S = 60.0


def lint(
    dockerfiles: Mapping[str, str], documents: Mapping[str, str]
) -> dict[str, tuple[str, list[Finding]]]:
    """Run all three: name → (title, findings). Raises: Missing without one; CannotTell."""
    return {
        "hadolint": ("hadolint finds nothing", list(hadolint(dockerfiles))),
        "schema": ("The compose-spec schema holds", list(schema(documents))),
        "compose": ("Compose itself takes the file", list(compose(documents))),
    }


def hadolint(dockerfiles: Mapping[str, str]) -> Iterator[Finding]:
    """Lint Dockerfiles. Remarks in them that switch a rule off do not count, nor does a
    configuration of the user's: what is excepted stands in `known`, for all to see.
    """
    program = Path(sysconfig.get_path("scripts"), "hadolint")
    if not program.exists():
        raise Missing("hadolint", "is not installed", f"there is no {program}", 'run "make setup"')
    for file, text in dockerfiles.items():
        done = run(
            [
                str(program),
                "--config",
                "/dev/null",
                "--disable-ignore-pragma",
                "--no-fail",
                "--format",
                "json",
                "-",
            ],
            stdin=text,
            timeout_s=TIMEOUT_S,
        )
        for one in _told("hadolint", done.stdout):
            code = str(one["code"])
            yield Finding(
                "hadolint",
                file,
                f"line {one['line']}",
                f"{code} {one['message']}",
                f"see hadolint's {code}",
            )


def schema(documents: Mapping[str, str]) -> Iterator[Finding]:
    """Hold documents against the schema that check-jsonschema ships: it asks no network."""
    for file, text in documents.items():
        done = run(
            [
                sys.executable,
                "-m",
                "check_jsonschema",
                "--builtin-schema",
                "vendor.compose-spec",
                "--force-filetype",
                "yaml",
                "--output-format",
                "json",
                "-",
            ],
            stdin=text,
            timeout_s=TIMEOUT_S,
            check=False,
        )
        if "No module named" in done.stderr:
            raise Missing("check-jsonschema", "is not installed", "", 'run "make setup"')
        said = _told("check-jsonschema", done.stdout)
        for one in said["errors"]:
            yield Finding(
                "schema",
                file,
                str(one["path"]),
                str(one["message"])[:200],
                "see the Compose specification",
            )
        for one in said.get("parse_errors", ()):
            yield Finding("schema", file, "document", str(one["message"])[:200], "write YAML")


def compose(documents: Mapping[str, str]) -> Iterator[Finding]:
    """Have Compose resolve documents; it looks at no engine, and opens no secret."""
    for file, text in documents.items():
        done = run(
            [
                str(compose_program()),
                "--project-directory",
                "/",
                "--file",
                "-",
                "config",
                "--quiet",
            ],
            stdin=text,
            timeout_s=TIMEOUT_S,
            environment={"HOME": "/nonexistent"},
            check=False,
        )
        if done.returncode != 0 or done.stderr.strip():
            said = (done.stderr or done.stdout).strip().splitlines()
            yield Finding(
                "compose",
                file,
                "document",
                said[-1][:200] if said else "refused",
                "see the Compose specification",
            )


def _told(program: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CannotTell(program, "gave no answer", text[-200:] or "it said nothing") from error
