"""With CI=true a skipped test is a failed one: a green run means that every test ran."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["tests.support.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="in tests/checks: every case, not a sample of them"
    )
    parser.addoption(
        "--pictures", metavar="FOLDER", help="in tests/checks: keep screenshots of the dashboard"
    )


#: Tests that share the tests' own Docker engine; all others that need root share bring-ups too.
_DOCKER = ("tests/docker/", "tests/checks/test_docker_", "tests/checks/test_swarm")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let `pytest -n 2 --dist loadgroup` run Docker's tests beside the others that need root.

    Both keep to network namespaces, cgroups and directories of their own. Pure tests go anywhere.
    """
    for item in items:
        path = item.path.relative_to(item.config.rootpath).as_posix()
        if not path.startswith("tests/pure/"):
            item.add_marker(
                pytest.mark.xdist_group("docker" if path.startswith(_DOCKER) else "host")
            )


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
