"""The table of ablations, number by number, and its place in a document."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.ablation_tables import Row, markdown, signed, write_section

KEY = ("all", "ndcg@20")


def _rows(difference: float, noise: float) -> list[Row]:
    generator = np.random.default_rng(0)
    values = generator.random(200)
    base = Row("the configuration", (), {KEY: values}, 1.0)
    changed = values + difference + noise * generator.normal(size=200)
    return [base, Row("without", ("a=1", "b=2"), {KEY: changed}, 2.5, base)]


def _cells(rows: list[Row]) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in markdown(rows).splitlines()]


def test_a_difference_is_paired_and_bold_where_it_is_sure() -> None:
    rows = _rows(-0.05, 0.01)
    head, _, base, changed = _cells(rows)
    assert head == ["variation", "all: ndcg@20", "trained in, min"]
    mean = rows[0].values[KEY].mean()
    assert base == ["the configuration", f"{mean:.4f}"[1:], "1.0"]
    assert changed[0] == "without<br>`a=1`<br>`b=2`"
    assert changed[2] == "2.5"
    value, rest = changed[1].split("<br>")
    differences = rows[1].values[KEY] - rows[0].values[KEY]
    assert float(value) == pytest.approx(rows[1].values[KEY].mean(), abs=1e-4)
    difference, interval = rest.split(" (")
    assert difference == f"**{signed(differences.mean())}**"
    low, high = (float(end) for end in interval.rstrip(")").split(" to "))
    # Of a mean of 200 normal values the interval is that of two standard errors.
    error = 1.96 * differences.std() / np.sqrt(200)
    assert [low, high] == pytest.approx([differences.mean() - error, differences.mean() + error], abs=3e-4)


def test_a_difference_by_chance_is_not_bold() -> None:
    assert "**" not in markdown(_rows(0.0, 0.1))


@pytest.mark.parametrize(("value", "text"), [(0.0418, "+.0418"), (-0.1, "-.1000"), (0.0, "+.0000"), (1.0, "+1.0000")])
def test_numbers_have_their_sign(value: float, text: str) -> None:
    assert signed(value) == text


def test_a_section_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "quality.md"
    document.write_text("before\n<!-- a -->\n<!-- end of a -->\nbetween\n<!-- b -->\nold\n<!-- end of b -->\nafter\n")
    write_section(document, "b", "new \\1\n\n| x |")
    once = document.read_text()
    assert once == (
        "before\n<!-- a -->\n<!-- end of a -->\nbetween\n<!-- b -->\n\nnew \\1\n\n| x |\n\n<!-- end of b -->\nafter\n"
    )
    write_section(document, "b", "new \\1\n\n| x |")
    assert document.read_text() == once
    write_section(document, "a", "first")
    assert document.read_text() == once.replace("<!-- a -->\n", "<!-- a -->\n\nfirst\n\n")


def test_a_document_without_the_section_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "quality.md"
    document.write_text("<!-- end of a -->\n<!-- a -->\n")
    with pytest.raises(ValueError, match="expected one line '<!-- a -->' and after it"):
        write_section(document, "a", "text")
