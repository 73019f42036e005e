"""A real browser in front of a real service: its cluster, its database, its page."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import COMMAND

# Nothing of the browser's own may reach for a network or a graphics card.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Found = TypeVar("Found")

# Ray starts in half a minute on a busy machine.
START_TIMEOUT_S = 180
# Where a service, a cluster and a browser share two cores, five seconds are nothing.
expect.set_options(timeout=20_000)


@dataclass
class Service:
    """A `paretomerge serve` of the tests' own.

    Args:
        url: where it listens, without a slash at the end.
        folder: with its `models`, `sets` and `merges`.
        environment: of its process.
        token: what it asks for, or "".
    """

    url: str
    folder: Path
    environment: dict[str, str] = field(repr=False)
    token: str = field(default="", repr=False)

    @property
    def database_url(self) -> str:
        """Of its studies."""
        command = [str(COMMAND), "database", "url"]
        return subprocess.check_output(command, env=self.environment, text=True).strip()

    def call(self, path: str, body: Any = None) -> Any:
        """What the API answers; a body is posted."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def launch_demo(self, name: str, evaluations: int) -> dict[str, Any]:
        """Queue the demonstration under another name, with another budget."""
        demo = self.call("/v1/choices")["demo"]
        demo = demo | {"name": name, "search": demo["search"] | {"evaluations": evaluations}}
        launched: dict[str, Any] = self.call("/v1/searches", demo)
        return launched

    def wait_for(self, name: str, state: str, timeout_s: float = 200) -> dict[str, Any]:
        """The search, once it is in this state."""
        return until(lambda: self._in_state(name, state), timeout_s, f"the search '{name}' is {state}")

    def _in_state(self, name: str, state: str) -> dict[str, Any] | None:
        search: dict[str, Any] = self.call(f"/v1/searches/{name}")
        assert search["state"] != "failed", search["message"]
        return search if search["state"] == state else None


def until(look: Callable[[], Found | None], timeout_s: float, what: str) -> Found:
    """The first thing that is found.

    Raises:
        TimeoutError: nothing is.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.25)
    raise TimeoutError(f"Within {timeout_s:g} s it must be that {what}, but it was not.")


@contextmanager
def running_service(token: str = "", **variables: str) -> Iterator[Service]:
    """Start the command with a database of its own, and end it by Ctrl-C."""
    # Not below pytest's folder: that is closed to the user as whom the database runs where we are root.
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-page-"))
    folder.chmod(0o755)
    for name in ("models", "sets", "merges"):
        (folder / name).mkdir()
    environment = os.environ | {
        "PARETOMERGE_DATA_DIR": str(folder / "data"),
        "PARETOMERGE_POSTGRES_FSYNC": "off",
        "PARETOMERGE_TOKEN": token,
        **variables,
    }
    options = [f"--{name}={folder / name}" for name in ("models", "sets")]
    command = [str(COMMAND), "serve", "--port=0", "--cpus=2", f"--exports={folder / 'merges'}", *options]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = until(lambda: _listening(process, log), START_TIMEOUT_S, "the service listens")
        service = Service(url, folder, environment, token)
        until(lambda: _is_ready(service), START_TIMEOUT_S, "the service is ready")
        yield service
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        subprocess.run([COMMAND, "database", "stop"], env=environment, check=True, capture_output=True)
        shutil.rmtree(folder)


def _listening(process: subprocess.Popen[bytes], log: Path) -> str | None:
    text = log.read_text()
    assert process.poll() is None, text
    found = re.search(r"http://127\.0\.0\.1:\d+", text)
    return found[0] if found else None


def _is_ready(service: Service) -> bool | None:
    try:
        return bool(service.call("/readyz")["status"] == "ok") or None
    except OSError:
        return None


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """One for all tests that need no token."""
    with running_service() as running:
        yield running


@pytest.fixture(scope="session")
def finished_demo(service: Service) -> str:
    """The name of a finished search."""
    name = "finished"
    service.launch_demo(name, evaluations=24)
    service.wait_for(name, "finished")
    return name


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Debian's Chromium.

    Raises:
        FileNotFoundError: there is none.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise FileNotFoundError("The browser tests need Chromium, but there is none on the PATH: apt install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests; each has a context of its own."""
    with running_browser() as running:
        yield running


@dataclass
class Faults:
    """What a page complained of.

    Args:
        expected: patterns of complaints that belong to the test.
        found: all others.
    """

    expected: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Listen to a page: errors of scripts and of the console, and requests that failed."""
        page.on("pageerror", lambda error: self.found.append(f"script: {error}"))
        page.on("console", lambda said: self.found.append(f"console: {said.text}") if said.type == "error" else None)
        page.on("response", lambda got: self.found.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        page.on("requestfailed", lambda request: self._failed(request.url, request.failure or ""))

    def _failed(self, url: str, failure: str) -> None:
        # A stream of events is cut off whenever its view is left.
        if "ERR_ABORTED" not in failure:
            self.found.append(f"{failure} {url}")

    @property
    def unexpected(self) -> list[str]:
        """What no test has announced."""
        return [fault for fault in self.found if not any(re.search(pattern, fault) for pattern in self.expected)]


@pytest.fixture
def faults() -> Faults:
    """What the test's page complained of; a test may announce what it provokes."""
    return Faults()


@pytest.fixture
def open_page(browser: Browser, faults: Faults) -> Iterator[Callable[..., Page]]:
    """Opens pages as `browser.new_context` takes them; no page may complain of anything unannounced."""
    contexts: list[BrowserContext] = []

    def open_one(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        faults.watch(page)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults.unexpected == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page of common size."""
    return open_page()
