"""nginx of the services' own root, with the rendered configuration, on loopback, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.load.programs import await_port, free_port, nginx, running, workspace
from tests.support.core_cases import edited_plan
from twinstack.namespaces.provision import accounts
from twinstack.software.configs import nginx_conf
from twinstack.software.roots import ensure_roots, recipe_for


@contextmanager
def edge_before(*gateways: int, edits: tuple[tuple[str, str], ...] = ()) -> Iterator[int]:
    """Run nginx before gateways on ports of loopback while the block lasts; give its port.

    The configuration is as in the worlds but for its addresses and its access log; `edits` replace
    more. Raises: Missing unless root asks.
    """
    count = len(gateways)
    plan = edited_plan(
        lambda d: (
            d["services"]["api-gateway"].update(replicas=count),
            d["edge"].update(requests_per_second=1000),
        )
    )
    text, port = nginx_conf(plan, plan.replica("nginx-lb")), free_port()
    replicas = zip(plan.replicas_of("api-gateway"), gateways, strict=True)
    addresses = [(f" {r.name}:{r.port}", f" 127.0.0.1:{gateway}") for r, gateway in replicas]
    listen = (f"listen {plan.replica('nginx-lb').port} ", f"listen 127.0.0.1:{port} ")
    for old, new in (listen, ("access_log /dev/stdout json", "access_log off; #"), *edits):
        assert old in text, old
        text = text.replace(old, new)
    for old, new in addresses:
        text = text.replace(f"server{old}", f"server{new}")
    tree = ensure_roots(recipe_for(accounts(plan)), print).tree("nginx")
    with workspace() as place:
        (place / "nginx.conf").write_text(text)
        with running([nginx("nginx", tree, place, "-g", "daemon off;")]) as started:
            await_port(started["nginx"], "127.0.0.1", port)
            yield port
