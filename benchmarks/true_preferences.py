"""The simulated shop beside the simulator's own preferences: what the best possible ranking would reach.

    python -m benchmarks.true_preferences [--seeds 7,8,9] [--model DIR] [--skip-training]

The simulator knows each customer's tastes and the effects of the moment; it ranks the catalogue for the same cases that
the exported model is asked. It does not know the customer's own purchases, so a model may come close to it. Prints
ndcg@20 of both and their ratio, with a 95% bootstrap interval over customers. --model judges the last run in a folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.judged_window import METRICS, JudgedWindow
from benchmarks.runs import ROOT, RunFolder, Trained, finished

DATA = ROOT / "runs" / "simulated-data"
RUNS = RunFolder(ROOT / "examples" / "simulated.yaml", ROOT / "runs" / "true-preferences", "models.json")
SAMPLES = 1000


def true_ranker(data: Path, item_ids: list[str]) -> Any:
    """Makes a ranker, `rank(cases, k, excluded)`, of what the simulator wrote beside the tables."""
    from pipeline.simulator import Context, read_truth, true_preferences

    truth = read_truth(data)
    places = {item_id: place for place, item_id in enumerate(truth.item_ids)}
    order = np.array([places[item_id] for item_id in item_ids])

    def rank(cases: Any, k: int, excluded: Any) -> npt.NDArray[np.int64]:
        ranked = []
        names = ("user_id", "timestamp", "country", "holiday", "weather")
        for row, gone in zip(cases.table.select(names).to_pylist(), excluded, strict=True):
            moment = Context(row["timestamp"], row["country"], row["holiday"], row["weather"])
            liked = np.array(true_preferences(truth, row["user_id"], moment), np.float64)[order]
            liked[gone] = -np.inf
            ranked.append(np.argsort(-liked, kind="stable")[:k])
        return np.stack(ranked)

    return rank


def judge(trained: Trained, data: Path) -> list[str]:
    """Compares one model with the truth; returns lines of a Markdown table, one a table of cases."""
    window = JudgedWindow.of(trained)
    ours = window.measure(window.rank_model(trained))
    best = window.measure(window.rank(true_ranker(data, window.item_ids)))
    lines = []
    for table, question in window.questions.items():
        key = (table, METRICS[1])
        low, high = _ratio_interval(ours[key], best[key], trained.seed)
        ratio = ours[key].mean() / best[key].mean()
        lines.append(
            f"| {trained.seed} | {table} | {len(question.cases)} | {ours[key].mean():.3f} | {best[key].mean():.3f} | "
            f"{ratio:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return lines


def _ratio_interval(ours: npt.NDArray[np.float64], best: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    drawn = np.random.default_rng(seed).integers(len(ours), size=(SAMPLES, len(ours)))
    ratios = ours[drawn].mean(axis=1) / best[drawn].mean(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Trains, judges and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="7,8,9", help="seeds, separated by commas")
    parser.add_argument("--model", type=Path, help="judge the last run in this folder, train nothing")
    parser.add_argument("--skip-training", action="store_true", help="judge the models of an earlier benchmark")
    arguments = parser.parse_args()
    if not (DATA / "truth.json").is_file():
        raise SystemExit(f"{DATA} has no truth.json: `aisle simulate --output {DATA}` first, as `make demo` does")
    if arguments.model is not None:
        models = [finished(arguments.model)]
    else:
        wanted = {seed: (f"seed={seed}",) for seed in arguments.seeds.split(",")}
        models = list(RUNS.train(wanted, skip=arguments.skip_training).values())
    print("| seed | table | customers | aisle | the simulator | ratio |\n|---|---|---:|---:|---:|---|")
    for trained in models:
        print("\n".join(judge(trained, DATA)), flush=True)


if __name__ == "__main__":
    main()
