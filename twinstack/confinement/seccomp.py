"""Which system calls a service may make: an allow list, compiled by libseccomp once for an `up`.

The list is what an engine's default profile leaves to a process without capabilities, so that
both worlds are measured and guarded alike. A call that is not on it fails with EPERM; one that is
newer than the list, as in an engine, with ENOSYS, so that libc tries an older one. Refused, though
Docker 20.10 allows them: tracing another process, since a replica shares its user and the host's
PID namespace with its siblings; io_uring and AF_VSOCK, as in newer engines.

Source: seccomp(2), seccomp_rule_add(3); docs.docker.com/engine/security/seccomp.
tests/e2e/test_both_worlds.py compares it with the filter of a running container.
"""

from __future__ import annotations

import ctypes
import errno
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

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
#: Plain Linux, without address randomisation, with an old kernel's version, both; or a query.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


class ScmpCmp(IntEnum):
    """How an argument is compared: SCMP_CMP_*. Source: seccomp.h."""

    NE = 1
    EQ = 4
    MASKED_EQ = 7


@dataclass(frozen=True, slots=True)
class Conditional:
    """A call that is allowed when its first argument compares."""

    name: str
    compare: ScmpCmp
    value: int
    mask: int = 0  # of SCMP_CMP_MASKED_EQ


CONDITIONAL = (
    Conditional("clone", ScmpCmp.MASKED_EQ, 0, NEW_NAMESPACE),
    Conditional("socket", ScmpCmp.NE, _AF_VSOCK),
    *(Conditional("personality", ScmpCmp.EQ, persona) for persona in _PERSONALITIES),
)
#: Its flags lie in memory, where no filter can see them. With ENOSYS, libc falls back to clone.
UNKNOWN = ("clone3",)
#: Calls that came after the list was made; from 424 on every architecture numbers them alike.
NEWER = range(451, 512)

_SCMP_ACT_ALLOW = 0x7FFF0000
_EPERM, _ENOSYS = (0x00050000 | code for code in (errno.EPERM, errno.ENOSYS))  # SCMP_ACT_ERRNO
_INSTRUCTION_BYTES = 8
_LIBRARY = "libseccomp.so.2"


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter."""

    program: str  # hex digits
    prctl: int  # this architecture's number of prctl, which loads it


class _ScmpArgCmp(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


@cache
def compiled() -> Filter:
    """Compile the list for the running machine; the same list gives the same program.

    Raises: Missing without libseccomp; StepFailed. Source: seccomp_export_bpf(3).
    """
    library = _library()
    context = ctypes.c_void_p(library.seccomp_init(_EPERM))

    def add(action: int, number: int, *when: _ScmpArgCmp) -> None:
        if number >= 0:  # else this architecture, or this libseccomp, has no such call
            conditions = (_ScmpArgCmp * len(when))(*when)
            code = library.seccomp_rule_add_array(context, action, number, len(when), conditions)
            _check(f"seccomp_rule_add of call {number}", code)

    try:
        for name in sorted(ALLOWED):
            add(_SCMP_ACT_ALLOW, _number(library, name))
        for call in CONDITIONAL:
            masked = call.compare == ScmpCmp.MASKED_EQ
            values = (call.mask, call.value) if masked else (call.value, 0)
            condition = _ScmpArgCmp(0, call.compare, *values)
            add(_SCMP_ACT_ALLOW, _number(library, call.name), condition)
        for number in (*(_number(library, name) for name in UNKNOWN), *NEWER):
            add(_ENOSYS, number)
        with tempfile.TemporaryFile() as file:
            _check("seccomp_export_bpf", library.seccomp_export_bpf(context, file.fileno()))
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
        cause, remedy = str(error), 'run "make setup"'
        raise Missing("seccomp filter", "cannot be compiled", cause, remedy) from error
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_ScmpArgCmp),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def _number(library: ctypes.CDLL, name: str) -> int:
    return int(library.seccomp_syscall_resolve_name(name.encode()))


def _check(what: str, code: int) -> None:
    if code < 0:
        raise StepFailed("seccomp filter", f"{what} failed", errno.errorcode.get(-code, str(code)))
