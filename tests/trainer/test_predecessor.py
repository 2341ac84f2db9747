"""The last blessed model: asked the same, if that is fair and if it can be; and what it must be read with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from judged_shop import Judged

from trainer.cases import read_cases
from trainer.contract import CONTRACT_FILE
from trainer.exported_model import ExportedModel

ITEMS = 48


def _pushed(judged: Judged, folder: Path, **data: int) -> str:
    """The shop's model as version 17, with other entries in its contract's `data`."""
    shutil.copytree(judged.shop.folder, folder / "17")
    file = folder / "17" / CONTRACT_FILE
    described = json.loads(file.read_text())
    described["data"] |= data
    file.write_text(json.dumps(described))
    return str(folder / "17")


def test_the_last_blessed_model_is_a_rival_that_is_asked_the_same(judged: Judged, tmp_path: Path) -> None:
    report = judged.evaluate("good", last_blessed_dirs=[_pushed(judged, tmp_path)])
    assert report["gate"]["predecessor"] == {"version": "17", "compared": True, "reason": ""}
    for table in report["tables"].values():
        assert table["results"]["last_blessed"] == table["results"]["model"]
        assert table["differences"]["last_blessed"]["ndcg@20"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert [check["rival"] for check in report["gate"]["results"]] == ["popular", "last_blessed"]
    assert report["blessed"] is True


def test_a_last_blessed_model_that_knows_the_window_gives_way_to_its_twin(judged: Judged, tmp_path: Path) -> None:
    pushed = _pushed(judged, tmp_path)  # it has learned from everything before the test window
    alone = judged.evaluate("bad", last_blessed_dirs=[pushed])["gate"]["predecessor"]
    assert alone["compared"] is False
    assert (
        "may have learned from events until 2020-09-19, but the judged window starts on 2020-08-23" in alone["reason"]
    )
    assert "no twin" in alone["reason"]
    report = judged.evaluate("bad", last_blessed_dirs=[pushed, str(judged.shop.folder)])
    assert report["gate"]["predecessor"] == {"version": "17", "compared": True, "reason": ""}


def test_a_last_blessed_model_that_cannot_be_asked_is_told_and_left_out(judged: Judged, tmp_path: Path) -> None:
    report = judged.evaluate("good", last_blessed_dirs=[str(tmp_path / "18")])
    assert report["blessed"] is True
    assert report["gate"]["predecessor"]["compared"] is False
    assert "cannot be asked" in report["gate"]["predecessor"]["reason"]
    file = Path(_pushed(judged, tmp_path), CONTRACT_FILE)
    described = json.loads(file.read_text())
    described["signatures"]["recommend"]["inputs"]["age"] = {"dtype": "int64", "shape": [-1], "required": True}
    file.write_text(json.dumps(described))
    report = judged.evaluate("good", last_blessed_dirs=[str(file.parents[1])])
    assert "needs input 'age'" in report["gate"]["predecessor"]["reason"]
    assert "last_blessed" not in report["rankers"]


def test_a_gate_without_last_blessed_asks_no_other_model(judged: Judged, tmp_path: Path) -> None:
    gate = judged.shop.config.gate.model_copy(update={"last_blessed": False})
    config = judged.shop.config.model_copy(update={"gate": gate})
    report = judged.evaluate("good", config, last_blessed_dirs=[str(tmp_path)])
    assert report["gate"]["predecessor"] is None


def test_items_that_the_catalogue_has_lost_are_refused_unless_allowed(judged: Judged, exported: ExportedModel) -> None:
    ids = list(judged.shop.catalogue.ids)
    cases = read_cases(str(judged.folder / "good"), ids)[1].of_task("recommend")
    nothing = [np.zeros(0, np.int64)] * len(cases)
    left = ids[:-1]
    with pytest.raises(ValueError, match="which is not in the items table"):
        exported.rank(cases, ITEMS, nothing, left)
    whole, partly = exported.rank(cases, ITEMS, nothing, ids), exported.rank(cases, ITEMS, nothing, left, unknown=True)
    np.testing.assert_array_equal(partly, np.where(whole == len(left), -1, whole))


def test_item_vectors_are_those_of_embed_items(judged: Judged, exported: ExportedModel) -> None:
    vectors = exported.item_vectors(["i00007", "i00003"])
    assert vectors is not None
    np.testing.assert_allclose(vectors, judged.shop.item_vectors[[7, 3]], atol=1e-6)
    assert exported.item_vectors(["i00007", "gone"]) is None
