"""nginx at the edge: where it sends requests, what it takes of them, and for how long it waits."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import edited
from twinstack.drill.catalogue.probes import ORDER, SHOP
from twinstack.drill.drill import Drill

_RELOAD = "kill -HUP {nginx-lb.pid}"
_PATIENT = (
    '( printf \'{{"items":[{{"product_id":24,\'; sleep 2.5; printf \'"quantity":1000}}]}}\' ) |'
    " curl -s -m 8 -X POST -T - -H 'Content-Type: application/json' -H 'Expect:' {url}/api/orders |"
    " grep -q insufficient_stock"
)
_LONG = ORDER.replace("1000}}", '1000}},{{"product_id":23,"quantity":1}}')


def _set(script: str) -> tuple[str, str]:
    return edited("{nginx-lb.config}", script), _RELOAD


def _directive(name: str, value: str) -> tuple[str, str]:
    return _set(rf"s/^\( *{name}\) [^;]*;/\1 {value};/")


DRILLS = (
    Drill(
        name="wrong-upstream",
        area="edge",
        level=1,
        restart="nginx-lb",
        symptom="Every page of the shop is an error, 502 or 504, after a second's wait. The gateway"
        " is well.",
        probes=(SHOP,),
        put=_set("s/server api-gateway:3000;/server api-gateway:3001;/"),
        hints=(
            "nginx logs the upstream of each request. Compare with where the gateway listens.",
            "Name and address are right. What else is in `address:port`?",
            "grep -A3 upstream {nginx-lb.config}, then tell nginx to read it again (SIGHUP).",
        ),
        repair=_set("s/server api-gateway:3001;/server api-gateway:3000;/"),
        explanation=(
            "nginx's upstream had port 3001, where nobody listens and no flow is declared: the"
            " policy drops the packets, so nginx waited a second for each. A restart reads the same"
            " file again. An address in place of the name would work today, and fail the day that"
            " the gateway moves."
        ),
        wrong=_set("s/server api-gateway:3001;/server {api-gateway[nginx-lb].address}:3000;/"),
        refusal="nginx.conf",
        undo=_set("/upstream gateway/,/keepalive/s/server [^;]*;/server api-gateway:3000;/"),
    ),
    Drill(
        name="small-orders-only",
        area="edge",
        level=1,
        restart="nginx-lb",
        symptom="Customers can order one product. Who orders two at once is told that it is too"
        " much: 413.",
        probes=(ORDER, _LONG),
        put=_directive("client_max_body_size", "64"),
        hints=(
            "Who refuses? A 413 of the gateway has its own headers; ask it by itself, from inside.",
            (
                "It depends on the length of the request's body. Where does it begin? Then look for"
                " that number."
            ),
            "grep body_size {nginx-lb.config}; what it ought to be is in services/README.md.",
        ),
        repair=_directive("client_max_body_size", "65536"),
        explanation=(
            "client_max_body_size was 64 bytes: nginx refused what the gateway would have taken."
            " 0 lifts the limit, and with it the protection: the declared one is 65,536 bytes, at"
            " nginx, the gateway and the services alike."
        ),
        wrong=_directive("client_max_body_size", "0"),
        refusal="nginx.conf",
    ),
    Drill(
        name="impatient-edge",
        area="edge",
        level=3,
        restart="nginx-lb",
        symptom="Customers with a slow line cannot order: 408. In the office nobody can reproduce"
        " it.",
        probes=(_PATIENT,),
        put=_directive("client_body_timeout", "1s"),
        hints=(
            (
                "Be a slow customer: send half of a body, wait, send the rest (curl -T - reads it"
                " from a pipe)."
            ),
            "Who gives up, and after how many seconds? The gateway grants five to begin with.",
            "grep timeout {nginx-lb.config}: which of them is about a body's next piece?",
        ),
        repair=_directive("client_body_timeout", "10s"),
        explanation=(
            "client_body_timeout was 1 s: between two pieces of a body nginx waited no longer."
            " An hour would be as wrong: whoever sends a byte now and then would hold connections"
            " for nothing (slowloris). The declared value is 10 s."
        ),
        wrong=_directive("client_body_timeout", "1h"),
        refusal="nginx.conf",
    ),
)
