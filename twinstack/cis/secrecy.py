"""The rules on secrets: none in a Dockerfile or an environment, nobody else's. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from twinstack.cis.dockerfile import Build, Instruction
from twinstack.cis.document import Service, words
from twinstack.cis.finding import Found, Subject, of_build, of_service

_SECRET_NAME = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|api_?key|access_?key|private_?key|credentials?)"
)
#: Such a name says where a secret is, and is none.
_PLACE_NAME = re.compile(r"(?i)(_|-)?(file|files|dir|directory|path)$")
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
    """Tell whether a variable's name is that of a secret, not of its place."""
    return bool(_SECRET_NAME.search(name)) and not _PLACE_NAME.search(name)


def holds_a_secret(value: str) -> bool:
    """Tell whether a text looks like a key, a token or a URL with a password."""
    return bool(_SECRET_VALUE.search(value))


def assignments(instruction: Instruction) -> Iterator[tuple[str, str]]:
    """Give what ENV, ARG or LABEL sets."""
    if instruction.keyword == "ENV" and "=" not in instruction.text.split(None, 1)[0]:
        name, _, value = instruction.text.partition(" ")  # its old form
        yield name, value.strip()
        return
    for name, quoted, plain in re.findall(
        r"([\w.\-]+)(?:=(?:\"((?:[^\"\\]|\\.)*)\"|(\S*)))?", instruction.text
    ):
        yield name, quoted or plain


@of_build("4.10", "No secret in a Dockerfile", "mount it when it is needed: secrets:, at run time")
def _secrets(build: Build, subject: Subject) -> Found:
    for one in build.instructions:
        if one.keyword in {"ENV", "ARG", "LABEL"}:
            for name, value in assignments(one):
                # An ARG's value comes with the build, and stays in the image's history.
                if names_a_secret(name) and (value or one.keyword == "ARG"):
                    yield one.where, f"{one.keyword} {name}"
                elif holds_a_secret(value):
                    yield one.where, f"{one.keyword} {name} holds a key or a password"
        elif one.keyword in {"COPY", "ADD"}:
            if one.flag("from") is None:
                for source in _sources(one):
                    if _SECRET_FILES.search(source) or source in {".", "./", "*"}:
                        yield one.where, f"{one.keyword} {source}"
        else:
            text = one.text if one.words is None else " ".join(one.words)
            for said in _SECRET_OPTION.findall(text):
                yield one.where, f"{one.keyword} … {said}"
            for command in one.commands():
                for word in command:
                    name, parted, value = word.partition("=")
                    if parted and value and re.fullmatch(r"\w+", name) and names_a_secret(name):
                        yield one.where, f"{one.keyword} … {name}="
            if holds_a_secret(text):
                yield one.where, f"{one.keyword} holds a key or a password"


@of_service("T5", "No secret in an environment", "mount it: secrets")
def _environment(service: Service, subject: Subject) -> Iterator[str]:
    places = [
        ("environment", service.get("environment")),
        ("build.args", service.build.get("args")),
    ]
    places += [("a hook's environment", hook.get("environment")) for hook in service.hooks]
    for place, values in places:
        for word in words(values):
            name, _, value = word.partition("=")
            if names_a_secret(name) or holds_a_secret(value):
                yield f"{place}: {name}"


@of_service("T6", "A service has its own secrets only", "declare it in topology.yml: secrets")
def _own_secrets(service: Service, subject: Subject) -> Iterator[str]:
    for one in service.get("secrets") or []:
        name = str(one.get("source")) if isinstance(one, dict) else str(one)
        if name not in subject.declared.secrets.get(service.name, frozenset()):
            yield f"secrets: {name}"


def _sources(one: Instruction) -> list[str]:
    found = list(one.words) if one.words is not None else one.text.partition("\n")[0].split()
    return [word for word in found[:-1] if not word.startswith("<<")]


RULES = (_secrets, _environment, _own_secrets)
