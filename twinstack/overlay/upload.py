"""Upload bundles to machines: each once, whole or not at all.

A bundle is packed once, however many machines lack it; there it is unpacked aside, then renamed.
"""

from __future__ import annotations

import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from twinstack.errors import StepFailed
from twinstack.overlay.bundles import BUNDLES, USERS, Bundle
from twinstack.overlay.ssh import Machine, run
from twinstack.reconcile import Progress

OpenPacked = Callable[[Bundle], BinaryIO]
#: The interpreter of the agent and of the supervisor.
PYTHON = "/usr/bin/python3"
#: A hundred megabytes over a slow line.
_UPLOAD_S = 3600.0
#: The programs that steps run, and their packages.
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
{PYTHON} -c 'import sys, platform
print("Python %d.%d on %s" % (*sys.version_info[:2], platform.machine()))' 2> /dev/null ||
echo absent
for program in {" ".join(_PROGRAMS)}; do
command -v $program > /dev/null || printf '%s ' $program; done; echo
ls -A {BUNDLES} 2> /dev/null || :"""


@contextmanager
def packing() -> Iterator[OpenPacked]:
    """Give what opens a packed bundle; it is packed the first time. Raises: StepFailed."""
    packing_one = threading.Lock()  # gzip takes a whole processor
    with TemporaryDirectory(dir="/var/tmp") as directory:

        def open_packed(bundle: Bundle) -> BinaryIO:
            path = Path(directory, bundle.name)
            with packing_one:
                if not path.exists():
                    fresh = path.with_name("fresh")
                    with fresh.open("wb") as packed:
                        bundle.pack(packed)
                    fresh.rename(path)  # whole or absent
            return path.open("rb")

        yield open_packed


def survey(machine: Machine) -> frozenset[str]:
    """Name the bundles that a machine has.

    Raises: StepFailed when it cannot be reached, or lacks what no bundle contains.
    """
    lines = [*run(machine, _SURVEY).splitlines(), "", "", ""]
    user, python, lacking, *present = (line.strip() for line in lines)
    ours = "Python {}.{} on {}".format(*sys.version_info[:2], platform.machine())
    cause, remedy = "", ""
    if user != "0":
        cause, remedy = f"its user there is {user or 'unknown'}", "log in as root"
    elif python != ours:
        cause = f"its {PYTHON} is {python or 'absent'}, this one's {ours}"
        remedy = "install the same version there"
    elif lacking:
        packages = " ".join(sorted({_PROGRAMS[program] for program in lacking.split()}))
        cause = f"it has no {lacking.replace(' ', ', ')}"
        remedy = f'run "apt-get install {packages}" there'
    if cause:
        raise StepFailed(f"host {machine.name}", "cannot be used", cause, remedy)
    return frozenset(present)


def upload(
    machine: Machine,
    bundles: Iterable[Bundle],
    present: frozenset[str],
    open_packed: OpenPacked,
    progress: Progress,
) -> None:
    """Upload the bundles that are not present. Raises: StepFailed."""
    start, total = time.monotonic(), 0
    for bundle in bundles:
        if bundle.name in present:
            continue
        with open_packed(bundle) as archive:
            size = archive.seek(0, 2)
            archive.seek(0)
            progress(f"{machine.name}: uploading the {bundle.label} ({size / _MEGA:.1f} MB)")
            run(machine, _unpack(bundle.name), archive, timeout_s=_UPLOAD_S)
        total += size
    if total:
        took = f"{time.monotonic() - start:.1f} s"
        progress(f"{machine.name}: uploaded {total / _MEGA:.1f} MB in {took}")


def _unpack(name: str) -> str:
    """Write the script that unpacks a bundle aside and renames it, or leaves nothing."""
    return f"""umask 022 && mkdir -p {BUNDLES} && fresh=$(mktemp -d {BUNDLES}/.new-XXXXXX) || exit 1
if tar --extract --gzip --preserve-permissions --numeric-owner --directory="$fresh" &&
    chmod 755 "$fresh" && {{ test -d {BUNDLES}/{name} || mv -T "$fresh" {BUNDLES}/{name}; }}
then code=0; else code=1; fi
test ! -d "$fresh" || rm -rf --one-file-system "$fresh"
exit $code"""


def remove_bundles(machine: Machine, instance: str) -> None:
    """Remove a machine's bundles unless another instance uses them. Raises: StepFailed."""
    script = f"""rm -f {USERS}/{instance}; rmdir {USERS} 2> /dev/null
test -d {USERS} || rm -rf --one-file-system {BUNDLES} || exit 1
rmdir {BUNDLES.parent} 2> /dev/null || :"""
    run(machine, script)
