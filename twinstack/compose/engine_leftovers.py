"""What a Docker engine leaves on its host when it stops, and putting that back.

It leaves docker0, its iptables chains, a FORWARD policy of DROP, sysctls, empty cgroups and
mounts. What was there before it started is noted, and only the difference is undone.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twinstack.linux import procfs
from twinstack.linux.process import run
from twinstack.model import names
from twinstack.software.building import mounts_beneath, remove_tree

_SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
)
_FILES = (
    Path("/etc/docker/key.json"),
    Path("/etc/docker"),
    Path("/run/docker/plugins"),
    Path("/run/docker"),
)
_FAMILIES = ("iptables", "ip6tables")


@dataclass(frozen=True, slots=True)
class Before:
    """The host as it was: sysctls (None: not there), iptables-save by family, files, bridges."""

    sysctls: dict[str, str | None]
    rules: dict[str, str]
    files: list[str]
    bridges: list[str]

    def to_json(self) -> dict[str, Any]:
        """Give what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Before:
        """Read a note of `to_json`, of another release of ours too."""
        return cls(
            sysctls=dict(record.get("sysctls", {})),
            rules={family: str(record.get("rules", {}).get(family, "")) for family in _FAMILIES},
            files=list(record.get("files", [])),
            bridges=list(record.get("bridges", [])),
        )


@dataclass(frozen=True, slots=True)
class InstancePaths:
    """Where the engine's own things were: `exec_root` and `cgroup_parent` are no other's."""

    data_root: Path
    exec_root: Path
    socket: Path
    cgroup_parent: str
    prefix: tuple[str, ...]


def observe(prefix: tuple[str, ...]) -> Before:
    """Note what an engine is about to change, in the network namespace that `prefix` enters."""
    return Before(
        sysctls={name: _read_sysctl(prefix, name) for name in _SYSCTLS},
        rules={family: _rules(prefix, family) for family in _FAMILIES},
        files=[str(file) for file in _FILES if file.exists()],
        bridges=_bridges(prefix),
    )


def remove(before: Before, places: InstancePaths, *, data: bool = True) -> list[str]:
    """Undo what a stopped engine left, and name it; its data too unless they are to be kept."""
    return remove_own(places, data=data) + restore(before, places)


def remove_own(places: InstancePaths, *, data: bool = True) -> list[str]:
    """Remove what nobody shares: processes it left, its directories and cgroups; name them."""
    removed = list(_end_orphans(places))
    for root in (places.exec_root, places.data_root):
        unmount_beneath(root)
        if (data or root != places.data_root) and remove_tree(root):
            removed.append(f"engine: {root}")
    _remove_cgroups(places.cgroup_parent)
    return removed


def unmount_beneath(root: Path) -> None:
    """Let go of what is mounted at or beneath a directory of an engine's own."""
    for point in sorted(mounts_beneath(root), key=len, reverse=True):
        run(["umount", "--lazy", point], check=False)


def restore(before: Before, places: InstancePaths) -> list[str]:
    """Put back what every engine of the host shares: bridges, rules, sysctls, files."""
    removed: list[str] = []
    places.socket.unlink(missing_ok=True)
    for bridge in _bridges(places.prefix):
        if bridge not in before.bridges:
            run([*places.prefix, "ip", "link", "delete", bridge])
            removed.append(f"engine: bridge {bridge}")
    for family in _FAMILIES:
        script = undo_script(before.rules[family], _rules(places.prefix, family))
        if script:
            run([*places.prefix, f"{family}-restore", "--noflush", "--wait"], stdin=script)
            removed.append(f"engine: its {family} chains")
    for name, value in before.sysctls.items():
        now = _read_sysctl(places.prefix, name)
        # br_netfilter that was not loaded filtered nothing.
        wanted = "0" if value is None else value
        if now is not None and now != wanted:
            run([*places.prefix, "tee", f"/proc/sys/{name}"], stdin=wanted)
            removed.append(f"engine: sysctl {name.replace('/', '.')} is {wanted} again")
    restore_files(before)
    return removed


def restore_files(before: Before) -> None:
    """Remove the files that every engine of the host shares, if they were not there before."""
    for file in _FILES:
        if str(file) not in before.files and file.exists():
            file.unlink() if file.is_file() else _rmdir(file)


