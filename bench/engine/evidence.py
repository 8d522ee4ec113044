"""Where CPU time goes inside the kernel: sampled stacks, put into classes by the kernel's symbols.

A sample belongs to the innermost function that names a class: a lock taken in nf_conntrack is
conntrack's. Sampling (`twinstack.linux.perf`) costs a few percent, so it has windows of its own,
beside those that are measured. The classes are pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from bench.engine.arm import Arm
from bench.engine.show import columns, written
from twinstack.errors import TwinstackError
from twinstack.linux import perf
from twinstack.linux.perf import SampledStack
from twinstack.statistics import estimate
from twinstack.statistics.estimate import Pair

USER, OTHER = "user", "other kernel"
#: Kernel functions by class. The first class wins whose pattern matches a function from its start;
#: so what is special comes before what is general.
_CLASSES = (
    ("conntrack", r"_*nf_conntrack|_*nf_ct_|nf_confirm|hash_conntrack|nf_nat|nf_hook_entry_ct"),
    ("netfilter", r"nf_|nft_|_*ipt_|ip6?t_|xt_|iptable_|br_nf_|ebt_|nfnetlink|nfqnl|nflog"),
    ("bridge", r"_*br_|fdb_"),
    ("veth", r"_*veth_"),
    ("seccomp", r"_*seccomp_|_*secure_computing|syscall_trace_enter"),
    ("cgroup", r"_*cgroup|_*mem_cgroup|.*memcg|obj_cgroup|page_counter|cpuacct_|.*cfs_bandwidth"),
    ("cgroup", r"throttle_cfs|unthrottle_cfs|sched_cfs_period_timer|tg_throttle|tg_unthrottle"),
    ("overlayfs", r"ovl_"),
    ("pipe", r"(anon_)?pipe_"),
    ("scheduler", r"_*schedule|pick_|try_to_wake_up|ttwu_|_*update_(curr|load_avg|cfs)|set_next"),
    ("scheduler", r"(en|de)queue_(task|entity|entities)|select_task_rq|finish_task_switch"),
    ("scheduler", r"load_balance|sched_balance|newidle_balance|wake_up_|put_prev|check_preempt"),
    ("tcp", r"_*tcp_|_*inet_|_*sock|sk_|_*ip_|skb_|_*skb|_*dev_|_*netif_|net_rx|net_tx|napi_"),
    ("tcp", r"process_backlog|validate_xmit|eth_|sch_|qdisc|_*alloc_skb|kfree_skb|consume_skb"),
)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _CLASSES)
CLASSES = (*dict.fromkeys(name for name, _ in _CLASSES), OTHER, USER)
_IDLE = re.compile(r"(default|arch|intel|acpi|pv_native_safe_halt|cpuidle|native_safe_halt).*")
#: What was sampled: µs a request by class, a row for each window of an arm.
Evidence = Mapping[str, Sequence[Mapping[str, float]]]


def class_of(stack: SampledStack) -> str | None:
    """Say where a sample's time went; None: the CPU was idle; pure."""
    if not stack.functions:
        return USER
    if stack.command.startswith("swapper") and any(map(_IDLE.match, stack.functions[:3])):
        return None
    for function in stack.functions:
        for name, pattern in _PATTERNS:
            if pattern.match(function):
                return name
    return OTHER


def spent_us(stacks: Iterable[SampledStack]) -> dict[str, float]:
    """Add the samples up by class; pure."""
    spent = dict.fromkeys(CLASSES, 0.0)
    for stack in stacks:
        name = class_of(stack)
        if name is not None:
            spent[name] += stack.period_us
    return spent


def table(evidence: Evidence, first: str, second: str) -> str:
    """Draw what the first arm spends more by class, with intervals over windows.

    Raises: CannotTell with fewer than six windows.
    """
    rows = []
    for name in CLASSES:
        more, less = ([window[name] for window in evidence[arm]] for arm in (first, second))
        extra = estimate.difference([Pair(1, *both) for both in zip(more, less, strict=True)])
        rows.append([name, f"{fmean(less):.1f}", f"{fmean(more):.1f}", *written(extra)])
    return columns(["sampled, µs a request", second, first, "extra", "[95 %]"], rows, rule=True)


def gather(arms: Sequence[Arm], rounds: int, progress: Callable[[str], None]) -> Evidence | str:
    """Sample each arm in turn, forth and back; where that cannot be, give a sentence saying so."""
    windows: dict[str, list[Mapping[str, float]]] = {arm.name: [] for arm in arms}
    try:
        for number in range(rounds):
            progress(f"sampling stacks, round {number + 1} of {rounds}")
            for arm in arms if number % 2 else reversed(arms):
                with arm.during():
                    tally, stacks = perf.sampled(arm.load)
                spent = spent_us(stacks).items()
                windows[arm.name].append({name: us / tally.done for name, us in spent})
    except (TwinstackError, KeyboardInterrupt) as error:  # what was measured before is kept
        return f"No stacks were sampled: {str(error) or 'stopped by Ctrl-C'}."
    return windows
