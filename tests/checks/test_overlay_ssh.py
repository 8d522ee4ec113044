"""Machines that ssh reaches, played by simulated hosts that run sshd."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml

from tests.support.project import ROOT
from tests.support.sandbox import INVOKE, Sandbox, eventually

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

MACHINES = {"left": "10.88.0.11", "right": "10.88.0.12"}
#: Only unpacked: installed, sshd would be started at every boot.
PACKAGES = ("openssh-server", "libwrap0")

SSHD = """
mount -t tmpfs -o mode=755 tmpfs /var/lib/twinstack  # this machine's own
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
#: Everything of a machine that we could change, sshd's own things left out.
LOOK = """
ip -o link | sed 's/^[0-9]*: //;s/:.*//;s/@.*//' | sort; ip route | sort
ip netns list
iptables-save | grep -v '^#' | sed 's/\\[.*\\]//'
find /run /var/lib/twinstack -not -path '/run/etc*' -not -path '/run/mount*' | sort
sysctl -n net.ipv4.ip_forward net.ipv4.conf.all.rp_filter
find /sys/fs/cgroup -path '*twinstack/INSTANCE*' -type d | sort
ss -Hltnu | awk '{print $1, $5}' | sort
cut -d' ' -f5 /proc/self/mountinfo | grep -E '^/(run|var/lib/twinstack)(/|$)' | sort
readlink /proc/self/ns/net
"""
REPLICAS = {"product-service", "product-service-2", "product-service-3"}


