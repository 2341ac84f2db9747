"""Weights of search learned in a shop: from its titles and from what was chosen; they land in the SavedModel."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from served_shop import ServedShop

from pipeline.config import Config, parse_config
from trainer.catalogue import Catalogue
from trainer.enlargement import _search_weights
from trainer.exported_model import ExportedModel
from trainer.lexical.fusion import FusionWeights
from trainer.saved_weights import SavedWeights
from trainer.search import LearnedSearch
from trainer.search_weights import learned_weights

ITEMS, DIMENSION = 40, 12
COLOURS, THINGS = ("red", "blue", "green", "black"), [f"thing{'abcdefghij'[number]}" for number in range(10)]
TITLES = [f"{colour} {thing} from our house" for colour in COLOURS for thing in THINGS]


class PlantedVectors:
    """Vectors by chance; where the towers know, a search's is that of its item."""

    def __init__(self, knows: bool) -> None:
        self._knows = knows
        self.item_vectors = _unit(np.random.default_rng(1).normal(size=(ITEMS, DIMENSION)))

    def queries(self, texts: list[str]) -> np.ndarray:
        generator = np.random.default_rng(2)
        rows = [next((row for row, title in enumerate(TITLES) if text in title), 0) for text in texts]
        found = self.item_vectors[rows] if self._knows else np.zeros((len(texts), DIMENSION), np.float32)
        return _unit(found + generator.normal(scale=0.1, size=found.shape))

    def items(self, rows: np.ndarray, texts: list[str]) -> np.ndarray:
        return self.item_vectors[rows]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def shop(folder: Path, *, described: bool, queries: list[tuple[str, int]] = ()) -> tuple[Config, Catalogue]:
    """Writes the tables; descriptions repeat half of the title, or else of the next item's."""
    ids = [f"i{row:03}" for row in range(ITEMS)]
    said = [" ".join(TITLES[(row + (not described)) % ITEMS].split()[:2]) for row in range(ITEMS)]
    pq.write_table(pa.table({"item_id": ids, "title": TITLES, "description": said}), folder / "items.parquet")
    (folder / "events").mkdir()
    events = {
        "item_id": [ids[row] for _, row in queries],
        "query": pa.array([query for query, _ in queries], pa.string()),
        "timestamp": pa.array([1_600_000_000] * len(queries), pa.int64()),
        "event_type": pa.array(["click"] * len(queries), pa.string()),
    }
    pq.write_table(pa.table(events), folder / "events" / "bucket-00000.parquet")
    config = parse_config(
        {
            "name": "planted",
            "tables": {"events": {"path": "none"}, "items": {"path": "none"}},
            "split": {"test_start": "2020-09-20", "validation_days": 1, "truth_events": ["click"]},
            "features": {"item": {"text": ["title", "description"]}},
            "search": {"fusion": "learned", "texts": [["title", "description"]]},
        }
    )
    return config, Catalogue(np.array(ids, object), np.array(TITLES, object), None, {})


@pytest.mark.parametrize("words_tell", [True, False])
def test_made_searches_teach_what_tells_items_apart(words_tell: bool, tmp_path: Path) -> None:
    config, catalogue = shop(tmp_path, described=words_tell)
    found = learned_weights(config, str(tmp_path), catalogue, PlantedVectors(knows=not words_tell))
    assert sum(found.texts) + found.meaning == pytest.approx(1.0)
    assert (found.texts[0] > 0.4) if words_tell else (found.texts[0] < 0.29)


def test_what_was_chosen_teaches_too(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = generator.integers(ITEMS, size=300).tolist()
    typed = [(" ".join(TITLES[row].split()[:2]), row) for row in rows]
    (tmp_path / "clicks").mkdir()
    weights = {}
    for name, queries in (("clicks", typed), (".", [])):
        config, catalogue = shop(tmp_path / name, described=False, queries=queries)
        weights[name] = learned_weights(config, str(tmp_path / name), catalogue, PlantedVectors(knows=False))
    assert weights["clicks"].texts[0] > weights["."].texts[0] + 0.1


def test_a_shop_without_other_texts_keeps_what_is_configured(tmp_path: Path) -> None:
    config, catalogue = shop(tmp_path, described=False)
    table = pq.read_table(tmp_path / "items.parquet").drop(["description"])
    pq.write_table(table, tmp_path / "items.parquet")
    found = learned_weights(config, str(tmp_path), catalogue, PlantedVectors(knows=True))
    assert found == FusionWeights.fixed(config.search, 1)


def test_the_saved_model_searches_by_its_weights(served_shop: ServedShop, tmp_path: Path) -> None:
    words_alone = FusionWeights((1.0,), 0.0, 0.0)
    served_shop.export(tmp_path / "1", search=LearnedSearch(words_alone))
    found = ExportedModel(str(tmp_path / "1")).ask("search", {"query": ["knife 2"], "timestamp": [9], "k": [48]})
    matched = found["matched_words"][0] != b""
    assert 0 < matched.sum() < 48
    assert (found["scores"][0][matched] > 0).all()
    np.testing.assert_allclose(found["scores"][0][~matched], 0.0, atol=1e-6)
    saved, tables = SavedWeights(tmp_path / "1"), str(served_shop.tables)
    assert _search_weights(saved, served_shop.config, tables, served_shop.catalogue) == words_alone
    with pytest.raises(ValueError, match="expected weights of the 1 texts"):
        served_shop.export(tmp_path / "2", search=LearnedSearch(FusionWeights((0.5, 0.5), 0.0, 0.0)))
