"""The registry: who is known, at which port, and who renews it."""

from __future__ import annotations

from twinstack.drill.catalogue.probes import ORDER
from twinstack.drill.drill import Drill

_SERVED_BY = (
    "for n in $(seq 90); do curl -s -m 5 -o /dev/null -D - {url}/api/products |"
    " grep -qi 'x-served-by: {target.replica}.\\?$' && exit 0; done; exit 1"
)


def _registered(replica: str, service: str, port: int, lease_s: int) -> str:
    """Write the command that registers a replica, from its own address, with its credential."""
    credential = f"registry_{service.replace('-', '_')}_password"
    address = f"{{{replica}[service-registry].address}}"
    return (
        f"( printf 'Authorization: Bearer '; cat {{{replica}.secrets}}/{credential}; echo ) |"
        f" {{{replica}.enter}} curl -sf -m 5 -o /dev/null -X PUT --interface {address}"
        " -H 'Content-Type: application/json' -H @-"
        f' -d \'{{{{"address":"{address}","port":{port},"lease_s":{lease_s}}}}}\''
        f" http://{{service-registry.address}}:8500/v1/services/{service}/{{{replica}.replica}}"
    )


_REDIRECT = "PREROUTING -p tcp --dport 5001 -j REDIRECT --to-ports 5000"
_ACCEPT = "FORWARD -p tcp --dport 5001 -j ACCEPT"

DRILLS = (
    Drill(
        name="left-the-registry",
        area="registry",
        level=1,
        targets=("product-service-2", "product-service-3"),
        symptom="Two of the three product services do all the work: {target.replica} runs, is"
        " healthy, and is never asked.",
        probes=(_SERVED_BY,),
        put=(
            (
                "for p in $(cat {target.cgroup}/cgroup.procs); do [ $p = {target.pid} ] ||"
                " kill -USR1 $p; done; sleep 1"
            ),
        ),
        hints=(
            "By whom does the gateway know which product services there are?",
            (
                "{service-registry.enter} curl -s http://127.0.0.1:8500/v1/services shows three"
                " tables. In which is {target.replica}?"
            ),
            (
                "It is in `left`: it said itself that it ends (its log has the hour), and yet it"
                " serves on. Who left does not come back by itself."
            ),
        ),
        repair=("{runner} restart {target.unit}",),
        explanation=(
            "A product service that gets SIGUSR1 leaves the registry and serves on, so that it can"
            " be ended once nobody asks it. Somebody sent the signal and did not end it. Started"
            " again it registers and renews its lease every two seconds. Registered by hand it is"
            " asked as long as that lease runs, and nobody renews it."
        ),
        wrong=(_registered("target", "product-service", 5000, 300),),
        refusal="lease",
        undo=("{runner} restart {target.unit}",),
    ),
    Drill(
        name="wrong-port-registered",
        area="registry",
        level=4,
        restart="api-gateway",
        symptom="Nobody can order since the gateway was restarted, 502 or 503. order-service runs,"
        " is healthy, and its log has no error.",
        probes=(ORDER,),
        put=(
            _registered("order-service", "order-service", 5001, 6),
            "kill {api-gateway.pid}",
        ),
        hints=(
            "Do the requests arrive at order-service? What does the gateway's log say of it?",
            (
                "Where does the gateway look for order-service? It learns that from the registry,"
                " and keeps what it knows as long as that answers: before the restart it knew"
                " better."
            ),
            (
                "{service-registry.enter} curl -s http://127.0.0.1:8500/v1/services/order-service:"
                " compare address and port. A heartbeat renews the lease and says nothing of the"
                " port."
            ),
        ),
        repair=(_registered("order-service", "order-service", 5000, 6),),
        explanation=(
            "The registry had order-service at port 5001. Its heartbeats kept that entry alive: a"
            " heartbeat says who is alive, not where. The running gateway kept the instance that"
            " it knew, and asked the wrong port once it had forgotten it. To register the right"
            " port, or to restart order-service, repairs it; to make port 5001 lead to 5000 opens"
            " a port that no flow declares."
        ),
        wrong=(
            f"{{order-service.enter}} iptables -t nat -I {_REDIRECT}",
            f"iptables -I {_ACCEPT}",
        ),
        refusal="5001",
        undo=(
            f"{{order-service.enter}} iptables -t nat -D {_REDIRECT}",
            f"iptables -D {_ACCEPT}",
            _registered("order-service", "order-service", 5000, 6),
        ),
    ),
)
