"""The benchmarks: each task asks a question of bench.questions, imported only then."""

from __future__ import annotations

import importlib
from typing import Any

from invoke.context import Context

from front.options import FORCE, JSON, SHAPE, WORLD
from front.reporting import answer, checking, end, say, task
from twinstack import stack
from twinstack.world import require_root

REQUESTS = {"requests": "number of requests in one trial"}


def _rounds(measured: str) -> dict[str, str]:
    return {"rounds": f"number of rounds; each measures {measured} once"}


def ask(module: str, json: bool, *arguments: object, **options: Any) -> None:
    """Ask a question, print and store its answer, and exit with its code."""
    from bench.engine import store

    question = importlib.import_module(f"bench.questions.{module}")
    asked = question.ask(*arguments, progress=say, **options)
    document, page = store.keep(asked)
    answer(json, document, asked.text)
    say(f"kept as {page}")
    end(asked.code)


def _ask(question: str, json: bool, **options: Any) -> None:
    require_root(f"bench.{question}")
    ask(question, json, stack.from_environment(), **options)


@task(
    default=True,
    help={
        **REQUESTS,
        "concurrency": "number of concurrent requests",
        **_rounds("both worlds"),
        "path": "the path to request",
        "keepalive": "keep connections alive between requests (ab -k)",
        "aa": "compare a world (net or docker) with itself: the method's own error",
        "seed": "seed of the order of trials, which is recorded; negative: a random one",
        **FORCE,
        **SHAPE,
        **JSON,
    },
)
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
    """Compare both worlds with ab in interleaved trials; brings up a world that is not up."""
    from bench.load.ab import AbLoad
    from bench.questions.compare import Options

    load = AbLoad(path, requests, concurrency, keepalive)
    options = Options(load, rounds, seed=None if seed < 0 else seed, force=force)
    options.check()
    require_root("bench")
    ask("compare", json, stack.from_environment(), options=options, aa=aa, shape=shape)


@task(help={**_rounds("all three gateways"), **JSON})
def bench_gateways(_: Context, rounds: int = 8, json: bool = False) -> None:
    """Compare the gateway alone with Node's http and with nginx (wrk, one worker each)."""
    _ask("gateways", json, rounds=rounds)


@task(help={**_rounds("all three"), **JSON})
def bench_chain(_: Context, rounds: int = 8, json: bool = False) -> None:
    """Compare the whole chain with its product service alone and with a naive chain."""
    _ask("chain", json, rounds=rounds)


@task(help={"times": "how often to take each world down and bring it up", **JSON})
def bench_startup(_: Context, times: int = 3, json: bool = False) -> None:
    """Time both worlds from nothing to healthy, and measure their memory."""
    _ask("startup", json, times=times)


@task(help={**_rounds("every layer"), **REQUESTS, **FORCE, **JSON})
def bench_layers(
    _: Context, rounds: int = 10, requests: int = 1000, force: bool = False, json: bool = False
) -> None:
    """Measure what each layer costs, from the service outwards to the published ports."""
    _ask("layers", json, rounds=rounds, requests=requests, force=force)


@task(
    help={
        **_rounds("every entry point"),
        "seconds": "how long each measurement takes",
        "published": "--no-published omits the published ports",
        **FORCE,
        **SHAPE,
        **JSON,
    }
)
def bench_turns(
    _: Context,
    rounds: int = 60,
    seconds: int = 2,
    published: bool = True,
    force: bool = False,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Compare both worlds to within about 2 %: sustained load on each in turn (15 minutes)."""
    _ask(
        "turns", json, rounds=rounds, seconds=seconds, published=published, shape=shape, force=force
    )


@checking(help={"megabytes": "size of the capture in MB", **_rounds("both"), **JSON})
def bench_traffic(_: Context, megabytes: int = 300, rounds: int = 6, json: bool = False) -> None:
    """Compare traffic.report with tshark on the same capture: time and memory."""
    ask("traffic", json, stack.from_environment(), megabytes=megabytes, rounds=rounds)


@task(help={**WORLD, **_rounds("both"), **SHAPE, **JSON})
def bench_policy(
    _: Context, world: str = "net", rounds: int = 40, shape: str | None = None, json: bool = False
) -> None:
    """Measure what the policy costs: the same world with and without it, in turn."""
    _ask("policy", json, world=world, rounds=rounds, shape=shape)


@task(help={**_rounds("every path"), **JSON})
def bench_crossing(_: Context, rounds: int = 12, json: bool = False) -> None:
    """Measure what crossing hosts costs: loopback, a bridge, raw VXLAN and Swarm's overlay."""
    _ask("crossing", json, rounds=rounds)


@checking(
    help={
        **WORLD,
        **_rounds("every kind of capture"),
        **REQUESTS,
        "bridges": "compare only no capture with a capture of every bridge",
        **SHAPE,
        **JSON,
    }
)
def bench_capture(
    _: Context,
    world: str = "net",
    rounds: int = 20,
    requests: int = 500,
    bridges: bool = False,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Measure what capturing costs: none, every bridge, dumpcap, whole packets of every link."""
    options = {"world": world, "rounds": rounds, "requests": requests, "bridges": bridges}
    _ask("capture", json, shape=shape, **options)


@checking(help={**_rounds("every size"), **JSON})
def bench_overlay(_: Context, rounds: int = 5, json: bool = False) -> None:
    """Time 2 to 16 hosts of 8 replicas up and down; exits 1 if slow or if anything is left."""
    _ask("overlay", json, rounds=rounds)


@checking(help={**WORLD, **_rounds("no viewer, the dashboard and a browser"), **SHAPE, **JSON})
def bench_dashboard(
    _: Context, world: str = "net", rounds: int = 30, shape: str | None = None, json: bool = False
) -> None:
    """Measure what an open dashboard costs, and check its rates against the load that is sent."""
    _ask("dashboard", json, world=world, rounds=rounds, shape=shape)
