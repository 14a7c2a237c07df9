"""docs/methods cannot drift from the methods."""

import re
from pathlib import Path

import pytest

import xaicore

PAGES = Path(__file__).resolve().parents[2] / "docs" / "methods"
FAMILIES = ("gradients", "passes", "input", "attention")
INDEX = (PAGES / "README.md").read_text(encoding="utf-8")
SECTIONS = {
    title: (family, text)
    for family in FAMILIES
    for title, text in re.findall(
        r"^## `(\S+)`\n(.*?)(?=^## |\Z)", (PAGES / f"{family}.md").read_text(encoding="utf-8"), re.S | re.M
    )
}


def test_every_method_has_one_section_and_one_row():
    assert sorted(SECTIONS) == sorted(xaicore.METHODS)
    assert sorted(re.findall(r"^\| \[`(\S+)`\]", INDEX, re.M)) == sorted(xaicore.METHODS)


@pytest.mark.parametrize("method", xaicore.METHODS.values(), ids=lambda method: method.name)
def test_a_section_has_formula_source_needs_options_and_cost(method):
    _, text = SECTIONS[method.name]
    assert len(re.findall(r"^```$", text, re.M)) == 2  # the formula
    assert re.search(r"et al\. \d{4}|[A-Z]\w+ (& \w+ )?\d{4}", text) or method.name in WITHOUT_SOURCE
    facts = " ".join(re.search(r"^- Needs: .*?(?=\n\n)", text, re.S | re.M).group().split())
    needs, rest = facts.split(". ", 1)
    assert tuple(re.findall(r"`(\w+)`", needs)) == method.asks
    assert rest.startswith("Signed.") == method.signed
    options, cost = rest.split("Options: ")[1].split("Cost: ")
    stated = re.findall(r"`(\w+=[^`]+)`", options)
    assert stated == [f"{name}={value!r}".replace("'", '"') for name, value in method.options.items()]
    assert bool(stated) != options.startswith("none")
    assert "pass" in cost


WITHOUT_SOURCE = {"gradcam-elementwise", "attention", "random"}


def test_rows_link_to_the_sections():
    """By the anchors that GitHub makes: lower case, without punctuation, numbered where one repeats."""
    for name, family, anchor in re.findall(r"^\| \[`(\S+)`\]\((\w+)\.md#([\w-]+)\)", INDEX, re.M):
        assert SECTIONS[name][0] == family
        slug = re.sub(r"[^\w-]", "", name)
        is_repeated = slug != name and slug in xaicore.METHODS
        assert anchor == slug + "-1" * is_repeated


def test_the_index_names_the_galleries_and_the_tables():
    for link in ("cnn.jpg", "vit.jpg", "table.md", "pointing.md", *(f"{family}.md" for family in FAMILIES)):
        assert link in INDEX
        assert (PAGES / link).exists()
