"""Tasks that check a promise at full length; `make test` runs a sample of each."""

from __future__ import annotations

import os
import sys

from invoke.context import Context

from front.reporting import JSON, checking, end, root, say, task
from twinstack import stack


def _run(context: Context, what: str, *files: str, words: str = "") -> None:
    """Run every case of files in tests/checks, and exit as pytest does."""
    root(f"check.{what}")
    stack.from_environment().software(say)  # built here: the tests' hosts have no package mirror
    paths = " ".join(f"tests/checks/test_{file}.py" for file in files)
    options = "-m '' -q -p no:cacheprovider --timeout 0 --full"
    with context.cd(str(stack.REPOSITORY)):
        done = context.run(
            f"{sys.executable} -m pytest {options} {paths} {words}",
            warn=True,
            pty=False,
            env={key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
        )
    end(0 if done is not None and done.ok else 1)


@task
@checking
def check_residue(context: Context) -> None:
    """Bring worlds up and down repeatedly: nothing may be left, nothing foreign touched."""
    _run(context, "residue", "residue", "docker_residue")


@task
@checking
def check_crash(context: Context) -> None:
    """Kill and fail up and down at every step: down must remove everything, up converge."""
    _run(context, "crash", "crash", "docker_crash")


@task
@checking
def check_transitions(context: Context) -> None:
    """Apply random changes of the topology: each result must equal a fresh deployment."""
    _run(context, "transitions", "transitions", "docker_transitions")


@task
@checking
def check_traffic(context: Context) -> None:
    """Read damaged captures for ten minutes: no traceback, and counts as tshark's."""
    _run(context, "traffic", "traffic", "traffic_live")


@task(
    help={
        "rounds": "rounds of twinstack and the floor",
        "slow-rounds": "rounds of shell and Mininet",
        "shell-rounds": "rounds of the shell at 1,000 namespaces",
        "seed": "seed of the order; random if negative",
        **JSON,
    }
)
@checking
def check_scale(
    context: Context,
    rounds: int = 10,
    slow_rounds: int = 6,
    shell_rounds: int = 3,
    seed: int = -1,
    json: bool = False,
) -> None:
    """Bring up to 1,000 namespaces up and down beside the kernel's floor, a shell and Mininet."""
    from front.bench import ask

    root("check.scale")
    if not json:  # first whether the result is as planned, then how fast
        _run(context, "scale", "scale")
    ask(
        "provisioning.scale",
        json,
        rounds=rounds,
        slow_rounds=slow_rounds,
        shell_rounds=shell_rounds,
        seed=None if seed < 0 else seed,
    )


@task
@checking
def check_policy(context: Context) -> None:
    """Generate flows, alter every rule: only declared flows may pass, in both worlds."""
    _run(context, "policy", "policy", "docker_policy")


@task
@checking
def check_swarm(context: Context) -> None:
    """Interrupt swarm.up at every step, lose a worker, add a host: nothing may be left."""
    _run(context, "swarm", "swarm")


@task
@checking
def check_overlay(context: Context) -> None:
    """Kill an overlay at every step, break hosts, send full packets: all must arrive."""
    _run(context, "overlay", "overlay", "overlay_stack", "overlay_ssh")


@task(help={"pictures": "keep screenshots in docs/"})
@checking
def check_dashboard(context: Context, pictures: bool = False) -> None:
    """Watch the dashboard of both worlds in Chromium while each replica is killed in turn."""
    _run(context, "dashboard", "dashboard", words="--pictures docs" if pictures else "")


#: The collection `check`, by the word after its dot.
TASKS = {
    "residue": check_residue,
    "crash": check_crash,
    "transitions": check_transitions,
    "overlay": check_overlay,
    "policy": check_policy,
    "scale": check_scale,
    "traffic": check_traffic,
    "swarm": check_swarm,
    "dashboard": check_dashboard,
}
