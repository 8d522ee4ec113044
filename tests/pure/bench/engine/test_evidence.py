"""Sampled stacks belong to the innermost function that names a class; idle time to none."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from bench.engine import evidence
from bench.engine.arm import Arm
from bench.engine.evidence import CLASSES, OTHER, USER, class_of
from bench.load import Tally
from tests.support.bench_fakes import quiet
from tests.support.project import ROOT
from twinstack.linux import perf
from twinstack.linux.perf import SampledStack, parse_script

#: What `perf script` wrote on this kernel while a world was loaded, shortened.
SAMPLE = (ROOT / "tests" / "support" / "perf_script.txt").read_text(encoding="utf-8")


def stack(*functions: str, command: str = "nginx") -> SampledStack:
    return SampledStack(command, 2_004.0, functions)


def test_every_sample_of_a_real_output_is_read() -> None:
    stacks = list(parse_script(SAMPLE))
    assert len(stacks) == SAMPLE.count("\n\n") + 1
    assert {each.period_us for each in stacks} == {2_004.008}
    assert all("[unknown]" not in each.functions[:1] for each in stacks if class_of(each) != OTHER)


def test_a_real_output_has_every_class() -> None:
    found = Counter(map(class_of, parse_script(SAMPLE)))
    assert found.keys() == {*CLASSES, None}
    assert (found[None], found["veth"], found["conntrack"], found[USER]) == (1, 1, 2, 2)


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        (("_raw_spin_lock", "nf_conntrack_lock", "nf_conntrack_in", "nf_hook_slow"), "conntrack"),
        (("nft_do_chain", "nf_hook_slow", "br_nf_pre_routing", "br_handle_frame"), "netfilter"),
        (("br_handle_frame", "__netif_receive_skb_core", "tcp_sendmsg"), "bridge"),
        (("memcpy", "veth_xmit", "dev_hard_start_xmit"), "veth"),
        (("bpf_prog_6deef7357e7b4530", "__seccomp_filter", "syscall_trace_enter"), "seccomp"),
        (("try_charge_memcg", "handle_mm_fault"), "cgroup"),
        (("dput", "ovl_lookup", "path_openat"), "overlayfs"),
        (("finish_task_switch.isra.0", "__schedule", "tcp_recvmsg"), "scheduler"),
        (("handle_mm_fault", "exc_page_fault"), OTHER),
        ((), USER),
    ],
)
def test_a_stack_is_of_its_innermost_class(functions: tuple[str, ...], expected: str) -> None:
    assert class_of(stack(*functions)) == expected


def test_an_idle_cpu_has_no_class_but_its_interrupts_have() -> None:
    idle = ("pv_native_safe_halt", "default_idle", "do_idle")
    assert class_of(stack(*idle, command="swapper")) is None
    softirq = ("tcp_v4_rcv", "ip_local_deliver", "handle_softirqs", "common_interrupt")
    assert class_of(stack(*softirq, *idle, command="swapper")) == "tcp"


def test_the_difference_of_arms_is_per_class_with_an_interval() -> None:
    base = dict.fromkeys(CLASSES, 10.0)
    more = {**base, "bridge": 25.0}
    noise = (0.0, 0.5, -0.5, 0.2, -0.2, 0.1)
    first = [{name: us + step for name, us in more.items()} for step in noise]
    drawn = evidence.table({"docker": first, "namespaces": [base] * 6}, "docker", "namespaces")
    assert re.search(r"\nbridge +10\.0 +25\.\d +\+15\.\d +\[\+14\.\d, \+15\.\d\]", drawn)
    assert re.search(r"\nveth +10\.0 +10\.\d +\+0\.\d +\[[+−]0\.\d, \+0\.\d\]", drawn)
    assert max(map(len, drawn.splitlines())) <= 80


def test_without_perf_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said = evidence.gather([Arm("a", lambda: Tally(1))], 6, quiet)
    assert isinstance(said, str)
    assert said.startswith("No stacks were sampled: perf: cannot be run: No such file")


def test_ctrl_c_ends_the_sampling_and_loses_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped(load: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(perf, "sampled", stopped)
    said = evidence.gather([Arm("a", lambda: Tally(1))], 6, quiet)
    assert said == "No stacks were sampled: stopped by Ctrl-C."


def test_perf_that_may_not_sample_is_said_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuses = tmp_path / "perf"
    refuses.write_text("#!/bin/sh\necho 'No permission to enable cpu-clock event.' >&2\nexit 1\n")
    refuses.chmod(0o755)
    monkeypatch.setattr(perf, "_START_S", 0.1)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said = evidence.gather([Arm("a", lambda: Tally(1))], 6, quiet)
    assert isinstance(said, str)
    assert "No permission to enable cpu-clock event." in said
