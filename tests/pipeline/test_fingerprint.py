"""What makes a step run again, and what does not."""

import json
import os
from pathlib import Path

import pytest
from tiny_shop import shop_config, write_shop

from pipeline import fingerprint
from pipeline.config import Config, parse_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write_shop(tmp_path, events=10)
    return shop_config(tmp_path)


def test_a_changed_file_changes_the_sources(config: Config, tmp_path: Path) -> None:
    before = fingerprint.of_sources(config)
    assert fingerprint.of_sources(config) == before
    os.utime(tmp_path / "items.csv", (1, 1))
    touched = fingerprint.of_sources(config)
    assert touched != before
    with (tmp_path / "events.csv").open("a") as file:
        file.write("u1,i1,1704067200,view,,GB\n")
    assert fingerprint.of_sources(config) not in {before, touched}


def test_a_missing_file_is_no_error_yet(config: Config, tmp_path: Path) -> None:
    before = fingerprint.of_sources(config)
    (tmp_path / "items.csv").unlink()
    assert fingerprint.of_sources(config) != before


def test_narrowing_keeps_what_is_named_and_nothing_else(config: Config) -> None:
    changed = config.model_copy(update={"seed": 99, "training": config.training.model_copy(update={"epochs": 3})})
    keys = ("split.test_start", "features.history.length")
    assert fingerprint.narrowed(config, keys) == fingerprint.narrowed(changed, keys)
    read = parse_config(json.loads(fingerprint.narrowed(changed, (*keys, "training.epochs"))))
    assert (read.training.epochs, read.features.history.length) == (3, 4)
    assert read.split.test_start == config.split.test_start
    assert read.features.context == ()
    assert read.seed != 99


def test_narrowing_to_an_unknown_key_is_an_error(config: Config) -> None:
    with pytest.raises(KeyError, match="no key 'histories'"):
        fingerprint.narrowed(config, ("features.histories",))


def test_code_follows_imports_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shopcode"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "step.py").write_text("def do():\n    from shopcode import inner\n    import json\n")
    (package / "inner.py").write_text("VALUE = 1\n")
    (package / "other.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(fingerprint, "_PACKAGES", ("shopcode",))
    before = fingerprint.of_code("shopcode.step")
    (package / "other.py").write_text("VALUE = 2\n")
    assert fingerprint.of_code("shopcode.step") == before
    whole = fingerprint.of_code("shopcode")
    (package / "inner.py").write_text("VALUE = 2\n")
    assert fingerprint.of_code("shopcode.step") != before
    assert fingerprint.of_code("shopcode") != whole


def test_a_component_covers_what_it_calls() -> None:
    assert fingerprint.of_code("pipeline.components.table_gen") != fingerprint.of_code("pipeline.tables")
    assert len(fingerprint.of_code("pipeline.tables")) == 64
