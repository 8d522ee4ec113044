"""The benchmarks: each task asks a question of bench.questions, imported only then."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from front.options import ALLOW, EITHER, JSON, SHAPE, WORLD
from front.reporting import answer, end, say, show, task
from twinstack import stack
from twinstack.world import require_root

if TYPE_CHECKING:  # listing the tasks loads no benchmark
    from bench.engine.store import Outcome

REQUESTS = {"requests": "number of requests in one trial"}


#: Of every question that compares arms by windows.
DESIGN = {
    "minutes": "the longest it may take; it stops earlier when its intervals are narrow enough",
    "seed": "seed of the order of windows, which is recorded; negative: a random one",
}


def ask(module: str, json: bool, *arguments: object, **options: Any) -> None:
    """Ask a question, print its answer and then keep it, and exit with its code."""
    question = importlib.import_module(f"bench.questions.{module}")
    present(question.ask(*arguments, progress=say, **options), json)


def present(asked: Outcome, json: bool) -> None:
    """Print an outcome, keep it, and exit with its code."""
    from bench.engine import store

    document = store.described(asked)
    show(json, document, asked.text, asked.code)  # first: the disk may be full
    say(f"kept as {store.keep(asked, document)}")
    end(asked.code)


def _ask(question: str, json: bool, **options: Any) -> None:
    require_root(f"bench.{question}")
    ask(question, json, stack.from_environment(), **options)


def _compare(question: str, json: bool, minutes: float, seed: int, **options: Any) -> None:
    """Ask a question of the engine. Raises: TwinstackError for a design that cannot be."""
    from bench.engine.design import Design

    how = Design.within(minutes, None if seed < 0 else seed)
    _ask(question, json, how=how, **options)


@task(
    default=True,
    iterable=["allow"],
    help={
        **DESIGN,
        **REQUESTS,
        "quick": "one minute: what it can see is said",
        "concurrency": "number of ab's concurrent requests",
        "path": "the path to request",
        "keepalive": "keep ab's connections alive between requests (ab -k)",
        "published": "compare the published ports too",
        "aa": "compare a world (net or docker) with itself: the method's own error",
        **ALLOW,
        **SHAPE,
        **JSON,
    },
)
def bench(
    _: Context,
    allow: list[str],
    minutes: float = 5.0,
    requests: int = 1000,
    concurrency: int = 50,
    path: str = "/api/products",
    keepalive: bool = False,
    quick: bool = False,
    published: bool = False,
    aa: str = "",
    seed: int = -1,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Compare both worlds in five minutes; brings up a world that is not up."""
    from bench.load.ab import AbLoad

    load = AbLoad(path, requests, concurrency, keepalive)
    options = {"load": load, "published": published, "aa": aa, "shape": shape, "allow": allow}
    _compare("compare", json, 1.0 if quick else minutes, seed, **options)


@task(help={**DESIGN, **JSON})
def bench_gateways(_: Context, minutes: float = 3.0, seed: int = -1, json: bool = False) -> None:
    """Compare the gateway alone with Node's http and with nginx (wrk, one worker each)."""
    _compare("gateways", json, minutes, seed)


@task(help={**DESIGN, **JSON})
def bench_chain(_: Context, minutes: float = 5.0, seed: int = -1, json: bool = False) -> None:
    """Compare the whole chain with its product service, a near cache and a naive chain."""
    _compare("chain", json, minutes, seed)


@task(help={"times": "how often to take each world down and bring it up", **JSON})
def bench_startup(_: Context, times: int = 3, json: bool = False) -> None:
    """Time both worlds from nothing to healthy, and measure their memory."""
    _ask("startup", json, times=times)


@task(help={"times": "how often to run each command", **JSON})
def bench_commands(_: Context, times: int = 10, json: bool = False) -> None:
    """Time listing, help, completion and reading tasks, beside Docker's and iproute2's commands."""
    ask("commands", json, stack.from_environment(), times=times)


@task(iterable=["allow"], help={**DESIGN, **ALLOW, **JSON})
def bench_layers(
    _: Context, allow: list[str], minutes: float = 15.0, seed: int = -1, json: bool = False
) -> None:
    """Measure what each depth of the stack costs in both worlds, out to the published ports."""
    require_root("bench.layers")
    _compare("rungs.stack", json, minutes, seed, allow=allow)


@task(help={**DESIGN, **JSON})
def bench_ladder(_: Context, minutes: float = 15.0, seed: int = -1, json: bool = False) -> None:
    """Climb up and down some thirty layers, from loopback to Docker: what each adds, in µs."""
    _compare("ladder", json, minutes, seed)


@task(help={"megabytes": "size of the capture in MB", **DESIGN, **JSON})
def bench_traffic(
    _: Context, megabytes: int = 300, minutes: float = 5.0, seed: int = -1, json: bool = False
) -> None:
    """Compare traffic.report with tshark on the same capture: time and memory."""
    _compare("traffic", json, minutes, seed, megabytes=megabytes)


