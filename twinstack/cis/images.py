"""Check how an image is made: its user, bases, files, health and build. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from itertools import pairwise

from twinstack.cis.compose_document import ComposeService, Subject, words
from twinstack.cis.dockerfile import Dockerfile, Instruction, argument_of, calls_of

_LOGINS = ("sshd", "dropbear", "telnetd", "in.telnetd", "rlogind", "openssh-server")
_LOGIN_PORTS = {"22", "23"}
_SEEN_FLAGS = frozenset({
    "chmod", "chown", "from", "interval", "link", "mount", "network", "platform", "retries",
    "security", "start-interval", "start-period", "timeout",
})  # fmt: skip


def user_problem(user: str) -> str | None:
    """Say what is wrong with a user, or None.

    A name may stand for uid 0, and a uid that /etc/passwd does not know has gid 0 unless a group
    is given: only two numbers are certain.
    """
    name, _, group = user.strip().strip("\"'").partition(":")
    if name in {"0", "root", ""}:
        return "is root"
    if not name.isdigit() or int(name) == 0:
        return "is no number: its uid is unknown"
    if not group.isdigit() or int(group) == 0:
        return "has the group of root, or an unknown one"
    return None


def check_dockerfile(dockerfile: Dockerfile, subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Give (rule, line, what is written there) of one Dockerfile."""
    yield from _user_and_health(subject.shipped_of(dockerfile))
    yield from _bases(dockerfile, subject)
    for name, value in dockerfile.directives:
        if name == "syntax":  # an image too, and it runs the build
            yield "4.2", "line 1", f"# syntax={value}"
    for instruction in dockerfile.instructions:
        for rule, what in (*_build_flags(instruction), *_modes(instruction), *_login(instruction)):
            yield rule, instruction.where, what
        if instruction.keyword == "ADD":
            yield "4.9", instruction.where, f"ADD {instruction.text}"[:80]
        if instruction.keyword == "VOLUME":
            yield "T12", instruction.where, f"VOLUME {instruction.text}"


def _user_and_health(shipped: tuple[Instruction, ...]) -> Iterator[tuple[str, str, str]]:
    users = [each for each in shipped if each.keyword == "USER"]
    if not users:
        yield "4.1", "last stage", "no USER"
    elif problem := user_problem(users[-1].text):
        yield "4.1", users[-1].where, f"USER {users[-1].text} {problem}"
    if not has_healthcheck(shipped):
        checks = [each for each in shipped if each.keyword == "HEALTHCHECK"]
        what = "HEALTHCHECK NONE" if checks else "no HEALTHCHECK"
        yield "4.6", checks[-1].where if checks else "last stage", what


def has_healthcheck(shipped: tuple[Instruction, ...]) -> bool:
    """Tell whether an image has a health check that is on."""
    checks = [each.text.strip().upper() for each in shipped if each.keyword == "HEALTHCHECK"]
    return bool(checks) and checks[-1] != "NONE"


def _bases(dockerfile: Dockerfile, subject: Subject) -> Iterator[tuple[str, str, str]]:
    trusted = {"scratch", *subject.allowed.bases}
    stages: set[str] = set()
    for number, stage in enumerate(dockerfile.stages):
        if stage.base.lower() not in stages and stage.base not in trusted:
            yield "4.2", f"line {stage.line}", f"FROM {stage.base}"
        for instruction in stage.instructions:
            for source in _images_copied_from(instruction):
                if source.lower() not in stages and source not in trusted:
                    yield "4.2", instruction.where, f"{instruction.keyword} from {source}"
        stages |= {stage.name.lower(), str(number)} - {""}


def _images_copied_from(instruction: Instruction) -> Iterator[str]:
    if instruction.keyword in {"COPY", "ADD"} and (source := instruction.flag("from")):
        yield source
    for flag in instruction.flags:
        if match := re.match(r"--mount=(?:.*?[=,])?from=([^,]+)", flag):
            yield match[1]


