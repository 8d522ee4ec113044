"""Root trees, wheels, secrets: what can be said of them without root or a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinstack.errors import CannotTell, StepFailed
from twinstack.software import building
from twinstack.software.apt import os_release, sources_of
from twinstack.software.building import aside, locked, mounts_beneath, remove_tree
from twinstack.software.facts import software_answer, software_question
from twinstack.software.secrets import _acl
from twinstack.software.wheels import service_files

REPOSITORY = Path(__file__).parents[3]
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
    assert sources_of(LISTED, "debian", "bookworm", "amd64") == (
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
    assert sources_of(listed, "ubuntu", "noble", "amd64") == (
        "deb http://u.example/ubuntu/ noble main",
        "deb http://u.example/ubuntu/ noble universe",
        "deb http://u.example/ubuntu/ noble-security universe",
    )


def test_sources_are_held_to_the_key_that_apt_names_else_to_the_distributions():
    listed = "Debian|bookworm|http://a.example/|bookworm|main|amd64|"
    named = sources_of(listed + "/k/own.gpg", "debian", "bookworm", "amd64", "/k/debian.gpg")
    assert named == ("deb [signed-by=/k/own.gpg] http://a.example/ bookworm main",)
    unnamed = sources_of(listed + "$(SIGNED_BY)", "debian", "bookworm", "amd64", "/k/debian.gpg")
    assert unnamed == ("deb [signed-by=/k/debian.gpg] http://a.example/ bookworm main",)


def test_os_release_is_read_with_and_without_quotes():
    assert os_release('ID=debian\nVERSION_CODENAME="bookworm"\n# note\n\n') == {
        "ID": "debian",
        "VERSION_CODENAME": "bookworm",
    }


def test_a_directory_is_whole_or_absent(tmp_path: Path):
    target = tmp_path / "thing"

    def interrupted() -> None:
        with aside(target) as fresh:
            (fresh / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with aside(target) as fresh:
        (fresh / "whole").touch()
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_what_an_interrupted_build_left_is_not_taken_over(tmp_path: Path):
    (tmp_path / "thing.building").mkdir()
    (tmp_path / "thing.building" / "half").touch()
    with aside(tmp_path / "thing"):
        pass
    assert list((tmp_path / "thing").iterdir()) == []


def test_a_second_builder_waits_and_says_so(tmp_path: Path):
    said: list[str] = []
    with locked(tmp_path, said.append):
        child = os.fork()
        if child == 0:
            with locked(tmp_path, lambda line: os._exit(7 if "waiting" in line else 1)):
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert said == []


def test_mounts_are_found_at_and_beneath_a_directory_only(tmp_path: Path):
    table = (
        f"1 0 0:1 / {tmp_path}/a rw - tmpfs tmpfs rw\n"
        f"2 0 0:1 / {tmp_path}/a/b rw - tmpfs tmpfs rw\n"
        f"3 0 0:1 / {tmp_path}/ab rw - tmpfs tmpfs rw\n"
    )
    found = mounts_beneath(tmp_path / "a", table)
    assert found == [f"{tmp_path}/a", f"{tmp_path}/a/b"]


def test_removing_never_crosses_into_a_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept = tmp_path / "tree" / "kept"
    kept.mkdir(parents=True)
    monkeypatch.setattr(building, "mounts_beneath", lambda path: [f"{path}/dev"])
    with pytest.raises(StepFailed, match="tree/dev is mounted inside it"):
        remove_tree(tmp_path / "tree")
    assert kept.is_dir()


def test_removing_what_is_absent_removes_nothing(tmp_path: Path):
    assert remove_tree(tmp_path / "absent") is False


def test_redis_users_are_the_services_and_one_that_can_only_ping():
    default, health = _acl("hunter2").splitlines()
    assert "hunter2" not in default
    assert default.startswith("user default on #f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb2954")
    assert health == "user health on nopass resetkeys -@all +ping"


def test_the_same_question_covers_packages_programs_and_for_python_our_own_code():
    assert "sha256sum /usr/sbin/nginx" in software_question("nginx")[-1]
    assert "find services" in software_question("python")[-1]


def test_an_answer_is_read_into_names_and_values():
    said = "nginx version 1.22.1-9\nnginx digest 0f3a\n"
    assert software_answer(said) == {"nginx version": "1.22.1-9", "nginx digest": "0f3a"}


def test_no_answer_is_no_knowledge():
    with pytest.raises(CannotTell):
        software_answer("bash: dpkg-query: command not found")


def test_shipped_applications_are_code_and_not_notes():
    names = {path.relative_to(REPOSITORY).as_posix() for path in service_files(REPOSITORY)}
    assert "services/requirements.txt" in names
    assert "services/stores/postgres.sh" in names
    assert not any(name.endswith((".md", ".pyc")) for name in names)
