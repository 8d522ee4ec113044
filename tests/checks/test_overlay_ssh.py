"""Machines that ssh reaches: simulated hosts that run sshd stand for them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.sandbox import INVOKE, REPOSITORY, Sandbox, eventually, sandbox

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

MACHINES = {"left": "10.88.0.11", "right": "10.88.0.12"}
#: Of Debian's package only the program is taken: installed, it would be started at every boot.
PACKAGES = ("openssh-server", "libwrap0")

SSHD = """
mkdir -p /run/sshd /run/etc
cp -p /etc/passwd /etc/shadow /run/etc/
echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin' >> /run/etc/passwd
sed -i 's/^root:[^:]*:/root:*:/' /run/etc/shadow
mount --bind /run/etc/passwd /etc/passwd
mount --bind /run/etc/shadow /etc/shadow
export LD_LIBRARY_PATH=$1/usr/lib/x86_64-linux-gnu:$1/lib/x86_64-linux-gnu
exec "$1/usr/sbin/sshd" -D -e -f /dev/null -h "$2/host" -o UsePAM=no -o StrictModes=no \
    -o PermitRootLogin=prohibit-password -o AuthorizedKeysFile="$2/user.pub" -o PidFile=none
"""
LOOK = (
    "ip -o link | sed 's/^[0-9]*: //;s/:.*//;s/@.*//' | sort; ip route | sort;"
    " iptables-save | grep -v '^#' | sed 's/\\[.*\\]//';"
    " find /run -not -path '/run/etc*' -not -path '/run/mount*' | sort;"
    " sysctl -n net.ipv4.ip_forward net.ipv4.conf.all.rp_filter"
)


@dataclass(frozen=True)
class Machines:
    """Two machines with sshd, and how to speak to them."""

    host: Sandbox
    topology: Path
    ssh: str

    @property
    def instance(self) -> str:
        return f"{self.host.instance[:8]}r"

    def invoke(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        own = [f"TWINSTACK_INSTANCE={self.instance}", f"TWINSTACK_TOPOLOGY={self.topology}"]
        return self.host.run("env", *own, INVOKE, *words, check=check)

    def on(self, number: int, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        pins = f"/run/twinstack/{self.host.instance}-hosts/mounts/host-{number}"
        net = f"/run/netns/host-{number}"
        return self.host.run("nsenter", f"--net={net}", f"--mount={pins}", "--", *words,
                             check=check)  # fmt: skip


def unpacked(into: Path) -> Path:
    words = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *PACKAGES]
    subprocess.run(words, cwd=into, check=True, capture_output=True, timeout=120)
    for package in into.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(into / "tree")], check=True)
    return into / "tree"


@pytest.fixture(scope="module")
def machines(software: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    place = tmp_path_factory.mktemp("ssh")
    tree = unpacked(place)
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
        subprocess.run(words, check=True)
    written = yaml.safe_load((REPOSITORY / "topology.yml").read_text())
    written["hosts"] = {"underlay": "10.88.0.0/24", "machines": MACHINES}
    topology = place / "topology.yml"
    topology.write_text(yaml.safe_dump(written, sort_keys=False))
    options = f"-i {place}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    with sandbox("x") as host:
        host.run(sys.executable, "-m", "tests.checks.overlay_inside", "hosts")
        made = Machines(host, topology, f"--ssh={options} -o LogLevel=ERROR")
        running = []
        for number in (1, 2):
            pins = f"/run/twinstack/{host.instance}-hosts/mounts/host-{number}"
            words = [f"--net=/run/netns/host-{number}", f"--mount={pins}", "--", "sh", "-ec", SSHD,
                     "sh", str(tree), str(place)]  # fmt: skip
            running.append(host.start("nsenter", *words, stderr=subprocess.DEVNULL))
        try:
            for address in MACHINES.values():
                login = ["ssh", "-o", "BatchMode=yes", *shlex.split(options), f"root@{address}"]
                eventually(
                    lambda login=login: host.run(*login, "true", check=False).returncode == 0,  # type: ignore[misc]
                    within_s=20,
                )
            yield made
        finally:
            made.invoke("overlay.down", made.ssh, check=False)
            for one in running:
                one.kill()
                one.wait()


def test_the_same_plan_is_brought_about_by_ssh_and_leaves_nothing(machines: Machines):
    before = [machines.on(number, "sh", "-c", LOOK).stdout for number in (1, 2)]
    words = ("--shape", "tiered", "--no-services", "--no-policy", machines.ssh)
    done = machines.invoke("overlay.up", *words)
    assert "left: 5 namespaces, joined" in done.stdout
    told = json.loads(machines.invoke("overlay.plan", *words, "--json").stdout)
    assert {host: one["changes"] for host, one in told["machines"].items()} == {
        "left": [],
        "right": [],
    }
    # nginx-lb is on the one machine, api-gateway on the other.
    inside = ("nsenter", "--net=/run/netns/nginx-lb", "--", "ping", "-M", "do", "-c", "1", "-W")
    machines.on(1, *inside, "3", "-s", "1422", "172.20.0.20")
    larger = machines.on(1, *inside, "0.1", "-s", "1423", "172.20.0.20", check=False)
    assert "message too long" in larger.stderr
    machines.invoke("overlay.down", machines.ssh)
    after = [machines.on(number, "sh", "-c", LOOK).stdout for number in (1, 2)]
    assert after == before


def test_a_machine_that_cannot_be_reached_is_one_clear_line(machines: Machines):
    dead = machines.ssh.replace("/user", "/host")  # a key that opens nothing
    done = machines.invoke("overlay.up", "--no-services", dead, check=False)
    assert done.returncode == 1
    assert "host left: cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_services_are_not_started_by_ssh_and_it_says_so(machines: Machines):
    done = machines.invoke("overlay.up", machines.ssh, check=False)
    assert done.returncode == 1
    assert "networks alone go over ssh" in done.stderr
