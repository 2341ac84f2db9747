"""The served signature `search` finds words, names and misspelt words."""

import numpy as np
import pytest

from trainer.exported_model import ExportedModel

ODD = [
    "",
    "x",
    "a" * 10_000,
    "😀👟",
    "красная роза",
    "靴",
    "<b>red</b> <script>lamp</script>",
    '12" "size 10"',
    "\0\n",
    "%s ' OR 1=1",
]

_SAID = ("matched_words", "titles")


def _ids(answers: dict[str, np.ndarray], line: int = 0) -> list[str]:
    return [each.decode() for each in answers["item_ids"][line]]


def test_search_reads_words_and_who_asks(exported: ExportedModel) -> None:
    asked = {"user_id": ["u1", ""], "query": ["green rose", "knife"], "timestamp": [9], "k": [3]}
    found, anonymous = exported.ask("search", asked), exported.ask("search", {**asked, "user_id": ["", ""]})
    for answers in (found, anonymous):
        titles = [[title.decode() for title in line] for line in answers["titles"]]
        assert all(title.startswith("green rose") for title in titles[0])
        assert all("knife" in title for title in titles[1])
    assert not np.array_equal(anonymous["scores"][0], found["scores"][0])
    np.testing.assert_allclose(anonymous["scores"][1], found["scores"][1], rtol=0, atol=1e-5)
    # How near an item is to the query is the same whoever asks.
    near, expected = (dict(zip(_ids(each), each["similarities"][0], strict=True)) for each in (found, anonymous))
    shared = near.keys() & expected.keys()
    assert shared
    np.testing.assert_allclose([near[item] for item in shared], [expected[item] for item in shared], atol=1e-5)


def test_search_says_why(exported: ExportedModel) -> None:
    answers = exported.ask("search", {"query": ["green rose", "i00017"], "timestamp": [9], "k": [40, 3]})
    rows = np.array([[int(each[1:] or -1) for each in line] for line in answers["item_ids"]])
    np.testing.assert_allclose(answers["prices"], np.where(rows >= 0, 1.0 + rows, 0.0))
    words, titles = ([[text.decode().split() for text in line] for line in answers[name]] for name in _SAID)
    expected = [[word for word in ("green", "rose") if word in title] for title in titles[0]]
    assert words[0] == expected
    assert {len(each) for each in expected} == {0, 1, 2}
    near, first = answers["similarities"], answers["named"][1]
    assert first.tolist() == [1] + [0] * 39
    assert ((near[0] >= -1) & (near[0] <= 1)).all()
    assert np.ptp(near[0]) > 0.1
    assert (near[1, 3:] == 0).all()


def test_facets_count_what_is_relevant(exported: ExportedModel) -> None:
    asked = {"query": ["", "green rose", "i00017"], "facet_size": [9]}
    found = exported.ask("facets", asked)
    everything, relevant, _ = found["total"].tolist()
    assert everything == 48
    assert 3 <= relevant < 48
    assert found["category_values"][0].tolist()[:2] == [b"home", b"home > knife"]
    assert found["category_counts"][0].tolist()[:2] == [48, 12]
    assert found["brand_counts"][0].tolist()[:3] == [16, 16, 16]
    # Whatever the filters leave is counted, however many a search would show.
    roses = exported.ask("facets", {**asked, "categories": [["home > rose"]], "max_price": [20.0]})
    assert roses["total"][0] == 4
    assert roses["category_values"][0].tolist()[:3] == [b"home", b"home > rose", b""]
    assert roses["price_counts"][0].sum() == 4
    shown = exported.ask("search", {"query": ["green rose"], "timestamp": [9], "k": [48]})
    # Green roses are named, which is worth 2 more, and who asks may have shifted the best one by 0.1.
    bars = [0.5 * (shown["scores"][0].max() - 2.0 + shift) for shift in (-0.1, 0.1)]
    assert shown["scores"][0][relevant - 1] >= bars[0]
    assert shown["scores"][0][relevant] < bars[1]


def test_search_for_an_item_id_finds_it(exported: ExportedModel) -> None:
    answers = exported.ask("search", {"query": ["I00017", " i00030 "], "timestamp": [9], "k": [1]})
    assert [_ids(answers, line) for line in range(2)] == [["i00017"], ["i00030"]]


def test_search_without_words_is_recommend(exported: ExportedModel) -> None:
    asked = {"user_id": ["u1", ""], "query": ["", " "], "timestamp": [9], "country": ["GB", "GB"]}
    found, recommended = exported.ask("search", asked), exported.ask("recommend", asked)
    np.testing.assert_array_equal(found["item_ids"], recommended["item_ids"])


def test_misspelt_words_find_what_was_meant(exported: ExportedModel) -> None:
    asked = {"query": ["green lampp", "gren lamp", "green lamp"], "timestamp": [9], "k": [5]}
    answers = exported.ask("search", asked)
    assert _ids(answers, 0) == _ids(answers, 1) == _ids(answers, 2)


@pytest.mark.parametrize("query", ODD)
def test_odd_queries_are_answered(exported: ExportedModel, query: str) -> None:
    answers = exported.ask("search", {"query": [query, "red lamp"], "timestamp": [9], "k": [4]})
    assert np.isfinite(answers["scores"]).all()
    assert len({*_ids(answers)} - {""}) == 4
    alone = exported.ask("search", {"query": ["red lamp"], "timestamp": [9], "k": [4]})
    assert _ids(answers, 1) == _ids(alone)
