"""Thirty foreign objects that look like ours: nothing we do may touch one."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.sandbox import Sandbox

#: Look-alikes: names one letter away from ours, and ours where the name is free for everybody.
_NAMESPACES = ("nginx-lb-lab", "product-service-9", "br-app", "twinstack")
_BRIDGES = ("br-apps", "br-front", "br-backend2")
_PAIRS = ("ve-nginx", "ve-products", "twinstack0")
_PROCESSES = ("redis-server", "nginx", "supervisord", "gunicorn")
_COMMENT = "twinstack:somebody"
_RULES = (
    ("filter", "FORWARD", "-i br-apps -j ACCEPT"),
    ("filter", "FORWARD", f"-i br-app -m comment --comment {_COMMENT} -j RETURN"),
    ("filter", "INPUT", "-p tcp --dport 8080 -j ACCEPT"),
    ("nat", "PREROUTING", "-p tcp --dport 8081 -j DNAT --to-destination 10.0.0.10:80"),
    ("nat", "POSTROUTING", "-s 10.0.1.0/24 -j MASQUERADE"),
    ("nat", "OUTPUT", "-d 198.51.100.7 -p tcp --dport 80 -j DNAT --to 198.51.100.8"),
    ("raw", "PREROUTING", "-i br-apps -d 127.0.0.0/8 -j DROP"),
)
_CHAINS = (("filter", "TS-somebody-FORWARD"), ("nat", "DOCKER-LAB"))
_FILES = ("/run/twinstack/somebody/journal.json", "/run/twinstack-lab", "/run/supervisord.conf")
_ROUTES = ("172.20.1.0/24", "10.0.1.0/24")
_ALIASED = "lab-uplink"
_GROUPED = "lab-grouped"


@dataclass
class Bystanders:
    """What was made, and how it looked when it was."""

    host: Sandbox
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    seen: str = ""

    @property
    def count(self) -> int:
        """Count them."""
        named = (_NAMESPACES, _BRIDGES, _PAIRS, _PROCESSES, _RULES, _CHAINS, _FILES, _ROUTES)
        return sum(len(names) for names in named) + 2

    def look(self) -> str:
        """Write down each with what makes it the same: inode, index, rule, pid, time."""
        marks = "|".join((*_BRIDGES, *_PAIRS, _ALIASED, _GROUPED))
        script = f"""
            for n in {" ".join(_NAMESPACES)}; do stat -L -c '%n %i' /run/netns/$n; done
            for n in {" ".join(_NAMESPACES)}; do ip -n $n -o link; done
            ip -o link | grep -E '({marks})[:@]'
            ip route | grep -E '{"|".join(_ROUTES)}'
            iptables-save | grep -v '^[:#]' | grep -v 'TS-{self.host.instance}-'
            iptables-save | grep -E '^:({"|".join(name for _, name in _CHAINS)}) '
            stat -c '%n %i %Y %s' {" ".join(_FILES)}
        """
        output = self.host.run("sh", "-c", script).stdout
        lines = [line for line in output.splitlines() if line.strip() not in {"COMMIT"}]
        tables = [line for line in lines if not line.startswith("*")]
        alive = [f"{process.pid} {process.poll()}" for process in self.processes]
        return "\n".join([*tables, *alive])

    def assert_untouched(self) -> None:
        """Look again. Raises: AssertionError with what differs."""
        assert self.look() == self.seen


@contextmanager
def bystanders(host: Sandbox, *, group: int = 0) -> Iterator[Bystanders]:
    """Give a host its bystanders while the block lasts."""
    made = Bystanders(host)
    pairs = (*_PAIRS, _ALIASED, _GROUPED)
    script = ["set -e"]
    script += [f"ip netns add {name}" for name in _NAMESPACES]
    script += [f"ip link add {name} type bridge" for name in _BRIDGES]
    script += [
        f"ip link add {name} type veth peer name {name}-p" for name in (*_PAIRS, _ALIASED, _GROUPED)
    ]
    script += [f"ip link set {_ALIASED} alias {_COMMENT}"]
    script += [f"ip link set {_GROUPED} group {group}"] if group else []
    script += [f"iptables -t {table} -N {chain}" for table, chain in _CHAINS]
    script += [f"iptables -t {table} -A {chain} {rule}" for table, chain, rule in _RULES]
    script += ["ip link set twinstack0 up"]
    script += [f"ip route add {route} dev twinstack0" for route in _ROUTES]
    script += [f"mkdir -p $(dirname {file}); echo theirs > {file}" for file in _FILES]
    host.run("sh", "-c", "\n".join(script))
    try:
        for name in _PROCESSES:
            words = ["bash", "-c", f"exec -a {name} sleep infinity"]
            made.processes.append(host.start(*words, start_new_session=True))
        made.seen = made.look()
        yield made
    finally:
        for process in made.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        undo = [f"ip netns del {name}" for name in _NAMESPACES]
        undo += [f"ip link del {name}" for name in (*_BRIDGES, *pairs)]
        undo += [f"iptables -t {table} -D {chain} {rule}" for table, chain, rule in _RULES]
        undo += [f"iptables -t {table} -X {chain}" for table, chain in _CHAINS]
        undo += [f"rm -f {file}" for file in _FILES]
        host.run(
            "sh", "-c", "\n".join([*undo, "rmdir /run/twinstack/somebody /run/twinstack", "true"])
        )
