"""How a model is pushed, and which of the pushed ones a new one is compared with."""

from pathlib import Path

import pytest

from pipeline import pushed_models


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "aisle"


def _folder(path: Path, content: str) -> Path:
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_text("graph")
    (path / "variables" / "data").write_text(content)
    return path


def _artifact(path: Path, served: str, judged: str) -> Path:
    """What one training leaves."""
    _folder(path / "Format-Serving", served)
    _folder(path / "Format-TFMA", judged)
    return path


def test_before_the_first_push_there_is_none(base: Path, tmp_path: Path) -> None:
    model = _artifact(tmp_path / "model" / "1", "new", "new")
    assert pushed_models.last_blessed(base, model) == []
    (base / ".incoming").mkdir(parents=True)
    assert pushed_models.last_blessed(base, model) == []


def test_it_is_the_newest_by_number_that_is_not_the_judged_one(base: Path, tmp_path: Path) -> None:
    model = _artifact(tmp_path / "model" / "1", "new", "new")
    for version, content in (("9", "old"), ("10", "older"), ("11", "new")):
        _folder(base / version, content)
    assert pushed_models.last_blessed(base, model) == [base / "10"]


def test_its_twin_comes_with_it(base: Path, tmp_path: Path) -> None:
    _artifact(tmp_path / "model" / "1", "old", "old until the validation")
    _artifact(tmp_path / "model" / "2", "same", "same")
    model = _artifact(tmp_path / "model" / "3", "new", "new until the validation")
    _folder(base / "9", "old")
    assert pushed_models.last_blessed(base, model) == [base / "9", tmp_path / "model" / "1" / "Format-TFMA"]
    _folder(base / "10", "same")
    assert pushed_models.last_blessed(base, model) == [base / "10"]


def test_files_are_compared_by_name_and_content(tmp_path: Path) -> None:
    one = _folder(tmp_path / "one", "x")
    assert pushed_models.same_files(one, _folder(tmp_path / "same", "x"))
    assert not pushed_models.same_files(one, _folder(tmp_path / "other", "y"))
    more = _folder(tmp_path / "more", "x")
    (more / "assets").mkdir()
    assert not pushed_models.same_files(one, more)
    assert not pushed_models.same_files(tmp_path / "missing", one)


def test_versions_grow_even_when_the_clock_does_not(base: Path, tmp_path: Path) -> None:
    models = [tmp_path / name for name in "abc"]
    for number, folder in enumerate(models):
        folder.mkdir()
        (folder / "saved_model.pb").write_text(str(number))
    assert pushed_models.push(models[0], base, now=1000) == 1000
    assert pushed_models.push(models[1], base, now=1000) == 1001
    assert pushed_models.push(models[2], base, now=5) == 1002
    assert pushed_models.newest_version(base) == 1002
    assert (base / "1001" / "saved_model.pb").read_text() == "1"


def test_a_push_that_was_not_recorded_is_not_repeated(base: Path, tmp_path: Path) -> None:
    served = _folder(tmp_path / "served", "x")
    assert pushed_models.push(served, base, now=1000) == 1000
    assert pushed_models.push(served, base, now=2000) == 1000
    (served / "variables" / "data").write_text("y")  # as long as before
    assert pushed_models.push(served, base, now=2000) == 2000


def test_an_interrupted_copy_is_never_a_version(base: Path, tmp_path: Path) -> None:
    left = base / ".incoming" / "variables"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    assert pushed_models.newest_version(base) is None
    version = pushed_models.push(_folder(tmp_path / "served", "x"), base, now=7)
    assert [path.name for path in base.iterdir()] == [str(version)]
    assert not (base / str(version) / "variables" / "half").exists()
