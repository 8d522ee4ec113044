"""With CI=true a skipped test is a failed one: a green run means that every test ran."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.support.fixtures"]

# How long an example takes on a busy machine says nothing; what hangs has a bound of its own.
settings.register_profile(
    "patient", settings.get_profile(settings.get_current_profile_name()), deadline=None
)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="in tests/checks: every case, not a sample of them"
    )
    parser.addoption(
        "--first", type=int, default=0, help="with --full: skip points of a list taken before"
    )
    for name, help_text in (
        ("--orders", "keyed orders under fire; 0: 2,000, or with --full 100,000"),
        ("--faults", "faults that strike meanwhile; 0: 10, or with --full 100"),
        ("--seed", "seed of orders and faults"),
    ):
        parser.addoption(name, type=int, default=int(name == "--seed"), help=help_text)
    parser.addoption(
        "--record", metavar="FILE", help="in tests/checks: append what engines.py tried"
    )
    parser.addoption(
        "--pictures", metavar="FOLDER", help="in tests/checks: keep screenshots of the dashboard"
    )


#: Tests that share the tests' own Docker engine: one process runs them all, one after another.
_DOCKER = ("tests/docker/", "tests/checks/test_docker_", "tests/checks/test_swarm")


class _Lanes(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """`pytest -n 3`: two workers bring up worlds, and the last does what brings up none.

    Tests are collected in the order of their folders: checks, docker and e2e come first. The last
    worker begins at the end, and meets the others when little is left. More than two worlds at
    once would leave each other no time; all of them keep to network namespaces, cgroups and
    directories of their own. (xdist 3.8's own groups have no effect under pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return "docker" if nodeid.startswith(_DOCKER) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        if len(self.nodes) > 2 and node is self.nodes[-1]:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Lanes:
    """Schedule by lane."""
    return _Lanes(config, log)


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    skipped = report.outcome == "skipped" and not hasattr(report, "wasxfail")
    if skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"CI=true allows no skipped test: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    _fail_if_skipped(report)
    return report
