"""The rules of section 4 on how an image is made: its user, bases, files and health. Pure.

Numbers are those of CIS Docker Benchmark v1.6.0 (v1.7.0 and v1.8.0 count alike); titles are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from twinstack.cis.dockerfile import Build, Instruction, argument_of, calls_of
from twinstack.cis.document import Service, words
from twinstack.cis.finding import Found, Subject, both, of_build, of_service

_ROOTS = {"0", "root"}


def judge_user(user: str) -> str | None:
    """Say what is wrong with a user, None for nothing.

    A name may stand for uid 0, and a uid that /etc/passwd does not know has gid 0 unless a group
    is given: only numbers, both of them, can be told from the text.
    """
    name, _, group = user.strip().strip("\"'").partition(":")
    if name in _ROOTS or not name:
        return "is root"
    if not name.isdigit() or int(name) == 0:
        return "is no number: which uid it has cannot be told"
    if not group.isdigit() or int(group) == 0:
        return "has the group of root, or one that cannot be told"
    return None


@of_build("4.1", "Containers run as a user of their own, not root", "say USER uid:gid, both not 0")
def _user_of_image(build: Build, subject: Subject) -> Found:
    users = [one for one in build.shipped(subject.target_of(build)) if one.keyword == "USER"]
    if not users:
        yield "last stage", "no USER"
    elif wrong := judge_user(users[-1].text):
        yield users[-1].where, f"USER {users[-1].text} {wrong}"


@of_service("4.1", "", "leave user out: the image says it")
def _user_of_service(service: Service, subject: Subject) -> Iterator[str]:
    user = service.get("user")
    if user is not None and (wrong := judge_user(str(user))):
        yield f"user: {user} {wrong}"


@of_build("4.2", "Only declared base images", "declare the base in topology.yml: software.bases")
def _bases(build: Build, subject: Subject) -> Found:
    stages: set[str] = set()
    for number, stage in enumerate(build.stages):
        if stage.base.lower() not in stages and not _trusted(stage.base, subject):
            yield f"line {stage.line}", f"FROM {stage.base}"
        for one in stage.instructions:
            for source in _foreign_sources(one):
                if source.lower() not in stages and not _trusted(source, subject):
                    yield one.where, f"{one.keyword} from {source}"
        stages |= {stage.name.lower(), str(number)} - {""}
    for name, value in build.directives:
        if name == "syntax":  # an image too, and it runs the build
            yield "line 1", f"# syntax={value}"


@of_service("4.2", "", "build from this repository and its declared bases alone")
def _bases_of_service(service: Service, subject: Subject) -> Iterator[str]:
    build = service.build
    context = str(build.get("context") or "")
    if re.match(r"\w+://|git@|github\.com/", context):
        yield f"build.context: {context}"
    for name in words(build.get("additional_contexts")):
        yield f"build.additional_contexts: {name}"
    dockerfile = subject.build_of(service)
    names = {argument_of(one)[0] for one in dockerfile.arguments} if dockerfile else set()
    for word in words(build.get("args")):
        name, _, value = word.partition("=")
        if name in names and not _trusted(value, subject):
            yield f"build.args: {word}"
    if service.get("image") != subject.declared.images.get(service.name):
        yield f"image: {service.get('image')}"


@of_build("4.6", "Every image has a HEALTHCHECK", 'say HEALTHCHECK … CMD ["…"]')
def _healthcheck(build: Build, subject: Subject) -> Found:
    shipped = build.shipped(subject.target_of(build))
    checks = [one for one in shipped if one.keyword == "HEALTHCHECK"]
    if not checks:
        yield "last stage", "no HEALTHCHECK"
    elif checks[-1].text.strip().upper() == "NONE":
        yield checks[-1].where, "HEALTHCHECK NONE"


@of_build("4.8", "Nothing is made setuid, setgid or capable", "leave the mode as 0755 at most")
def _setuid(build: Build, subject: Subject) -> Found:
    for one, command in build.runs():
        for program, more in calls_of(command, {"chmod", "install", "mkdir", "setcap"}):
            if program == "setcap":
                yield one.where, " ".join([program, *more])[:80]
            elif bad := next((word for word in _modes(program, more) if _is_setuid(word)), None):
                yield one.where, f"{program} {bad}"
    for one in build.of("COPY", "ADD"):
        mode = one.flag("chmod") or ""
        if _is_setuid(mode):
            yield one.where, f"{one.keyword} --chmod={mode}"


@of_build("4.9", "COPY, never ADD", "say COPY")
def _add(build: Build, subject: Subject) -> Found:
    for one in build.of("ADD"):
        yield one.where, f"ADD {one.text}"[:80]


def _modes(program: str, more: list[str]) -> Iterator[str]:
    if program == "chmod":
        yield from more
        return
    for place, word in enumerate(more):
        if word in {"-m", "--mode"} and place + 1 < len(more):
            yield more[place + 1]
        elif word.startswith(("--mode=", "-m")):
            yield word.removeprefix("--mode=").removeprefix("-m")


def _is_setuid(mode: str) -> bool:
    if re.fullmatch(r"[0-7]{4,5}", mode):
        return bool(int(mode, 8) & 0o6000)
    return any(
        re.fullmatch(r"[ugoa]*[+=][rwxXt]*s[rwxXst]*", part) is not None for part in mode.split(",")
    )


def _trusted(image: str, subject: Subject) -> bool:
    return image == "scratch" or image in subject.declared.bases


def _foreign_sources(one: Instruction) -> Iterator[str]:
    """Give the images that an instruction takes files from."""
    if one.keyword in {"COPY", "ADD"} and (source := one.flag("from")):
        yield source
    for flag in one.flags:
        if flag.startswith("--mount="):
            match = re.search(r"(?:^|[=,])from=([^,]+)", flag.removeprefix("--mount="))
            if match:
                yield match[1]


RULES = (
    both(_user_of_image, _user_of_service),
    both(_bases, _bases_of_service),
    _healthcheck,
    _setuid,
    _add,
)
