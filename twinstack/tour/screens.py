"""The screens of the tour: sentences, and commands of the host's shell. Data alone; pure.

In both, `{product-service.address}` stands for what `twinstack.drill.site` knows of a replica that
runs, and {{ and }} for braces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinstack.errors import WrongUse
from twinstack.model.topology import WorldName


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen of the tour."""

    name: str
    title: str
    text: str  # three to six sentences
    commands: tuple[str, ...]  # each is given to bash as it is shown
    exit_code: int = 0  # of the last command; those before it exit 0
    world: WorldName = "net"  # that must be up


#: In their order.
SCREENS = (
    Screen(
        "namespace",
        "A network namespace: a network of its own",
        "A container's network is a network namespace: it has links, addresses, routes and "
        "rules of its own. The first number below is the namespace of this shell, the second "
        "that of product-service. They differ, so each replica can listen on port "
        "{product-service.port} beside the others. nsenter runs a command in there; it finds "
        "one link to the rest of the world, and the address {product-service.address}.",
        (
            "readlink /proc/self/ns/net",
            "{product-service.enter} readlink /proc/self/ns/net",
            "{product-service.enter} ip -brief address",
        ),
    ),
    Screen(
        "veth",
        "A veth pair is a cable, a bridge is a switch",
        "{product-service.link} in there is one end of a veth pair: a packet that goes in at "
        "one end comes out at the other. The other end is {product-service.end}, here on the "
        "host. It is a port of the bridge {product-service.bridge}, like the host's ends of the "
        "other replicas' links. The bridge forwards a frame to the port behind which it has "
        "seen the frame's MAC address.",
        (
            "ip link show {product-service.end}",
            "ip -brief link show master {product-service.bridge} | cut -d ' ' -f 1",
        ),
    ),
    Screen(
        "request",
        "One request",
        "{url} is a port of this host: a rule of iptables (DNAT) sends it on to nginx-lb at "
        "{nginx-lb.address}. nginx-lb asks api-gateway, and that asks one of three replicas of "
        "product-service. The replica asks Redis first, and PostgreSQL where Redis does not "
        "have the answer. x-served-by names the replica, x-cache says whether Redis had it.",
        ("curl -si {url}/api/products/3 | grep -E '^(HTTP|x-|[{{])'",),
    ),
    Screen(
        "journey",
        "The way of that request, in microseconds",
        "Another request, captured on every link that it crosses. The first column is when a "
        "step began, the second how long it took; a dot is one service further in. Shown are "
        "the steps in which a process works, and the sums below them. A step from one link to "
        "the next takes a few microseconds: nearly all of the time goes to processes.",
        ("invoke traffic.journey --world net | grep -E 'GET|works|%'",),
    ),
    Screen(
        "replicas",
        "Three replicas take turns",
        "Each replica registers with service-registry, and says every few seconds that it is "
        "alive. api-gateway asks the registry which replicas there are, and sends each request "
        "to the next one. Thirty requests, counted by who served them: each replica gets its "
        "share.",
        (
            (
                "for n in $(seq 30); do\n"
                "    curl -si {url}/api/products/3 | grep x-served-by\n"
                "done | sort | uniq -c"
            ),
        ),
    ),
    Screen(
        "kill",
        "Kill a replica, and see it come back",
        "SIGKILL ends the main process of product-service-2; it cannot even say goodbye to the "
        "registry. Forty requests follow, some ten a second: each line below is a status, who "
        "served it, and how often. Where a replica refuses the connection, the gateway asks the "
        "next one, so every status is 200. supervisord starts it again, and then it gets its "
        "share of the requests. net.status counts the restart.",
        (
            "kill -KILL {product-service-2.pid}",
            (
                "for n in $(seq 40); do\n"
                "    curl -s -o /dev/null -w '%{{http_code}} %header{{x-served-by}}\\n' "
                "{url}/api/products/3\n"
                "    sleep 0.1\n"
                "done | sort | uniq -c"
            ),
            "invoke net.status | grep -E 'restarts|product-service-2'",
        ),
    ),
    Screen(
        "rule",
        "The rule that lets it through",
        "The bridge hands what it forwards to iptables, so rules decide between its ports too. "
        "topology.yml declares which service may connect to which; each such flow becomes a "
        "rule. These are the rules for what {api-gateway.address}, the gateway, may ask for; "
        "the comment of each names its flow. The answers pass by one rule for all: they belong "
        "to a connection that was let through.",
        ("iptables-save -t filter | grep -e '-s {api-gateway.address}/32'",),
    ),
    Screen(
        "why",
        "Ask why it passes",
        "why makes one real connection, watches every link and every rule, and says what became "
        "of it. It names the flow by which the connection passes. Below are its hops: where the "
        "request was seen, and where the answer.",
        ("invoke why api-gateway product-service --world net",),
    ),
    Screen(
        "drops",
        "What is not declared is dropped",
        "nginx-lb has no business with Redis, so no flow is declared, and no rule accepts it. "
        "The last rule drops what none accepted, and reports it to whoever listens: "
        "policy.drops does. Meanwhile nginx-lb tries to connect; each try waits one second for "
        "an answer that does not come.",
        (
            (
                "invoke policy.drops --world net --seconds 3 &\n"
                "for n in 1 2 3 4; do\n"
                "    {nginx-lb.enter} timeout 1 bash -c ': > "
                "/dev/tcp/{redis-cache.address}/{redis-cache.port}'\n"
                "done\n"
                "wait $!"
            ),
        ),
    ),
    Screen(
        "deny",
        "Deny a flow, and see it drop",
        "Now something that is declared: product-service asks Redis. chaos denies it for some "
        "seconds: a chain of its own comes first, and is removed whatever happens. As soon as "
        "its first rule is there, why says what drops the packets. Meanwhile chaos reads "
        "products: PostgreSQL still answers, so hardly a read fails.",
        (
            (
                "invoke chaos --world net --what partition:product-service/redis-cache \\\n"
                "    --seconds 4 2> /dev/null | head -n 2 &\n"
                "while kill -0 $! && ! iptables-save | grep -m 1 'fault partition'; do\n"
                "    sleep 0.1\n"
                "done\n"
                "invoke why product-service redis-cache --world net | head -n 4\n"
                "wait"
            ),
        ),
    ),
    Screen(
        "conntrack",
        "What the kernel remembers of a connection",
        "Connection tracking (conntrack) keeps an entry for each connection that the rules see. "
        "The first addresses are what the client sent; the second what an answer has, after "
        "NAT. The client asked 127.0.0.1, and nginx-lb ({nginx-lb.address}) answers the host: "
        "by this entry the kernel turns both back.",
        (
            "curl -s -o /dev/null {url}/health",
            (
                "conntrack -L -p tcp --reply-src {nginx-lb.address} 2> /dev/null | grep -m 1 "
                "dst=127.0.0.1"
            ),
        ),
    ),
    Screen(
        "docker",
        "The same in Docker",
        "The Docker world is up too, so look at its product-service with the same commands. A "
        "container is made of the same parts: a network namespace, a veth pair, a port of a "
        "bridge. Docker gave them names that are harder to read; and why, which reads the "
        "kernel, works on both.",
        (
            "{product-service.enter} ip -brief address",
            "ip -brief link show master {product-service.bridge} | cut -d ' ' -f 1",
            "invoke why api-gateway product-service --world docker | head -n 3",
        ),
        world="docker",
    ),
    Screen(
        "cost",
        "What Docker costs",
        "invoke bench sends the same load to both worlds in turn, and says what the difference "
        "is, or that it found none. Every result is kept, with the machine that it was measured "
        "on. This is the newest verdict that is kept here; your machine's comes with make "
        "bench.",
        ("invoke bench.history --question compare | tail -n 1",),
    ),
    Screen(
        "rest",
        "All is as it was",
        "net.status compares everything that the plan declares with what the kernel has: links, "
        "addresses, rules, processes, limits. It exits with 0 only where nothing differs: of "
        "this tour the count of that restart is left. Go on with invoke topology, invoke "
        "dashboard, or the pages in docs/.",
        ("invoke net.status",),
    ),
)


def chosen(names: str) -> Sequence[Screen]:
    """Give the screens that are named, as NAME,NAME; all where none is. Raises: WrongUse."""
    known = {screen.name: screen for screen in SCREENS}
    found = []
    for name in filter(None, map(str.strip, names.split(","))):
        if name not in known:
            cause = f"there are {', '.join(known)}"
            raise WrongUse(f"screen {name}", "is unknown", cause, "choose some of them")
        found.append(known[name])
    return found or SCREENS
