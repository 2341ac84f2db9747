"""Cases of the exported shop, with what its model answers among their truths."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from served_shop import ServedShop
from shop_tables import DAY, case, write_cases, write_events

from pipeline.config import Config
from trainer.evaluation import evaluate
from trainer.exported_model import ExportedModel

START = 1_600_560_000  # 2020-09-20, split.test_start of the shop
POPULAR = ["i00040", "i00041", "i00042"]


@dataclass(frozen=True)
class Judged:
    """Tables and cases beside the exported shop; `best` are the model's own answers."""

    folder: Path
    shop: ServedShop
    best: dict[str, list[str]]

    def evaluate(self, name: str, config: Config | None = None, **options: Any) -> dict[str, Any]:
        """Evaluates the cases in the folder `name`."""
        return evaluate(
            model_dir=str(self.shop.folder),
            tables_dir=str(self.folder / "tables"),
            cases_dir=str(self.folder / name),
            config_json=(config or self.shop.config).model_dump_json(),
            report_dir=str(self.folder / f"{name}-report"),
            **options,
        )


def user_case(name: str, **values: Any) -> dict[str, Any]:
    """A case of a user with one purchase before."""
    history = {"history_item_ids": ["i00001"], "history_event_types": ["purchase"], "history_ages_days": [3.0]}
    return case(user_id=name, timestamp=START, country="GB", **{**history, **values})


def judge_shop(folder: Path, served_shop: ServedShop, exported: ExportedModel) -> Judged:
    """Writes tables and cases for the shop."""
    events = [("u1", item, START - 40 * DAY, "purchase") for item in POPULAR for _ in range(5)]
    events += [("u2", "i00007", START - 90 * DAY, "purchase")] * 2 + [("u3", "i00009", START + DAY, "purchase")] * 99
    write_events(folder / "tables", events)
    pq.write_table(pa.table({"item_id": list(served_shop.catalogue.ids)}), folder / "tables" / "items.parquet")
    best = {}
    for user in ("u1", "u2", "u3"):
        asked = {"user_id": [user], "timestamp": [START], "history_item_ids": [["i00001"]], "country": ["GB"]}
        answers = exported.ask(
            "recommend", {**asked, "history_event_types": [["purchase"]], "history_ages_days": [[3.0]]}
        )
        best[user] = [each.decode() for each in answers["item_ids"][0]]
    seen = {"warm": True, "seen_item_ids": ["i00005", best["u2"][0]], "seen_counts": [4, 1]}
    search = case(task="search", user_id="u1", timestamp=START + 7, query="red lamp", truth=["i00020", "i00004"])
    good = [
        user_case("u1", truth=best["u1"][:3], **seen),
        user_case("u2", truth=[*best["u2"][:3], POPULAR[0]], **seen),
        user_case("u3", truth=["i00005", best["u2"][0]], **seen),  # nothing new
        user_case("u3", truth=best["u3"][:1]),  # cold
        search,
    ]
    write_cases(folder / "good", test=good, validation=[user_case("u1", truth=["i00030"], **seen)])
    write_cases(folder / "bad", validation=[user_case(user, truth=POPULAR, **seen) for user in best])
    write_cases(folder / "none", validation=[])
    return Judged(folder, served_shop, best)