@task(help={**WORLD, **DESIGN, **SHAPE, **JSON})
def bench_policy(
    _: Context,
    world: str = "net",
    minutes: float = 5.0,
    seed: int = -1,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Measure what the policy costs: the same world with and without it, in turn."""
    _compare("policy", json, minutes, seed, world=world, shape=shape)


@task(
    iterable=["allow"],
    help={
        **EITHER,
        "seconds": "how long each world is measured at each rate",
        "bound-ms": "the bound on p99 for which the highest rate is sought",
        **ALLOW,
        **SHAPE,
        **JSON,
    },
)
def bench_latency(
    _: Context,
    allow: list[str],
    world: str = "both",
    seconds: int = 30,
    bound_ms: int = 25,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Measure p50, p99 and p99.9 in an open loop, and the highest rate that keeps a bound."""
    options = {"bound_ms": bound_ms, "shape": shape, "allow": allow}
    _ask("latency", json, world=world, seconds=seconds, **options)


@task(help={**DESIGN, **JSON})
def bench_hosts(_: Context, minutes: float = 5.0, seed: int = -1, json: bool = False) -> None:
    """Measure what crossing hosts costs: loopback, a bridge, raw VXLAN and Swarm's overlay."""
    _compare("hosts", json, minutes, seed)


@task(
    help={
        **WORLD,
        **DESIGN,
        **REQUESTS,
        "bridges": "compare only no capture with a capture of every bridge",
        **SHAPE,
        **JSON,
    }
)
def bench_capture(
    _: Context,
    world: str = "net",
    minutes: float = 10.0,
    requests: int = 500,
    bridges: bool = False,
    seed: int = -1,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Measure what capturing costs: none, every bridge, dumpcap, whole packets of every link."""
    options = {"world": world, "requests": requests, "bridges": bridges, "shape": shape}
    _compare("capture", json, minutes, seed, **options)


@task(help={**DESIGN, **JSON})
def bench_bystander(_: Context, minutes: float = 20.0, seed: int = -1, json: bool = False) -> None:
    """Measure what Docker costs programs that do not use it, from absent to published ports."""
    _compare("bystander", json, minutes, seed)


@task(help={"rounds": "how often each size comes up and goes down", **JSON})
def bench_overlay(_: Context, rounds: int = 5, json: bool = False) -> None:
    """Time 2 to 16 hosts of 8 replicas up and down; exits 1 if slow or if anything is left."""
    _ask("overlay", json, rounds=rounds)


@task(help={**WORLD, **DESIGN, **SHAPE, **JSON})
def bench_dashboard(
    _: Context,
    world: str = "net",
    minutes: float = 10.0,
    seed: int = -1,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Measure what an open dashboard costs, and check its rates against the load that is sent."""
    _compare("dashboard", json, minutes, seed, world=world, shape=shape)


@task(
    help={
        **WORLD,
        "runs": "how many comparisons in all; those that are kept count, so that it goes on",
        "minutes": "the longest that each may take",
        "plant": "nothing; spin: microseconds before each request; hold: the edge, of the time",
        "size": "how much is planted",
        **JSON,
    }
)
def bench_selftest(
    _: Context,
    world: str = "net",
    runs: int = 20,
    minutes: float = 1.0,
    plant: str = "nothing",
    size: float = 0.0,
    json: bool = False,
) -> None:
    """Test the benchmark: a world against itself, or against itself with a planted cost."""
    options = {"world": world, "runs": runs, "plant": plant, "size": size}
    _compare("selftest", json, minutes, -1, **options)


@task(
    iterable=["allow"],
    help={
        "minutes": DESIGN["minutes"],
        "seed": "share the seed's 2x out over its causes; takes 15 minutes or more",
        "evidence": "sample stacks with perf too: what the kernel did in the extra time",
        "plant": "plant each of eight causes so often, and count which is named first",
        **ALLOW,
        **SHAPE,
        **JSON,
    },
)
def bench_explain(
    _: Context,
    allow: list[str],
    minutes: float = 5.0,
    seed: bool = False,
    evidence: bool = False,
    plant: int = 0,
    shape: str | None = None,
    json: bool = False,
) -> None:
    """Say where Docker's extra time goes: a waterfall, causes, sampled stacks."""
    if plant:
        return _ask("planting", json, times=plant)
    if seed:
        return _compare("seed", json, minutes, -1)
    options = {"evidence": evidence, "shape": shape, "allow": allow}
    return _compare("explain", json, minutes, -1, **options)


@task(
    positional=["first", "second"],
    iterable=["allow"],
    help={
        "first": "a kept result: a file of it, or the beginning of its name",
        "second": "the result to compare it with",
        "allow": "a key in which they may differ, as the refusal names it; may be repeated",
        **JSON,
    },
)
def bench_compare(
    _: Context, first: str, second: str, allow: list[str], json: bool = False
) -> None:
    """Say what changed from one kept result to another; unlike ones are refused."""
    from bench.engine import change, kept

    changed = change.compare(kept.find(first), kept.find(second), allow)
    answer(json, changed, change.text(changed))


@task(
    positional=["question"],
    help={"question": "the name of its results; unset: every result", **JSON},
)
def bench_history(_: Context, question: str = "", json: bool = False) -> None:
    """List kept results, newest last: date, commit, machine, verdict."""
    from bench.engine import kept

    found, unreadable = kept.history(question)
    for line in unreadable:
        say(line)
    document = kept.KeptHistory(tuple(result.row() for result in found), tuple(unreadable))
    answer(json, document, kept.lines(found) or "None is kept yet.")
