"""The form: what is wrong is said beside its field, and nothing that was typed is lost."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser_tests.conftest import Faults, Service

pytestmark = pytest.mark.browser
REFUSED = r"(status of )?4(22|09)"


@pytest.fixture
def form(page: Page, service: Service) -> Page:
    """The form, filled in with the demonstration."""
    page.goto(f"{service.url}/#/new")
    page.get_by_role("button", name="Fill in the demo").click()
    expect(page.get_by_label("Base model")).not_to_have_value("")
    return page


def error_beside(page: Page, label: str, row: int = 0) -> str:
    """What the description of a field says is wrong with it."""
    field = page.get_by_label(label, exact=True).nth(row)
    assert field.get_attribute("aria-invalid") == "true"
    error_id = (field.get_attribute("aria-describedby") or "").split()[-1]
    return page.locator(f"[id='{error_id}']").inner_text()


def test_error_is_beside_its_field_which_is_focused(form: Page, faults: Faults) -> None:
    faults.expected.append(REFUSED)
    form.get_by_label("Base model").fill("no-such-model")
    form.get_by_role("button", name="Launch the search").click()
    expect(form.get_by_label("Base model")).to_be_focused()
    assert "no-such-model" in error_beside(form, "Base model")
    expect(form.get_by_role("alert")).to_contain_text("nothing has been launched")


def test_errors_of_rows_are_beside_their_fields(form: Page, faults: Faults) -> None:
    faults.expected.append(REFUSED)
    form.get_by_label("Name", exact=True).first.fill("no spaces please")
    form.get_by_label("Evaluations").fill("0")
    form.get_by_role("button", name="Launch the search").click()
    expect(form.get_by_label("Name", exact=True).first).to_be_focused()
    assert "letters" in error_beside(form, "Name")
    assert "0" in error_beside(form, "Evaluations")


def test_error_of_an_objective_is_in_its_row(form: Page, faults: Faults) -> None:
    faults.expected.append(REFUSED)
    form.get_by_label("Set", exact=True).nth(1).fill("no-such-set.jsonl")
    form.get_by_role("button", name="Launch the search").click()
    expect(form.get_by_label("Set", exact=True).nth(1)).to_be_focused()
    assert "no-such-set.jsonl" in error_beside(form, "Set", row=1)


def test_nothing_typed_is_lost_by_an_error(form: Page, faults: Faults) -> None:
    faults.expected.append(REFUSED)
    form.get_by_label("Base model").fill("no-such-model")
    form.get_by_label("Evaluations").fill("77")
    form.get_by_role("button", name="Add an expert").click()
    form.get_by_label("Name", exact=True).nth(3).fill("third")
    form.get_by_role("button", name="Launch the search").click()
    expect(form.get_by_role("alert")).to_contain_text("nothing has been launched")
    form.get_by_role("link", name="Searches").click()
    form.get_by_role("link", name="New search").first.click()
    expect(form.get_by_label("Evaluations")).to_have_value("77")
    expect(form.get_by_label("Name", exact=True).nth(3)).to_have_value("third")


def test_names_given_twice_are_refused_before_they_are_lost(form: Page) -> None:
    form.get_by_label("Name", exact=True).nth(2).fill("aligned")
    form.get_by_role("button", name="Launch the search").click()
    assert "'aligned'" in error_beside(form, "Name", row=2)


def test_only_the_bounds_of_the_method_are_shown(form: Page) -> None:
    expect(form.get_by_label("density from")).to_be_hidden()
    form.get_by_label("Method").select_option("dare_ties")
    expect(form.get_by_label("density from")).to_be_visible()


def test_text_and_fields_are_the_same_specification(form: Page) -> None:
    form.get_by_role("button", name="Edit as text").click()
    text = form.get_by_label("Specification, as JSON or YAML")
    specification = json.loads(text.input_value())
    assert specification["objectives"]["alignment"]["scorer"] == "refusal_margin"
    specification["search"] |= {"evaluations": 33, "racing": True}
    text.fill(json.dumps(specification))
    form.get_by_role("button", name="Edit as a form").click()
    expect(form.get_by_label("Evaluations")).to_have_value("33")
    form.get_by_role("button", name="Edit as text").click()
    assert json.loads(text.input_value())["search"]["racing"] is True  # there is no field for it


def test_errors_of_yaml_are_in_the_summary(form: Page, faults: Faults) -> None:
    faults.expected.append(REFUSED)
    form.get_by_role("button", name="Edit as text").click()
    form.get_by_label("Specification, as JSON or YAML").fill("name: a\nmodels: {base: x, experts: {e: y}}\nwhat: 1\n")
    form.get_by_role("button", name="Launch the search").click()
    expect(form.get_by_role("alert")).to_contain_text("`what`")
