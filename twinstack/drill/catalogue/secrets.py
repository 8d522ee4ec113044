"""Secrets that cannot be read, that disagree, or that are hidden."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import inside, reconnected
from twinstack.drill.catalogue.probes import ORDER
from twinstack.drill.drill import Drill

_PASSWORD = "{order-service.secrets}/postgres_password"
_OWN = "{order-service.secrets}/registry_order_service_password"
_REGISTRY = "{service-registry.secrets}/registry_order_service_password"
_KNOWN = "{vault}/registry_order_service_password"

DRILLS = (
    Drill(
        name="tightened-secret",
        area="secrets",
        level=1,
        restart="order-service",
        symptom="Nobody can order since somebody tightened the permissions.",
        probes=(ORDER,),
        put=(f"chown 0:0 {_PASSWORD}", reconnected("order-service")),
        hints=(
            "order-service's log says what it cannot do. Nothing on the network is wrong.",
            (
                "It reads its password whenever it connects. Try to read the file as its user:"
                " nsenter --target {order-service.pid} --mount --setuid {order-service.user}"
                " ls -ln /run/secrets."
            ),
            "Compare the owner with that of the files beside it.",
        ),
        repair=("chown {order-service.user}:{order-service.user} " + _PASSWORD,),
        explanation=(
            "The file of the password for PostgreSQL belonged to root, mode 0400: order-service,"
            " an ordinary user, could no longer read it. Connections that were open went on. A"
            " secret has one reader: its owner. Mode 0444 would have made it everybody's."
        ),
        wrong=(f"chmod 444 {_PASSWORD}",),
        refusal="secrets",
        undo=(
            "chown {order-service.user}:{order-service.user} " + _PASSWORD,
            f"chmod 400 {_PASSWORD}",
        ),
    ),
    Drill(
        name="two-halves",
        area="secrets",
        level=3,
        restart="order-service",
        symptom="The registry calls order-service lapsed, though customers can order. A gateway"
        " that started now might not find it.",
        probes=(
            (
                "{service-registry.enter} curl -sf -m 5"
                " http://127.0.0.1:8500/v1/services/order-service | grep -q '\"instances\":\\[{{'"
            ),
        ),
        put=(f"printf x >> {_OWN}",),
        hints=(
            (
                "order-service renews its lease every two seconds. Does it try? Does it arrive?"
                " Both logs say so."
            ),
            (
                "The registry refuses the credential. Who has which half of it? Look below"
                " {order-service.secrets} and {service-registry.secrets}."
            ),
            "The two copies must be alike (cmp). Which of them was changed? A file has a time.",
        ),
        repair=(f"cat {_REGISTRY} > {_OWN}",),
        explanation=(
            "order-service's copy of its credential had one character more than the registry's:"
            " each heartbeat was a 401, and the lease ran out. The gateway keeps an instance that"
            " answers, whatever the registry says, so customers noticed nothing, yet. To change the"
            " registry's copy too ends the symptom, and makes a secret of what somebody typed."
        ),
        wrong=(f"cat {_OWN} > {_REGISTRY}",),
        refusal="secrets",
        undo=(f"cat {_KNOWN} > {_OWN}", f"cat {_KNOWN} > {_REGISTRY}"),
    ),
    Drill(
        name="hidden-secrets",
        area="secrets",
        level=3,
        symptom="Nobody can order. The passwords are where they were, and nobody changed one.",
        probes=(ORDER,),
        put=(
            inside("order-service", "mount -t tmpfs tmpfs /run/secrets"),
            reconnected("order-service"),
        ),
        hints=(
            "order-service's log: PostgreSQL wants a password, and gets none.",
            (
                "The files below {order-service.secrets} are right. Does the process see them? ls"
                " {order-service.root}/run/secrets."
            ),
            (
                "/proc/{order-service.pid}/mountinfo: what is mounted at /run/secrets, and what"
                " over it?"
            ),
        ),
        repair=(inside("order-service", "umount /run/secrets"),),
        explanation=(
            "An empty tmpfs was mounted over /run/secrets in the mount namespace of order-service:"
            " the files below it were hidden, not gone. To copy them into the tmpfs ends the"
            " symptom, with secrets in a place that nobody looks after."
        ),
        wrong=("cp -p {order-service.secrets}/* {order-service.root}/run/secrets/",),
        refusal="mount /run/secrets",
        undo=(
            (
                "while grep -q ' / /run/secrets ' /proc/{order-service.pid}/mountinfo; do"
                " nsenter --target {order-service.pid} --mount --pid umount /run/secrets; done"
            ),
        ),
    ),
)