@dataclass(frozen=True)
class Machines:
    """Two machines with sshd, and how to reach them."""

    host: Sandbox
    topology: Path
    ssh: str

    @property
    def instance(self) -> str:
        return f"{self.host.instance[:8]}r"

    def invoke(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.host.invoke(
            *words,
            check=check,
            TWINSTACK_INSTANCE=self.instance,
            TWINSTACK_TOPOLOGY=str(self.topology),
        )

    def look(self) -> list[str]:
        """Record the state of each machine."""
        script = LOOK.replace("INSTANCE", self.instance)
        looks = [self.on(number, "sh", "-c", script).stdout for number in (1, 2)]
        return [look + processes(look.split()[-1]) for look in looks]

    def on(self, number: int, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        pins = f"/run/twinstack/{self.host.instance}-hosts/mounts/host-{number}"
        net = f"/run/netns/host-{number}"
        return self.host.run(
            "nsenter", f"--net={net}", f"--mount={pins}", "--", *words, check=check
        )


def processes(network: str) -> str:
    """List what runs in a machine's network beside sshd."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(process / "ns/net") == network:
                commands.append((process / "cmdline").read_bytes().decode(errors="replace"))
    return "\n".join(sorted(command for command in commands if "sshd" not in command))


def unpacked(into: Path) -> Path:
    words = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *PACKAGES]
    subprocess.run(words, cwd=into, check=True, capture_output=True, timeout=120)
    for package in into.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(into / "tree")], check=True)
    return into / "tree"


@pytest.fixture(scope="module")
def machines(host: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    place = tmp_path_factory.mktemp("ssh")
    tree = unpacked(place)
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
        subprocess.run(words, check=True)
    written = yaml.safe_load((ROOT / "topology.yml").read_text())
    written["hosts"] = {"underlay": "10.88.0.0/24", "machines": MACHINES}
    topology = place / "topology.yml"
    topology.write_text(yaml.safe_dump(written, sort_keys=False))
    options = f"-i {place}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    host.run(sys.executable, "-m", "tests.support.overlay_inside", "hosts")
    made = Machines(host, topology, f"--ssh={options} -o LogLevel=ERROR")
    running = []
    for number in (1, 2):
        pins = f"/run/twinstack/{host.instance}-hosts/mounts/host-{number}"
        words = [
            f"--net=/run/netns/host-{number}",
            f"--mount={pins}",
            "--",
            "sh",
            "-ec",
            SSHD,
            "sh",
            str(tree),
            str(place),
        ]
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
        for sshd in running:
            sshd.kill()
            sshd.wait()


@dataclass(frozen=True)
class Whole:
    """The stack as it was brought up."""

    before: list[str]  # the machines' states
    progress: str
    took_s: float
    exposed: list[str]  # command lines and environments that held a password


@pytest.fixture(scope="module")
def whole(machines: Machines) -> Whole:
    before = machines.look()
    watched, seen = Event(), set[bytes]()

    def watch() -> None:
        while not watched.wait(0.2):
            seen.update(process_texts())

    watching = Thread(target=watch)
    watching.start()
    start = time.monotonic()
    try:
        done = machines.invoke("overlay.up", machines.ssh)
    finally:
        watched.set()
        watching.join()
    took_s = time.monotonic() - start
    assert len(passwords(machines)) == 8  # a user's of each service in each store, and ours
    shown = [text.decode(errors="replace") for text in {*seen, *process_texts()}]
    exposed = [text for text in shown for secret in passwords(machines) if secret in text]
    return Whole(before, done.stderr, took_s, exposed)


def services(machines: Machines) -> list[dict[str, Any]]:
    status = json.loads(machines.invoke("overlay.status", machines.ssh, "--json").stdout)
    assert [
        machine for machine in status["hosts"] if machine["changes"] or machine["unbuilt"]
    ] == []
    return list(status["services"])


def process_texts() -> set[bytes]:
    """Give the command lines and environments of all processes; the machines share this kernel."""
    texts = set()
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            with suppress(OSError):
                texts.add((process / file).read_bytes())
    return texts


def passwords(machines: Machines) -> list[str]:
    vault = f"/var/lib/twinstack/{machines.instance}-ssh/net/secrets/.vault"
    script = f'for file in {vault}/*; do cat "$file"; echo; done'
    return machines.host.run("sh", "-c", script).stdout.split()


def test_the_same_plan_is_brought_about_by_ssh_and_leaves_nothing(machines: Machines):
    before = machines.look()
    words = ("--shape", "tiered", "--no-services", "--no-policy", machines.ssh)
    done = machines.invoke("overlay.up", *words)
    assert "left: 5 namespaces, joined" in done.stdout
    plan = json.loads(machines.invoke("overlay.plan", *words, "--json").stdout)
    changes = {machine["name"]: machine["changes"] for machine in plan["hosts"]}
    assert changes == {"left": [], "right": []}
    # nginx-lb is on one machine, api-gateway on the other.
    inside = ("nsenter", "--net=/run/netns/nginx-lb", "--", "ping", "-M", "do", "-c", "1", "-W")
    machines.on(1, *inside, "3", "-s", "1422", "172.20.0.20")
    larger = machines.on(1, *inside, "0.1", "-s", "1423", "172.20.0.20", check=False)
    assert "message too long" in larger.stderr
    machines.invoke("overlay.down", machines.ssh)
    assert machines.look() == before


def test_a_machine_that_cannot_be_reached_is_one_clear_line(machines: Machines):
    before = machines.look()
    dead = machines.ssh.replace("/user", "/host")  # a key that opens nothing
    done = machines.invoke("overlay.up", dead, check=False)
    assert done.returncode == 1
    assert "host left: cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert machines.look() == before


def test_services_are_started_by_ssh_and_answer_across_machines(
    machines: Machines, whole: Whole, tell: Callable[[str], None]
):
    edge = "http://10.0.0.10"
    for number in (1, 2):
        got = machines.on(number, "curl", "-sS", "--max-time", "10", f"{edge}/health").stdout
        assert json.loads(got)["status"] == "ok"
    got = machines.on(2, "curl", "-sS", "--max-time", "10", f"{edge}/api/products").stdout
    assert json.loads(got)["products"]
    states = services(machines)
    assert {state["state"] for state in states} == {"healthy"}
    where = {state["name"]: state["where"].split(":")[0] for state in states}
    assert {where[name] for name in REPLICAS} == set(MACHINES)
    for address in MACHINES.values():  # each machine publishes the port
        url = f"http://{address}:8080/api/products?page=[1-12]"
        headers = machines.host.fetch(url, "-D", "-", "-o", "/dev/null").lower().splitlines()
        by = [header for header in headers if header.startswith("x-served-by")]
        served = {header.split(": ")[1].strip() for header in by}
        assert served == REPLICAS
    sent = [line for line in whole.progress.splitlines() if ": uploaded " in line]
    assert len(sent) == len(MACHINES)
    tell(f"overlay.up --ssh: {whole.took_s:.1f} s; " + "; ".join(sent))


def test_a_machine_gets_what_its_replicas_need_and_no_more(machines: Machines, whole: Whole):
    listings = [machines.on(number, "ls", "/var/lib/twinstack/agent").stdout for number in (1, 2)]
    kinds = [{name.rpartition("-")[0] for name in listing.split()} for listing in listings]
    common = {"code", "python", "supervisor", "services-site"}
    assert kinds == [common | {"nginx", "postgres"}, common | {"redis"}]
    homes = f"/var/lib/twinstack/{machines.instance}-left/net/secrets"
    listed = machines.on(1, "ls", "-A", homes).stdout.split()
    assert listed == ["postgres-db", "product-service", "service-registry"]
    words = ("-c", "cat /var/lib/twinstack/*-right/net/secrets/redis-cache/*")
    acl = machines.on(2, "sh", *words).stdout
    assert acl.startswith("user default off ")


def test_no_process_list_and_no_environment_shows_a_secret(whole: Whole):
    assert whole.exposed == []


def test_status_by_ssh_names_the_machine_that_differs_and_up_repairs_that_alone(
    machines: Machines, whole: Whole
):
    was = services(machines)
    machines.on(2, "ip", "link", "set", "br-app", "down")
    done = machines.invoke("overlay.status", machines.ssh, check=False)
    assert done.returncode == 1
    assert "! right: bridge br-app is down" in done.stdout
    machines.invoke("overlay.up", machines.ssh)
    again = machines.invoke("overlay.up", machines.ssh)
    assert "uploading" not in again.stderr  # nothing is sent twice
    assert "steps to do" not in again.stderr
    assert services(machines) == was  # each keeps its process
    log = machines.invoke("overlay.logs", "redis-cache", "--lines", "3", machines.ssh).stdout
    assert "Ready to accept connections" in log


def test_every_frame_between_machines_is_counted_by_its_sender(machines: Machines, whole: Whole):
    done = machines.invoke("overlay.watch", "--seconds", "6", machines.ssh, "--json")
    seen = json.loads(done.stdout)
    assert (seen["ok"], seen["delivered"]) == (True, seen["frames"])
    ways = {
        (frame["outer_source"], frame["outer_destination"]) for frame in seen["examples"].values()
    }
    assert ways == {tuple(MACHINES.values()), tuple(reversed(MACHINES.values()))}


def test_the_policy_is_verified_across_machines_and_holes_are_found(
    machines: Machines, whole: Whole
):
    done = machines.invoke("overlay.verify", machines.ssh, "--json")
    verdicts = json.loads(done.stdout)["hosts"]
    found = [(seen["asked_from"], seen["wrong"], seen["rule_differences"]) for seen in verdicts]
    assert found == [("left", [], []), ("right", [], [])]
    where = {state["name"]: state["where"].split(":")[0] for state in services(machines)}
    assert [asked_between(seen, where) for seen in verdicts] == [{"right"}, {"left"}]

    for number in (1, 2):  # each flow is enforced where it leaves and where it arrives
        machines.on(number, "iptables", "-I", "FORWARD", "-j", "ACCEPT")
    done = machines.invoke("overlay.verify", machines.ssh, "--json", check=False)
    for number in (1, 2):
        machines.on(number, "iptables", "-D", "FORWARD", "-j", "ACCEPT")
    assert done.returncode == 1
    for seen in json.loads(done.stdout)["hosts"]:
        other = {"left": "right", "right": "left"}[seen["asked_from"]]
        # Open: so the other machine listened on a port that no service has.
        opened = [cell for cell in seen["wrong"] if cell["port"] == 9999 and cell["observed"]]
        assert other in {where.get(cell["destination"]) for cell in opened}, seen["wrong"]
    for number in (1, 2):  # nothing stays: no outside host, no listener, no agent
        assert "ts-outside" not in machines.on(number, "ip", "-o", "link").stdout
        network = machines.on(number, "readlink", "/proc/self/ns/net").stdout.strip()
        assert "overlay.agent" not in processes(network)


def asked_between(verdict: dict[str, Any], where: dict[str, str]) -> set[str]:
    """Name the other machines that a machine's replicas asked."""
    own = verdict["asked_from"]
    cells = [cell for cell in verdict["cells"] if where.get(cell["source"]) == own]
    assert {cell["source"] for cell in cells} == {name for name in where if where[name] == own}
    return {where.get(cell["destination"], own) for cell in cells} - {own}


def test_when_a_machine_fails_the_others_stop_and_it_is_named(machines: Machines, whole: Whole):
    group = f"/sys/fs/cgroup/*/twinstack/{machines.instance}-left/nginx-lb/cgroup.procs"
    send = f'for pid in $(cat {group} | sort -u); do kill -"$1" "$pid"; done'
    machines.on(1, "sh", "-c", send, "sh", "STOP")  # left has something to wait for
    machines.on(2, "ip", "link", "set", "br-app", "alias", "somebody's")
    done = machines.invoke("overlay.up", machines.ssh, check=False)
    machines.on(1, "sh", "-c", send, "sh", "CONT")
    machines.on(2, "ip", "link", "set", "br-app", "alias", f"twinstack:{machines.instance}-right")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("right: bridge br-app: is not ours")
    assert "host left: was stopped: another machine failed" in done.stderr


def test_down_by_ssh_leaves_each_machine_as_it_was(machines: Machines, whole: Whole):
    machines.invoke("overlay.down", machines.ssh)
    assert machines.look() == whole.before
    own = f"/var/lib/twinstack/{machines.instance}-ssh"
    assert machines.host.run("test", "-e", own, check=False).returncode == 1
    status = machines.invoke("overlay.status", machines.ssh, check=False)
    assert (status.returncode, status.stdout.split(";")[0]) == (2, "Nothing is up there")
    for task in ("overlay.verify", "overlay.watch"):
        asked = machines.invoke(task, machines.ssh, check=False)
        assert (asked.returncode, asked.stderr.split(";")[0]) == (2, "machines: have nothing up")


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_up_by_ssh_that_is_stopped_is_undone_on_every_machine(machines: Machines, how: int):
    machines.invoke("overlay.down", machines.ssh)
    before = machines.look()
    own = [f"TWINSTACK_INSTANCE={machines.instance}", f"TWINSTACK_TOPOLOGY={machines.topology}"]
    words = ("env", *own, INVOKE, "overlay.up", machines.ssh)
    up = machines.host.start(*words, stderr=subprocess.PIPE)
    assert up.stderr is not None
    assert any("steps to do" in line for line in up.stderr)
    time.sleep(1)  # in the midst of them
    up.send_signal(how)
    up.communicate(timeout=60)

    def kept() -> list[str]:
        looks = [look.splitlines() for look in machines.look()]
        return [
            "\n".join(line for line in look if not line.startswith("/var/lib/twinstack/agent"))
            for look in looks
        ]

    eventually(lambda: kept() == [look.rstrip("\n") for look in before], within_s=60)
