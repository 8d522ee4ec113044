"""The repository's topology, edited, and facts that satisfy its plan."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.project import ROOT
from twinstack.confinement.seccomp import Filter
from twinstack.linux.cgroup import Layout
from twinstack.linux.links import LinkFacts
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology import Topology
from twinstack.model.topology_file import parse
from twinstack.namespaces.cgroups import read_layout
from twinstack.namespaces.facts import MarkedObjects, NamespaceFacts, NetFacts, ProgramFacts
from twinstack.namespaces.launch import ProvidedSoftware
from twinstack.namespaces.launch import steps as launch_steps
from twinstack.namespaces.process_steps import (
    Cgroup,
    InstanceDirectory,
    InstanceFile,
    ReplicaProcess,
    Supervisor,
    directory_facts,
    file_facts,
)
from twinstack.namespaces.steps import (
    Bridge,
    BridgeFilter,
    Namespace,
    NetStep,
    Rules,
    Sysctl,
    VethPair,
    network_steps,
)

TEXT = (ROOT / "topology.yml").read_text()
WRITTEN: dict[str, Any] = yaml.safe_load(TEXT)
Edit = Callable[[dict[str, Any]], object]

#: This machine's own: each version 1 controller by itself, and a cgroup2 mount that limits nothing.
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /nowhere/unified rw,relatime - cgroup2 cgroup2 rw
"""
#: An older Debian's: cpu and cpuacct share a mount.
VERSION_1 = """\
30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd
32 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:12 - cgroup cgroup rw,cpu,cpuacct
33 30 0:31 / /sys/fs/cgroup/memory rw,nosuid shared:13 - cgroup cgroup rw,memory
34 30 0:32 / /sys/fs/cgroup/pids rw,nosuid shared:14 - cgroup cgroup rw,pids
"""

SOFTWARE = ProvidedSoftware(
    trees={
        "python": Path("/trees/python"),
        "nginx": Path("/trees/nginx"),
        "redis": Path("/trees/redis"),
        "postgres": Path("/trees/postgres"),
    },
    srv=Path("/software/abc"),
    supervisor=Path("/software/abc/supervisor"),
    configs={"nginx-lb": {"/etc/nginx/nginx.conf": "events {}\n"}},
    digest="0123456789ab",
    seccomp=Filter("0600000000000000", 157),
)


def version_2(directory: Path) -> str:
    """Give the mountinfo of a host whose version 2 serves every controller, mounted there."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    return f"30 24 0:26 / {directory} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def written(edit: Edit | None = None) -> str:
    """Give the repository's topology as YAML, edited, its keys in their order."""
    document = copy.deepcopy(WRITTEN)
    if edit is not None:
        edit(document)
    return str(yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False))


@cache
def declared() -> Topology:
    """Give the repository's topology."""
    return parse(TEXT)


@cache
def planned(
    shape: str = "flat", instance: str = "main", limited: bool = True, policy: bool = True
) -> Plan:
    """Give a plan of the repository's topology."""
    return resolve(declared(), shape, instance, limited=limited, policy=policy)


def edited_plan(
    edit: Edit = lambda _written: None, shape: str = "flat", instance: str = "main"
) -> Plan:
    """Give a plan of the edited topology."""
    return resolve(parse(written(edit)), shape, instance)


def layout() -> Layout:
    """Give the layout of a version 1 host."""
    return read_layout(HYBRID)


def all_steps(plan: Plan, software: ProvidedSoftware = SOFTWARE) -> tuple[NetStep, ...]:
    """List every step of a world, as `difference` does."""
    launched = launch_steps(plan, software, layout())
    return (*network_steps(plan), *launched)


def link(name: str, **changed: Any) -> LinkFacts:
    """Give a link as it should be, with some values changed."""
    values: dict[str, Any] = {
        "name": name,
        "index": 7,
        "kind": "veth",
        "alias": "twinstack:main",
        "mtu": 1500,
        "up": True,
        "master": None,
        "addresses": frozenset(),
        "autoconfigures_ipv6": False,
    }
    return LinkFacts(**{**values, **changed})


