"""What does Docker cost those who do not use it? Two programs beside more and more of it.

One is nginx behind a bridge of ours, loaded by wrk from the host; the other a fixed piece of work
for a processor, done before the readings. Each window has a host of its own, a network namespace,
as what an engine leaves behind (tables, conntrack's hooks) would make "absent" untrue. A state adds
to the one before it, and is proven by what is counted in it.

Source: moby #30801 and FrameworkBenchmarks #6486, which ask.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.engine.arm import (
    CLIENT,
    ENGINE,
    PARTS,
    PROGRAMS,
    RATE,
    STRANGERS,
    Arm,
    Contrast,
    Quantity,
    Window,
)
from bench.engine.loads import by_program, by_wrk
from bench.engine.meter import part_of
from bench.engine.question import Design, Experiment, Outcome, outcome_of, run
from bench.engine.show import columns
from bench.load import Tally, programs
from bench.questions.bystander_engine import BRIDGE_NF, docker_at
from twinstack.compose.engine import check_startable
from twinstack.errors import CannotTell, Missing
from twinstack.linux import child, process, procfs
from twinstack.linux.own_host import in_own_host
from twinstack.model.plan import Plan
from twinstack.reconcile import Progress
from twinstack.stack import Stack

STATES = ("absent", "engine", "network", "containers", "probes", "published ports")
#: What proves a state: counted from that one on, and in none before it.
PROOFS = {"dockerd": 1, "bridges": 2, "rules": 2, "bridge-nf": 2, "conntrack": 2}
PROOFS |= {"containers": 3, "probes": 4, "docker-proxy": 5}
CONTRASTS = tuple(Contrast(state, STATES[0], state) for state in (STATES[-1], *STATES[1:-1]))
#: What an engine spends meanwhile is not the bystander's: it is at rest, and in the ledger.
OWN = Quantity(
    "own",
    "CPU time per request of nginx and wrk",
    lambda window: window.part(PROGRAMS) + window.part(CLIENT),
    "µs",
)
WORK = Quantity.figure("work", "CPU time of the fixed work", "s")
_WORK = """import random, zlib; drawn = random.Random(1)
zlib.compress(drawn.randbytes(16_000_000)); sorted(drawn.random() for _ in range(1_200_000))"""
_ADDRESS, _PORT, _CONNECTIONS, _ANSWER_BYTES = "198.18.0.2", 18080, 20, 1024
_LAY = f"""ip link set lo up
sysctl -qw net.ipv4.ip_forward=0 {BRIDGE_NF}=0  # as where br_netfilter was never loaded
ip link add br-own type bridge
ip link add own master br-own type veth peer name eth0 netns $0
ip address add 198.18.0.1/24 dev br-own
ip link set own up; ip link set br-own up
nsenter --net=/proc/$0/ns/net ip address add {_ADDRESS}/24 dev eth0
nsenter --net=/proc/$0/ns/net ip link set eth0 up"""


@dataclass
class Bystander:
    """One state: brings a host into it, and loads what is beside it."""

    level: int  # of STATES
    tree: Path  # nginx's root
    containers: int
    seconds: float
    seen: Counter[str] = field(default_factory=Counter)  # in the last window
    _enter: tuple[str, ...] = ()
    _work: Mapping[str, float] = field(default_factory=dict)

    @contextmanager
    def during(self) -> Iterator[Mapping[int, str]]:
        """Hold a new host in the state. Raises: CannotTell when its proof fails; StepFailed."""
        parts = dict.fromkeys(engines(), STRANGERS)  # those that are not ours
        with ExitStack() as stack:
            outer, inner = stack.enter_context(child.networks("a host", 2))
            self._enter = ("nsenter", f"--net=/proc/{outer}/ns/net")
            process.run([*self._enter, "sh", "-ec", _LAY, str(inner)])
            count = stack.enter_context(docker_at(self.level, self._enter, self.containers))
            place = stack.enter_context(programs.workspace())
            answer = f"location / {{ return 200 '{'x' * _ANSWER_BYTES}'; }}"
            conf = programs.nginx_conf(f"    server {{ listen {_PORT}; {answer} }}")
            (place / "nginx.conf").write_text(conf)
            program = programs.nginx("nginx", self.tree, place, network=inner)
            server = stack.enter_context(programs.running([program]))["nginx"]
            at = Path(f"/proc/{outer}/ns/net")
            child.inside("nginx", at, lambda: programs.await_port(server, _ADDRESS, _PORT))
            work = by_program(["/usr/bin/python3", "-ISc", _WORK], place)().figures
            self._work = {"work": work["cpu_s"], "wall": work["seconds"]}
            yield {**parts, **dict.fromkeys(server.pids(), PROGRAMS)}
            self.seen = count()
            if wrong := unproven(self.level, self.seen):
                raise CannotTell(f"state {STATES[self.level]}", "is not as named", wrong)

    def load(self) -> Tally:
        """Load nginx from the host, over kept connections."""
        url = f"http://{_ADDRESS}:{_PORT}/"
        tally = by_wrk(url, _CONNECTIONS, self.seconds, prefix=self._enter)()
        return replace(tally, figures={**tally.figures, **self._work})


def engines() -> Iterator[int]:
    """Give the processes of every engine on this machine."""
    for pid in procfs.pids():
        with suppress(OSError):
            if part_of(pid, procfs.read_status(pid)) in ENGINE:
                yield pid


def unproven(level: int, seen: Mapping[str, int]) -> str:
    """Say what a state has or lacks against its name; pure, empty when it is as named."""
    counts = {name: seen.get(name, 0) for name in PROOFS}
    wrong = [name for name, count in counts.items() if (count > 0) != (level >= PROOFS[name])]
    return ", ".join(f"{name} {counts[name]}" for name in wrong)


def ask(stack: Stack, *, how: Design, progress: Progress) -> Outcome:
    """Compare the states, in a host of their own. Raises: Missing; CannotTell; StepFailed."""
    check_startable()
    if not procfs.sysctl_numbers(BRIDGE_NF):
        cause, remedy = "an engine would load it for the whole machine", "modprobe br_netfilter"
        raise Missing("br_netfilter", "is not loaded", cause, remedy)
    roots, _ = stack.software(progress)
    plan, tree = stack.plan(), roots.tree("nginx")
    return in_own_host(lambda: measure(plan, tree, how, progress))


def hide() -> None:
    """Keep what is written to /etc (Docker's key) and /tmp in this mount namespace's own /run."""
    process.run(["sh", "-ec", "cp -a /etc /run/etc; mount --bind /run/etc /etc"])
    tempfile.tempdir = "/run"


def measure(plan: Plan, tree: Path, how: Design, progress: Progress) -> Outcome:
    """Measure, in a mount namespace that ends with this process."""
    hide()
    count, seconds = len(plan.replicas), how.run_s
    beside = {name: Bystander(level, tree, count, seconds) for level, name in enumerate(STATES)}
    arms = [Arm(name, state.load, during=state.during) for name, state in beside.items()]
    load = f"{_CONNECTIONS} kept connections (wrk) to nginx behind a bridge of ours"
    quantities, stage = (OWN, RATE, WORK), lambda: nullcontext(arms)
    experiment = Experiment(stage, CONTRASTS, load, quantities=quantities, rest_each=True)
    how = replace(how, blocks=1, narrow={OWN.name: 0.02, RATE.name: 0.03})
    measured = run(experiment, how, progress)
    seen = {name: state.seen for name, state in beside.items()}
    said = notes(measured.arms, seen, count)
    return outcome_of(measured, "bystander", plan, said, more={"proofs": seen})


def notes(
    arms: Mapping[str, Sequence[Window]], seen: Mapping[str, Counter[str]], containers: int
) -> list[str]:
    """Write what each state spends at rest, what was counted in it, and what it is; pure."""
    rows: dict[str, list[str]] = {"rest, ms/s": [], "work, s": [], "wall, s": []}
    states = [state for state in STATES if state in arms]
    for windows in map(arms.__getitem__, states):
        rest_us = sum(window.rest_us.get(part, 0.0) for window in windows for part in PARTS)
        rows["rest, ms/s"].append(f"{rest_us / 1e3 / sum(w.seconds for w in windows):.0f}")
        for of in ("work", "wall"):
            rows[f"{of}, s"].append(f"{statistics.median(w.figures[of] for w in windows):.3f}")
    rows |= {proof: [str(seen[state][proof]) for state in states] for proof in PROOFS}
    idle = ", ".join(f"{name} {count}" for name, count in seen[STATES[0]].items() if count)
    said = (
        "rest: CPU time of the whole machine while nothing is loaded; no CPU time above holds it. "
        "work, wall: CPU and time of the fixed work, medians. Below: what was counted in the last "
        "window. Installed only is absent: Docker's files are on the disk in every state and run "
        f"nothing of themselves; all that ran in the host when absent: {idle} (this task). A "
        f"network turns {BRIDGE_NF} on, as loading br_netfilter does. {containers} containers; "
        "each is probed (true) every 2 s, and has a port of 127.0.0.1."
    )
    return [columns(["", *states], ([name, *row] for name, row in rows.items()), rule=True), said]
