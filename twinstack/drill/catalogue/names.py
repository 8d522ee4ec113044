"""Names that lead to the wrong address: /etc/hosts is the only resolver that the services have."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import edited, inside, reconnected
from twinstack.drill.catalogue.probes import ORDER, SHOP
from twinstack.drill.drill import Drill

_RELOAD = "kill -HUP {nginx-lb.pid}"
_GATEWAY = "{api-gateway[nginx-lb].address}"


def _gateway_is(address: str) -> str:
    return edited("{nginx-lb.hosts}", rf"s/^[0-9.]*\([[:space:]]*api-gateway\)$/{address}\1/")


def _upstream(was: str, now: str) -> str:
    return edited("{nginx-lb.config}", f"s/server {was}:3000;/server {now}:3000;/")


DRILLS = (
    Drill(
        name="moved-gateway",
        area="names",
        level=1,
        symptom="Since last night's maintenance every page of the shop is an error, 502.",
        probes=(SHOP,),
        put=(_gateway_is("{nginx-lb.address}"), _RELOAD),
        hints=(
            (
                "Who says 502? Ask nginx-lb and api-gateway each by itself: {api-gateway.enter}"
                " curl -s http://127.0.0.1:3000/health. One of them is well."
            ),
            (
                "nginx logs to which address it connects. Whose address is that? Its configuration"
                " has a name there, not an address."
            ),
            (
                "A name becomes an address by {nginx-lb.hosts}, which nginx-lb sees as /etc/hosts,"
                " and nginx looks only when it reads its configuration."
            ),
        ),
        repair=(_gateway_is(_GATEWAY), _RELOAD),
        explanation=(
            "The line of api-gateway in /etc/hosts had another address. nginx resolves the names"
            " of its upstreams once, when it reads its configuration: the mistake showed at the"
            " next reload, and a corrected file needs another one (SIGHUP). In the namespace world"
            " all replicas see one file; Docker writes one for each container at each start:"
            " so there a restart repairs it, and hides who had changed it."
        ),
        wrong=(_upstream("api-gateway", _GATEWAY), _RELOAD),
        refusal="hosts",
        undo=(_upstream(_GATEWAY, "api-gateway"), _gateway_is(_GATEWAY), _RELOAD),
    ),
    Drill(
        name="hosts-behind-a-mount",
        area="names",
        level=4,
        symptom="Nobody can order: 503. The catalogue and the carts are as ever, and /etc/hosts,"
        " nginx.conf and the rules are what they always were.",
        probes=(ORDER,),
        put=(
            (
                r"sed 's/^[0-9.]*\([[:space:]]*postgres-db\)$/{order-service.address}\1/'"
                " {order-service.root}/etc/hosts > {order-service.root}/tmp/old-hosts"
            ),
            inside("order-service", "mount --bind /tmp/old-hosts /etc/hosts"),
            reconnected("order-service"),
        ),
        hints=(
            (
                "order-service's log says what it cannot reach, and at which address. postgres-db"
                " has another."
            ),
            (
                "The host's file {order-service.hosts} is right. Does order-service see that file?"
                " Look at it by way of its own root: {order-service.root}/etc/hosts."
            ),
            (
                "/proc/{order-service.pid}/mountinfo lists what is mounted where, the newest last;"
                " the fourth column says from what. /etc/hosts is there twice."
            ),
        ),
        repair=(
            inside("order-service", "umount /etc/hosts"),
            "rm {order-service.root}/tmp/old-hosts",
        ),
        explanation=(
            "Another file was mounted over /etc/hosts, in the mount namespace of order-service"
            " alone: the file below was right and could not be seen. Whoever looks from the host"
            " sees the host's file; /proc/PID/root and /proc/PID/mountinfo show what the process"
            " sees. A restart makes a new mount namespace, and would have hidden the cause."
        ),
        wrong=(
            "cat {order-service.hosts} > {order-service.root}/tmp/old-hosts",
            reconnected("order-service"),
        ),
        refusal="mount /etc/hosts",
        undo=(
            (
                "while grep -q ' /old-hosts /etc/hosts ' /proc/{order-service.pid}/mountinfo; do"
                " nsenter --target {order-service.pid} --mount --pid umount /etc/hosts; done"
            ),
            "rm -f {order-service.root}/tmp/old-hosts",
        ),
    ),
)