def satisfied(steps: tuple[NetStep, ...]) -> NetFacts:
    """Give facts in which every step has been done, beside things of other people."""
    links = {"lo": link("lo", kind=None, alias=None), "docker0": link("docker0", kind="bridge")}
    namespaces: dict[str, NamespaceFacts] = {}
    sysctls: dict[str, str] = {"kernel.panic": "0"}
    rules: dict[str, tuple[str, ...]] = {"mangle": (":PREROUTING ACCEPT [0:0]",)}
    files: dict[str, str] = {}
    cgroups: dict[str, dict[str, str]] = {}
    processes: dict[str, ProgramFacts] = {}
    inodes = {s.namespace: 4000 + n for n, s in enumerate(steps) if isinstance(s, Namespace)}
    pairs = {step.namespace: step for step in steps if isinstance(step, VethPair)}
    for step in steps:
        match step:
            case Bridge():
                links[step.link] = link(
                    step.link,
                    kind="bridge",
                    alias=step.mark,
                    group=step.group,
                    mtu=step.mtu,
                    filtered=step.filtered,
                    addresses=frozenset({step.address}),
                    mac=step.mac,
                )
            case Sysctl():
                sysctls[step.key] = step.value
            case VethPair():
                links[step.host_end] = link(
                    step.host_end,
                    alias=step.mark,
                    group=step.group,
                    mtu=step.mtu,
                    master=step.bridge,
                    hairpin=step.hairpin,
                )
            case Namespace():
                pair = pairs[step.namespace]
                inside = link(pair.link, alias=None, addresses=frozenset({pair.address}))
                namespaces[step.namespace] = NamespaceFacts(
                    step.namespace,
                    inodes[step.namespace],
                    step.mark,
                    {"lo": link("lo", kind=None, alias=None), pair.link: inside},
                    str(pair.gateway),
                    dict(step.sysctls),
                )
            case Rules():
                hook = step.hook
                current = rules.get(hook.table, ())
                rules[hook.table] = (
                    *([f":{hook.builtin} ACCEPT [0:0]"] if hook.builtin else []),
                    *current,
                    f":{hook.chain} - [0:0]",
                    *([hook.jump] if hook.jump else []),
                    *hook.lines,
                )
            case InstanceDirectory():
                files[step.path] = directory_facts(step.mode, step.user)
            case InstanceFile():
                files[step.path] = file_facts(step.digest, step.mode)
            case Cgroup():
                cgroups[step.replica] = dict(step.limit_values)
            case ReplicaProcess():
                processes[step.replica] = ProgramFacts(
                    step.replica, 900, "RUNNING", step.digest, inodes.get(step.replica, 1)
                )
            case BridgeFilter() | Supervisor():
                pass  # a field of their own, below
            case _:
                raise NotImplementedError(f"what is a host like after {type(step).__name__}?")
    held = frozenset(step.key for step in steps if isinstance(step, Sysctl) and step.held)
    hooks = [step.hook for step in steps if isinstance(step, Rules)]
    owned = MarkedObjects(
        supervisor=True,
        programs=frozenset(processes),
        groups=tuple(cgroups),
        held=held,
        rules=rules,
        chains={
            table: tuple(hook.chain for hook in hooks if hook.table == table)
            for table in dict.fromkeys(hook.table for hook in hooks)
        },
        namespaces=tuple(namespaces),
        files=tuple(files),
        links=tuple(facts for facts in links.values() if facts.group),
    )
    return NetFacts(
        bridges_can_filter=True,
        links=links,
        namespaces=namespaces,
        sysctls=sysctls,
        files=files,
        cgroups=cgroups,
        processes=processes,
        owned=owned,
    )


def with_fact(facts: NetFacts, field: str, key: str, value: object) -> NetFacts:
    """Give facts with one entry of one mapping changed."""
    changed: dict[str, Any] = {field: {**getattr(facts, field), key: value}}
    return replace(facts, **changed)
