"""Mistakes that a student can make with the commands of a lesson: each left out, or altered; pure.

Each alteration is a pattern and what it is replaced by, in every command that it fits. What an
alteration cannot change (the first rule of a chain put first) is left to whoever tries it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Solution = Sequence[tuple[str, Sequence[str]]]  # parts with their commands


@dataclass(frozen=True)
class Mutant:
    """A lesson's commands with one mistake in them."""

    what: str
    part: str  # where it is
    commands: tuple[str, ...]  # of the whole lesson


def _more(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) + 1}{match[3] if match.lastindex == 3 else ''}"


def _next_byte(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2], 16) + 1:02x}"


#: What is altered → the pattern, and what replaces it.
ALTERATIONS: dict[str, tuple[str, str | Callable[[re.Match[str]], str]]] = {
    "address": (r"(\d+\.\d+\.\d+\.)(\d+)(?=[/ :]|$)", _more),
    "prefix length": (r"(/)(\d+)\b(?!/)", lambda match: f"/{int(match[2]) - 1}"),
    "port": (r"(--dport )(\d+)", _more),
    "destination's port": (r"(--to-destination \S+:)(\d+)", _more),
    "MAC": (r"(address (?:\w\w:){5})(\w\w)", _next_byte),
    "up": (r" up$", " down"),
    "no up": (r" up$", ""),
    "value": (r"=(\d)$", lambda match: f"={1 - int(match[1])}"),
    "host end's name": (r"\bve-([a-z-]+)", r"ve-x\1"),
    "inner end's name": (r"\beth0\b", "eth7"),
    "namespace's name": (r"(netns(?: add| exec)? |-n )([a-z-]+)", r"\1\2-x"),
    "bridge": (r"(master |-[io] |dev |name )br-[a-z]+", r"\1br-elsewhere"),
    "kind": (r" type bridge$", " type veth"),
    "mtu": (r"^(ip link add name \S+)", r"\1 mtu 1400"),
    "hairpin": (r"hairpin on", "hairpin off"),
    "bridge's filter": (r"nf_call_iptables 1", "nf_call_iptables 0"),
    "target": (r"-j (ACCEPT|RETURN|MASQUERADE)$", "-j DROP"),
    "target of DROP": (r"-j DROP$", "-j ACCEPT"),
    "direction": (r" -([io]) ", lambda match: f" -{'o' if match[1] == 'i' else 'i'} "),
    "protocol": (r"-p tcp", "-p udp"),
    "state": (r"--ctstate (\S+)", "--ctstate INVALID"),
    "source for destination": (r" -s ", " -d "),
    "first": (r" -A ", " -I "),
    "table": (r"-t (nat|raw) ", "-t mangle "),
    "limit": (r"^(echo )(\d+)(?= >)", lambda match: f"{match[1]}{int(match[2]) * 2}"),
    "cgroup": (r"^(mkdir -p \S+)", r"\1-x"),
    "replica": (r"(launch/product-service-)\d", r"\g<1>9"),
    "mirrored to": (r" mirror dev (\S+)", r" mirror dev lo"),
    "sent, not mirrored": (r" egress mirror ", " egress redirect "),
    "mirrored direction": (r"(dev \S+) (ingress|egress) pref", r"\1 \2 pref 7 pref"),
    "some frames": (r"match u32 0 0", "match u32 0 1"),
    "some protocols": (r"protocol all", "protocol arp"),
    "every packet": (r" --syn", ""),
    "group": (r"(--nflog-group )(\d+)", _more),
    "request": (r"(X-Request-ID: day-)4", r"\g<1>9"),
    "link captured": (r"-i eth0 -w", "-i lo -w"),
    "VNI": (r"( id )(\d+)", _more),
    "UDP port": (r"(dstport )(\d+)", _more),
    "learning tunnel": (r" nolearning", ""),
    "fragments": (r" df set", " df unset"),
    "port that learns": (r" learning off", " learning on"),
    "port that floods": (r" flood off", " flood on"),
    "port that floods groups": (r"mcast_flood off", "mcast_flood on"),
    "port that asks": (r"neigh_suppress on", "neigh_suppress off"),
    "entry's MAC": (r"(02:(?:\w\w:){4})(\w\w)(?= dev)", _next_byte),
    "neighbour's MAC": (r"(lladdr (?:\w\w:){5})(\w\w)", _next_byte),
    "entry that ages": (r"nud permanent", "nud reachable"),
    "answer": (r"^(invoke course.answer \d+) .*", r"\1 nonsense"),
}
#: How a long command is continued; each of its lines is an option that may be forgotten.
_CONTINUED = " \\\n    "


def mutants(solution: Solution) -> Iterator[Mutant]:
    """Give a lesson's solution with each mistake in turn."""
    every = [(part, command) for part, commands in solution for command in commands]
    for place, (part, command) in enumerate(every):
        before = [typed for _, typed in every[:place]]
        after = [typed for _, typed in every[place + 1 :]]
        yield Mutant(f"left out: {command}", part, (*before, *after))
        if command.startswith("iptables ") and " -A " in command:
            yield Mutant(f"twice: {command}", part, (*before, command, command, *after))
        lines = command.split(_CONTINUED)
        for number in range(1, len(lines) - 1):
            shorter = _CONTINUED.join(lines[:number] + lines[number + 1 :])
            yield Mutant(f"forgotten: {lines[number]}", part, (*before, shorter, *after))
        for what, (pattern, replacement) in ALTERATIONS.items():
            altered = re.sub(pattern, replacement, command, count=1)
            if altered != command:
                yield Mutant(f"{what}: {altered}", part, (*before, altered, *after))
