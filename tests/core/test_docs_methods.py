"""docs/methods cannot drift from the methods."""

import inspect
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


@pytest.mark.parametrize("method", xaicore.METHODS.values(), ids=lambda method: method.name)
def test_the_cost_is_what_the_method_says(method):
    """In the index, and in the section by its words: "one forward pass", "1 + C forward passes", "two passes"."""
    (cost,) = re.findall(rf"^\| \[`{re.escape(method.name)}`\]\(\S+\) \| (.*?) \|", INDEX, re.M)
    assert cost.replace("`", "") == method.cost
    words = " ".join(SECTIONS[method.name][1].split("Cost:")[1].split("\n\n")[0].split())
    count, _, how = method.cost.partition(", ")
    begins = {"1": ("one pass", "one forward"), "2": ("two passes",), "3": ("three passes",)}
    written = count.replace("C samples", "C · samples")
    assert words.startswith((*begins.get(count, ()), f"{written} ")) or how == "from the layer on"
    assert ("forward" in words and "backward" not in words) == (how != "" or "masks" in count or "C" in count)
    assert ("from the layer on" in words) == (how == "from the layer on")


@pytest.mark.parametrize("method", xaicore.METHODS.values(), ids=lambda method: method.name)
def test_what_a_method_computes_is_a_sentence_of_one_line(method):
    """`xaicore methods` shows the first line of its docstring."""
    lines = inspect.getdoc(method.function).split("\n")
    assert lines[0].endswith(".")
    assert not "".join(lines[1:2])


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
