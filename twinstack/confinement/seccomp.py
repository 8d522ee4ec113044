"""Which system calls a service may make: an allow list, compiled by libseccomp once for an `up`.

The list is the one that an engine's default profile leaves to a process without capabilities, so
that neither world is measured or guarded differently. What the list does not name fails with
EPERM; what is newer than the list, as in an engine, with ENOSYS, so that libc tries an older way.
Refused, though Docker 20.10 lets them pass: tracing another process, since a replica shares its
user and the host's PID namespace with its siblings; io_uring and AF_VSOCK, as newer engines do.

Source: seccomp(2), seccomp_rule_add(3); docs.docker.com/engine/security/seccomp. How it is
held against the filter of a running container: tests/e2e/test_both_worlds.py.
"""

from __future__ import annotations

import ctypes
import errno
import tempfile
from dataclasses import dataclass
from functools import cache
from typing import Literal

from twinstack.errors import Missing, StepFailed

_FILES = """
    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat
    faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchown fchownat fcntl
    fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate
    futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek
    lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2
    pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
    readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx
    symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime
    utimensat utimes vmsplice write writev
"""
_WAITING = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_setup
    io_submit poll ppoll pselect6 select signalfd signalfd4 timerfd_create timerfd_gettime
    timerfd_settime
"""
_MEMORY = """
    brk madvise membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mprotect
    mremap msync munlock munlockall munmap remap_file_pages
"""
_PROCESSES = """
    alarm arch_prctl capget capset execve execveat exit exit_group fork futex futex_waitv
    get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid
    getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get
    ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self modify_ldt
    pause pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease restart_syscall
    riscv_flush_icache rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
    rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
    set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setpgid
    setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid sigaltstack tgkill
    tkill uname vfork wait4 waitid
"""
_TIME = """
    adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep getitimer gettimeofday
    nanosleep setitimer sysinfo time timer_create timer_delete timer_getoverrun timer_gettime
    timer_settime times
"""
_TALKING = """
    accept accept4 bind connect getpeername getrandom getsockname getsockopt listen mq_getsetattr
    mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom
    recvmmsg recvmsg semctl semget semop semtimedop sendmmsg sendmsg sendto setsockopt shmat
    shmctl shmdt shmget shutdown socketpair
"""
ALLOWED = frozenset(f"{_FILES}{_WAITING}{_MEMORY}{_PROCESSES}{_TIME}{_TALKING}".split())

#: clone's flags that make a namespace: CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}.
NEW_NAMESPACE = 0x7E020000
_AF_VSOCK = 40  # from a virtual machine to its hypervisor, past every network namespace


@dataclass(frozen=True, slots=True)
class Conditional:
    """A call that is allowed when one argument compares; `mask` for the `masked` comparison."""

    name: str
    argument: int
    compare: Literal["equal", "unequal", "masked"]
    value: int
    mask: int = 0


CONDITIONAL = (
    Conditional("clone", 0, "masked", 0, NEW_NAMESPACE),
    Conditional("socket", 0, "unequal", _AF_VSOCK),
    # Linux as it is, without address randomisation or as an old kernel says its version; or asked.
    *(
        Conditional("personality", 0, "equal", one)
        for one in (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
    ),
)
#: Its flags lie in memory, where no filter can see them; told that it is unknown, libc uses clone.
UNKNOWN = ("clone3",)
#: Calls that came after the list was made; from 424 on every architecture numbers them alike.
NEWER = range(451, 512)

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_COMPARISONS = {"unequal": 1, "equal": 4, "masked": 7}
_INSTRUCTION_BYTES = 8
_LIBRARY = "libseccomp.so.2"


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter, as hex digits, and this architecture's number of prctl, which loads it."""

    program: str
    prctl: int


class _Argument(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@cache
def compiled() -> Filter:
    """Compile the list for the running machine; the same list gives the same program.

    Raises: Missing without libseccomp; StepFailed. Source: seccomp_export_bpf(3).
    """
    library = _library()
    context = ctypes.c_void_p(library.seccomp_init(_ERRNO | errno.EPERM))
    try:
        for name in sorted(ALLOWED):
            _add(library, context, _ALLOW, name)
        for one in CONDITIONAL:
            values = (one.mask, one.value) if one.compare == "masked" else (one.value, 0)
            argument = _Argument(one.argument, _COMPARISONS[one.compare], *values)
            _add(library, context, _ALLOW, one.name, argument)
        for name in UNKNOWN:
            _add(library, context, _ERRNO | errno.ENOSYS, name)
        for number in NEWER:
            _add_number(library, context, _ERRNO | errno.ENOSYS, number, f"number {number}")
        with tempfile.TemporaryFile() as file:
            _succeed("seccomp_export_bpf", library.seccomp_export_bpf(context, file.fileno()))
            file.seek(0)
            program = file.read()
    finally:
        library.seccomp_release(context)
    if not program or len(program) % _INSTRUCTION_BYTES:
        raise StepFailed("seccomp filter", "cannot be compiled", "it has no whole instructions")
    return Filter(program.hex(), _number(library, "prctl"))


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise Missing(
            "seccomp filter", "cannot be compiled", str(error), 'run "make setup"'
        ) from error
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Argument),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def _number(library: ctypes.CDLL, name: str) -> int:
    return int(library.seccomp_syscall_resolve_name(name.encode()))


def _add(
    library: ctypes.CDLL, context: ctypes.c_void_p, action: int, name: str, *when: _Argument
) -> None:
    number = _number(library, name)
    if number < 0:
        return  # this architecture has no such call, or this libseccomp does not know it yet
    _add_number(library, context, action, number, name, *when)


def _add_number(
    library: ctypes.CDLL,
    context: ctypes.c_void_p,
    action: int,
    number: int,
    name: str,
    *when: _Argument,
) -> None:
    arguments = (_Argument * len(when))(*when)
    done = library.seccomp_rule_add_array(context, action, number, len(when), arguments)
    _succeed(f"seccomp_rule_add {name}", done)


def _succeed(what: str, code: int) -> None:
    if code < 0:
        raise StepFailed("seccomp filter", f"{what} failed", errno.errorcode.get(-code, str(code)))
