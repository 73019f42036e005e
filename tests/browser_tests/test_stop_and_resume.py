"""A search is stopped and resumed from the page, and a lost connection is seen and mended."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser_tests.conftest import Faults, Service

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_stopped_search_is_resumed_with_a_larger_budget(page: Page, service: Service) -> None:
    service.launch_demo("stopped", evaluations=200)
    page.goto(f"{service.url}/#/searches/stopped")
    badge = page.locator(".search-header .badge")
    expect(page.locator(".numbers dd").first).to_have_text(re.compile(r"^[1-9]\d* of 200"), timeout=200_000)
    page.get_by_role("button", name="Stop").click()
    expect(badge).to_have_text("stopped", timeout=60_000)
    n_done = service.call("/v1/searches/stopped")["n_finished"]
    assert 0 < n_done < 200

    page.get_by_role("button", name="Resume").click()
    budget = page.get_by_label("Evaluations in all")
    expect(budget).to_be_focused()
    budget.fill("201")
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.locator(".numbers dd").first).to_contain_text("of 201")
    expect(badge).to_have_text("running", timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    expect(badge).to_have_text("stopped", timeout=100_000)


def test_resume_can_be_left(page: Page, service: Service, finished_demo: str) -> None:
    page.goto(f"{service.url}/#/searches/{finished_demo}")
    page.get_by_role("button", name="Resume").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert service.call(f"/v1/searches/{finished_demo}")["state"] == "finished"


def test_lost_connection_is_seen_and_mended(page: Page, service: Service, finished_demo: str, faults: Faults) -> None:
    faults.expected.append(r"ERR_FAILED|ERR_INTERNET_DISCONNECTED")
    page.route("**/events", lambda route: route.abort())
    page.goto(f"{service.url}/#/searches/{finished_demo}")
    expect(page.locator(".connection")).to_contain_text("trying again")
    page.unroute("**/events")
    expect(page.locator(".connection")).to_be_hidden(timeout=30_000)
    expect(page.locator(".numbers dd").first).to_have_text(re.compile(r"^24 of 24 in \d+ trials$"))