def undo_script(before: str, now: str) -> str:
    """Give the iptables-restore text that takes Docker's rules away again; "" for nothing to do.

    Both arguments are iptables-save's. Only chains named DOCKER… that were not there before, the
    rules that lead to them, and those about docker0 or a bridge of ours are removed.
    """
    was, wanted = parse_save(before), []
    for table, (policies, rules) in parse_save(now).items():
        old_policies, old_rules = was.get(table, ({}, []))
        chains = [
            name for name in policies if name.startswith("DOCKER") and name not in old_policies
        ]
        lines = [
            f"-D {rule.removeprefix('-A ')}"
            for rule in rules
            if rule not in old_rules and rule.split()[1] not in chains
            if _leads_to(rule, chains) or any(_is_bridge(word) for word in rule.split())
        ]
        lines += [f"-F {name}" for name in chains] + [f"-X {name}" for name in chains]
        # A table that was not loaded had the kernel's default, which is to accept.
        if policies.get("FORWARD") == "DROP" and old_policies.get("FORWARD", "ACCEPT") == "ACCEPT":
            lines.insert(0, "-P FORWARD ACCEPT")
        if lines:
            wanted += [f"*{table}", *lines, "COMMIT"]
    return "\n".join((*wanted, "")) if wanted else ""


def parse_save(text: str) -> dict[str, tuple[dict[str, str], list[str]]]:
    """Read iptables-save's output: table → (chain → policy, its rules in order)."""
    tables: dict[str, tuple[dict[str, str], list[str]]] = {}
    table: tuple[dict[str, str], list[str]] = ({}, [])
    for line in text.splitlines():
        if line.startswith("*"):
            table = tables.setdefault(line[1:].strip(), ({}, []))
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            table[0][name] = policy
        elif line.startswith("-A "):
            table[1].append(line)
    return tables


def _is_bridge(name: str) -> bool:
    """Say whether a link's name is that of a bridge of Docker's or of our own making there."""
    return name == "docker0" or name.startswith(names.docker_bridge("main", ""))


def _leads_to(rule: str, chains: Iterable[str]) -> bool:
    words = rule.split()
    return any(
        word in {"-j", "-g"} and target in chains for word, target in itertools.pairwise(words)
    )


def _rules(prefix: tuple[str, ...], family: str) -> str:
    return run([*prefix, f"{family}-save"], check=False).stdout


def ports(prefix: tuple[str, ...]) -> dict[int, str]:
    """List the veth ends on the bridges of Docker's, by index, before anything is removed."""
    return {
        link["ifindex"]: link["ifname"]
        for link in _veths(prefix)
        if _is_bridge(link.get("master", ""))
    }


def remove_ports(before: dict[int, str], prefix: tuple[str, ...]) -> tuple[str, ...]:
    """Remove those that their engine has left behind, and name them.

    An engine that was killed has forgotten them. They would go with their container's network;
    but a connection whose other end is gone keeps that for minutes.
    """
    left = [
        link["ifname"]
        for link in _veths(prefix)
        if before.get(link["ifindex"]) == link["ifname"] and "master" not in link
    ]
    for name in left:
        run([*prefix, "ip", "link", "delete", name], check=False)
    return tuple(f"engine: link {name}" for name in left)


def _veths(prefix: tuple[str, ...]) -> list[dict[str, Any]]:
    listed = run([*prefix, "ip", "-j", "link", "show", "type", "veth"], check=False).stdout
    found: list[dict[str, Any]] = json.loads(listed or "[]")
    return [link for link in found if "ifindex" in link]


def _bridges(prefix: tuple[str, ...]) -> list[str]:
    listed = run([*prefix, "ip", "-j", "link", "show", "type", "bridge"], check=False).stdout
    return [link["ifname"] for link in json.loads(listed or "[]") if _is_bridge(link["ifname"])]


def _read_sysctl(prefix: tuple[str, ...], name: str) -> str | None:
    done = run([*prefix, "cat", f"/proc/sys/{name}"], check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _end_orphans(places: InstancePaths) -> Iterator[str]:
    """End what a crashed engine left running: its containerd, shims and containers."""
    mark = f"{places.exec_root}/"  # not that of `exec-1` when ours is `exec`
    for _ in range(50):
        pids = {pid for pid in procfs.pids() if _is_containerd(pid, mark)}
        pids |= set(_cgroup_pids(places.cgroup_parent))
        pids.discard(os.getpid())
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            yield f"engine: process {pid} that it left behind"
        time.sleep(0.1)


def _is_containerd(pid: int, mark: str) -> bool:
    words = procfs.cmdline(pid)
    return bool(words) and "containerd" in words[0] and any(mark in word for word in words)


def _cgroups(parent: str) -> list[Path]:
    """List our cgroups in every hierarchy, the deepest first."""
    if not parent.strip("/"):
        return []
    base = Path("/sys/fs/cgroup")
    tops = [base / parent.strip("/"), *base.glob(f"*/{parent.strip('/')}")]
    found = [Path(directory) for top in tops for directory, _, _ in os.walk(top)]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _cgroup_pids(parent: str) -> Iterator[int]:
    for cgroup in _cgroups(parent):
        try:
            yield from (int(pid) for pid in (cgroup / "cgroup.procs").read_text().split())
        except OSError:
            continue


def _remove_cgroups(parent: str) -> None:
    for cgroup in _cgroups(parent):
        _rmdir(cgroup)


def _rmdir(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return
