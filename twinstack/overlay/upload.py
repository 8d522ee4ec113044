"""Bringing pieces to machines: what one has, what it lacks, each once, whole or not at all.

A piece is packed once, however many machines lack it, unpacked aside over there, and renamed.
Nothing is sent that is there already.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO

from twinstack.errors import StepFailed
from twinstack.overlay.bundles import AGENTS, USERS, Piece
from twinstack.overlay.ssh import Machine, run
from twinstack.reconcile import Progress

#: The interpreter of the agent and of the supervisor.
PYTHON = "/usr/bin/python3"
#: A hundred megabytes over a slow line take their time.
_SENDING_S = 3600.0
#: What the steps call, and the package that it is in.
_PROGRAMS = {
    "ip": "iproute2",
    "iptables-restore": "iptables",
    "iptables-save": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "tar": "tar",
    "gzip": "gzip",
}
_MEGA = 1e6

_SURVEY = f"""PATH=$PATH:/usr/sbin:/sbin; id -u
{PYTHON} -c 'import sys, platform; v = sys.version_info
print(v[0], v[1], platform.machine())' 2> /dev/null || echo none
for one in {" ".join(_PROGRAMS)}; do command -v $one > /dev/null || printf '%s ' $one; done; echo
ls -A {AGENTS} 2> /dev/null || :"""


@dataclass(slots=True)
class Parcels:
    """Pieces packed on this machine, each once, into files that go when they are closed."""

    _packed: dict[str, BinaryIO] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Parcels:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, piece: Piece) -> BinaryIO:
        """Give a piece's packed bytes, from their beginning. Raises: StepFailed."""
        with self._lock:  # one after the other: gzip takes a processor whole
            packed = self._packed.get(piece.name)
            if packed is None:
                packed = tempfile.TemporaryFile(dir="/var/tmp")  # noqa: SIM115 - closed with us
                self._stack.enter_context(packed)
                piece.pack(packed)
                packed.flush()
                self._packed[piece.name] = packed
        return open(f"/proc/self/fd/{packed.fileno()}", "rb")


def survey(one: Machine) -> frozenset[str]:
    """Name the pieces that a machine has.

    Raises: StepFailed when it cannot be reached, or lacks what no piece can bring.
    """
    lines = [*run(one, _SURVEY).splitlines(), "", "", ""]
    user, python, lacking, *there = (line.strip() for line in lines)
    ours = f"{sys.version_info.major} {sys.version_info.minor} {platform.machine()}"
    if user != "0":
        raise _unusable(one, f"its user there is {user or 'not told'}", "log in as root")
    if python != ours:
        raise _unusable(
            one,
            f"its {PYTHON} is {_spoken(python)}, this one's {_spoken(ours)}",
            "install the same version there",
        )
    if lacking:
        packages = " ".join(sorted({_PROGRAMS[word] for word in lacking.split()}))
        raise _unusable(
            one,
            f"it has no {lacking.replace(' ', ', ')}",
            f'run "apt-get install {packages}" there',
        )
    return frozenset(there)


def _spoken(told: str) -> str:
    words = told.split()
    return f"Python {words[0]}.{words[1]} on {words[2]}" if len(words) == 3 else "not there"


def _unusable(one: Machine, cause: str, remedy: str) -> StepFailed:
    return StepFailed(f"host {one.name}", "cannot be used", cause, remedy)


def bring(
    one: Machine,
    pieces: Iterable[Piece],
    there: frozenset[str],
    parcels: Parcels,
    progress: Progress,
) -> int:
    """Bring the pieces that are not there; give how many bytes went. Raises: StepFailed."""
    start, total = time.monotonic(), 0
    for piece in pieces:
        if piece.name in there:
            continue
        with parcels.open(piece) as packed:
            size = packed.seek(0, 2)
            packed.seek(0)
            progress(f"bringing the {piece.what} there ({size / _MEGA:.1f} MB)")
            run(one, _taking(piece.name), packed, bound_s=_SENDING_S)
        total += size
    if total:
        progress(f"{total / _MEGA:.1f} MB went there in {time.monotonic() - start:.1f} s")
    return total


def _taking(name: str) -> str:
    """Write the script that unpacks a piece aside and renames it, or leaves nothing."""
    return f"""umask 022 && mkdir -p {AGENTS} && fresh=$(mktemp -d {AGENTS}/.new-XXXXXX) || exit 1
if tar --extract --gzip --preserve-permissions --numeric-owner --directory="$fresh" &&
    chmod 755 "$fresh" && {{ test -d {AGENTS}/{name} || mv -T "$fresh" {AGENTS}/{name}; }}
then code=0; else code=1; fi
test ! -d "$fresh" || rm -rf --one-file-system "$fresh"
exit $code"""


def forget(one: Machine, instance: str) -> None:
    """Remove what was brought to a machine, unless another instance uses it. Raises: StepFailed."""
    run(
        one,
        f"""rm -f {USERS}/{instance}; rmdir {USERS} 2> /dev/null
test -d {USERS} || rm -rf --one-file-system {AGENTS} || exit 1
rmdir {AGENTS.parent} 2> /dev/null || :""",
    )
