"""Processes that are there and do nothing, or that nobody starts again."""

from __future__ import annotations

from twinstack.drill.drill import Drill

DRILLS: tuple[Drill, ...] = (
    Drill(
        name="frozen",
        area="processes",
        level=2,
        symptom="Customers wait and get nothing: the shop's page never comes.",
        probes=("curl -sf --max-time 3 -o /dev/null {url}/api/products",),
        put=("kill -STOP {target.pids}",),
        hints=(
            (
                "A connection to the shop is accepted, and yet no answer comes. Who accepts a"
                " connection: the program, or the kernel on its behalf?"
            ),
            (
                "Ask each hop on the way in turn, nginx-lb, then api-gateway, and look at the"
                " state of its processes in ps (the column STAT)."
            ),
            (
                "The processes of {target.unit} are stopped: T in ps, State in /proc/PID/status."
                " A signal stopped them, and another lets them go on."
            ),
        ),
        repair=("kill -CONT {target.pids}",),
        explanation=(
            "Every process of {target.unit} had got SIGSTOP. The kernel goes on for such a process:"
            " it completes handshakes and takes in data until its buffers are full, so a check that"
            " only connects finds nothing wrong. What runs the stack sees a live process and does"
            " not start it again. SIGCONT lets it go on; a restart would do as well, and lose what"
            " it had in memory."
        ),
        wrong=(
            "kill -CONT {target.pids}",
            "iptables -I FORWARD -j ACCEPT",
        ),
        refusal="can now reach",
        targets=("nginx-lb", "api-gateway"),
    ),
    Drill(
        name="not-started-again",
        area="processes",
        level=1,
        symptom="The catalogue is there, but nobody can put anything into a cart.",
        probes=(
            "curl -sf --max-time 3 -o /dev/null {url}/api/products",
            "curl -sf --max-time 3 -o /dev/null {url}/api/cart",
        ),
        put=("{runner} stop {order-service.unit}",),
        hints=(
            "Which service has the carts? The status of the world names what does not run.",
            (
                "A program that dies is started again by what runs the world. One that was stopped"
                " on purpose is not."
            ),
            "It was stopped: {runner} start {order-service.unit}",
        ),
        repair=("{runner} start {order-service.unit}",),
        explanation=(
            "Somebody had stopped order-service in an orderly way. supervisord (autorestart) and"
            " Docker (a restart policy) start again what dies, and both leave alone what they were"
            " told to stop. The catalogue needs no order-service, so the shop looked half alive."
        ),
        wrong=("curl -s --max-time 3 -o /dev/null {url}/api/cart",),
        refusal="nobody can put anything into a cart",
    ),
)
