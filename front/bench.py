"""The tasks that measure: each asks its question in bench.questions, loaded only then."""

from __future__ import annotations

import importlib
from typing import Any

from invoke.context import Context

from front.reporting import JSON, SHAPE, answer, checking, end, guarded, root, say, task
from twinstack import stack


def ask(module: str, json: bool, *arguments: object, **options: Any) -> None:
    """Ask a question, print and keep its answer, and leave with its exit code."""
    from bench.engine import store

    asked = importlib.import_module(f"bench.questions.{module}").ask(
        *arguments, progress=say, **options
    )
    document, page = store.keep(asked)
    answer(json, document, asked.text)
    say(f"kept as {page}")
    end(asked.code)


def _ask(question: str, json: bool, **options: Any) -> None:
    root(f"bench.{question}")
    ask(question, json, stack.from_environment(), **options)


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
        "force": "measure although the worlds are not alike",
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
    from bench.load.ab import AbLoad
    from bench.questions.compare import Options

    load = AbLoad(path, requests, concurrency, keepalive)
    options = Options(load, rounds, seed=None if seed < 0 else seed, force=force)
    options.check()
    root("bench")
    ask("compare", json, stack.from_environment(), options=options, aa=aa, shape=shape)


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


@task(
    help={
        "rounds": "of every layer",
        "requests": "in one trial",
        "force": "measure although the worlds are not alike",
        **JSON,
    }
)
@guarded
def bench_layers(
    _: Context, rounds: int = 10, requests: int = 1000, force: bool = False, json: bool = False
) -> None:
    """Say which layer costs what: from the service outwards to the published ports."""
    _ask("layers", json, rounds=rounds, requests=requests, force=force)


@task(
    help={
        "rounds": "of every entry point",
        "seconds": "of each in a round",
        "doors": "--no-doors leaves the published ports out",
        "force": "measure although the worlds are not alike",
        **SHAPE,
        **JSON,
    }
)
@guarded
def bench_turns(
    _: Context,
    rounds: int = 60,
    seconds: int = 2,
    doors: bool = True,
    force: bool = False,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Compare both worlds to about two percent: unbroken loads in turn (15 minutes)."""
    _ask("turns", json, rounds=rounds, seconds=seconds, doors=doors, shape=shape, force=force)


@task(help={"megabytes": "of the capture", "rounds": "of both", **JSON})
@checking
def bench_traffic(_: Context, megabytes: int = 300, rounds: int = 6, json: bool = False) -> None:
    """Compare traffic.report with tshark on the same capture: time and memory."""
    ask("traffic", json, stack.from_environment(), megabytes=megabytes, rounds=rounds)


@task(help={"world": "net or docker", "rounds": "of both", **SHAPE, **JSON})
@guarded
def bench_policy(
    _: Context, world: str = "net", rounds: int = 40, shape: str | None = None, json: bool = False
) -> None:
    """Say what the policies cost: the same world with them and without, in turn."""
    _ask("policy", json, world=world, rounds=rounds, shape=shape)


@task(help={"rounds": "of every path", **JSON})
@guarded
def bench_crossing(_: Context, rounds: int = 12, json: bool = False) -> None:
    """Say what another host costs: loopback, a bridge, raw VXLAN, Swarm's overlay, in turn."""
    _ask("crossing", json, rounds=rounds)


@task(
    help={
        "world": "net or docker",
        "rounds": "of all four",
        "requests": "in one trial",
        "bridges": "compare no capture and every bridge only",
        **SHAPE,
        **JSON,
    }
)
@checking
def bench_capture(
    _: Context,
    world: str = "net",
    rounds: int = 20,
    requests: int = 500,
    bridges: bool = False,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Say what capturing costs: none, every bridge, dumpcap, every link whole, in turn."""
    options = {"rounds": rounds, "requests": requests, "shape": shape, "bridges": bridges}
    _ask("capture", json, world=world, **options)


@task(help={"rounds": "of every size", **JSON})
@checking
def bench_overlay(_: Context, rounds: int = 5, json: bool = False) -> None:
    """Time 2, 4, 8 and 16 hosts of 8 replicas up and down; exits 1 when slow or not clean."""
    _ask("overlay", json, rounds=rounds)


@task(
    help={
        "world": "net or docker",
        "rounds": "of no viewer, dashboard, dashboard and browser",
        **SHAPE,
        **JSON,
    }
)
@checking
def bench_dashboard(
    _: Context, world: str = "net", rounds: int = 30, shape: str | None = None, json: bool = False
) -> None:
    """Say what an open dashboard costs, and compare its rates with those that are sent."""
    _ask("dashboard", json, world=world, rounds=rounds, shape=shape)


#: The collection `bench`, by the word after its dot; the one of its own name is its default.
TASKS = {
    "bench": bench,
    "gateways": bench_gateways,
    "capture": bench_capture,
    "chain": bench_chain,
    "crossing": bench_crossing,
    "startup": bench_startup,
    "layers": bench_layers,
    "overlay": bench_overlay,
    "policy": bench_policy,
    "dashboard": bench_dashboard,
    "traffic": bench_traffic,
    "turns": bench_turns,
}
