"""The front door: each task parses, makes one call, and prints.

Progress goes to standard error, results to standard output, so that `--json` gives one clean
document. A failure is one line and exit code 1; 2 where a task that checks could not; Ctrl-C 130.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from invoke import tasks as invoke_tasks
from invoke.collection import Collection
from invoke.context import Context

from bench import bounds, failures, invocation
from bench.plain import dumps
from bench.worlds import UP_TIMEOUT_S
from twinstack import stack, tables
from twinstack.errors import CannotTell, Missing
from twinstack.namespaces import network
from twinstack.namespaces import world as namespaces
from twinstack.world import ServiceState

SHAPE = {"shape": "flat (one bridge) or tiered (three, the host routes)"}
JSON = {"json": "print one JSON document"}
UP = {
    **SHAPE, "timeout": "seconds until every service must be healthy",
    "limits": "--no-limits lifts CPU, memory and pids limits", **JSON,
}  # fmt: skip

os.environ["PATH"] = invocation.full_path(os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"))

task = functools.partial(invoke_tasks.task, klass=invocation.Task)


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)


def show(document: object) -> None:
    """Print a JSON document."""
    print(dumps(document, indent=2))


def answer(json: bool, document: object, text: str) -> None:
    """Print a result in the form that was asked for."""
    if json:
        show(document)
    else:
        print(text)


def guarded(body: Callable[..., None], *, undecided: int = 1) -> Callable[..., None]:
    """Turn errors into one line and an exit code; `undecided` where nothing could be told."""

    @functools.wraps(body)
    def run(*arguments: Any, **words: Any) -> None:
        try:
            body(*arguments, **words)
        except KeyboardInterrupt:
            say("stopped by Ctrl-C")
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(141)
        except Exception as error:
            told = failures.told(error)
            if told is None:  # a bug of ours: its traceback is wanted
                raise
            for note in failures.notes(told):
                say(note)
            say(str(told))
            sys.exit(undecided if isinstance(told, (Missing, CannotTell)) else 1)

    return run


#: For tasks that check: 0 is a pass, 1 a failure, 2 that nothing could be checked.
checking = functools.partial(guarded, undecided=2)


def _root(what: str) -> None:
    """Refuse a user who cannot do this. Raises: Missing."""
    if os.geteuid() != 0:
        raise Missing(what, "cannot be done", "this needs root", "run it with sudo")


def _end(code: int) -> None:
    """Leave when something failed; else further tasks of the command line follow."""
    if code:
        sys.exit(code)


@task(help=UP)
@guarded
def net_up(
    _: Context, shape: str = "flat", timeout: int = UP_TIMEOUT_S, limits: bool = True,
    json: bool = False,
) -> None:  # fmt: skip
    """Bring the namespace world up and wait until it is healthy."""
    bounds.timeout(timeout)
    _root("net.up")
    world = stack.from_environment().net(shape, limited=limits)
    found = world.up(timeout_s=timeout, progress=say)
    _states(found, json)


@task(help=JSON)
@guarded
def net_down(_: Context, json: bool = False) -> None:
    """Take the namespace world down; PostgreSQL's data stays."""
    _root("net.down")
    removed = namespaces.down(stack.from_environment().instance, progress=say)
    _removed(removed, json)


