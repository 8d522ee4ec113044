"""The tasks of the policy: what it allows, proof that it holds, the CIS gate, the confinement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from invoke.context import Context

from front import tables
from front.options import EITHER, one_host, up_among, worlds_of
from front.reporting import answer, say, task, width
from twinstack import stack
from twinstack.errors import NOT_SO
from twinstack.model import bounds
from twinstack.printable import counted
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no model
    from twinstack.cis.gate import CisReport
    from twinstack.confinement.requirements import ConfinedReplica, Weakness
    from twinstack.model.plan import Plan
    from twinstack.model.topology import WorldName
    from twinstack.policy.verdict import Enforcement

_NO_PID_NAMESPACE = (
    "No PID namespace in net: a service is its supervisor's own child. Instead, /proc hides\n"
    "other users' processes, and no process may trace another."
)


_WHO = ("service", "world")


def _enforcement(plan: Plan, world: str) -> Enforcement:
    if world == "net":
        from twinstack.namespaces import policy

        return policy.enforcement(plan)
    from twinstack.compose.apply_policy import enforcement
    from twinstack.compose.engine import connect
    from twinstack.compose.engine_paths import DEFAULT

    return enforcement(plan, connect(DEFAULT), DEFAULT)


@task(help={"world": "the rules to print: those of net, docker or both"})
def policy_show(
    _: Context, world: str = "both", shape: str | None = None, json: bool = False
) -> None:
    """Print each rule of the policy with the declared flow that it comes from."""
    from twinstack.policy import show

    here = stack.from_environment()
    plans = {name: here.plan_of(name, shape, policy=True) for name in worlds_of(world)}
    document = show.ShownPolicies(tuple(show.shown(plan, name) for name, plan in plans.items()))
    texts = (show.text(plan, name, width()) for name, plan in plans.items())
    answer(json, document, "\n\n".join(texts))


@task(help=EITHER)
def policy_verify(_: Context, world: str = "both", json: bool = False) -> None:
    """Probe every port between replicas and compare the results and every rule with the plan."""
    from twinstack.policy import verdict, verify

    worlds_of(world)
    require_root("policy.verify")
    texts, verified, passed = [], [], True
    for chosen in up_among(world, "policy.verify", "has nothing to verify", policy=True):
        result = verify.verify(chosen.plan, _enforcement(chosen.plan, chosen.name))
        texts.append(verdict.text(result, chosen.plan))
        verified.append(verdict.verified(result))
        passed &= result.passed
    document = verdict.VerifiedPolicies(tuple(verified))
    answer(json, document, "\n\n".join(texts), 0 if passed else NOT_SO)


@task(help={**EITHER, "seconds": "how long to listen"})
def policy_drops(_: Context, world: str = "both", seconds: int = 10, json: bool = False) -> None:
    """Listen for denied packets, until Ctrl-C at most, and list their ends and ports."""
    from twinstack.policy import drops

    worlds_of(world)
    require_root("policy.drops")
    bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    worlds = up_among(world, "policy.drops", "has nothing to listen to", policy=True)
    plans = {chosen.name: chosen.plan for chosen in worlds}
    host = one_host(worlds)
    say(f"listening for {seconds} s")
    report = drops.watch(plans, host, seconds)
    answer(json, report, drops.text(report), 130 if report.interrupted else 0)


@task()
def policy_cis(_: Context, json: bool = False) -> None:
    """Check the rendered Docker files with the CIS benchmark, hadolint and Compose's schema."""
    from twinstack.cis.tools import examine

    main = replace(stack.from_environment(), instance="main")  # what is committed is main's
    shapes = [shape for shape in main.topology().shapes if shape != stack.DEFAULT_SHAPE]
    report = examine(main.repository, main.plan(), [main.plan(shape) for shape in shapes])
    answer(json, report, _cis_text(report), 0 if report.passed else NOT_SO)


def _cis_text(report: CisReport) -> str:
    """Format the report: a row for each rule, then findings, exceptions and reasons."""
    from twinstack.cis.gate import grouped

    rows = [(row.number, row.outcome, row.title) for row in report.rules]
    header = ("rule", "outcome", "what it asks")
    parts = [tables.columns(header, rows, width(), keep=header)]
    for row in report.rules:
        lines = []
        for findings, mark in ((row.findings, "fail"), (row.exceptions, "exception")):
            for text, places in grouped(findings):
                lines += [f"{row.number} {mark}: {text}", *(f"    at {place}" for place in places)]
        because = "    because" if row.exceptions else f"{row.number} {row.outcome}:"
        lines += [f"{because} {reason}" for reason in row.reasons]
        if lines:
            parts.append("\n".join(lines))
    parts.append(", ".join(f"{count} {outcome}" for outcome, count in report.counts().items()))
    return "\n\n".join(parts)


@task()
def policy_confinement(_: Context, json: bool = False) -> None:
    """Read every process's confinement from /proc, in both worlds; exits 1 if one is too weak."""
    from twinstack.confinement import observe, requirements

    require_root("policy.confinement")
    found = up_among("both", "policy.confinement", "cannot be checked", limited=True)
    worlds = {world.name: world for world in found}
    replicas = {name: observe.look(world) for name, world in worlds.items()}
    weaknesses = {
        name: [
            weakness
            for facts in replicas[name]
            for weakness in requirements.weaknesses(world.plan.replica(facts.name), facts)
        ]
        for name, world in worlds.items()
    }
    confined = (
        requirements.ConfinedWorld(name, tuple(observed), tuple(weaknesses[name]))
        for name, observed in replicas.items()
    )
    document = requirements.Confinement(requirements.LEVEL, tuple(confined))
    code = NOT_SO if any(weaknesses.values()) else 0
    answer(json, document, _confinement_text(replicas, weaknesses), code)


def _confinement_text(
    replicas: Mapping[WorldName, Sequence[ConfinedReplica]],
    weaknesses: Mapping[WorldName, Sequence[Weakness]],
) -> str:
    from twinstack.confinement import requirements

    parts = [tables.columns(requirements.HEADER, requirements.rows(replicas), width(), keep=_WHO)]
    shared = {name: requirements.shared(observed) for name, observed in replicas.items()}
    aspects = next(iter(shared.values()))
    rows = [(aspect, name, values[aspect]) for aspect in aspects for name, values in shared.items()]
    header = ("all processes", "world", "what they have")
    parts.append(tables.columns(header, rows, width(), header))
    if "net" in replicas:
        parts.append(_NO_PID_NAMESPACE)
    for name, weak in weaknesses.items():
        if weak:
            parts.append("\n".join(f"! {name}: {text}" for text in requirements.sentences(weak)))
        else:
            count = sum(len(facts.processes) for facts in replicas[name])
            holding = counted(count, "process holds", "processes hold")
            parts.append(f"{name}: {count} of {holding} the declared level.")
    return "\n\n".join(parts)
