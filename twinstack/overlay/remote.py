"""Machines reached by ssh: the same steps, done by the same code, over there.

A machine needs Python (of this one's minor version), iproute2 and iptables. The code goes along
with the packages that it imports, into a directory named by their digest, once. Its share of the
plan is then brought about as on a simulated host. Networks only: services are not started.
Source: ssh(1).
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from twinstack.errors import SeveralFailed, StepFailed, TwinstackError
from twinstack.hosts import Host
from twinstack.world import Progress

AGENTS = "/var/lib/twinstack/agent"
_REPOSITORY = Path(__file__).resolve().parents[2]
#: What the agent imports that is not Python's own.
_PACKAGES = ("_yaml", "annotated_types", "jinja2", "markupsafe", "pydantic", "pydantic_core",
             "pyroute2", "typing_extensions", "typing_inspection", "yaml")  # fmt: skip
_PATIENCE_S = 10
_BOUND_S = 300.0


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, and the words that run a command on it (the command follows as one word)."""

    host: Host
    words: tuple[str, ...]


def machine(host: Host, options: Sequence[str] = (), user: str = "root") -> Machine:
    """Say how a host is reached: never by a password, and not for ever."""
    own = ("-o", "BatchMode=yes", "-o", f"ConnectTimeout={_PATIENCE_S}")
    return Machine(host, ("ssh", *own, *options, f"{user}@{host.address}"))


def ask(one: Machine, order: Mapping[str, Any], progress: Progress) -> Any:
    """Have an order obeyed on a machine; the agent is brought there first if it is not.

    Raises: StepFailed when the machine cannot be reached, TwinstackError as the agent tells.
    """
    digest, packed = _bundle()
    place = f"{AGENTS}/{digest}"
    if _run(one, f"test -d {place}", check=False).returncode != 0:
        progress(f"{one.host.name}: bringing the agent there ({len(packed) // 1024} KiB)")
        # Whole or not at all: unpacked aside, then renamed.
        script = (
            f"mkdir -p {AGENTS} && fresh=$(mktemp -d {AGENTS}/.new-XXXXXX) && chmod 755 $fresh"
            f" && tar -xzf - -C $fresh && {{ mv -T $fresh {place} 2>/dev/null || rm -rf $fresh; }}"
        )
        _run(one, script, packed)
    command = f"cd / && env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={place}"
    told = _run(
        one, f"{command} python3 -m twinstack.overlay.agent",
        json.dumps({**order, "host": one.host.name}).encode(), progress,
    )  # fmt: skip
    try:
        answer = json.loads(told.stdout.decode().splitlines()[-1])
    except (ValueError, IndexError) as error:
        said = told.stderr.decode(errors="replace").strip()[-500:]
        raise StepFailed(f"host {one.host.name}", "does not answer", said or str(error)) from error
    if "error" in answer:
        obj, *rest = answer["error"]
        raise TwinstackError(f"{one.host.name}: {obj}", *rest)
    return answer["done"]


def ask_each(
    machines: Sequence[Machine], order: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Have an order obeyed on every machine at once; go on past errors.

    Raises: the one error there was, or SeveralFailed.
    """
    failures: list[Exception] = []
    found: dict[str, Any] = {}

    def one_of(one: Machine) -> None:
        try:
            found[one.host.name] = ask(one, order, progress)
        except TwinstackError as error:
            failures.append(error)

    _bundle()  # once, before the threads
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(one_of, machines))
    if failures:
        raise failures[0] if len(failures) == 1 else SeveralFailed("machines", failures)
    return found


def forget(one: Machine) -> None:
    """Remove every agent that was brought to a machine. Raises: StepFailed."""
    _run(one, f"rm -rf {AGENTS}; rmdir /var/lib/twinstack 2>/dev/null || true")


def _run(
    one: Machine, command: str, data: bytes = b"", progress: Progress | None = None, *,
    check: bool = True,
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    try:
        done = subprocess.run(
            [*one.words, command], input=data, capture_output=True, timeout=_BOUND_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"host {one.host.name}", "did not end",
                         f"still at work after {_BOUND_S:g} s") from error  # fmt: skip
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == 255 or (check and done.returncode != 0):
        raise StepFailed(
            f"host {one.host.name}", "cannot be reached" if done.returncode == 255 else "refused",
            said[-500:], f'try "{" ".join(one.words)} true"',
        )  # fmt: skip
    if progress is not None:
        for line in said.splitlines():
            progress(f"{one.host.name}: {line}")
    return done


@cache
def _bundle() -> tuple[str, bytes]:
    """Pack the code, its templates and what it imports; named by content alone."""
    told = io.BytesIO()
    with tarfile.open(fileobj=told, mode="w:gz", compresslevel=3) as tar:
        for path, name in sorted(_files(), key=lambda pair: pair[1]):
            info = tarfile.TarInfo(name)
            content = path.read_bytes()
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    packed = told.getvalue()
    named = b"".join(
        name.encode() + path.read_bytes() for path, name in sorted(_files(), key=lambda p: p[1])
    )
    return hashlib.sha256(named).hexdigest()[:12], packed


def _files() -> list[tuple[Path, str]]:
    found = []
    for directory in ("twinstack", "templates"):
        for path in (_REPOSITORY / directory).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.append((path, str(path.relative_to(_REPOSITORY))))
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        if origin.name != "__init__.py":
            found.append((origin, origin.name))
            continue
        for path in origin.parent.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.append((path, f"{package}/{path.relative_to(origin.parent)}"))
    return found


def same_python(one: Machine) -> None:
    """Refuse a machine whose Python could not read what is brought. Raises: StepFailed."""
    script = "python3 -c 'import sys; print(*sys.version_info[:2], sep=chr(46))'"
    theirs = _run(one, script).stdout.decode().strip()
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    if theirs != ours:
        raise StepFailed(
            f"host {one.host.name}", "cannot be used", f"it has Python {theirs}, this one {ours}",
            "install the same version there",
        )  # fmt: skip
