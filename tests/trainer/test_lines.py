"""Lists of different lengths in the graph, beside Python's own."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from word_lines import lists

from trainer.lexical.lines import Lines, put_together, split
from trainer.lexical.postings import Postings, plain_postings

TEXTS = st.lists(st.lists(st.text("abcß", min_size=1, max_size=3), max_size=5), max_size=5)
ITEMS, KEYS = 6, 5


def lines_of(rows: list[list[int]]) -> Lines:
    values = np.array([value for row in rows for value in row], np.int64)
    owners = np.repeat(np.arange(len(rows)), [len(row) for row in rows]).astype(np.int64)
    return Lines(tf.constant(values), tf.constant(owners), tf.constant(len(rows), tf.int64))


@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_texts_are_split_counted_numbered_and_joined(rows: list[list[str]]) -> None:
    found = split(tf.constant(["  ".join(row) for row in rows], tf.string))
    assert lists(found) == rows
    assert found.lengths().numpy().tolist() == [len(row) for row in rows]
    assert found.places().numpy().tolist() == [place for row in rows for place in range(len(row))]
    assert [each.decode() for each in found.joined().numpy()] == [" ".join(row) for row in rows]
    twice = found.with_values(tf.stack([found.values, tf.strings.upper(found.values)], axis=1)).joined("+")
    assert twice.shape == (len(rows), 2)
    assert [each.decode() for each in twice[:, 0].numpy()] == ["+".join(row) for row in rows]


@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_what_is_kept_stays_in_its_line(rows: list[list[str]]) -> None:
    found = split(tf.constant([" ".join(row) for row in rows], tf.string))
    kept = found.where(found.places() < 2)
    assert lists(kept) == [row[:2] for row in rows]
    assert kept.places().numpy().tolist() == [place for row in rows for place in range(len(row[:2]))]
    assert lists(put_together(kept, found)) == [row[:2] + row for row in rows]


@settings(deadline=None, max_examples=100)
@given(
    st.sets(st.tuples(st.integers(0, KEYS - 1), st.integers(0, ITEMS - 1))),
    st.lists(st.lists(st.integers(-1, KEYS - 1), max_size=4), max_size=4),
)
def test_postings_add_up_and_say_which_key_speaks(pairs: set[tuple[int, int]], rows: list[list[int]]) -> None:
    postings: Postings = plain_postings(sorted(pairs), KEYS, items=ITEMS, name="test")
    lines = lines_of(rows)
    expected = [[sum((key, item) in pairs for key in row) for item in range(ITEMS)] for row in rows]
    np.testing.assert_array_equal(postings.scores(lines), np.array(expected).reshape(len(rows), ITEMS))
    asked = np.tile([*range(ITEMS), -1], (len(rows), 1))
    speaks = postings.speak_for(lines, tf.constant(asked, tf.int64)).numpy()
    for line, key in enumerate(key for row in rows for key in row):
        assert speaks[line].tolist() == [(key, item) in pairs for item in range(ITEMS)] + [False]
