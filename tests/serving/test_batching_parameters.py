"""The stock server's batching parameters file."""

from pathlib import Path

import pytest

from serving.batching_parameters import Batching, BatchingError, read_batching


def test_the_file_says_everything(tmp_path: Path) -> None:
    file = tmp_path / "batching.txt"
    file.write_text(
        "max_batch_size { value: 128 }\nbatch_timeout_micros { value: 500 }\nmax_enqueued_batches { value: 100 }\n"
        'num_batch_threads { value: 4 }\nthread_pool_name { value: "mine" }\n'
        "allowed_batch_sizes: [8, 128]\npad_variable_length_inputs: true\n"
        "enable_large_batch_splitting { value: false }\n"
    )
    found = read_batching(file)
    assert found == Batching(128, 0.0005, 100, 4, (8, 128), pads=True, splits=False)
    assert [found.filled(rows) for rows in (1, 8, 9, 128, 200)] == [8, 8, 128, 128, 200]


def test_an_empty_file_means_the_usual(tmp_path: Path) -> None:
    file = tmp_path / "batching.txt"
    file.write_text("")
    assert read_batching(file) == Batching()
    assert Batching().filled(3) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be at least 1, got 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be at least 0, got -1"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [2, 4]", "must be max_batch_size, 8, got 4"),
        ("max_batch_size { value: 4 } allowed_batch_sizes: [4, 4]", "must be positive and grow"),
        ("max_batch { value: 8 }", "is no BatchingParameters message"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "batching.txt"
    file.write_text(text)
    with pytest.raises(BatchingError, match=message):
        read_batching(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BatchingError, match=r"none\.txt: cannot be read"):
        read_batching(tmp_path / "none.txt")
