"""The filter allows what it lists, refuses the rest by the right error, and is always the same."""

from __future__ import annotations

import ctypes

import pytest

from tests.support.bpf import ALLOW, ENOSYS, EPERM, Program
from twinstack.confinement import seccomp

LIBRARY = ctypes.CDLL("libseccomp.so.2")
FILTER = Program(bytes.fromhex(seccomp.compiled().program))
NEVER_KNOWN = 1023

#: How a process would leave its confinement, were it let; none of it is a service's business.
WAYS_OUT = (
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "reboot",
    "swapon",
    "swapoff",
    "syslog",
    "sethostname",
    "setdomainname",
    "settimeofday",
    "clock_settime",
    "acct",
    "quotactl",
    "open_by_handle_at",
    "fanotify_init",
    "iopl",
    "ioperm",
    "nfsservctl",
    "lookup_dcookie",
    "vhangup",
    "mbind",
    "set_mempolicy",
    "get_mempolicy",
    "migrate_pages",
    "move_pages",
)


def number(name: str) -> int:
    return int(LIBRARY.seccomp_syscall_resolve_name(name.encode()))


@pytest.mark.parametrize("name", WAYS_OUT)
def test_a_way_out_is_refused(name: str):
    if number(name) >= 0:  # this architecture has it
        assert FILTER.decide(number(name)) == EPERM
    assert name not in seccomp.ALLOWED


def test_what_is_listed_is_allowed_and_is_most_of_what_there_is():
    known = [name for name in sorted(seccomp.ALLOWED) if number(name) >= 0]
    assert [name for name in known if FILTER.decide(number(name)) != ALLOW] == []
    assert len(known) > 250


def test_what_is_not_listed_is_refused():
    listed = (
        {number(name) for name in seccomp.ALLOWED}
        | {number(call.name) for call in seccomp.CONDITIONAL}
        | {number("clone3")}
    )
    others = [call for call in range(seccomp.NEWER.start) if call not in listed]
    assert len(others) > 100
    assert {FILTER.decide(call) for call in others} == {EPERM}
    assert FILTER.decide(NEVER_KNOWN) == EPERM


def test_what_is_newer_than_the_list_is_unknown_so_that_libc_takes_an_older_way():
    assert not [name for name in seccomp.ALLOWED if number(name) in seccomp.NEWER]
    assert {FILTER.decide(call) for call in seccomp.NEWER} == {ENOSYS}


@pytest.mark.parametrize(
    "flag",
    [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000],
    ids=["NEWNS", "NEWCGROUP", "NEWUTS", "NEWIPC", "NEWUSER", "NEWPID", "NEWNET"],
)
def test_clone_makes_processes_and_threads_but_no_namespace(flag: int):
    clone = number("clone")
    assert FILTER.decide(clone, 0x003D0F00) == ALLOW  # what a thread is made with
    assert FILTER.decide(clone, 0x01200011) == ALLOW  # and a process
    assert FILTER.decide(clone, 0x01200011 | flag) == EPERM


def test_clone3_is_unknown_so_that_libc_falls_back_to_clone():
    assert FILTER.decide(number("clone3")) == ENOSYS


def test_sockets_reach_networks_but_not_the_hypervisor():
    decisions = {family: FILTER.decide(number("socket"), family) for family in (1, 2, 10, 16, 40)}
    assert decisions == {1: ALLOW, 2: ALLOW, 10: ALLOW, 16: ALLOW, 40: EPERM}


def test_personality_may_be_asked_and_be_linux():
    decisions = {
        persona: FILTER.decide(number("personality"), persona)
        for persona in (0, 0xFFFFFFFF, 0x400000)
    }
    assert decisions == {0: ALLOW, 0xFFFFFFFF: ALLOW, 0x400000: EPERM}


def test_another_architectures_calls_end_the_thread():
    assert FILTER.decide(number("read"), architecture=0x40000003) == 0


def test_prctl_is_the_call_that_loads_it():
    assert seccomp.compiled().prctl == number("prctl")
    assert FILTER.decide(number("prctl")) == ALLOW


def test_the_same_list_gives_the_same_program():
    before = seccomp.compiled()
    seccomp.compiled.cache_clear()
    assert seccomp.compiled() == before
