"""What a process has is read, whatever becomes of it."""

from __future__ import annotations

import os

import pytest

from twinstack.observe.why.facts import process_facts, read_hosts

pytestmark = pytest.mark.kernel


def test_a_process_that_has_ended_and_is_not_collected_is_gone():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert process_facts(pid, 0) is None
    finally:
        os.waitpid(pid, 0)


def test_a_process_has_files_and_a_limit_of_them():
    found = process_facts(os.getpid(), 0)
    assert found is not None
    assert 0 < found.files < found.file_limit


def test_a_name_has_the_first_ipv4_address_of_the_hosts_file():
    text = "# 10.0.0.1 store\n::1 store\nstore store\n10.0.0.60 db store # ours\n10.0.0.61 store\n"
    assert read_hosts(text, "store") == "10.0.0.60"
    assert read_hosts(text, "ours") is None
