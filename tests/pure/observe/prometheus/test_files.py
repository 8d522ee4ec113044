"""What is written for a Prometheus: promtool takes it, and it listens on the loopback alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from twinstack.linux.cgroup import Layout
from twinstack.observe.prometheus.files import (
    KeptProgram,
    MetricsPaths,
    Options,
    configuration,
    engine_variables,
    programs,
)
from twinstack.state import paths

LAYOUT = Layout({"cpu": Path("/cg/cpu"), "memory": Path("/cg/memory")}, {"cpu": 1, "memory": 1})


DEFAULT = Options()


DASHBOARD = ("/a place/python", "-m", "invoke", "dashboard")


def planned(
    options: Options = DEFAULT,
    layout: Layout = LAYOUT,
    dashboard: tuple[str, ...] = DASHBOARD,
    **environment: str,
) -> dict[str, KeptProgram]:
    found = programs(
        MetricsPaths("lab"),
        options,
        layout,
        dashboard=dashboard,
        environment=environment,
        directory=Path("/a place"),
    )
    return {program.name: program for program in found}


def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    for path, text in configuration(MetricsPaths("lab"), Options(interval_s=1)).items():
        here = text.replace(str(path.parent), str(tmp_path))
        (tmp_path / path.name).write_text(here)
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout


def test_it_scrapes_and_listens_on_the_loopback_alone_as_a_user_without_privileges() -> None:
    text = planned(Options(port=9191))["prometheus"].text
    for words in (
        "--web.listen-address=127.0.0.1:9191",
        "--web.cors.origin=http://127.0.0.1:9191",
        "--reuid=30900",
        "--no-new-privs",
        "--storage.tsdb.retention.size=256MB",
    ):
        assert words in text, words
    assert "--web.enable" not in text
    scrape = yaml.safe_load(
        configuration(MetricsPaths("lab"), Options())[
            MetricsPaths("lab").directory / "prometheus.yml"
        ]
    )
    (job,) = scrape["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:7701"]}]


def test_scripts_are_shell_in_which_every_word_is_quoted(tmp_path: Path) -> None:
    for program in planned(DOCKER_HOST="unix:///a b'c").values():
        (tmp_path / program.name).write_text(program.text)
        done = subprocess.run(["sh", "-n", str(tmp_path / program.name)], check=False)
        assert done.returncode == 0
    text = planned(DOCKER_HOST="unix:///a b'c")["exporter"].text
    assert "cd '/a place' || exit 1" in text
    assert "'/a place/python' -m invoke dashboard --port 7701" in text


def test_a_program_is_another_when_anything_of_it_changed_and_only_then() -> None:
    before = planned()
    slower = planned(Options(interval_s=9))
    assert planned() == before
    assert slower["prometheus"].command != before["prometheus"].command
    assert slower["exporter"].command == before["exporter"].command


def test_of_dockers_variables_only_those_that_lead_to_an_engine_are_written_down() -> None:
    leads = {"DOCKER_HOST": "tcp://lab:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}
    secret = {"DOCKER_AUTH_CONFIG": "a password", "HOME": "/root"}
    assert engine_variables({**leads, **secret}) == leads
    assert engine_variables(secret) == {}


def test_nobody_else_may_write_a_log_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "LIB", tmp_path)
    (tmp_path / "lab" / "metrics").mkdir(parents=True)
    ends = ("/bin/sh", "-c", "umask; kill $PPID")  # the shell that keeps it running
    text = planned(layout=Layout({}, {}), dashboard=ends)["exporter"].text
    (script := tmp_path / "exporter.sh").write_text(text.replace("/a place", str(tmp_path)))
    subprocess.run(["sh", "-c", f"umask 0; exec sh {script}"], check=False, timeout=10)
    log = tmp_path / "lab" / "metrics" / "exporter.log"
    assert log.read_text() == "0022\n"
    assert log.stat().st_mode & 0o777 == 0o644
