"""Is our gateway fast? One worker of it against Node's http and against nginx, in one run.

All three stand before the same trivial upstream (nginx, 3 KB answers) on loopback and are driven
by wrk with 50 keep-alive clients, interleaved in random order. nginx as a proxy is the ceiling:
what a gateway in C takes. On two cores wrk and the upstream share the machine with the gateway,
so a very fast one is held back more than a slow one: ratios are understated, never flattered.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.engine import probe
from bench.engine.design import interleave, require_rounds
from bench.engine.estimate import Ratio, above, grouped, median, paired, spread
from bench.engine.show import columns, extremes, wrap
from bench.engine.store import Outcome
from bench.load import programs, wrk
from bench.load.programs import Program, Running
from twinstack.errors import CannotTell
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.software.roots import Roots
from twinstack.software.wheels import Software
from twinstack.stack import Stack
from twinstack.world import Endpoint

OURS, NODE, NGINX = "twinstack gateway", "Node.js http", "nginx proxy_pass"
UPSTREAM = "upstream"
ANSWER_BYTES = 3_000
#: How many times Node's rate ours is to be at least.
LEAST = 1.5
_REFERENCE = Path(__file__).parents[1] / "reference"
_CONNECTIONS, _SECONDS, _SEED = 50, 2, 1


@dataclass(frozen=True, slots=True)
class GatewayTrial:
    """One trial of a gateway."""

    round: int
    what: str
    report: wrk.WrkReport
    cpu_us: float

    @property
    def cpu_us_per_request(self) -> float:
        return self.cpu_us / max(1, self.report.complete)


@dataclass(frozen=True, slots=True)
class GatewayResult:
    """One gateway: medians over its trials."""

    name: str
    rates: tuple[float, ...]
    cpu_us_per_request: float
    p99_ms: float
    failures: int


@dataclass(frozen=True, slots=True)
class Gateways:
    """The comparison."""

    contenders: tuple[GatewayResult, ...]
    against_node: Ratio | None  # None: Node.js is not on this machine
    against_nginx: Ratio
    seed: int
    sentence: str


def ask(stack: Stack, *, rounds: int, progress: Progress) -> Outcome:
    """Compare the gateways.

    Raises: Missing (root, wrk); NotHealthy for a gateway that does not come up; CannotTell for
    one that answers wrongly.
    """
    require_rounds(rounds)
    roots, software = stack.software(progress)
    plan = stack.plan()
    ports = {name: programs.free_port() for name in (UPSTREAM, OURS, NGINX, NODE)}
    names = [OURS, NGINX, *((NODE,) if shutil.which("node") else ())]
    with programs.workspace() as place:
        started = _programs(plan, roots, software, place, ports)
        with programs.running(
            [program for program in started if program.name in {UPSTREAM, *names}]
        ) as up:
            for name in (UPSTREAM, *names):
                programs.await_port(up[name], "127.0.0.1", ports[name])
            for name in names:
                endpoint = Endpoint("127.0.0.1", ports[name])
                answer = probe.wait_ok(endpoint, "/api/products", timeout_s=10)
                if len(answer.body) != ANSWER_BYTES:
                    raise CannotTell(name, "passes on other bytes", f"{len(answer.body)}")
            trial, figure = partial(_trial, up, ports), "report.rate"
            samples = interleave(names, trial, rounds, _SEED, progress, figure=figure)
    result = summarise(samples, _SEED)
    return Outcome("gateways", plan, result, table(result))


def _trial(
    up: Mapping[str, Running], ports: Mapping[str, int], what: str, number: int
) -> GatewayTrial:
    program, before_us = up[what], up[what].cpu_us()
    url = f"http://127.0.0.1:{ports[what]}/api/products"
    report = wrk.run(url, connections=_CONNECTIONS, duration_s=_SECONDS)
    return GatewayTrial(number, program.name, report, program.cpu_us() - before_us)


def summarise(samples: Sequence[GatewayTrial], seed: int) -> Gateways:
    """Turn samples into the comparison; pure."""
    arms = grouped(samples, lambda trial: trial.what)
    results = tuple(
        GatewayResult(
            name=name,
            rates=tuple(trial.report.rate for trial in arms[name]),
            cpu_us_per_request=median(arms[name], "cpu_us_per_request"),
            p99_ms=median(arms[name], "report.p99_ms"),
            failures=sum(trial.report.failed for trial in arms[name]),
        )
        for name in (OURS, NGINX, NODE)
        if name in arms
    )
    node = paired(arms[OURS], arms[NODE], "report.rate", seed=seed) if NODE in arms else None
    nginx = paired(arms[OURS], arms[NGINX], "report.rate", seed=seed)
    return Gateways(results, node, nginx, seed, _sentence(node))


def _sentence(node: Ratio | None) -> str:
    if node is None:
        return "Node.js is not on this machine: not compared with it."
    return (
        f"Our gateway answers {node.estimate:.2f} times the requests of Node's http (95 % interval "
        f"{node.low:.2f} to {node.high:.2f}); at least {LEAST:g} times: {above(node, LEAST)}."
    )


def table(gateways: Gateways) -> str:
    """Draw the result."""
    rows = []
    for result in gateways.contenders:
        rates = spread(result.rates)
        cpu, p99 = f"{result.cpu_us_per_request:.0f}", f"{result.p99_ms:.1f}"
        failed = str(result.failures)
        rows.append([result.name, f"{rates.median:.0f}", extremes(rates), cpu, p99, failed])
    head = ["gateway", "req/s", "(min–max)", "CPU µs", "p99 ms", "failed"]
    nginx = gateways.against_nginx
    ceiling = f"Of nginx's rate: {nginx.estimate:.0%} ({nginx.low:.0%} to {nginx.high:.0%})."
    return f"{columns(head, rows)}\n{wrap(ceiling, gateways.sentence)}"


def _programs(
    plan: Plan, roots: Roots, software: Software, place: Path, ports: dict[str, int]
) -> list[Program]:
    replica = plan.replicas_of("api-gateway")[0]
    upstream = ports[UPSTREAM]
    (place / "upstream.conf").write_text(nginx_upstream(upstream))
    (place / "proxy.conf").write_text(nginx_proxy(ports[NGINX], upstream))
    shutil.copy(_REFERENCE / "node_gateway.js", place)
    nginx = Program(
        NGINX,
        ("/usr/sbin/nginx", "-e", "stderr", "-c", "/mnt/proxy.conf"),
        tree=roots.tree("nginx"),
        binds=((place, "/mnt"),),
    )
    ours = Program(
        OURS,
        tuple(
            str(ports[OURS]) if word == str(replica.port) else word
            for word in replica.launch.command
        ),
        tree=roots.tree("python"),
        binds=((software.directory, "/srv/twinstack"),),
        environment={
            **replica.environment_in("net"),
            "TWINSTACK_PORT": str(ports[OURS]),
            "REGISTRY_URL": f"http://127.0.0.1:{upstream}",
            "LOG_REQUESTS": "0",  # the other two do not log either
        },
    )
    node = (shutil.which("node") or "node", str(place / "node_gateway.js"))
    return [
        replace(nginx, name=UPSTREAM, command=(*nginx.command[:-1], "/mnt/upstream.conf")),
        nginx,
        ours,
        Program(NODE, (*node, str(ports[NODE]), str(upstream))),
    ]


def nginx_upstream(port: int) -> str:
    """Write an upstream that answers 3 KB at once, and is also the registry that lists it."""
    filler = '{"products":["' + "x" * (ANSWER_BYTES - 17) + '"]}'
    here = [{"instance": UPSTREAM, "address": "127.0.0.1", "port": port}]
    listed = {"product-service": here, "order-service": here}
    services = json.dumps({"registry": {"uptime_s": 3600}, "services": listed})
    return programs.nginx_conf(
        f"""
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        default_type application/json;
        location /v1/services {{ return 200 '{services}'; }}
        location / {{ return 200 '{filler}'; }}
    }}"""
    )


def nginx_proxy(port: int, upstream: int) -> str:
    """Write the ceiling: nginx as the gateway, connections to the upstream kept."""
    return programs.nginx_conf(
        f"""
    upstream products {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location /api/ {{
            proxy_pass http://products/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}"""
    )
