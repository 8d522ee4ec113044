"""What a drill is: a fault of the running stack that a student finds and repairs by hand.

A drill is data: sentences, and commands of a shell on this host in which `{order-service.enter}`
stands for what `site` knows of a replica, and `{target.…}` for the replica that the seed drew.
"""

from __future__ import annotations

from dataclasses import dataclass

Commands = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault: what is seen of it, how it is put, found, repaired, and taken away."""

    name: str
    area: str
    level: int  # 1: one look shows it; 4: it hides behind several layers
    symptom: str  # in the words of who suffers it
    probes: Commands  # each exits 0 while the stack is sound; the symptom is one that does not
    put: Commands
    hints: tuple[str, str, str]  # each says more, and costs more
    repair: Commands
    explanation: str  # what was wrong, and why it looked as it did
    wrong: Commands  # a repair that ends the symptom, or seems to, and must be refused
    refusal: str  # words of the sentence that refuses it
    undo: Commands = ()  # takes the fault away whatever else was done, also twice; (): `repair`
    worlds: tuple[str, ...] = ("net", "docker")  # or "overlay"
    shapes: tuple[str, ...] = ("flat", "tiered")
    targets: tuple[str, ...] = ()  # replicas of which the seed draws one
    tries: int = 1  # how often each probe is run: a fault may show in every third only
    restart: str = ""  # the service whose restart must not repair it; "": a restart may
