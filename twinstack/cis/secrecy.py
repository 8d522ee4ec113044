"""Check for secrets: none in a Dockerfile or an environment, none of another service. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from twinstack.cis.compose_document import ComposeService, Subject, listed, mapping, words
from twinstack.cis.dockerfile import Dockerfile, Instruction

_SECRET_NAME = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|api_?key|access_?key|private_?key|credentials?)"
)
#: Such a name says where a secret is, and is none.
_PATH_NAME = re.compile(r"(?i)(_|-)?(file|files|dir|directory|path)$")
_SECRET_OPTION = re.compile(
    r"(?i)--?(?:[\w-]*-)?(?:pass(?:word|wd|phrase)?|secret|token|api-?key)[ =]+(?!\$)[^\s-][^\s]*"
)
_SECRET_VALUE = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|glpat-[\w-]{20}|xox[abprs]-[\w-]{10}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|[a-z][a-z0-9+.-]*://[^\s/:@$]*:[^\s/@$]+@"
)
_SECRET_FILES = re.compile(
    r"(^|/)(\.env(\..*)?|\.netrc|\.npmrc|\.pypirc|\.pgpass|\.ssh|\.aws|\.docker|\.git|\.gnupg"
    r"|id_(rsa|dsa|ecdsa|ed25519)|[^/]*\.(pem|key|p12|pfx|jks)|secrets?)(/|$)"
)


def names_a_secret(name: str) -> bool:
    """Tell whether a variable's name is that of a secret, not of its path."""
    return bool(_SECRET_NAME.search(name)) and not _PATH_NAME.search(name)


def _assignments(instruction: Instruction) -> Iterator[tuple[str, str]]:
    """Give what ENV, ARG or LABEL sets."""
    if instruction.keyword == "ENV" and "=" not in instruction.text.split(None, 1)[0]:
        name, _, value = instruction.text.partition(" ")  # its old form
        yield name, value.strip()
        return
    for name, quoted, plain in re.findall(
        r"([\w.\-]+)(?:=(?:\"((?:[^\"\\]|\\.)*)\"|(\S*)))?", instruction.text
    ):
        yield name, quoted or plain


def check_dockerfile(dockerfile: Dockerfile, subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Give (rule, line, what is written there) of one Dockerfile."""
    for instruction in dockerfile.instructions:
        if instruction.keyword in {"ENV", "ARG", "LABEL"}:
            found = _in_assignments(instruction)
        elif instruction.keyword in {"COPY", "ADD"}:
            found = _in_copies(instruction)
        else:
            found = _in_commands(instruction)
        for what in found:
            yield "4.10", instruction.where, f"{instruction.keyword} {what}"


def _in_assignments(instruction: Instruction) -> Iterator[str]:
    for name, value in _assignments(instruction):
        # An ARG's value comes with the build, and stays in the image's history.
        if names_a_secret(name) and (value or instruction.keyword == "ARG"):
            yield name
        elif _SECRET_VALUE.search(value):
            yield f"{name} holds a key or a password"


def _in_copies(instruction: Instruction) -> Iterator[str]:
    words = instruction.words or instruction.text.partition("\n")[0].split()
    for source in words[:-1] if instruction.flag("from") is None else ():
        named = _SECRET_FILES.search(source) or source in {".", "./", "*"}
        if named and not source.startswith("<<"):
            yield source


def _in_commands(instruction: Instruction) -> Iterator[str]:
    for option in _SECRET_OPTION.findall(instruction.plain):
        yield f"… {option}"
    for command in instruction.commands():
        for word in command:
            name, _, value = word.partition("=")
            if value and re.fullmatch(r"\w+", name) and names_a_secret(name):
                yield f"… {name}="
    if _SECRET_VALUE.search(instruction.plain):
        yield "holds a key or a password"


def check_service(service: ComposeService, subject: Subject) -> Iterator[tuple[str, str]]:
    """Give (rule, what is written there) of one service."""
    environments = [
        ("environment", service.get("environment")),
        ("build.args", service.build.get("args")),
        *(("a hook's environment", hook.get("environment")) for hook in service.hooks),
    ]
    for where, values in environments:
        for word in words(values):
            name, _, value = word.partition("=")
            if names_a_secret(name) or _SECRET_VALUE.search(value):
                yield "T5", f"{where}: {name}"
    for used in listed(service.get("secrets")):
        name = str(mapping(used).get("source", used))
        if name not in subject.allowed.secrets.get(service.name, ()):
            yield "T6", f"secrets: {name}"
