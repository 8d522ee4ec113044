"""Reference programs start in their root tree and network."""

from __future__ import annotations

from pathlib import Path

from bench.load import programs
from bench.load.programs import Program


def test_a_program_is_started_in_its_tree_and_network() -> None:
    words = programs.launch_words(
        Program("x", ("/bin/true",), Path("/tree"), ((Path("/a b"), "/mnt"),), {"K": "v"}, 42)
    )
    assert words[:2] == ["nsenter", "--net=/proc/42/ns/net"]
    assert "mount --bind '/a b' \"$root\"/mnt" in words[-1]
    assert "--no-new-privs" in words[-1]
    assert "env -i K=v /bin/true" in words[-1]
