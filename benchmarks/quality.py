"""Recommendations on Online Retail beside every rival, asked and ranked in one process over the whole catalogue.

    python -m benchmarks.quality [--seeds 7,8,9] [--cut 2011-10-14] [--output FILE.md]
                                 [--model DIR] [--skip-training]

Trains a model for each seed as `aisle run` does, in one run folder, so that what does not depend on the seed is made
once; a model that the gate refuses is judged all the same. Then asks each exported SavedModel and fits each
rival, and prints Markdown tables. --model judges the last run in a folder instead; --skip-training takes the
models that this benchmark trained before.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.judged_window import JudgedWindow, Ranked
from benchmarks.quality_tables import Judged, markdown
from benchmarks.runs import ROOT, RunFolder, Trained, finished

RUNS = RunFolder(ROOT / "examples" / "online_retail.yaml", ROOT / "runs" / "quality", "quality.json")


def train_all(runs: RunFolder, seeds: list[int], cut: str, *, skip: bool) -> list[Trained]:
    """Trains a model for each seed, or takes those of an earlier benchmark.

    Args:
      runs: where.
      seeds: of the runs.
      cut: first day of the judged weeks.
      skip: whether to train nothing.
    """
    wanted = {f"{cut} {seed}": (f"seed={seed}", f"split.test_start={cut}") for seed in seeds}
    return list(runs.train(wanted, skip=skip).values())


def judge(models: list[Trained]) -> Judged:
    """Asks the models and the rivals about the same cases.

    Args:
      models: of one cut, each with its seed.

    Returns:
      Every metric of every case.
    """
    from trainer.baselines import RANKERS, create_rankers
    from trainer.baselines.bm25 import Bm25
    from trainer.event_log import EventLog

    window = JudgedWindow.of(models[0])
    if window.name != "test":
        raise SystemExit("no event lies in the judged weeks: choose an earlier --cut")
    log = EventLog(models[0].tables, window.item_ids, end=window.start, event_types=models[0].truth_events)
    judged = Judged(start=window.start, items=len(window.item_ids), counts=log.item_counts())
    # Nobody types anything in this shop.
    for ranker in create_rankers([name for name in RANKERS if name != Bm25.name]):
        started = time.monotonic()
        ranker.fit(log)
        judged.minutes[ranker.name] = (time.monotonic() - started) / 60
        _measure(judged, ranker.name, window, window.rank(ranker.rank))
    for model in models:
        name = judged.add_seed(model.seed)
        judged.minutes[name] = model.minutes
        _measure(judged, name, window, window.rank_model(model))
    return judged


def _measure(judged: Judged, name: str, window: JudgedWindow, ranked: Ranked) -> None:
    for key, values in window.measure(ranked).items():
        judged.values.setdefault(key, {})[name] = values
    judged.lists[name] = ranked["all"]
    print(f"{name}: ranked", file=sys.stderr, flush=True)


def main() -> None:
    """Trains, judges and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="7,8,9", help="seeds, separated by commas")
    parser.add_argument("--cut", default="2011-10-14", help="first day of the judged four weeks")
    parser.add_argument("--output", type=Path, help="also write the tables to this Markdown file")
    parser.add_argument("--model", type=Path, help="judge the last run in this folder, train nothing")
    parser.add_argument("--skip-training", action="store_true", help="judge the models of an earlier benchmark")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    if arguments.model is not None:
        models = [finished(arguments.model)]
    else:
        models = train_all(RUNS, seeds, arguments.cut, skip=arguments.skip_training)
    text = markdown(judge(models))
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
