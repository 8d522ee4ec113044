"""The tasks of the policies: what is allowed, and whether it is what holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from invoke.context import Context

from front.answering import JSON, answer, checking, end, guarded, root, say, task
from front.policy_cis import policy_cis
from front.policy_confinement import policy_confinement
from front.worlds import WORLD
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds
from twinstack.model.plan import HOST

if TYPE_CHECKING:
    from twinstack.model.plan import Plan
    from twinstack.policy.verdict import Enforcement


def _chosen(world: str, shape: str | None = None) -> Plan:
    """Give the plan of the world that is meant, as it runs, with its flows enforced."""
    here = stack.from_environment()
    if world == "net":
        return here.net(shape, policy=True).plan
    if world == "docker":
        return here.docker(shape, policy=True).plan
    raise TwinstackError("--world", f"cannot be {world}", "a world is net or docker", "choose one")


def _ground(world: str, plan: Plan) -> Enforcement:
    if world == "net":
        from twinstack.namespaces import policy

        return policy.enforcement(plan)
    from twinstack.compose.apply_policy import enforcement
    from twinstack.compose.engine import DEFAULT, connect

    return enforcement(plan, connect(DEFAULT), DEFAULT)


@task(help={**WORLD, "shape": "flat or tiered; as it runs, if not said", **JSON})
@guarded
def policy_show(
    _: Context, world: str = "net", shape: str | None = None, json: bool = False
) -> None:
    """Print each rule of the policy with the sentence that it comes from."""
    from twinstack.policy import show

    plan = _chosen(world, shape)
    found = show.shown(plan, "net" if world == "net" else "docker")
    answer(json, found.document, found.text)


@task(help={**WORLD, **JSON})
@checking
def policy_verify(_: Context, world: str = "net", json: bool = False) -> None:
    """Ask who reaches whom, port by port, and compare it and every rule with the plan."""
    from twinstack.policy import verdict, verify

    plan = _chosen(world)
    root("policy.verify")
    found = verify.verify(plan, _ground(world, plan))
    answer(json, verdict.document(found), verdict.text(found, plan))
    end(0 if found.passed else 1)


@task(help={**WORLD, "seconds": "how long to listen", **JSON})
@guarded
def policy_drops(_: Context, world: str = "net", seconds: int = 10, json: bool = False) -> None:
    """Listen to what is denied for a while, and name who asked whom for what."""
    from twinstack.policy import drops

    plan = _chosen(world)
    root("policy.drops")
    bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    enforcement = _ground(world, plan)
    say(f"listening for {seconds} s")
    host = enforcement.namespaces[HOST]
    found = drops.watch(plan, enforcement.world, host, _counted(world), seconds)
    answer(json, asdict(found), drops.text(found))


def _counted(world: str) -> Callable[[], str]:
    if world == "net":
        from twinstack.namespaces import policy

        return policy.counted
    from twinstack.compose import apply_policy

    return apply_policy.counted


#: The collection `policy`, by the word after its dot.
TASKS = {
    "cis": policy_cis,
    "confinement": policy_confinement,
    "drops": policy_drops,
    "show": policy_show,
    "verify": policy_verify,
}
