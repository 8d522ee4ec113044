"""Where the host can write to a container's root, by the mounts of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstack.drill.host_files import on_host
from twinstack.errors import CannotTell
from twinstack.linux.procfs import parse_mountinfo

#: A root that the engine made of layers, and one that is a directory of the host's file system.
LAYERED = "500 400 0:70 / / ro,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b"
COPIED = "500 400 8:1 /var/lib/docker/vfs/dir/c1 / ro,relatime - ext4 /dev/sda1 rw"
HOST = """\
20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
21 20 0:69 / /var/lib/docker/overlay2/other/merged rw - overlay overlay rw,lowerdir=/a
22 20 0:70 / /var/lib/docker/overlay2/own/merged rw,relatime - overlay overlay rw,lowerdir=/a
"""


@pytest.mark.parametrize(
    ("inside", "place"),
    [
        (LAYERED, "/var/lib/docker/overlay2/own/merged"),
        (COPIED, "/var/lib/docker/vfs/dir/c1"),
    ],
)
def test_a_containers_root_is_written_to_where_the_engine_mounted_it(inside: str, place: str):
    assert on_host(parse_mountinfo(inside), parse_mountinfo(HOST)) == Path(place)


def test_the_root_counts_that_was_mounted_last():
    both = f"{COPIED}\n{LAYERED}"
    assert on_host(parse_mountinfo(both), parse_mountinfo(HOST)).name == "merged"


@pytest.mark.parametrize("host", ["", HOST.replace("rw,relatime - overlay", "ro - overlay")])
def test_a_root_that_the_host_cannot_write_to_cannot_be_named(host: str):
    with pytest.raises(CannotTell, match="has no mount of it"):
        on_host(parse_mountinfo(LAYERED), parse_mountinfo(host))
