"""A launch script takes every privilege away, holds no secret, and changes when it must."""

from __future__ import annotations

import configparser
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core_cases import SOFTWARE, declared, planned
from tests.support.launch_cases import changed, digests, edit, file_of, launched, scripts
from twinstack.model.plan import Replica, resolve
from twinstack.model.releases import CHECKOUT, ServiceRelease
from twinstack.model.topology import Limits
from twinstack.namespaces.launch import ROTATOR
from twinstack.namespaces.process_steps import (
    Cgroup,
    InstanceDirectory,
    InstanceFile,
    Supervisor,
)
from twinstack.namespaces.steps import NetStep
from twinstack.state.paths import InstancePaths

STEPS = launched()
SCRIPTS = scripts(STEPS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_launch_script_is_shell(name: str):
    text = SCRIPTS[name].content
    assert text.startswith("#!/bin/sh\n")
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_launch_script_leaves_no_privilege(name: str):
    text, replica = SCRIPTS[name].content, planned().replica(name)
    last = "exec /usr" + text.rpartition("\nexec /usr")[2]
    words = shlex.split(last.replace("\\\n", ""))
    assert words[:2] == ["exec", "/usr/bin/setpriv"]
    options = words[2 : words.index("/usr/bin/perl")]
    assert set(options) == {
        f"--reuid={replica.user}",
        f"--regid={replica.user}",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "--no-new-privs",
    }
    assert replica.user >= 1000


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_launch_script_mounts_its_tree_read_only_and_leaves_the_hosts(name: str):
    text, replica = SCRIPTS[name].content, planned().replica(name)
    lines = text.splitlines()
    assert f'mount -o bind,ro,nosuid,nodev {SOFTWARE.trees[replica.role]} "$root"' in lines
    root = lines.index("pivot_root . .")
    assert lines[root + 1] == "umount -l ."
    assert "unshare --mount --ipc --uts --propagation private" in text
    assert f"nsenter --net=/run/netns/{name} " in text
    mounted = [line for line in lines if line.startswith("mount -o bind") and " /var/lib" in line]
    assert len(mounted) == bool(replica.secrets) + bool(replica.launch.data)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_mount_but_data_and_scratch_is_read_only(name: str):
    lines = [line.strip() for line in SCRIPTS[name].content.splitlines()]
    data = planned().replica(name).launch.data
    for line in lines:
        if line.startswith("mount -o bind"):
            read_only = line.startswith("mount -o bind,ro,nosuid,nodev")
            own = line.startswith("mount -o bind,nosuid,nodev,noexec ")
            assert read_only or (own and line.endswith(f'"$root{data}"')), line
        elif line.startswith("mount --bind"):
            assert "/dev/$device" in line or line.startswith("mount --bind /dev/null"), line
        elif line.startswith("mount -t tmpfs"):
            assert "nosuid" in line
            assert "size=" in line
    assert 'mount -o remount,bind,ro,nosuid,noexec "$root/dev"' in lines


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_launch_script_hides_what_an_engine_hides_of_proc(name: str):
    text = SCRIPTS[name].content
    assert "hidepid=invisible" in text
    assert "for knobs in bus fs irq sys sysrq-trigger; do" in text
    assert "kcore keys" in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_filter_is_loaded_last_of_all(name: str):
    text = SCRIPTS[name].content
    assert "exec 3< /run/twinstack/main/conf/seccomp.hex" in text
    assert "syscall(157, 22, 2, $program) == 0 or die" in text
    after = text.partition("/usr/bin/perl -e '")[2].partition("@ARGV or die")[2]
    assert after.splitlines()[1].strip().startswith("/usr/bin/env -i ")
    assert file_of(STEPS, "/conf/seccomp.hex").content == SOFTWARE.seccomp.program


def test_another_filter_restarts_every_process():
    other = replace(SOFTWARE, seccomp=replace(SOFTWARE.seccomp, program="0600000000000100"))
    changed = digests(launched(software=other))
    assert [name for name, digest in changed.items() if digest == digests(STEPS)[name]] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_launch_script_joins_every_cgroup_before_anything_else(name: str):
    lines = SCRIPTS[name].content.splitlines()
    joined = [line.strip() for line in lines if "> /sys/fs/cgroup" in line]
    assert joined == [
        f"echo $$ > /sys/fs/cgroup/{controller}/twinstack/main/{name}/cgroup.procs"
        for controller in ("cpu", "cpuacct", "memory", "pids")
    ]
    assert max(n for n, line in enumerate(lines) if "cgroup.procs" in line) < min(
        n for n, line in enumerate(lines) if "nsenter" in line
    )


def test_a_launch_script_ends_what_an_earlier_process_left_before_it_joins():
    lines = [line.strip() for line in SCRIPTS["nginx-lb"].content.splitlines()]
    procs = "/sys/fs/cgroup/cpu/twinstack/main/nginx-lb/cgroup.procs"
    begins = next(n for n, line in enumerate(lines) if line.startswith("while read -r left"))
    assert f"< {procs} " in lines[begins]
    assert lines[begins + 1] == 'kill -KILL "$left" 2> /dev/null || :'
    assert begins < lines.index(f"echo $$ > {procs}")


def handed_over(script: str) -> list[str]:
    """Let a real shell split what follows `env -i`."""
    words = script.partition("/usr/bin/env -i ")[2]
    command = ["sh", "-c", f"printf '%s\\0' {words}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_shell_passes_on_the_exact_environment_and_command(name: str):
    replica = planned().replica(name)
    environment = {**replica.environment_in("net"), "TWINSTACK_LAUNCH": digests(STEPS)[name]}
    words = [f"{key}={value}" for key, value in environment.items()]
    assert handed_over(SCRIPTS[name].content) == [*words, *replica.launch.command]


HOSTILE = st.text(
    st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=40
) | st.sampled_from(["$(touch /x)", "`id`", "'; rm -rf /; '", '"', "\\", "a\nb", "~", "{{ x }}"])


@settings(max_examples=25, deadline=None)
@given(HOSTILE, HOSTILE)
def test_hostile_values_reach_the_process_unchanged(value: str, word: str):
    def hostile(replica: Replica) -> Replica:
        launch = replace(replica.launch, command=(*replica.launch.command, word))
        environment = (*replica.environment, ("HOSTILE", value))
        return replace(replica, launch=launch, environment=environment)

    plan = changed(planned(), "order-service", hostile)
    text = scripts(launched(plan))["order-service"].content
    words = handed_over(text)
    assert f"HOSTILE={value}" in words
    assert words[-1] == word
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0


def test_no_secret_is_in_any_file_or_command_only_its_directory_is_mounted():
    for step in STEPS:
        content = step.content if isinstance(step, InstanceFile) else ""
        for word in ("password", "PASSWORD", "redis.acl"):
            assert word not in content
            assert all(word not in command for command in step.commands)
    lib = InstancePaths("main").lib
    for name, script in SCRIPTS.items():
        replica = planned().replica(name)
        mount = f'mount -o bind,ro,nosuid,nodev {lib}/secrets/{replica.service} "$root/run/secrets"'
        assert (mount in script.content) == bool(replica.secrets)
        others = {each.service for each in planned().replicas} - {replica.service}
        assert not [each for each in others if f"/secrets/{each} " in script.content]


def test_only_root_can_read_scripts():
    assert {step.mode for step in SCRIPTS.values()} == {0o700}
    (directory,) = (
        step
        for step in STEPS
        if isinstance(step, InstanceDirectory) and step.path.endswith("/launch")
    )
    assert (directory.mode, directory.user) == (0o700, 0)


def test_only_stores_and_the_registry_may_write_each_in_its_own_directory():
    data = [step for step in STEPS if isinstance(step, InstanceDirectory) and step.user != 0]
    assert [(step.path, step.mode, step.user) for step in data] == [
        (str(InstancePaths("main").lib / "service-registry"), 0o700, 30070),
        (str(InstancePaths("main").lib / "redis-cache"), 0o700, 30050),
        (str(InstancePaths("main").lib / "postgres-db"), 0o700, 30060),
    ]


def test_hosts_name_every_replica_at_its_address_and_reach_every_root():
    text = file_of(STEPS, "/conf/hosts").content
    assert text.splitlines() == [
        "127.0.0.1 localhost",
        *(f"{replica.address} {replica.name}" for replica in planned().replicas),
    ]
    assert text.endswith("\n")
    path = file_of(STEPS, "/conf/hosts").path
    mount = f'mount -o bind,ro,nosuid,nodev {path} "$root/etc/hosts"'
    assert all(mount in step.content for step in SCRIPTS.values())


def test_a_configuration_is_written_beside_and_mounted_read_only():
    conf = file_of(STEPS, "/conf/nginx-lb-nginx.conf")
    assert conf.content == "events {}\n"
    script = SCRIPTS["nginx-lb"].content
    assert f'mount -o bind,ro,nosuid,nodev {conf.path} "$root/etc/nginx/nginx.conf"' in script


def test_instances_share_no_path_and_no_cgroup():
    theirs = launched(planned("flat", "other"))
    for mine, other in zip(STEPS, theirs, strict=True):
        if isinstance(mine, (InstanceFile, InstanceDirectory)) and isinstance(
            other, (InstanceFile, InstanceDirectory)
        ):
            assert mine.path != other.path
            assert "/other" in other.path
        if isinstance(other, InstanceFile) and not other.path.endswith("hosts"):
            assert "/main/" not in other.content.replace("twinstack:main", "")


def test_every_replica_and_the_rotator_have_a_cgroup():
    groups = {step.replica: step.limits for step in STEPS if isinstance(step, Cgroup)}
    assert set(groups) == {*SCRIPTS, ROTATOR}
    assert groups["postgres-db"] == Limits.model_validate(
        {"cpus": 1.0, "memory": "256M", "pids": 128}
    )
    assert groups[ROTATOR] is None


def supervisor_conf(listed: tuple[NetStep, ...] = STEPS) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.read_string(file_of(listed, "/supervisord.conf").content)
    return parser


def test_a_released_version_is_mounted_over_the_checkouts_services_in_its_replicas_alone():
    name = "aaaaaaaaaaaa"
    release = ServiceRelease("product-service", (name, CHECKOUT), before="bbbbbbbbbbbb")
    plan = resolve(declared(), released=(release,))
    listed = launched(plan)
    before, after = digests(STEPS), digests(listed)
    assert {each for each in before if before[each] != after[each]} == {"product-service"}
    lines = scripts(listed)["product-service"].content.splitlines()
    versions = InstancePaths("main").versions
    over = f'{versions}/{name}/services "$root/srv/twinstack/services"'
    srv = f'mount -o bind,ro,nosuid,nodev {SOFTWARE.srv} "$root/srv/twinstack"'
    assert lines.index(f"mount -o bind,ro,nosuid,nodev {over}") == lines.index(srv) + 1
    kept = {step.path for step in listed if isinstance(step, InstanceDirectory)}
    assert {str(versions / each) for each in (".", name, "bbbbbbbbbbbb")} <= kept


def test_the_supervisor_runs_and_restarts_every_replica_and_the_rotator():
    conf = supervisor_conf()
    programs = {
        section.removeprefix("program:") for section in conf.sections() if "program:" in section
    }
    assert programs == {*SCRIPTS, ROTATOR}
    for name in programs:
        program = conf[f"program:{name}"]
        assert program["command"] == f"/bin/sh /run/twinstack/main/launch/{name}"
        assert (program["autorestart"], program["autostart"]) == ("true", "false")
        assert int(program["startretries"]) >= 1000
        assert program["stdout_logfile"] == "NONE"
    assert conf["program:postgres-db"]["stopsignal"] == "INT"
    assert conf["program:nginx-lb"]["stopsignal"] == "QUIT"


def test_the_supervisor_listens_to_root_alone_and_on_no_network():
    conf = supervisor_conf()
    assert conf["unix_http_server"]["chmod"] == "0700"
    assert "inet_http_server" not in conf
    assert conf["unix_http_server"]["file"] == "/run/twinstack/main/supervisor.sock"


def test_a_changed_script_is_a_changed_program_and_no_other_is():
    before, after = supervisor_conf(), supervisor_conf(launched(edit("order-service", threads=9)))
    differing = {name for name in before.sections() if dict(before[name]) != dict(after[name])}
    assert differing == {"program:order-service"}


def test_the_supervisor_is_debians_python_with_packages_of_its_own():
    (step,) = (step for step in STEPS if isinstance(step, Supervisor))
    assert step.command[:2] == (str(SOFTWARE.supervisor), "/usr/bin/python3")
    assert step.command[-1] == file_of(STEPS, "/supervisord.conf").path


def test_the_rotator_keeps_logs_small(tmp_path: Path):
    text = file_of(STEPS, f"/launch/{ROTATOR}").content
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    # Run its loop once over logs of our own: no cgroup, no waiting.
    body = text.replace(str(InstancePaths("main").log), str(tmp_path)).replace("8000000", "10")
    body = "\n".join(line for line in body.splitlines() if "cgroup.procs" not in line)
    body = body.replace("while sleep 5; do", "for once in 1; do")
    (tmp_path / "large.log").write_text("x" * 11)
    (tmp_path / "small.log").write_text("x" * 10)
    subprocess.run(["sh", "-c", body], check=True)
    assert (tmp_path / "large.log").read_text() == ""
    assert (tmp_path / "large.log.1").read_text() == "x" * 11
    assert (tmp_path / "small.log").read_text() == "x" * 10


def test_logs_are_the_scripts_own_output():
    for name, script in SCRIPTS.items():
        assert f"exec >> {InstancePaths('main').log_of(name)} 2>&1 < /dev/null" in script.content
