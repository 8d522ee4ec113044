"""A Debian tree to set up, made once a session with the host's own sources."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.project import ROOT

# What set-up asks for and carries no service is in the tree, so that each test stays short: the
# small packages, and of the rest a program of its name. `wrk` is left out: it lacks where docker.io
# is already there.
PRESENT = "ca-certificates,iproute2,iptables,mount,procps,python3-venv,systemd"
PROGRAMS = "ab chromium conntrack curl fish mmdebstrap ping ssh tshark zsh"
ABSENT = "docker.io prometheus wrk"

# An init and a run level make it a machine that starts services. The daemon that docker.io's
# script starts is a stand-in: a start is seen, and nothing else happens.
PREPARE = r"""
set -eu
printf '#!/bin/sh\nexec sleep infinity\n' >/sbin/init
printf '#!/bin/sh\necho N 2\n' >/sbin/runlevel
mkdir /opt/stand-in
printf '#!/bin/bash\nwhile :; do sleep 1; done\n' >/opt/stand-in/dockerd
chmod 755 /sbin/init /sbin/runlevel /opt/stand-in/dockerd
for program in PROGRAMS; do ln -s true "/usr/bin/$program"; done
printf 'DOCKERD=/opt/stand-in/dockerd\nulimit() { :; }\n' >/etc/default/docker
echo 'Acquire::Retries "0";' >/etc/apt/apt.conf.d/no-retries
echo force-confold >/etc/dpkg/dpkg.cfg.d/keep-stand-in
# The whole of what could be started or enabled, and what set-up could leave behind.
cat >/usr/bin/observe <<'END'
#!/bin/bash
echo "enabled: $(find /etc/systemd/system -type l | sort | xargs)"
echo "run levels: $(find /etc/rc?.d -name 'S*' | sort | xargs)"
echo "policy: $(stat -c '%F %a %u:%g %i %Y %s' /usr/sbin/policy-rc.d 2>/dev/null) $(
    cat /usr/sbin/policy-rc.d 2>/dev/null | sha256sum)"
echo "left: $(ls -d /usr/sbin/policy-rc.d?* /var/lib/twinstack* 2>/dev/null | xargs)"
echo "running: $(cat /proc/[0-9]*/comm |
    grep -E '^(dockerd|containerd|docker|prometheus)' | sort -u | xargs)"
echo "asked of systemd: $(
    grep -E '(^| )(re)?start( |$)' /run/systemctl.log 2>/dev/null | sort -u | xargs)"
END
chmod 755 /usr/bin/observe
"""
# A machine that boots with systemd, as far as packages can tell: what is asked of the manager is
# written down, the rest (links) is done by the real program. And one that knows no systemd.
SYSTEMD = r"""
mkdir -p /run/systemd/system
mv /usr/bin/systemctl /usr/bin/systemctl.real
cat >/usr/bin/systemctl <<'END'
#!/bin/sh
echo "$*" >>/run/systemctl.log
case " $* " in
*" start "* | *" restart "* | *" daemon-reload "*) exit 0 ;;
esac
exec systemctl.real "$@"
END
chmod 755 /usr/bin/systemctl
"""
SYSV = "rm /usr/bin/systemctl\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a script in the tree printed, and the marked observations among it."""

    text: str

    def at(self, moment: str) -> dict[str, str]:
        """Give the lines between `== moment` and the next `==`, keyed by their first word."""
        _, _, after = self.text.partition(f"== {moment}\n")
        lines = after.split("== ", 1)[0].splitlines()
        return {key: value.strip() for key, _, value in (line.partition(": ") for line in lines)}


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build a minimal Debian where all that is missing is downloaded and not installed."""
    host = platform.freedesktop_os_release()
    sources = subprocess.run(
        ["apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"]
        + ["Created-By: Packages", f"Origin: {host['ID'].capitalize()}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    root = tmp_path_factory.mktemp("debian") / "tree"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", "--skip=cleanup/apt"]
        + ["--dpkgopt=force-unsafe-io", f"--include={PRESENT}"]
        + [host["VERSION_CODENAME"], str(root), "-"],
        input="\n".join(sorted(set(sources.splitlines()))),
        check=True,
        text=True,
        timeout=300,
    )
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    download = "apt-get -q -y install --no-install-recommends --download-only " + ABSENT
    subprocess.run(
        ["chroot", str(root), "bash", "-euc", PREPARE.replace("PROGRAMS", PROGRAMS) + download],
        check=True,
        timeout=300,
        stdout=subprocess.DEVNULL,
    )
    yield root
    shutil.rmtree(root)


@pytest.fixture
def run_in_tree(tree: Path) -> Callable[..., Seen]:
    """Run a script in a throw-away copy of the tree, and give what it printed."""

    def run(script: str, *, systemd: bool = False) -> Seen:
        done = subprocess.run(
            [str(Path(__file__).with_name("in-tree")), str(tree), str(ROOT)]
            + [(SYSTEMD if systemd else SYSV) + script],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Seen(done.stdout)

    return run
