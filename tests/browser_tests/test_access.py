"""The token: asked for once, a wrong one is said to be wrong, and the stream of events needs no second one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser_tests.conftest import Faults, Service, running_service

pytestmark = pytest.mark.browser
TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Service]:
    """A service that asks for a token, with one search."""
    with running_service(token=TOKEN) as running:
        running.launch_demo("guarded", evaluations=8)
        yield running


def test_token_is_asked_for_once(guarded: Service, page: Page, faults: Faults) -> None:
    faults.expected.append(r"(status of )?401")
    page.goto(guarded.url)
    token = page.get_by_label("Token", exact=True)
    token.fill("wrong")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("dialog")).to_contain_text("not the service's token")
    token.fill(TOKEN)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("link", name="guarded")).to_be_visible()
    faults.found.clear()

    page.reload()
    page.get_by_role("link", name="guarded").click()
    # By events alone: nothing else brings candidates.
    expect(page.locator(".numbers dd").first).to_have_text(re.compile("^8 of 8"), timeout=200_000)
    assert faults.found == []


def test_token_is_out_of_reach_of_scripts(guarded: Service, page: Page, faults: Faults) -> None:
    faults.expected.append(r"(status of )?401")
    page.goto(guarded.url)
    page.get_by_label("Token", exact=True).fill(TOKEN)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("link", name="guarded")).to_be_visible()
    assert page.evaluate("document.cookie") == ""
    assert TOKEN not in page.evaluate("JSON.stringify(localStorage)")
    cookies = page.context.cookies()
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Strict" for cookie in cookies)
