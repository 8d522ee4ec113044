"""The tasks of the policy: what it opens, and the proof that it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke.context import Context

from front.policy_cis import policy_cis
from front.policy_confinement import policy_confinement
from front.reporting import JSON, answer, checking, end, guarded, root, say, task
from front.worlds import WORLD
from twinstack import stack
from twinstack.errors import TwinstackError
from twinstack.model import bounds

if TYPE_CHECKING:
    from twinstack.model.plan import Plan
    from twinstack.model.topology import WorldName
    from twinstack.policy.verdict import Enforcement


def _plan_of(world: str, shape: str | None = None) -> tuple[Plan, WorldName]:
    """Give the running world's plan, with its flows enforced. Raises: TwinstackError."""
    current = stack.from_environment()
    if world == "net":
        return current.net(shape, policy=True).plan, "net"
    if world == "docker":
        return current.docker(shape, policy=True).plan, "docker"
    raise TwinstackError("--world", f"cannot be {world}", "a world is net or docker", "choose one")


def _enforcement(plan: Plan, world: WorldName) -> Enforcement:
    if world == "net":
        from twinstack.namespaces import policy

        return policy.enforcement(plan)
    from twinstack.compose.apply_policy import enforcement
    from twinstack.compose.engine import connect
    from twinstack.compose.engine_paths import DEFAULT

    return enforcement(plan, connect(DEFAULT), DEFAULT)


@task(help={**WORLD, "shape": "flat or tiered; by default the running world's", **JSON})
@guarded
def policy_show(
    _: Context, world: str = "net", shape: str | None = None, json: bool = False
) -> None:
    """Print each rule of the policy with the sentence that it comes from."""
    from twinstack.policy import show

    plan, name = _plan_of(world, shape)
    answer(json, show.document(plan, name), show.text(plan, name))


@task(help={**WORLD, **JSON})
@checking
def policy_verify(_: Context, world: str = "net", json: bool = False) -> None:
    """Probe who reaches whom, port by port, and compare it and every rule with the plan."""
    from twinstack.policy import verdict, verify

    plan, name = _plan_of(world)
    root("policy.verify")
    found = verify.verify(plan, _enforcement(plan, name))
    answer(json, verdict.document(found), verdict.text(found, plan))
    end(0 if found.passed else 1)


@task(help={**WORLD, "seconds": "how long to listen", **JSON})
@guarded
def policy_drops(_: Context, world: str = "net", seconds: int = 10, json: bool = False) -> None:
    """Listen to what is denied for a while: who asked whom for what."""
    from twinstack.model.plan import HOST
    from twinstack.policy import drops

    plan, name = _plan_of(world)
    root("policy.drops")
    bounds.within("seconds", seconds, 1, bounds.MOST_SECONDS, "it is a time, more than 0")
    host = _enforcement(plan, name).namespaces[HOST]
    say(f"listening for {seconds} s")
    report = drops.watch(plan, name, host, _counted(name), seconds)
    answer(json, drops.document(report), drops.text(report))


def _counted(world: WorldName) -> Callable[[], str]:
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
