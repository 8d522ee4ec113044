"""What is written for a Prometheus: promtool takes it, and it listens on the loopback alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from twinstack.linux.cgroup import Layout
from twinstack.observe.prometheus.files import (
    KeptProgram,
    MetricsPaths,
    Options,
    configuration,
    programs,
)

LAYOUT = Layout({"cpu": Path("/cg/cpu"), "memory": Path("/cg/memory")}, {"cpu": 1, "memory": 1})


DEFAULT = Options()


def planned(options: Options = DEFAULT, **environment: str) -> dict[str, KeptProgram]:
    found = programs(
        MetricsPaths("lab"),
        options,
        LAYOUT,
        dashboard=("/a place/python", "-m", "invoke", "dashboard"),
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
