"""Draw as tables who may connect, what must hold, what is checked, where a replica is. Pure.

`docs/draw.py` writes them. Each table has a row for each source, fault, replica or host.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twinstack.cis.gate import CisReport
from twinstack.faults.catalogue import FAULTS, Promise
from twinstack.model.placement import hosts_of, placed
from twinstack.model.plan import HOST, OUTSIDE, Plan
from twinstack.model.topology import Topology
from twinstack.observe.svg import MARGIN, WIDTH, Box, document, rect, text
from twinstack.policy.truth_table import cells

_ROW_HEIGHT, _LETTER = 26, 8  # px; a letter of a row's name
#: A cell: its words, and the class of its box; none for plain text.
Cell = tuple[str, str]


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], note: str = "") -> str:
    """Draw rows of cells below their head; the first column is as wide as its words."""
    rows = list(rows)
    first = max(len(words) for words in (head[0], *(row[0][0] for row in rows))) * _LETTER + 12
    width = (WIDTH - 2 * MARGIN - first) / (len(head) - 1)
    lefts = [MARGIN, *(MARGIN + first + width * number for number in range(len(head) - 1))]
    parts = [text(lefts[0], 28, head[0], "name")]
    parts += [
        text(left + width / 2, 28, words, "name", "middle")
        for left, words in zip(lefts[1:], head[1:], strict=True)
    ]
    for number, row in enumerate(rows):
        top = 40 + number * _ROW_HEIGHT
        parts.append(text(lefts[0], top + 17, row[0][0], "name"))
        for left, (words, kind) in zip(lefts[1:], row[1:], strict=True):
            if kind:
                parts.append(rect(Box(left + 2, top + 2, width - 4, _ROW_HEIGHT - 4), kind, "", 4))
            parts.append(text(left + width / 2, top + 17, words, "dim", "middle"))
    height = 40 + len(rows) * _ROW_HEIGHT + (34 if note else 12)
    if note:
        parts.append(text(MARGIN, height - 14, note, "dim"))
    return document(parts, title, height)


def policy(plan: Plan) -> str:
    """Draw which TCP ports of each service each source may open, in the namespace world."""
    services = list(dict.fromkeys(replica.service for replica in plan.replicas))
    service = {replica.name: replica.service for replica in plan.replicas}
    ports: dict[tuple[str, str], dict[int, None]] = {}
    for cell in cells(plan, "net"):
        if cell.open and cell.protocol == "tcp":
            source, to = (service.get(end, end) for end in (cell.source, cell.destination))
            ports.setdefault((source, to), {})[cell.port] = None
    rows = []
    for source in (*services, HOST, OUTSIDE):
        row: list[Cell] = [(source, "")]
        for to in (*services, OUTSIDE):
            opened = ports.get((source, to), {})
            row.append((", ".join(map(str, opened)) or "·", "port" if opened else "band"))
        rows.append(row)
    short = [_short(name) for name in (*services, OUTSIDE)]
    note = "Rows open connections, columns accept them. A dot: every port is denied."
    return table("Open TCP ports, by source and destination", ["", *short], rows, note)


def faults(plan: Plan) -> str:
    """Draw what must hold of reads while each fault strikes each service."""
    first = {replica.service: replica.name for replica in reversed(plan.replicas)}
    services = list(dict.fromkeys(replica.service for replica in plan.replicas))
    rows = []
    for fault in FAULTS.values():
        row: list[Cell] = [(fault.name, "")]
        targets = fault.targets(plan)
        for service in services:
            if first[service] in targets:
                row.append(_reads(fault.promise(plan, first[service])))
            else:
                row.append(("", ""))
        if any(words for words, _ in row[1:]):
            rows.append(row)
    short = [_short(name) for name in services]
    note = "The share of reads that is answered, in how long; all reads again after how long."
    return table("Faults, and what must hold", ["", *short], rows, note)


def _short(service: str) -> str:
    return service.removesuffix("-service").removeprefix("service-")


def _reads(promise: Promise) -> Cell:
    share = 0.0 if promise.reads_failing is None else 1 - promise.reads_failing
    words = f"{share:.0%} in {promise.slowest_s:g} s; {promise.full_within_s:g} s"
    return (words, "box") if share else (f"may fail; {promise.full_within_s:g} s", "port")


def networks(plan: Plan) -> str:
    """Draw each container's address in each Docker network."""
    rows = []
    for replica in plan.replicas:
        at = {each.segment: str(each.address) for each in replica.attachments}
        row: list[Cell] = [(replica.name, "")]
        row += [
            (at.get(one.name, "·"), "box" if one.name in at else "band") for one in plan.segments
        ]
        rows.append(row)
    head = ["", *(f"{one.name} {one.docker_subnet}" for one in plan.segments)]
    note = "A container has a link in every network that its flows lead into."
    return table("Containers in their networks", head, rows, note)


