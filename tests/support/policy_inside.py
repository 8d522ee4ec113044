"""The policy checks' work inside their host, in one process.

Prints one JSON document. Only the network is brought up: the prober brings its own listeners.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.core_cases import declared
from tests.support.policy_cases import generated, oracle
from tests.support.project import ROOT
from twinstack.linux import process
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import parse
from twinstack.namespaces import policy
from twinstack.namespaces import world as namespaces
from twinstack.namespaces.world import NamespaceWorld
from twinstack.policy.truth_table import cells
from twinstack.policy.verdict import PolicyVerdict
from twinstack.policy.verify import verify

#: A probe is answered within the kernel; on a busy machine what is doubtful gets more.
WAIT_S = 0.4


def up(plan: Plan) -> None:
    """Bring the network of a plan up, from whatever there is."""

    def nothing_to_build(_: object) -> Any:
        raise AssertionError("the network alone needs no software")

    world = NamespaceWorld(plan, nothing_to_build, bare=True)
    world.up(timeout_s=60, progress=lambda _: None)


def wrong_lines(verdict: PolicyVerdict) -> list[str]:
    """Give a line for each thing that is wrong."""
    lines = []
    for result in verdict.wrong:
        cell = result.cell
        asked = f"{cell.source} > {cell.destination} {cell.target} {cell.address}"
        lines.append(f"{asked}: {result.outcome}; {result.cause}")
    return [*lines, *map(str, verdict.differences), *verdict.unfiltered_bridges]


def flows(instance: str, seeds: range) -> dict[str, object]:
    """Go from one generated set of flows to the next; ask everything after each."""
    failed: list[dict[str, object]] = []
    asked = opened = 0
    for seed in seeds:
        shape = ("flat", "tiered")[seed % 2]
        written = generated(seed)
        plan = resolve(parse(written), shape, instance)
        expected = {cell for cell in cells(plan, "net") if cell.open}
        by_hand = oracle(written, plan)
        if {(c.source, c.destination, c.protocol, c.port) for c in expected} != by_hand:
            failed.append({"seed": seed, "wrong": ["the model differs from the declaration"]})
        up(plan)
        verdict = verify(plan, policy.enforcement(plan), wait_s=WAIT_S, patience=10)
        asked += len(verdict.results)
        opened += len(expected)
        if not verdict.passed:
            failed.append({"seed": seed, "shape": shape, "wrong": wrong_lines(verdict)[:10]})
    return {"sets": len(seeds), "cells": asked, "open": opened, "failed": failed}


def _altered(plan: Plan, chance: random.Random, sample: int) -> Iterator[tuple[str, str, str]]:
    """Give each rule twice, deleted and turned round: what it is, the way there, the way back."""
    wanted = policy.enforcement(plan).expected_chains
    changes: list[tuple[str, str, str]] = []
    for hook in wanted:
        for place, line in enumerate(hook.lines):
            where = f"{hook.chain} {place + 1}"
            back = f"-I {where} {line.partition(f'-A {hook.chain} ')[2]}"
            changes.append((f"delete {line}", f"-D {where}", back))
            match, _, target = line.rpartition(" -j ")
            other = "DROP" if target == "ACCEPT" else "ACCEPT"
            if target.startswith("NFLOG"):
                other = "DROP"
            flipped = match.partition(f"-A {hook.chain} ")[2]
            changes.append(
                (
                    f"{other} {line}",
                    f"-R {where} {flipped} -j {other}",
                    f"-R {where} {line.partition(f'-A {hook.chain} ')[2]}",
                )
            )
        if hook.jump:
            jump = hook.jump.partition("-A ")[2]
            changes.append((f"delete {hook.jump}", f"-D {jump}", f"-I {jump}"))
    yield from chance.sample(changes, min(sample, len(changes)))


def _restore(line: str) -> None:
    text = f"*filter\n{line}\nCOMMIT\n"
    process.run(["iptables-restore", "--noflush", "--wait", "5"], stdin=text)


def strength(instance: str, shape: str, sample: int, seed: int) -> dict[str, object]:
    """Alter one rule at a time; each must be noticed; count by what."""
    plan = resolve(declared(), shape, instance)
    up(plan)
    before = wrong_lines(verify(plan, policy.enforcement(plan), wait_s=WAIT_S, patience=10))
    by_probes, by_rules, unnoticed = 0, [], []
    for what, there, back in _altered(plan, random.Random(seed), sample):
        _restore(there)
        try:
            verdict = verify(plan, policy.enforcement(plan), wait_s=WAIT_S, patience=0)
        finally:
            _restore(back)
        if verdict.passed:
            unnoticed.append(what)
        elif verdict.wrong:
            by_probes += 1
        else:
            by_rules.append(what)
    after = wrong_lines(verify(plan, policy.enforcement(plan), wait_s=WAIT_S, patience=10))
    return {
        "before": before,
        "after": after,
        "by_probes": by_probes,
        "by_rules": by_rules,
        "unnoticed": unnoticed,
    }


def main() -> None:
    """Do what the words say: flows INSTANCE FIRST LAST, strength INSTANCE SHAPE SAMPLE SEED."""
    started = time.monotonic()
    what, instance, *rest = sys.argv[1:]
    try:
        if what == "flows":
            answer = flows(instance, range(int(rest[0]), int(rest[1])))
        else:
            answer = strength(instance, rest[0], int(rest[1]), int(rest[2]))
    finally:
        namespaces.down(instance, progress=lambda _: None)
    answer["seconds"] = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps(answer, indent=1))


if __name__ == "__main__":
    assert Path.cwd() == ROOT
    main()