def _build_flags(instruction: Instruction) -> Iterator[tuple[str, str]]:
    for flag in instruction.flags:
        if flag.removeprefix("--").partition("=")[0] not in _SEEN_FLAGS:
            yield "T1", f"no rule looks at {instruction.keyword} {flag}"
    if (network := instruction.flag("network") or "none") != "none":
        yield "T7", f"RUN --network={network}"
    if (security := instruction.flag("security")) not in {None, "sandbox"}:
        yield "T7", f"RUN --security={security}"


def _modes(instruction: Instruction) -> Iterator[tuple[str, str]]:
    """Find setuid, setgid and capabilities."""
    mode = instruction.flag("chmod") or ""
    if instruction.keyword in {"COPY", "ADD"} and _is_setuid(mode):
        yield "4.8", f"{instruction.keyword} --chmod={mode}"
    for command in instruction.commands() if instruction.keyword == "RUN" else ():
        for program, arguments in calls_of(command, {"chmod", "install", "mkdir", "setcap"}):
            if program == "setcap":
                yield "4.8", " ".join([program, *arguments])[:80]
            else:
                modes = arguments if program == "chmod" else _mode_options(arguments)
                for bad in [mode for mode in modes if _is_setuid(mode)][:1]:
                    yield "4.8", f"{program} {bad}"


def _mode_options(arguments: list[str]) -> Iterator[str]:
    for word, following in pairwise([*arguments, ""]):
        if word in {"-m", "--mode"}:
            yield following
        elif match := re.match(r"--mode=|-m", word):
            yield word[match.end() :]


def _is_setuid(mode: str) -> bool:
    if re.fullmatch(r"[0-7]{4,5}", mode):
        return bool(int(mode, 8) & 0o6000)
    symbolic = r"[ugoa]*[+=][rwxXt]*s[rwxXst]*"
    return any(re.fullmatch(symbolic, part) for part in mode.split(","))


def _login(instruction: Instruction) -> Iterator[tuple[str, str]]:
    if instruction.keyword in {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}:
        for command in instruction.commands():
            for program, _ in calls_of(command, _LOGINS):
                yield "5.7", f"{instruction.keyword} … {program}"
    if instruction.keyword == "EXPOSE" and _LOGIN_PORTS & set(re.findall(r"\d+", instruction.text)):
        yield "5.7", f"EXPOSE {instruction.text}"


def check_service(service: ComposeService, subject: Subject) -> Iterator[tuple[str, str]]:
    """Give (rule, what is written there) of one service."""
    user, build, dockerfile = service.get("user"), service.build, subject.dockerfile_of(service)
    if user is not None and (problem := user_problem(str(user))):
        yield "4.1", f"user: {user} {problem}"
    context = str(build.get("context") or "")
    if re.match(r"\w+://|git@|github\.com/", context):
        yield "4.2", f"build.context: {context}"
    for name in words(build.get("additional_contexts")):
        yield "4.2", f"build.additional_contexts: {name}"
    declared = {argument_of(each)[0] for each in dockerfile.arguments} if dockerfile else set()
    for word in words(build.get("args")):
        name, _, value = word.partition("=")
        if name in declared and value not in {"scratch", *subject.allowed.bases}:
            yield "4.2", f"build.args: {word}"
    if service.get("image") != subject.allowed.images.get(service.name):
        yield "4.2", f"image: {service.get('image')}"
    for key in ("command", "entrypoint"):
        for word in " ".join(service.words(key)).split():
            if posixpath.basename(word) in _LOGINS:
                yield "5.7", f"{key}: {word}"
    for port in service.ports:
        if port.target in _LOGIN_PORTS:
            yield "5.7", f"ports: {port}"
    if dockerfile is None:
        yield "T1", "its Dockerfile is not among those that were read"
    if build and build.get("network") != "none":
        yield "T7", f"build.network: {build.get('network')}"
    # Compose asks a registry for a missing image, also where it could build it: a name that is
    # ours on this machine is anybody's there.
    if service.get("pull_policy") not in {"never", "build"}:
        yield "T11", f"pull_policy: {service.get('pull_policy')}"