@task(help=JSON)
@checking
def net_status(_: Context, json: bool = False) -> None:
    """Show how each service does, and what is not as planned; exits 1 when anything is not."""
    _root("net.status")
    world = stack.from_environment().net()
    states = world.status()
    if all(state.state == "absent" for state in states):
        remedy = 'The namespace world is not up; "invoke net.up" brings it up.'
        document = {"services": tables.states_json(states), "differences": []}
        answer(json, document, f"{tables.states(states)}\n\n{remedy}")
        sys.exit(1)
    found = world.preview()
    text = tables.states(states)
    told = [*found.unbuilt, *([tables.differences(found.changes)] if found.changes else [])]
    if told:
        text += "\n\n" + "\n".join(told)
    changes = tables.changes_json(found.changes, len(found.steps))["changes"]
    answer(json, {"services": tables.states_json(states), "differences": changes}, text)
    ill = [state for state in states if state.state != "healthy"]
    _end(1 if ill or told else 0)


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
    here = stack.from_environment()
    if script:  # of the plan alone: the kernel is not looked at, nor anything built
        plan = here.plan(shape or here.net_shape(), limited=limits)
        print(tables.script(network.network_steps(plan)))
        return
    _root("net.plan")
    found = here.net(shape, limited=limits).preview()
    total = len(found.steps)
    text = "\n".join([*found.unbuilt, tables.changes(found.changes, total)])
    document = tables.changes_json(found.changes, total) | {"unbuilt": list(found.unbuilt)}
    answer(json, document, text)


@task(positional=["service"], help={"service": "whose network to enter"})
@guarded
def net_exec(_: Context, service: str) -> None:
    """Run a command of the host's in a service's network: net.exec SERVICE -- COMMAND."""
    words = invocation.command_after_dashes("net.exec")
    _root("net.exec")
    _end(stack.from_environment().net().exec(service, words))


@task(positional=["service"], help={"service": "whose log", "lines": "how many lines"})
@guarded
def net_logs(_: Context, service: str, lines: int = 50) -> None:
    """Show the end of a service's log."""
    bounds.lines(lines)
    _root("net.logs")
    print(stack.from_environment().net().logs(service, lines=lines), end="")


@task(help={"check": "write nothing; exit 1 when a file is stale"})
@guarded
def docker_render(_: Context, check: bool = False) -> None:
    """Render dockerfiles/ and compose/docker-compose.yml from the topology."""
    here = replace(stack.from_environment(), instance="main")  # what is committed is main's
    stale = _stale_files(here)
    for name, text in stale.items():
        print(f"{'stale' if check else 'rendered'} {name}")
        if not check:
            path = here.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if not stale:
        print("Every rendered file is up to date.")
    _end(1 if check and stale else 0)


def _stale_files(here: stack.Stack) -> dict[str, str]:
    from twinstack.compose.render import render_files

    def text_of(name: str) -> str | None:
        path = here.repository / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    rendered = render_files(here.plan())
    return {name: text for name, text in rendered.items() if text_of(name) != text}


@task(help=SHAPE)
@guarded
def docker_build(_: Context, shape: str | None = None) -> None:
    """Build the images and secrets that `docker-compose up -d` needs."""
    made = stack.from_environment().docker(shape).build(progress=say)
    print("\n".join(made) if made else "Every image is up to date.")


@task(help=UP)
@guarded
def docker_up(
    _: Context, shape: str = "flat", timeout: int = UP_TIMEOUT_S, limits: bool = True,
    json: bool = False,
) -> None:  # fmt: skip
    """Bring the Docker world up and wait until it is healthy."""
    bounds.timeout(timeout)
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
@checking
def docker_status(_: Context, json: bool = False) -> None:
    """Show how each container does; exits 1 when one is not healthy."""
    states = stack.from_environment().docker().status()
    _states(states, json)
    _end(0 if all(state.state == "healthy" for state in states) else 1)


@task(positional=["service"], help={"service": "in whose container"})
@guarded
def docker_exec(_: Context, service: str) -> None:
    """Run a command in a service's container: docker.exec SERVICE -- COMMAND."""
    words = invocation.command_after_dashes("docker.exec")
    _end(stack.from_environment().docker().exec(service, words))


@task(positional=["service"], help={"service": "whose log", "lines": "how many lines"})
@guarded
def docker_logs(_: Context, service: str, lines: int = 50) -> None:
    """Show the end of a container's log."""
    bounds.lines(lines)
    print(stack.from_environment().docker().logs(service, lines=lines), end="")


