"""What a process may do: ports without a capability, and its filter of system calls."""

from __future__ import annotations

from twinstack.drill.catalogue.probes import ORDER
from twinstack.drill.drill import Drill

_ALLOW = "060000000000ff7f" * 3  # struct sock_filter: return SECCOMP_RET_ALLOW

DRILLS = (
    Drill(
        name="privileged-port",
        area="confinement",
        level=3,
        worlds=("net",),
        restart="nginx-lb",
        symptom="The shop's address refuses every connection since nginx-lb was restarted.",
        probes=("curl -sf -m 3 -o /dev/null {url}/health",),
        put=(
            "{nginx-lb.enter} sysctl -qw net.ipv4.ip_unprivileged_port_start=1024",
            "kill {nginx-lb.pid}",
        ),
        hints=(
            "It runs no longer: its log says at which call it fails, and with which error.",
            (
                "Who may listen at a port below 1024? nginx-lb runs without any capability, so"
                " something else must permit it: it did until now."
            ),
            (
                "{nginx-lb.enter} sysctl net.ipv4.ip_unprivileged_port_start: in its namespace, and"
                " compare with net.plan."
            ),
        ),
        repair=("{nginx-lb.enter} sysctl -qw net.ipv4.ip_unprivileged_port_start=0",),
        explanation=(
            "The namespace's sysctl ip_unprivileged_port_start was 1024, the kernel's own value:"
            " below that a process needs CAP_NET_BIND_SERVICE to bind, and nginx-lb has no"
            " capability. A listener that is there already stays, so it showed at the next start"
            " only. Docker sets the sysctl to 0 in each new container's namespace."
        ),
        wrong=(
            (
                "sed -i 's/--reuid=[0-9]* --regid=[0-9]*/--reuid=0 --regid=0/;"
                " s/--bounding-set=-all/--bounding-set=-sys_admin/' {nginx-lb.launch}"
            ),
        ),
        refusal="launch/nginx-lb",
        undo=(
            "{nginx-lb.enter} sysctl -qw net.ipv4.ip_unprivileged_port_start=0",
            (
                "grep -q reuid=0 {nginx-lb.launch} && sed -i"
                " 's/--reuid=0 --regid=0/--reuid={nginx-lb.user} --regid={nginx-lb.user}/;"
                " s/--bounding-set=-sys_admin/--bounding-set=-all/' {nginx-lb.launch}"
                " && {runner} restart {nginx-lb.unit}"
            ),
        ),
    ),
    Drill(
        name="filtered-call",
        area="confinement",
        level=4,
        worlds=("net",),
        restart="order-service",
        symptom="Nobody can order since order-service was restarted. It runs, and nothing that it"
        " needs is down.",
        probes=(ORDER,),
        put=(
            (
                "nr=2a; [ $(uname -m) = x86_64 ] || nr=cb; text=$(cat {seccomp}); printf %s"
                ' "200000000000000015000001$nr""0000000600000001000500$text" > {seccomp}'
            ),
            "kill {order-service.pid}",
        ),
        hints=(
            (
                "Its log says which call fails, and the error is not that of a network: no packet"
                " was refused, and `why order-service postgres-db` finds nothing on the way."
            ),
            (
                "EPERM, for a call that needs no privilege: who may say that? Compare the fields"
                " Seccomp and Seccomp_filters of /proc/{order-service.pid}/status with another's,"
                " and read the launch script, step 8."
            ),
            (
                "Each process loads {seccomp} when it starts. net.plan knows how that file was"
                " written. One instruction has 16 digits: what do the first three do?"
            ),
        ),
        repair=(
            'text=$(cut -c49- {seccomp}) && printf %s "$text" > {seccomp}',
            "{runner} restart {order-service.unit}",
        ),
        explanation=(
            "Three instructions had been put before the filter of system calls: load the number,"
            " compare it with connect(2)'s, answer EPERM. A filter is loaded when a process starts"
            " and stays for its life, so only order-service, which was restarted, had it; the"
            " others would have followed one by one. A file without a filter would have let"
            " everything through."
        ),
        wrong=(
            f'text=$(cut -c49- {{seccomp}}) && printf %s "{_ALLOW}$text" > {{seccomp}}',
            "{runner} restart {order-service.unit}",
        ),
        refusal="seccomp.hex",
        undo=(
            (
                "case $(cut -c1-16 {seccomp}) in 2000000000000000|060000000000ff7f)"
                ' text=$(cut -c49- {seccomp}) && printf %s "$text" > {seccomp};'
                " {runner} restart {order-service.unit};; esac"
            ),
        ),
    ),
)
