"""What is read of a host without root: sysctls and digests of files."""

from __future__ import annotations

from twinstack.namespaces.observe import read_sysctls
from twinstack.namespaces.process_steps import digest


def test_absent_sysctls_are_left_out():
    assert set(read_sysctls(["kernel.ostype", "net.nothing.at_all"])) == {"kernel.ostype"}


def test_text_and_bytes_of_the_same_file_have_the_same_digest():
    assert digest("aé\n") == digest("aé\n".encode())
    assert digest("a") != digest("b")
    assert len(digest("")) == 12
