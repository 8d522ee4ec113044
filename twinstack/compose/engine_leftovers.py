"""What a Docker engine leaves on its host when it stops, and restoring the host.

It leaves docker0, its iptables chains, a FORWARD policy of DROP, sysctls, empty cgroups and mounts.
The host's state before its start is recorded, and only the difference is undone.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinstack.compose.engine_paths import EnginePaths
from twinstack.linux import child, links, netns, procfs
from twinstack.linux.iptables import parse_save, target
from twinstack.linux.netlink import Netlink
from twinstack.linux.process import run
from twinstack.linux.rtnetlink import delete_link
from twinstack.model import names
from twinstack.software.building import mounts_beneath, remove_tree

_SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
)
#: A directory after what is in it. Of the shims' sockets, nothing lies in the engine's exec-root.
_FILES = tuple(
    map(
        Path,
        (
            "/etc/docker/key.json",
            "/etc/docker",
            "/run/docker/plugins",
            "/run/docker",
            "/run/containerd/s",
            "/run/containerd",
        ),
    )
)
_FAMILIES = ("iptables", "ip6tables")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class HostState:
    """What an engine changes on its host. A record of another release of ours may lack fields."""

    sysctls: dict[str, str | None] = field(default_factory=dict)  # None: there is no such sysctl
    rules: dict[str, str] = field(default_factory=dict)  # iptables-save, by family
    files: list[str] = field(default_factory=list)
    bridges: list[str] = field(default_factory=list)


def observe(prefix: tuple[str, ...]) -> HostState:
    """Read what an engine is about to change, in the network namespace that `prefix` enters."""
    return HostState(
        sysctls={name: _read_sysctl(prefix, name) for name in _SYSCTLS},
        rules={family: _rules(prefix, family) for family in _FAMILIES},
        files=[str(file) for file in _FILES if file.exists()],
        bridges=_bridges(prefix),
    )


def remove(before: HostState, engine: EnginePaths, token: str, *, data: bool = True) -> list[str]:
    """Undo what a stopped engine left, and name it; its data too unless they are to be kept."""
    return remove_own(engine, token, data=data) + restore(before, engine)


def remove_own(engine: EnginePaths, token: str, *, data: bool = True) -> list[str]:
    """Remove what is the engine's alone: processes, directories, cgroups; name them."""
    exec_root, cgroups = engine.exec_root(token), engine.cgroups(token)
    removed = list(_end_orphans(exec_root, cgroups))
    for root in (exec_root, engine.data_root):
        unmount_beneath(root)
        if (data or root != engine.data_root) and remove_tree(root):
            removed.append(f"engine: {root}")
    for cgroup in _cgroups(cgroups):
        with suppress(OSError):
            cgroup.rmdir()
    return removed


def unmount_beneath(root: Path) -> None:
    """Unmount what is mounted at or beneath a directory of an engine."""
    for point in sorted(mounts_beneath(root), key=len, reverse=True):
        run(["umount", "--lazy", point], check=False)


def restore(before: HostState, engine: EnginePaths) -> list[str]:
    """Restore what all engines of the host share: bridges, rules, sysctls, files."""
    prefix, removed = engine.prefix, []
    engine.socket.unlink(missing_ok=True)
    for bridge in _bridges(prefix):
        if bridge not in before.bridges:
            run([*prefix, "ip", "link", "delete", bridge])
            removed.append(f"engine: bridge {bridge}")
    for family in _FAMILIES:
        script = undo_script(before.rules.get(family, ""), _rules(prefix, family))
        if script:
            run([*prefix, f"{family}-restore", "--noflush", "--wait"], stdin=script)
            removed.append(f"engine: its {family} chains")
    for name, value in before.sysctls.items():
        current = _read_sysctl(prefix, name)
        expected = value or "0"  # br_netfilter that was not loaded filtered nothing
        if current not in {None, expected}:
            run([*prefix, "tee", f"/proc/sys/{name}"], stdin=expected)
            removed.append(f"engine: sysctl {name.replace('/', '.')} is {expected} again")
    restore_files(before)
    return removed


def restore_files(before: HostState) -> None:
    """Remove the files that all engines of the host share, if they were not there before."""
    for file in _FILES:
        if str(file) not in before.files and file.exists():
            with suppress(OSError):  # a directory that is not empty
                file.unlink() if file.is_file() else file.rmdir()


