"""The front door: each task parses, makes one call, and prints.

Progress goes to standard error, results to standard output, so that `--json` gives one clean
document. A failure is one line and exit code 1; Ctrl-C is exit code 130.
"""

from __future__ import annotations

import functools
import json as json_module
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from twinstack import stack, tables
from twinstack.errors import TwinstackError
from twinstack.namespaces import network
from twinstack.namespaces import world as namespaces
from twinstack.plan import Plan
from twinstack.world import ServiceState, World

UP_TIMEOUT_S = 60
SHAPE = {"shape": "flat (one bridge) or tiered (three, the host routes)"}
JSON = {"json": "print one JSON document"}


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)


def show(document: object) -> None:
    """Print a JSON document."""
    print(json_module.dumps(document, indent=2, default=str, ensure_ascii=False))


def answer(json: bool, document: object, text: str) -> None:
    """Print a result in the form that was asked for."""
    if json:
        show(document)
    else:
        print(text)


def guarded(body: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors into one line and an exit code."""

    @functools.wraps(body)
    def run(*arguments: Any, **words: Any) -> None:
        try:
            body(*arguments, **words)
        except TwinstackError as error:
            for note in _notes(error):
                say(note)
            say(str(error))
            sys.exit(1)
        except KeyboardInterrupt:
            say("stopped by Ctrl-C")
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(141)

    return run


def _notes(error: TwinstackError) -> list[str]:
    inner = getattr(error, "failures", (error,))
    return [
        f"--- {one.obj}, the end of its log:\n{note}"
        for one in inner
        for note in getattr(one, "__notes__", ())
    ]


@task(help={**SHAPE, "timeout": "seconds until every service must be healthy",
            "limits": "--no-limits lifts CPU, memory and pids limits", **JSON})  # fmt: skip
@guarded
def net_up(
    _: Context,
    shape: str = "flat",
    timeout: int = UP_TIMEOUT_S,
    limits: bool = True,
    json: bool = False,
) -> None:
    """Bring the namespace world up and wait until it is healthy."""
    world = stack.from_environment().net(shape, limited=limits)
    found = world.up(timeout_s=timeout, progress=say)
    _states(found, json)


@task(help=JSON)
@guarded
def net_down(_: Context, json: bool = False) -> None:
    """Take the namespace world down; PostgreSQL's data stays."""
    removed = namespaces.down(stack.from_environment().instance, progress=say)
    _removed(removed, json)


@task(help=JSON)
@guarded
def net_status(_: Context, json: bool = False) -> None:
    """Show how each service does, and what is not as planned; exits 1 when anything is not."""
    world = stack.from_environment().net()
    states = world.status()
    found = world.preview()
    if json:
        changes = tables.changes_json(found.changes, len(found.steps))
        show({"services": tables.states_json(states), "differences": changes["changes"]})
    else:
        print(tables.states(states))
        if all(state.state == "absent" for state in states):
            print('\nThe namespace world is not up; "invoke net.up" brings it up.')
        elif found.changes:
            print("\n" + tables.differences(found.changes))
    ill = [state for state in states if state.state != "healthy"]
    sys.exit(1 if ill or found.changes else 0)


@task(help={**SHAPE, "limits": "--no-limits lifts CPU, memory and pids limits",
            "script": "print the network's steps as a shell script", **JSON})  # fmt: skip
@guarded
def net_plan(
    _: Context,
    shape: str | None = None,
    limits: bool = True,
    script: bool = False,
    json: bool = False,
) -> None:
    """Show what net.up would do, each step with the command that it equals; changes nothing."""
    world = stack.from_environment().net(shape, limited=limits)
    if script:
        print(tables.script(network.network_steps(world.plan)))
        return
    found = world.preview()
    for sentence in found.unbuilt:
        say(sentence)
    if json:
        show(tables.changes_json(found.changes, len(found.steps)))
    else:
        print(tables.changes(found.changes, len(found.steps)))


@task(positional=["service"], help={"service": "whose network to enter"})
@guarded
def net_exec(_: Context, service: str) -> None:
    """Run a command of the host's in a service's network: net.exec SERVICE -- COMMAND."""
    sys.exit(stack.from_environment().net().exec(service, _command("net")))


@task(positional=["service"], help={"service": "whose log", "lines": "how many lines"})
@guarded
def net_logs(_: Context, service: str, lines: int = 50) -> None:
    """Show the end of a service's log."""
    print(stack.from_environment().net().logs(service, lines=lines), end="")


@task(help={"check": "write nothing; exit 1 when a file is stale"})
@guarded
def docker_render(_: Context, check: bool = False) -> None:
    """Render dockerfiles/ and compose/docker-compose.yml from the topology."""
    from twinstack.compose.render import render_files

    here = replace(stack.from_environment(), instance="main")  # what is committed is main's
    stale = 0
    for name, text in render_files(here.plan()).items():
        path = here.repository / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        print(f"{'stale' if check else 'rendered'} {name}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if not stale:
        print("Every rendered file is up to date.")
    sys.exit(1 if check and stale else 0)


@task(help=SHAPE)
@guarded
def docker_build(_: Context, shape: str | None = None) -> None:
    """Build the images and secrets that `docker-compose up -d` needs."""
    made = stack.from_environment().docker(shape).build(progress=say)
    print("\n".join(made) if made else "Every image is up to date.")


@task(help={**SHAPE, "timeout": "seconds until every service must be healthy",
            "limits": "--no-limits lifts CPU, memory and pids limits", **JSON})  # fmt: skip
@guarded
def docker_up(
    _: Context,
    shape: str = "flat",
    timeout: int = UP_TIMEOUT_S,
    limits: bool = True,
    json: bool = False,
) -> None:
    """Bring the Docker world up and wait until it is healthy."""
    world = stack.from_environment().docker(shape, limited=limits)
    found = world.up(timeout_s=timeout, progress=say)
    _states(found, json)


@task(help=JSON)
@guarded
def docker_down(_: Context, json: bool = False) -> None:
    """Take the Docker world down; PostgreSQL's volume stays."""
    from twinstack.compose.teardown import down

    _removed(down(stack.from_environment().instance, progress=say), json)


@task(help=JSON)
@guarded
def docker_status(_: Context, json: bool = False) -> None:
    """Show how each container does; exits 1 when one is not healthy."""
    states = stack.from_environment().docker().status()
    _states(states, json)
    sys.exit(0 if all(state.state == "healthy" for state in states) else 1)


@task(positional=["service"], help={"service": "in whose container"})
@guarded
def docker_exec(_: Context, service: str) -> None:
    """Run a command in a service's container: docker.exec SERVICE -- COMMAND."""
    sys.exit(stack.from_environment().docker().exec(service, _command("docker")))


@task(positional=["service"], help={"service": "whose log", "lines": "how many lines"})
@guarded
def docker_logs(_: Context, service: str, lines: int = 50) -> None:
    """Show the end of a container's log."""
    print(stack.from_environment().docker().logs(service, lines=lines), end="")


@task(help=JSON)
@guarded
def clean(_: Context, json: bool = False) -> None:
    """Remove both worlds, their data, images and whatever was built for them; say what."""
    _removed(stack.from_environment().clean(say), json)


@task(help=JSON)
@guarded
def doctor(_: Context, json: bool = False) -> None:
    """Say what is missing on this machine, and the one command that mends each thing."""
    from twinstack.doctor import examine
    from twinstack.doctor.checks import wanted_by

    here = stack.from_environment()
    report = examine(wanted_by(here.plan(shape) for shape in here.topology().shapes))
    answer(json, report.as_json(), report.table())
    sys.exit(report.exit_code)


def _removed(names: tuple[str, ...], json: bool) -> None:
    text = "\n".join(f"removed {name}" for name in names) or "Nothing of ours is here."
    answer(json, {"removed": list(names)}, text)


def _states(found: Sequence[ServiceState], json: bool) -> None:
    answer(json, {"services": tables.states_json(found)}, tables.states(found))


def _command(world: str) -> list[str]:
    # Invoke joins the words after -- with blanks; their borders are still in argv.
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    if not words:
        raise TwinstackError(
            f"{world}.exec", "has nothing to run", "no command is given",
            f"say invoke {world}.exec SERVICE -- COMMAND",
        )  # fmt: skip
    return words


@task(
    default=True,
    help={
        "requests": "in one trial",
        "concurrency": "requests at once",
        "rounds": "both worlds once in each",
        "path": "what to ask for",
        "keepalive": "keep connections (ab -k)",
        "aa": "compare a world (net or docker) with itself",
        "seed": "of the order of trials; recorded",
        "force": "go on although the worlds are not alike",
        **SHAPE,
        **JSON,
    },
)
@guarded
def bench(
    _: Context,
    requests: int = 1000,
    concurrency: int = 50,
    rounds: int = 10,
    path: str = "/api/products",
    keepalive: bool = False,
    aa: str = "",
    seed: int = -1,
    force: bool = False,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Compare both worlds under ab, interleaved; brings up what is not up."""
    from bench import report, run

    options = run.Options(
        path=path, requests=requests, concurrency=concurrency, rounds=rounds, keepalive=keepalive,
        seed=None if seed < 0 else seed, force=force,
    )  # fmt: skip
    options.check()
    if aa not in {"", "net", "docker"}:
        raise TwinstackError("--aa", f"cannot be {aa}", "a world is net or docker", "choose one")
    here = stack.from_environment()
    worlds = [_running(world, here, shape) for world in (aa,) if world] or [
        _running(world, here, shape) for world in ("net", "docker")
    ]
    if aa:
        found = run.calibrate(worlds[0], options, say)
    else:
        found = run.compare(worlds[0], worlds[1], options, say)
    saved = run.save(found)
    text = report.text(found) + (f"\n\n{run.calibration_line(found)}" if aa else "")
    answer(json, report.document(found), text)
    say(f"kept as {saved}")
    sys.exit(0 if found.succeeded else 1)


def _running(name: str, here: stack.Stack, shape: str | None) -> World:
    """Give a world that is up and healthy, bringing it up where it is not."""
    if name == "net":
        world: World = here.net(shape)
        there = here.net_shape()
    else:
        world = here.docker(shape)
        there = here.docker_shape()
    wanted = world.plan.shape
    if there != wanted or any(state.state != "healthy" for state in world.status()):
        say(f"the {name} world is not up in its {wanted} shape: bringing it up")
        world.up(timeout_s=UP_TIMEOUT_S, progress=say)
    return world


def _keep(name: str, plan: Plan, found: object, text: str, json: bool) -> None:
    from bench import run

    document, page = run.keep(name, datetime.now(UTC), plan, found, text)
    answer(json, document, text)
    say(f"kept as {page}")


@task(help={"rounds": "of all three gateways", **JSON})
@guarded
def bench_gateways(_: Context, rounds: int = 8, json: bool = False) -> None:
    """Compare the gateway alone with Node's http and nginx (wrk, one worker each)."""
    from bench import gateways

    here = stack.from_environment()
    roots, software = here.software(say)
    plan = here.plan()
    found = gateways.measure(plan, roots, software, rounds=rounds, progress=say)
    _keep("gateways", plan, found, gateways.table(found), json)


@task(help={"rounds": "of chain, direct and naive", **JSON})
@guarded
def bench_chain(_: Context, rounds: int = 8, json: bool = False) -> None:
    """Compare the whole chain with its product service alone and with the naive chain."""
    from bench import chain

    here = stack.from_environment()
    world = here.net(limited=False)
    world.up(timeout_s=UP_TIMEOUT_S, progress=say)
    try:
        roots, software = here.software(say)
        password = here.redis_password()
        found = chain.measure(world, roots, software, password, rounds=rounds, progress=say)
    finally:
        here.net(limited=True).up(timeout_s=UP_TIMEOUT_S, progress=say)
    _keep("chain", world.plan, found, chain.table(found), json)


@task(help={"times": "down and up again", **JSON})
@guarded
def bench_startup(_: Context, times: int = 3, json: bool = False) -> None:
    """Time both worlds from nothing to healthy, and add up their memory."""
    from bench import startup

    here = stack.from_environment()
    net, docker = here.net(), here.docker()
    found = [
        startup.measure(net, times=times, supervising=net.supervising, progress=say),
        startup.measure(docker, times=times, progress=say),
    ]
    _keep("startup", net.plan, found, startup.table(found), json)


@task(help={"rounds": "of every rung", "requests": "in one trial", **JSON})
@guarded
def bench_layers(_: Context, rounds: int = 10, requests: int = 1000, json: bool = False) -> None:
    """Say which layer costs what: from the service outwards to the published ports."""
    from bench import layers
    from bench.measure import Load

    here = stack.from_environment()
    net, docker = (_running(world, here, None) for world in ("net", "docker"))
    load = Load("/api/products", requests, 50, False, timeout_s=120.0)
    found = layers.climb(net, docker, load, rounds=rounds, progress=say)
    _keep("layers", net.plan, found, layers.text(found), json)


def _collection(name: str, tasks: dict[str, Any]) -> Collection:
    found = Collection(name)
    for word, body in tasks.items():
        found.add_task(body, name=word, default=word == name)
    return found


_NET = {"up": net_up, "down": net_down, "status": net_status, "plan": net_plan, "exec": net_exec,
        "logs": net_logs}  # fmt: skip
_DOCKER = {"render": docker_render, "build": docker_build, "up": docker_up, "down": docker_down,
           "status": docker_status, "exec": docker_exec, "logs": docker_logs}  # fmt: skip
_BENCH = {"bench": bench, "gateways": bench_gateways, "chain": bench_chain,
          "startup": bench_startup, "layers": bench_layers}  # fmt: skip

namespace = Collection(
    clean,
    doctor,
    _collection("net", _NET),
    _collection("docker", _DOCKER),
    _collection("bench", _BENCH),
)
