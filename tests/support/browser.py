"""A real Chromium on a sandbox's own network, before a dashboard that is served there."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.sandbox import INVOKE, Sandbox

PHONE = (360, 740)
DESK = (1280, 900)
#: A page that is slow on a busy machine is no failure; what must be quick is timed by itself.
PATIENCE_MS = 20_000
#: A stranger's name that leads here: what DNS rebinding brings about.
REBOUND = "rebound.example"
_GRAVE = {"serious", "critical"}


@contextmanager
def served(host: Sandbox) -> Iterator[str]:
    """Serve the dashboard of a host; gives its address."""
    process = host.start(INVOKE, "dashboard", "--port", "0", stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+/) ", line)
        assert found, line + process.stderr.read()
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()


@contextmanager
def chromium(host: Sandbox, folder: Path) -> Iterator[Browser]:
    """Give Debian's Chromium (or another that is installed), run on a host."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium (make setup)")
    door = folder / "chromium-there"
    words = " ".join(host.command([program]))
    door.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    door.chmod(0o755)
    with sync_playwright() as playwright:
        # Root has no sandbox of Chromium's; what is shown is our own page alone.
        browser = playwright.chromium.launch(
            executable_path=str(door),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Look:
    """One page, and what its console said."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    def state(self, world: str, replica: str) -> str | None:
        return self.page.get_attribute(f'#{world} [data-node="{replica}"]', "data-state")

    def await_state(self, world: str, replica: str, state: str, within_s: float) -> None:
        node = f'#{world} [data-node="{replica}"][data-state="{state}"]'
        self.page.wait_for_selector(node, timeout=within_s * 1000)

    def await_all_up(self, world: str) -> None:
        verdict = f'#{world} [data-of="verdict"][data-state="up"]'
        self.page.wait_for_selector(verdict, timeout=PATIENCE_MS)

    def grave(self) -> list[str]:
        """Ask axe for what keeps people out: findings that are serious or critical."""
        found = Axe().run(self.page)
        return [
            f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes']][:3]}"
            for one in found.response["violations"]
            if one["impact"] in _GRAVE
        ]


@contextmanager
def looking(
    browser: Browser, address: str, size: tuple[int, int] = DESK, scheme: str = "light"
) -> Iterator[Look]:
    """Open the page in a context of its own; at its end the console must have been silent."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        look = Look(context.new_page(), context)
        look.page.on("console", lambda said: look.complaints.append(f"{said.type}: {said.text}"))
        look.page.on("pageerror", lambda error: look.complaints.append(str(error)))
        look.page.goto(address)
        yield look
        assert look.complaints == []
    finally:
        context.close()