def undo_script(before: str, now: str) -> str:
    """Give the iptables-restore text that removes Docker's rules; empty for nothing to do.

    Both arguments are iptables-save's. Only chains named DOCKER… that were not there before, the
    rules that lead to them, and those about docker0 or a bridge of ours are removed.
    """
    earlier, script = parse_save(before), []
    for table, rules in parse_save(now).items():
        old = earlier.get(table, ())
        chains = [chain for chain in _docker_chains(rules) if chain not in _docker_chains(old)]
        lines = [
            f"-D {rule.removeprefix('-A ')}"
            for rule in rules
            if rule.startswith("-A ") and rule not in old and rule.split()[1] not in chains
            if target(rule) in chains or any(_is_bridge(word) for word in rule.split())
        ]
        lines += [f"-F {chain}" for chain in chains] + [f"-X {chain}" for chain in chains]
        # A table that was not loaded had the kernel's default, which is to accept.
        if _drops_forward(rules) and not _drops_forward(old):
            lines.insert(0, "-P FORWARD ACCEPT")
        if lines:
            script += [f"*{table}", *lines, "COMMIT"]
    return "\n".join((*script, "")) if script else ""


def unplug(engine: EnginePaths, token: str) -> None:
    """Take the veth pairs of a dead engine's containers away, before another starts these.

    It would forget the pairs, and give the same addresses to new ones. What a connection keeps of a
    container for minutes would then go on speaking from them, and get its successor's packets.
    Raises: StepFailed.
    """
    host = os.stat(engine.network_namespace or "/proc/self/ns/net").st_ino
    child.each(
        {
            file.name: file
            for file in (engine.exec_root(token) / "netns").glob("*")
            if netns.is_namespace(file) and file.stat().st_ino != host
        },
        _delete_pairs,
    )


def _delete_pairs(_namespace: str) -> None:
    with Netlink() as netlink:
        found = map(links.read_identity, links.dump_messages(netlink))
        netlink.send([delete_link(link.index) for link in found if link.kind == "veth"])


def bridge_links(prefix: tuple[str, ...]) -> dict[int, str]:
    """List the host's ends of veth pairs on Docker's bridges, by index, before a removal."""
    return {
        link["ifindex"]: link["ifname"]
        for link in _links(prefix, "veth")
        if _is_bridge(link.get("master", ""))
    }


def remove_links(before: dict[int, str], prefix: tuple[str, ...]) -> tuple[str, ...]:
    """Remove those of them that their engine left behind, and name them.

    An engine that was killed has forgotten them. They would go with their container's network
    namespace, but a connection with nothing at its other end keeps that for minutes.
    """
    left = [
        link["ifname"]
        for link in _links(prefix, "veth")
        if before.get(link["ifindex"]) == link["ifname"] and "master" not in link
    ]
    for name in left:
        run([*prefix, "ip", "link", "delete", name], check=False)
    return tuple(f"engine: link {name}" for name in left)


def _is_bridge(name: str) -> bool:
    """Say whether a name is that of Docker's bridge, or of one that Docker creates for us."""
    return name == "docker0" or name.startswith(names.docker_bridge("main", ""))


def _docker_chains(rules: tuple[str, ...]) -> list[str]:
    return [line[1:].split()[0] for line in rules if line.startswith(":DOCKER")]


def _drops_forward(rules: tuple[str, ...]) -> bool:
    return any(line.startswith(":FORWARD DROP ") for line in rules)


def _rules(prefix: tuple[str, ...], family: str) -> str:
    return run([*prefix, f"{family}-save"], check=False).stdout


def _links(prefix: tuple[str, ...], kind: str) -> list[dict[str, Any]]:
    command = [*prefix, *f"ip -j link show type {kind}".split()]
    links: list[dict[str, Any]] = json.loads(run(command, check=False).stdout or "[]")
    return [link for link in links if "ifindex" in link]


def _bridges(prefix: tuple[str, ...]) -> list[str]:
    return [link["ifname"] for link in _links(prefix, "bridge") if _is_bridge(link["ifname"])]


def _read_sysctl(prefix: tuple[str, ...], name: str) -> str | None:
    done = run([*prefix, "cat", f"/proc/sys/{name}"], check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _end_orphans(exec_root: Path, cgroup_parent: str) -> Iterator[str]:
    """End what a crashed engine left running: its containerd, shims and containers."""
    for _ in range(50):
        pids = {pid for pid in procfs.pids() if _is_containerd(pid, exec_root)}
        for cgroup in _cgroups(cgroup_parent):
            with suppress(OSError):
                pids |= {int(word) for word in (cgroup / "cgroup.procs").read_text().split()}
        pids.discard(os.getpid())
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                yield f"engine: process {pid} that it left behind"
        time.sleep(0.1)


def _is_containerd(pid: int, exec_root: Path) -> bool:
    words = procfs.cmdline(pid)
    # With its slash: not that of `exec-1` when ours is `exec`.
    return bool(words) and "containerd" in words[0] and f"{exec_root}/" in " ".join(words)


def _cgroups(parent: str) -> list[Path]:
    """List an engine's cgroups in every hierarchy, the deepest first."""
    name = parent.strip("/")
    if not name:
        return []
    tops = [_CGROUP_ROOT / name, *_CGROUP_ROOT.glob(f"*/{name}")]
    cgroups = [Path(directory) for top in tops for directory, _, _ in os.walk(top)]
    return sorted(cgroups, key=lambda path: len(path.parts), reverse=True)
