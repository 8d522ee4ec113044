"""Which software a root holds: one command, the same for a tree and for a container.

The benchmark compares the answers, so that it can say whether both worlds run the same builds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twinstack.errors import CannotTell
from twinstack.model.plan import Replica
from twinstack.model.runtimes import Role

#: Each role's package and program.
_PROGRAMS: Mapping[Role, tuple[str, str]] = {
    "python": ("python3", "/usr/bin/python3"),
    "nginx": ("nginx", "/usr/sbin/nginx"),
    "redis": ("redis-server", "/usr/bin/redis-server"),
    "postgres": ("'postgresql-[0-9]*'", "/usr/lib/postgresql/*/bin/postgres"),
}
_TREES = ("site", "services")


def software_question(role: Role) -> tuple[str, ...]:
    """Give the command to run in a root of a role; `software_answer` reads its output."""
    package, program = _PROGRAMS[role]
    lines = [
        "set -eu",
        f"echo {role} version $(dpkg-query -W -f '${{Version}}' {package})",
        f"echo {role} digest $(sha256sum {program} | cut -c1-16)",
    ]
    if role == "python":
        lines.append("cd /srv/twinstack")
        lines += [
            f"echo {tree} digest $(find {tree} -type f ! -name '*.pyc' ! -name RECORD -print0 "
            "| LC_ALL=C sort -z | xargs -0 -r sha256sum | sha256sum | cut -c1-16)"
            for tree in _TREES
        ]
    return ("/bin/bash", "-c", "\n".join(lines))


def software_answer(output: str) -> dict[str, str]:
    """Read an answer into `{"nginx version": "1.22.1-9", "nginx digest": "0f3a…"}`.

    Raises: CannotTell for an output without any.
    """
    lines = [words for line in output.splitlines() if len(words := line.split()) == 3]
    if not lines:
        raise CannotTell("software", "is not known", f"the answer was {output.strip()!r}")
    return {f"{what} {kind}": value for what, kind, value in lines}


def released_versions(replicas: Iterable[Replica]) -> dict[str, str]:
    """Name the replicas that run another version than this checkout's: worlds may differ in it."""
    return {f"{each.name} version": each.version for each in replicas if each.version}
