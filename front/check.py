"""The long checks, each of one promise; `make test` runs a sample of each."""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from invoke.context import Context

from front.options import worlds_of
from front.reporting import end, say, task
from twinstack import stack
from twinstack.errors import NOT_SO
from twinstack.world import require_root


def _run(context: Context, what: str, *files: str, words: str = "") -> None:
    """Run every case of files in tests/checks, and exit 1 when one fails."""
    end(_pytest(context, what, *files, words=words))


def _pytest(context: Context, what: str, *files: str, words: str = "") -> int:
    """Run every case of files in tests/checks; give 0, or 1 when one fails."""
    require_root(f"check.{what}")
    stack.from_environment().software(say)  # built here: the tests' hosts have no package mirror
    paths = " ".join(f"tests/checks/test_{file}.py" for file in files)
    options = "-m '' -q -p no:cacheprovider --timeout 0 --full"
    command = f"{sys.executable} -m pytest {options} {paths} {words}"
    env = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    with context.cd(str(stack.REPOSITORY)):
        done = context.run(command, warn=True, pty=False, env=env)
    return 0 if done is not None and done.ok else NOT_SO


@task()
def check_leftovers(context: Context) -> None:
    """Bring worlds up and down repeatedly: nothing is left behind, nothing foreign is touched."""
    _run(context, "leftovers", "residue", "docker_residue")


@task()
def check_crash(context: Context) -> None:
    """Interrupt up and down at every step: down removes everything, and up converges."""
    _run(context, "crash", "crash", "docker_crash")


@task()
def check_transitions(context: Context) -> None:
    """Apply random changes to the topology: each result equals a fresh deployment."""
    _run(context, "transitions", "transitions", "docker_transitions")


@task()
def check_why(context: Context) -> None:
    """Plant causes of failure in both worlds: why names each first, and leaves nothing behind."""
    _run(context, "why", "why", "docker_why")


@task()
def check_drills(context: Context) -> None:
    """Try every drill in both worlds: seen, repaired, wrongly repaired, killed, taken out."""
    _run(context, "drills", "drills", "docker_drills")


@task()
def check_course(context: Context) -> None:
    """Solve every lesson, with each mistake in turn, and stop it at any moment: nothing is lost."""
    _run(context, "course", "course", "course_days", "docker_course")


@task()
def check_http(context: Context) -> None:
    """Send thousands of hostile requests to nginx and the gateway: no desync, hang or failure."""
    _run(context, "http", "http")


@task()
def check_api(context: Context) -> None:
    """Send ten thousand requests by the OpenAPI document: each answer is as it says."""
    _run(context, "api", "api")


@task()
def check_traffic(context: Context) -> None:
    """Read damaged captures for ten minutes: no traceback, and the same counts as tshark."""
    _run(context, "traffic", "traffic", "traffic_live")


@task(
    help={
        "rounds": "number of rounds of twinstack and of the kernel alone",
        "slow-rounds": "number of rounds of the shell script and of Mininet",
        "shell-rounds": "number of rounds of the shell script at 1,000 namespaces",
        "seed": "seed of the order of trials; negative: a random one",
    }
)
def check_scale(
    context: Context,
    rounds: int = 10,
    slow_rounds: int = 6,
    shell_rounds: int = 3,
    seed: int = -1,
    json: bool = False,
) -> None:
    """Time up to 1,000 namespaces up and down, beside the bare kernel, a shell and Mininet."""
    from front.bench import ask

    require_root("check.scale")
    if not json:  # first whether the result is as planned, then how fast
        _run(context, "scale", "scale")
    options = {"rounds": rounds, "slow_rounds": slow_rounds, "shell_rounds": shell_rounds}
    ask("provisioning.scale", json, **options, seed=None if seed < 0 else seed)


@task()
def check_policy(context: Context) -> None:
    """Generate flows and alter every rule, in both worlds: only declared flows pass."""
    _run(context, "policy", "policy", "docker_policy")


@task()
def check_registry(context: Context) -> None:
    """Kill, freeze, cut off, empty the registry of both worlds, a minute each: no request fails."""
    _run(context, "registry", "registry", "docker_registry")


@task()
def check_live(context: Context) -> None:
    """Restart, scale and release services under full load, thirty rounds of each: none fails."""
    _run(context, "live", "live_change", "docker_live_change", "release")


@task()
def check_swarm(context: Context) -> None:
    """Interrupt swarm.up at every step, lose a worker, add a host: nothing is left behind."""
    _run(context, "swarm", "swarm")


@task()
def check_overlay(context: Context) -> None:
    """Interrupt an overlay at every step, break hosts, send full-size packets: all arrive."""
    _run(context, "overlay", "overlay", "overlay_stack", "overlay_ssh")


@task(
    help={
        "orders": "number of keyed orders",
        "faults": "number of faults that strike meanwhile",
        "seed": "seed of orders and faults",
        "world": "net (which plants the bugs too), docker, or both",
    }
)
def check_orders(
    context: Context, orders: int = 100_000, faults: int = 100, seed: int = 1, world: str = "both"
) -> None:
    """Order under fire, and plant bugs in the services: no order is lost, every bug is found."""
    files = {"net": "orders", "docker": "docker_orders"}
    words = f"--orders {orders} --faults {faults} --seed {seed}"
    _run(context, "orders", *(files[each] for each in worlds_of(world)), words=words)


@task(help={"pictures": "store the screenshot of its alerts in docs/"})
def check_metrics(context: Context, pictures: bool = False) -> None:
    """Let Prometheus watch both worlds while replicas die, hang and go, and its disk fills up."""
    _run(context, "metrics", "metrics", words="--pictures docs" if pictures else "")


@task(help={"pictures": "store the screenshots in docs/"})
def check_dashboard(context: Context, pictures: bool = False) -> None:
    """Watch the dashboard of both worlds in Chromium while each replica is killed in turn."""
    _run(context, "dashboard", "dashboard", words="--pictures docs" if pictures else "")


@task()
def check_engines(context: Context, json: bool = False) -> None:
    """Bring both worlds up, use and remove them, with two Docker engines and on the next Debian."""
    from bench.engine.store import Outcome
    from front import tried
    from front.bench import present

    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="twinstack-engines-") as directory:
        record = Path(directory, "tried")
        aside = " >&2" if json else ""  # the terminal's lines are no part of the document
        code = _pytest(context, "engines", "engines", words=f"--record {record}{aside}")
        machines = tried.read(record)
    if len(machines) < tried.MACHINES:  # it ended early: a part of the story is not kept
        end(code or NOT_SO)
    text, plan = tried.text(machines), stack.from_environment().plan()
    present(Outcome("engines", plan, machines, text, code, started=started), json)
