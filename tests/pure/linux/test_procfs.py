"""What /proc says of a process is read alike, whatever the process has made of its name."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from twinstack.linux import procfs

_NO_PROCESS = 2**22 + 1


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"nginx: master process\0  \0", ("nginx: master process",)),
        (b"/bin/x\0-a\0b c\0", ("/bin/x", "-a", "b c")),
        (b"/bin/x\0\0b\0", ("/bin/x", "", "b")),
        (b"/bin/\xff\0", ("/bin/\ufffd",)),
        (b"", ()),
    ],
)
def test_a_command_is_read_word_by_word_and_a_title_without_its_padding(
    tmp_path: Path, raw: bytes, words: tuple[str, ...]
):
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cmdline").write_bytes(raw)
    assert procfs.cmdline(7, tmp_path) == words
    assert list(procfs.pids(tmp_path)) == [7]


def test_a_process_that_is_gone_has_no_command_and_no_start():
    assert procfs.cmdline(_NO_PROCESS) == ()
    assert procfs.start_ticks(_NO_PROCESS) == 0
    with pytest.raises(FileNotFoundError):
        procfs.stat(_NO_PROCESS)


def test_this_very_process_is_read_with_its_group_and_session():
    process = procfs.stat(os.getpid())
    assert (process.group, process.session) == (os.getpgrp(), os.getsid(0))
    assert process.start_ticks == procfs.start_ticks(os.getpid()) > 0
    assert procfs.read_status(os.getpid())["Pid"] == str(os.getpid())


def test_a_zombie_has_ended():
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert procfs.stat(child.pid).state == "Z"
        assert procfs.start_ticks(child.pid) == 0


def test_a_mount_is_read_with_its_options_and_its_path_as_it_is():
    line = r"36 35 98:0 /mnt1 /a\040b\134ü rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
    (mount,) = procfs.parse_mountinfo(line)
    assert (mount.number, mount.path, mount.kind) == ("36", "/a b\\ü", "ext3")
    assert (mount.device, mount.root) == ("98:0", "/mnt1")
    assert (mount.options, mount.super_options) == (("rw", "noatime"), ("rw", "errors=continue"))
    assert "/" in {each.path for each in procfs.read_mounts()}


def test_a_sysctl_that_does_not_exist_has_no_numbers():
    assert len(procfs.sysctl_numbers("net.ipv4.ip_local_port_range")) == 2
    assert procfs.sysctl_numbers("net.ipv4.no_such") == ()


def test_a_process_catches_what_it_has_a_handler_for():
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    try:
        assert procfs.catches(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        assert not procfs.catches(os.getpid(), signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, before)
    assert not procfs.catches(_NO_PROCESS, signal.SIGUSR1)
