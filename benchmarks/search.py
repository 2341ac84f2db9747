"""Search in the ESCI sample beside its rivals, over the whole catalogue; how long an answer and new products take.

    python -m benchmarks.search [--run DIR] [--seconds 5] [--adapt [mode=lora ...]]

Runs the pipeline of examples/esci.yaml in runs/search, or takes the finished run in DIR; then asks the SavedModel every
judged query through its signature `search`, ranks by the rivals in the same process, and prints Markdown tables.
Differences are paired, query by query; intervals are 95% bootstrap, seed 7. The weights are the defaults of the
configuration; the row of cross-validation chooses them anew without the queries that it is measured on, the one of
learned weights (`search.fusion: learned`) without any judgment.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from benchmarks import search_adaptation, search_growth, search_latency, search_rivals
from benchmarks.runs import ROOT, Trained, finished, run
from benchmarks.search_fusion import CROSS_VALIDATED, Fusions, Measured
from benchmarks.search_judgments import METRICS, NDCG, RECALL, Judgments, misspelt, read_judgments
from trainer.evaluation.searches import query_class, query_length
from trainer.exported_model import ExportedModel
from trainer.metrics import bootstrap_interval

Scores = npt.NDArray[np.float32]

SEED = 7
_NOW = 1_734_307_200  # the first day of the judged window of examples/esci.yaml
_BATCH = 16


def ask_model(model: ExportedModel, queries: list[str], item_ids: list[str]) -> Scores:
    """Asks the SavedModel for the whole catalogue, [queries, items]; minus infinity where it answers nothing."""
    rows = {item: row for row, item in enumerate(item_ids)}
    scores = np.full((len(queries), len(item_ids)), -np.inf, np.float32)
    for start in range(0, len(queries), _BATCH):
        part = queries[start : start + _BATCH]
        answers = model.ask("search", {"query": part, "timestamp": [_NOW], "k": [len(item_ids)]})
        for line, (ids, values) in enumerate(zip(answers["item_ids"], answers["scores"], strict=True), start=start):
            places = [rows[each.decode()] for each in ids if each]
            scores[line, places] = values[: len(places)]
    return scores


def main() -> None:
    """Prints the tables."""
    options = _options()
    folder = options.run or ROOT / "runs" / "search"
    trained = finished(folder) if options.run else run(ROOT / "examples" / "esci.yaml", (), folder)
    item_ids = pq.read_table(Path(trained.tables, "items.parquet"), columns=["item_id"])["item_id"].to_pylist()
    judged, config = read_judgments(item_ids), search_rivals.read_config(folder)
    encoder = search_rivals.ZeroShot(config, folder / "cache")
    if options.adapt is not None:
        for table in search_adaptation.compared(judged, trained, config, folder, options.adapt):
            print_rankers(table)
            print()
        return
    vectors = (
        encoder.queries(judged.queries),
        encoder.items(search_rivals.read_texts(trained.tables, search_rivals.ALL)),
    )
    model = ExportedModel(trained.model)

    def ask(queries: list[str]) -> Scores:
        return ask_model(model, queries, item_ids)

    fusions = Fusions(judged, trained, config, encoder, vectors).measured(SEED)
    ours = judged.measure(ask(judged.queries))
    rivals = search_rivals.all_rivals(_by_words(trained, judged), vectors[0] @ vectors[1].T)
    others = {name: judged.measure(scores) for name, scores in rivals.items()}
    print(f"{len(judged.queries)} queries, {len(item_ids):,} items.\n")
    print_rankers({"the SavedModel": ours, **fusions, **others})
    print("\nThe weights that were chosen without the queries that they are measured on, beside the rivals:\n")
    print_rankers({CROSS_VALIDATED: fusions[CROSS_VALIDATED], **others})
    print_slices(judged, ours)
    print_typos(ask, judged, ours)
    search_latency.print_times(trained.model, judged.queries, options.seconds)
    search_latency.print_scale(search_rivals.read_texts(trained.tables, ("title",)), judged.queries)
    search_growth.print_growth(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a finished run of examples/esci.yaml")
    parser.add_argument(
        "--adapt",
        nargs="*",
        metavar="KEY=VALUE",
        help="only compare the encoder adapted to the catalogue's texts with the one as it came; keys of `adaptation`",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement of time")
    return parser.parse_args()


def _by_words(trained: Trained, judged: Judgments) -> dict[str, Scores]:
    texts = {"short": search_rivals.SHORT, "all": search_rivals.ALL}
    return {
        name: search_rivals.bm25(search_rivals.read_texts(trained.tables, columns), judged.queries)
        for name, columns in texts.items()
    }


def print_rankers(measured: Mapping[str, Measured]) -> None:
    """Prints every ranker, and by how much the first of them is ahead of it."""
    print(f"| ranker | {NDCG} | {RECALL} | ahead of it, {NDCG} | ahead of it, {RECALL} |\n|---|---|---|---|---|")
    first = next(iter(measured))
    for name, values in measured.items():
        ahead = ["", ""] if name == first else [_interval(measured[first][each] - values[each]) for each in METRICS]
        print(f"| {name} | {values[NDCG].mean():.3f} | {values[RECALL].mean():.3f} | {' | '.join(ahead)} |")


def print_slices(judged: Judgments, ours: Measured) -> None:
    """Prints the model by length and class of the queries."""
    print(f"\n| queries | how many | {NDCG} | {RECALL} |\n|---|---|---|---|")
    for title, label in (("words", query_length), ("class", query_class)):
        labels = np.array([label(query) for query in judged.queries])
        for name in sorted(set(labels)):
            keep = labels == name
            print(
                f"| {title}: {name} | {keep.sum()} | {ours[NDCG][keep].mean():.3f} | {ours[RECALL][keep].mean():.3f} |"
            )


def print_typos(ask: Callable[[list[str]], Scores], judged: Judgments, ours: Measured) -> None:
    """Prints what one slip of the keyboard in each query costs."""
    print(f"\n| one slip in each query, seed | {NDCG} | share of the clean | {RECALL} |\n|---|---|---|---|")
    for seed in (1, 2, 3):
        found = judged.measure(ask(misspelt(judged.queries, seed)))
        share = found[NDCG].mean() / ours[NDCG].mean()
        print(f"| {seed} | {found[NDCG].mean():.3f} | {share:.1%} | {found[RECALL].mean():.3f} |")


def _interval(differences: npt.NDArray[np.float64]) -> str:
    low, high = bootstrap_interval(differences[:, np.newaxis], SEED)
    return f"{differences.mean():+.3f} ({low[0]:+.3f} to {high[0]:+.3f})"


if __name__ == "__main__":
    main()
