"""Only the distribution's own archive of the host's suite is used."""

from __future__ import annotations

import platform

import pytest

from twinstack.errors import CannotTell
from twinstack.software.apt import Release, host_release, sources_of

BOOKWORM = Release("debian", "bookworm", "amd64")
LISTED = """\
Debian|bookworm|http://a.example/debian/|bookworm|main|amd64|$(SIGNED_BY)
Debian|bookworm|http://a.example/debian/|bookworm|non-free-firmware|amd64|$(SIGNED_BY)
Debian|bookworm-updates|http://a.example/debian/|bookworm-updates|main|amd64|$(SIGNED_BY)
Debian|bookworm-security|http://a.example/security/|bookworm-security|main|amd64|$(SIGNED_BY)
Debian Backports|bookworm-backports|http://a.example/debian/|bookworm-backports|main|amd64|$(SIGNED_BY)
Debian|bookworm|http://a.example/debian/|bookworm|main|arm64|
Node Source|nodistro|http://b.example/node|nodistro|main|amd64|$(SIGNED_BY)
Debian|trixie|http://a.example/debian/|trixie|main|amd64|$(SIGNED_BY)
"""


def test_only_the_distributions_own_archive_of_the_suite_is_used():
    assert sources_of(LISTED, BOOKWORM) == (
        "deb http://a.example/debian/ bookworm main",
        "deb http://a.example/debian/ bookworm-updates main",
        "deb http://a.example/security/ bookworm-security main",
    )


def test_ubuntus_universe_is_used_too():
    listed = (
        "Ubuntu|noble|http://u.example/ubuntu/|noble|main|amd64|\n"
        "Ubuntu|noble|http://u.example/ubuntu/|noble|universe|amd64|\n"
        "Ubuntu|noble|http://u.example/ubuntu/|noble-security|universe|amd64|\n"
    )
    assert sources_of(listed, Release("ubuntu", "noble", "amd64")) == (
        "deb http://u.example/ubuntu/ noble main",
        "deb http://u.example/ubuntu/ noble universe",
        "deb http://u.example/ubuntu/ noble-security universe",
    )


def test_sources_are_held_to_the_key_that_apt_names_else_to_the_distributions():
    listed = "Debian|bookworm|http://a.example/|bookworm|main|amd64|"
    named = sources_of(listed + "/k/own.gpg", BOOKWORM, "/k/debian.gpg")
    assert named == ("deb [signed-by=/k/own.gpg] http://a.example/ bookworm main",)
    unnamed = sources_of(listed + "$(SIGNED_BY)", BOOKWORM, "/k/debian.gpg")
    assert unnamed == ("deb [signed-by=/k/debian.gpg] http://a.example/ bookworm main",)


def test_a_host_of_no_suite_is_an_error_and_not_a_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "linux"})
    with pytest.raises(CannotTell, match="names no suite"):
        host_release()
