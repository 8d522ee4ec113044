"""Is our gateway fast? One worker of it against Node's http and against nginx.

All three stand before the same trivial upstream (nginx, 3 KB answers) on loopback and are driven
by wrk with 50 keep-alive clients. nginx as a proxy is the ceiling: what a gateway in C takes. On
two cores wrk and the upstream share the machine with the gateway, so a very fast one is held back
more than a slow one: ratios are understated, never flattered.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from bench.engine import loads
from bench.engine.arm import BENCH, CPU, PROGRAMS, RATE, Arm, Bound, Contrast, Quantity
from bench.engine.loads import by_wrk
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from bench.load import programs
from bench.load.programs import Program
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
OWN = Quantity("gateway", "CPU time per request of the gateway", lambda w: w.part(PROGRAMS), "µs")
_REFERENCE = Path(__file__).parents[1] / "reference"
_CONNECTIONS = 50


def ask(stack: Stack, *, how: Design, progress: Progress) -> Outcome:
    """Compare the gateways.

    Raises: Missing (root, wrk); NotHealthy for a gateway that does not come up; CannotTell for
    one that answers wrongly.
    """
    roots, software = stack.software(progress)
    plan = stack.plan()
    names = [OURS, NGINX, *((NODE,) if shutil.which("node") else ())]

    @contextmanager
    def stage() -> Iterator[Sequence[Arm]]:
        ports = {name: programs.free_port() for name in (UPSTREAM, OURS, NGINX, NODE)}
        with programs.workspace() as place:
            started = _programs(plan, roots, software, place, ports)
            chosen = [program for program in started if program.name in {UPSTREAM, *names}]
            with programs.running(chosen) as up:
                for name in (UPSTREAM, *names):
                    programs.await_port(up[name], "127.0.0.1", ports[name])
                yield [_arm(name, ports[name], up, how.run_s) for name in names]

    nginx, node = Contrast(OURS, NGINX), Contrast(OURS, NODE)
    experiment = Experiment(
        stage=stage,
        contrasts=(node, nginx) if NODE in names else (nginx,),
        load=f"{_CONNECTIONS} kept connections (wrk), answers of {ANSWER_BYTES} bytes",
        quantities=(RATE, CPU, OWN),
        bounds=(Bound(node, RATE, LEAST, least=True),) if NODE in names else (),
    )
    missing = [] if NODE in names else ["Node.js is not on this machine: not compared with it."]
    return outcome_of(run(experiment, how, progress), "gateways", plan, missing)


def _arm(name: str, port: int, up: dict[str, programs.Running], seconds: float) -> Arm:
    """Load one gateway. Raises: CannotTell when it passes on other bytes."""
    answer = loads.wait_ok(Endpoint("127.0.0.1", port), "/api/products", timeout_s=10)
    if len(answer) != ANSWER_BYTES:
        raise CannotTell(name, "passes on other bytes", f"{len(answer)}")
    load = by_wrk(f"http://127.0.0.1:{port}/api/products", _CONNECTIONS, seconds)
    parts = {
        pid: PROGRAMS if program == name else BENCH
        for program, running in up.items()
        for pid in running.pids()
    }
    return Arm(name, load, during=lambda: nullcontext(parts))


def _programs(
    plan: Plan, roots: Roots, software: Software, place: Path, ports: dict[str, int]
) -> list[Program]:
    replica = plan.replicas_of("api-gateway")[0]
    upstream = ports[UPSTREAM]
    proxy = (_REFERENCE / "nginx_gateway.conf").read_text(encoding="utf-8")
    proxy = proxy.replace("PORT", str(ports[NGINX])).replace("UPSTREAM", str(upstream))
    confs = {UPSTREAM: nginx_upstream(upstream), NGINX: programs.nginx_conf(proxy)}
    for name, conf in confs.items():
        (place / name).mkdir(mode=0o755)
        (place / name / "nginx.conf").write_text(conf)
    shutil.copy(_REFERENCE / "node_gateway.js", place)
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
        *(programs.nginx(name, roots.tree("nginx"), place / name) for name in confs),
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
