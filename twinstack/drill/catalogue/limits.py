"""Limits that are not the declared ones: CPU, memory and processes of a cgroup, and descriptors."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import reconnected
from twinstack.drill.catalogue.probes import ORDER
from twinstack.drill.drill import Drill


def _descriptors(most: int) -> str:
    """Write the command that limits nginx's descriptors, as its own user: the soft limit alone."""
    return (
        "for p in $(cat {nginx-lb.cgroup}/cgroup.procs); do setpriv --reuid {nginx-lb.user}"
        f" --regid {{nginx-lb.user}} --clear-groups prlimit --pid $p --nofile={most}:; done"
    )


_WITH_SWAP = "f=$(dirname {order-service.memory_limit})/memory.memsw.limit_in_bytes; [ ! -e $f ] ||"

DRILLS = (
    Drill(
        name="starved-service",
        area="limits",
        level=2,
        symptom="The shop's pages and orders take seconds, each. The API's list of products is as"
        " quick as ever, and the machine is idle.",
        probes=("timeout 5 curl -sf -o /dev/null '{url}/?n=[1-40]'",),
        put=("echo 1000 > {order-service.cpu_quota}",),
        hints=(
            "Which service do the slow requests have in common? The quick ones do not pass it.",
            (
                "The machine's CPU is idle, and so seems the service's. Does it not want the CPU,"
                " or not get it? cpu.stat beside {order-service.cpu_quota} counts how often it"
                " waited."
            ),
            (
                "nr_throttled grows with each request. Compare the quota in"
                " {order-service.cpu_quota} with the limits in topology.yml."
            ),
        ),
        repair=("echo {order-service.cpu_declared} > {order-service.cpu_quota}",),
        explanation=(
            "The CPU quota of the cgroup was 1 ms in each 100 ms: after that its threads stand"
            " still until the next period, whatever the machine has left. `docker inspect` and"
            " `docker stats` do not show it: they know what the engine was asked for, and only the"
            " cgroup's file what holds. A container that restarts gets a new cgroup; in the"
            " namespace world it stays, and so did the fault."
        ),
        wrong=("echo {order-service.unlimited} > {order-service.cpu_quota}",),
        refusal="cgroup cpus",
    ),
    Drill(
        name="killed-at-start",
        area="limits",
        level=2,
        worlds=("net",),
        restart="order-service",
        symptom="The shop is gone: its page is an error, and nobody can order. The list of products"
        " is there.",
        probes=("curl -sf -m 5 -o /dev/null {url}/",),
        put=(
            (
                "kill -KILL {order-service.pid}; until echo 16M > {order-service.memory_limit}; do"
                " sleep 0.05; done"
            ),
        ),
        hints=(
            (
                "net.status says how often order-service was started. What does its log say last,"
                " before each start?"
            ),
            (
                "It says nothing: who ends without a word was killed. The supervisor's log has the"
                " signal, and the kernel's says why (dmesg; memory.events or memory.failcnt)."
            ),
            "Compare {order-service.memory_limit} with the limits in topology.yml.",
        ),
        repair=("echo {order-service.memory_declared} > {order-service.memory_limit}",),
        explanation=(
            "The cgroup had 16 MiB of memory, where the service needs more: each start ended with"
            " a SIGKILL from the kernel's OOM killer, before the service could log a word."
        ),
        wrong=(
            f"{_WITH_SWAP} echo -1 > $f",
            "echo {order-service.unlimited} > {order-service.memory_limit}",
        ),
        refusal="memory",
        undo=(
            "echo {order-service.memory_declared} > {order-service.memory_limit}",
            f"{_WITH_SWAP} echo {{order-service.memory_declared}} > $f",
        ),
    ),
    Drill(
        name="no-new-process",
        area="limits",
        level=3,
        symptom="Nobody can order: 503. The catalogue is there, for a while at least, and"
        " PostgreSQL runs.",
        probes=(ORDER,),
        put=("echo 1 > {postgres-db.pids_limit}", reconnected("order-service")),
        hints=(
            (
                "order-service's log says what PostgreSQL answers. PostgreSQL's own log says the"
                " same, with the kernel's reason."
            ),
            (
                "PostgreSQL has a process for each connection. The machine has room for thousands:"
                " who else counts processes?"
            ),
            (
                "Compare pids.current and pids.max in {postgres-db.cgroup} with the limits in"
                " topology.yml."
            ),
        ),
        repair=("echo {postgres-db.pids_declared} > {postgres-db.pids_limit}",),
        explanation=(
            "The cgroup of PostgreSQL allowed no further process. Those that were there stayed, so"
            " whoever kept a connection was served; a new connection needs a new process, and fork"
            " failed with EAGAIN. pids.events counts how often."
        ),
        wrong=("echo max > {postgres-db.pids_limit}",),
        refusal="cgroup pids",
    ),
    Drill(
        name="no-new-connection",
        area="limits",
        level=2,
        symptom="The shop's address answers nothing: browsers wait until they give up.",
        probes=("curl -sf -m 3 -o /dev/null {url}/health",),
        put=(_descriptors(3),),
        hints=(
            "Is there a listener at all? {nginx-lb.enter} ss -ltn, and look at Recv-Q.",
            "The kernel takes the connections, nginx does not: its log says why, again and again.",
            (
                "Who accepts a connection needs a descriptor for it. /proc/PID/limits of nginx's"
                " processes says how many they may have."
            ),
        ),
        repair=("kill {nginx-lb.pid}",),
        explanation=(
            "nginx's processes could have no more than three open descriptors (RLIMIT_NOFILE, set"
            " from outside with prlimit). accept() failed with EMFILE, and connections waited in"
            " the listener's queue. A process gets its limits from who starts it: started again,"
            " nginx has the declared ones."
        ),
        wrong=(_descriptors(100),),
        refusal="Max open files",
        undo=(
            (
                r"grep -q 'Max open files *\(3\|100\) ' /proc/{nginx-lb.pid}/limits &&"
                " kill {nginx-lb.pid}; sleep 1"
            ),
        ),
    ),
)