@task(help=JSON)
@guarded
def clean(_: Context, json: bool = False) -> None:
    """Remove both worlds, their data, images and whatever was built for them; say what."""
    here = stack.from_environment()
    say(f"instance {here.instance}")
    _root("clean")
    _removed(here.clean(say), json)


@task(help=JSON)
@checking
def doctor(_: Context, json: bool = False) -> None:
    """Say what is missing on this machine, and the one command that mends each thing."""
    from twinstack.doctor import examine
    from twinstack.doctor.checks import wanted_by

    here = stack.from_environment()
    report = examine(wanted_by(here.plan(shape) for shape in here.topology().shapes))
    answer(json, report.as_json(), report.table())
    _end(report.exit_code)


def _removed(names: tuple[str, ...], json: bool) -> None:
    text = "\n".join(f"removed {name}" for name in names) or "Nothing of ours is here."
    answer(json, {"removed": list(names)}, text)


def _states(found: Sequence[ServiceState], json: bool) -> None:
    answer(json, {"services": tables.states_json(found)}, tables.states(found))


@task(
    default=True,
    help={
        "requests": "in one trial", "concurrency": "requests at once",
        "rounds": "both worlds once in each", "path": "what to ask for",
        "keepalive": "keep connections (ab -k)",
        "aa": "compare a world (net or docker) with itself",
        "seed": "of the order of trials; recorded",
        "force": "go on although the worlds are not alike", **SHAPE, **JSON,
    },
)  # fmt: skip
@guarded
def bench(
    _: Context, requests: int = 1000, concurrency: int = 50, rounds: int = 10,
    path: str = "/api/products", keepalive: bool = False, aa: str = "", seed: int = -1,
    force: bool = False, shape: str | None = None, json: bool = False,
) -> None:  # fmt: skip
    """Compare both worlds under ab, interleaved; brings up what is not up."""
    from bench import questions, report, run

    options = run.Options(
        path=path, requests=requests, concurrency=concurrency, rounds=rounds, keepalive=keepalive,
        seed=None if seed < 0 else seed, force=force,
    )  # fmt: skip
    options.check()
    _root("bench")
    here = stack.from_environment()
    found = questions.ask_comparison(here, options, aa=aa, shape=shape, progress=say)
    saved = run.save(found)
    answer(json, report.document(found), run.told(found))
    say(f"kept as {saved}")
    _end(0 if found.succeeded else 1)


def _ask(question: str, json: bool, **words: Any) -> None:
    """Ask one of `bench.questions`, print what it found, and keep it."""
    from bench import questions

    _root(f"bench.{question}")
    found = getattr(questions, f"ask_{question}")(stack.from_environment(), progress=say, **words)
    document, page = questions.keep(found)
    answer(json, document, found.text)
    say(f"kept as {page}")


@task(help={"rounds": "of all three gateways", **JSON})
@guarded
def bench_gateways(_: Context, rounds: int = 8, json: bool = False) -> None:
    """Compare the gateway alone with Node's http and nginx (wrk, one worker each)."""
    _ask("gateways", json, rounds=rounds)


@task(help={"rounds": "of chain, direct and naive", **JSON})
@guarded
def bench_chain(_: Context, rounds: int = 8, json: bool = False) -> None:
    """Compare the whole chain with its product service alone and with the naive chain."""
    _ask("chain", json, rounds=rounds)


@task(help={"times": "down and up again", **JSON})
@guarded
def bench_startup(_: Context, times: int = 3, json: bool = False) -> None:
    """Time both worlds from nothing to healthy, and add up their memory."""
    _ask("startup", json, times=times)


@task(help={"rounds": "of every rung", "requests": "in one trial",
            "force": "go on although the worlds are not alike", **JSON})  # fmt: skip
@guarded
def bench_layers(
    _: Context, rounds: int = 10, requests: int = 1000, force: bool = False, json: bool = False
) -> None:
    """Say which layer costs what: from the service outwards to the published ports."""
    _ask("layers", json, rounds=rounds, requests=requests, force=force)


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