def replicas(plan: Plan) -> str:
    """Draw what confines each replica: its user, limits and number of secrets."""
    rows = []
    for replica in plan.replicas:
        limits = replica.limits
        words = [str(replica.user), "", "", "", str(len(replica.secrets))]
        if limits is not None:
            words[1:4] = [f"{limits.cpus:g}", f"{limits.memory_bytes >> 20} MiB", f"{limits.pids}"]
        rows.append([(replica.name, ""), *((word, "box") for word in words)])
    head = ["", "uid, gid", "CPUs", "memory", "pids", "secrets"]
    return table("What each replica may use", head, rows)


def marks(plan: Plan) -> str:
    """Draw what `net.up` makes for each replica, by the names that it has on the host."""
    rows = [
        [
            (replica.name, ""),
            (f"/run/netns/{replica.name}", "box"),
            (replica.host_link, "box"),
            (f"/twinstack/{plan.instance}/{replica.name}", "box"),
        ]
        for replica in plan.replicas
    ]
    return table("Namespaces, links and cgroups", ["", "namespace", "link", "cgroup"], rows)


def cis(report: CisReport) -> str:
    """Draw what came of each rule of the CIS gate, in two columns."""
    kinds = {"pass": "", "exception": "port", "fail": "port", "not told": "band"}
    lines = math.ceil(len(report.rules) / 2)
    width = (WIDTH - MARGIN) / 2
    parts = []
    for number, rule in enumerate(report.rules):
        left, top = MARGIN + number // lines * width, 12 + number % lines * _ROW_HEIGHT
        if kind := kinds[rule.outcome]:
            box = Box(left + 72, top + 2, width - MARGIN - 72, _ROW_HEIGHT - 4)
            parts.append(rect(box, kind, "", 4))
        parts.append(text(left, top + 18, rule.number, "name"))
        parts.append(text(left + 80, top + 18, rule.title))
        parts.append(text(left + width - MARGIN - 8, top + 18, rule.outcome, "dim", "end"))
    height = 12 + lines * _ROW_HEIGHT + 34
    counts = ", ".join(f"{count} {outcome}" for outcome, count in report.counts().items())
    parts.append(text(MARGIN, height - 14, counts, "name"))
    return document(parts, "The CIS gate, rule by rule", height)


def swarm(status: Mapping[str, Any], note: str) -> str:
    """Draw where Swarm has placed each task: the document of `swarm.status --json`."""
    nodes = status["nodes"]
    head = [
        f"{node['name']}, {'manager' if node['manager'] else 'worker'} {node['address']}"
        for node in nodes
    ]
    rows = []
    for task in status["services"]:
        row: list[Cell] = [(task["name"], "")]
        row += [
            (f"{task['address']}:{task['port']}", "box")
            if task["where"] == node["name"]
            else ("", "")
            for node in nodes
        ]
        rows.append(row)
    return table("Tasks on the nodes of a Swarm", ["", *head], rows, note)


def placement(topology: Topology, plan: Plan) -> str:
    """Draw on which host of an overlay each replica is, as declared."""
    hosts = [host.name for host in hosts_of(topology.hosts)]
    services: dict[str, list[str]] = {}
    for replica in plan.replicas:
        services.setdefault(replica.service, []).append(replica.name)
    host_of = placed(services, hosts, topology.hosts.placement)
    rows = [
        [(name, ""), *((name, "box") if host == at else ("", "") for host in hosts)]
        for name, at in host_of.items()
    ]
    return table("Replicas on hosts", ["", *hosts], rows)
