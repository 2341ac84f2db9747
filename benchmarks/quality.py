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
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from benchmarks.quality_tables import Judged, markdown

if TYPE_CHECKING:
    from trainer.evaluation.questions import Question

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "examples" / "online_retail.yaml"
RUN_FOLDER = ROOT / "runs" / "quality"
RECORD_FILE = "quality.json"  # in the run folder: the models of each cut and seed
K = 20
TABLES = {"all": "warm", "new": "new", "cold": "cold"}  # what they are called in evaluation.json
METRICS = (f"recall@{K}", f"ndcg@{K}")
_EXPORTED = "Format-Serving"  # where TFX's Trainer puts the model to be served


@dataclass(frozen=True)
class Trained:
    """One run's model and what it is judged by.

    Args:
      seed: of the run.
      model: folder of the SavedModel.
      tables: the run's tables.
      cases: the run's cases.
      truth_events: event types that count.
      minutes: how long the Trainer took.
    """

    seed: int
    model: str
    tables: str
    cases: str
    truth_events: list[str]
    minutes: float


def train(seed: int, cut: str, folder: Path) -> Trained:
    """Runs the pipeline with a seed.

    Args:
      seed: of the configuration.
      cut: first day of the judged weeks.
      folder: the run folder.

    Returns:
      The model, whether the gate has blessed it or not.
    """
    settings = ("--set", f"seed={seed}", "--set", f"split.test_start={cut}")
    command = [sys.executable, "-m", "pipeline.cli", "run", str(CONFIG), *settings, "--output", str(folder), "--json"]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    account = json.loads(done.stdout) if done.stdout else {"failed": f"exit status {done.returncode}"}
    if "failed" in account:
        raise SystemExit(f"seed {seed}: {account['failed']}")
    return finished(folder)


def finished(folder: Path) -> Trained:
    """Finds what the last complete run in a folder made."""
    file = folder / "run.json"
    if not file.is_file():
        raise SystemExit(f"{file} is not there: expected the folder of a complete `aisle run`")
    account = json.loads(file.read_text(encoding="utf-8"))
    steps = json.loads((folder / "steps.json").read_text(encoding="utf-8"))["steps"]
    seconds = sum(step["seconds"] for step in steps if step["name"] == "Trainer")
    return Trained(
        seed=account["config"]["seed"],
        model=str(Path(account["model"]) / _EXPORTED),
        tables=account["tables"],
        cases=account["cases"],
        truth_events=account["config"]["split"]["truth_events"],
        minutes=seconds / 60,
    )


def train_all(seeds: list[int], cut: str, *, skip: bool) -> list[Trained]:
    """Trains a model for each seed, or takes those of an earlier benchmark.

    Args:
      seeds: of the runs.
      cut: first day of the judged weeks.
      skip: whether to train nothing.
    """
    file = RUN_FOLDER / RECORD_FILE
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known = {seed: Trained(**record[f"{cut} {seed}"]) for seed in seeds if f"{cut} {seed}" in record}
    if skip:
        missing = [seed for seed in seeds if seed not in known]
        if missing:
            raise SystemExit(f"--skip-training: no model of seed {missing[0]} and cut {cut} in {RUN_FOLDER}")
        return [known[seed] for seed in seeds]
    models = []
    for seed in seeds:
        trained = train(seed, cut, RUN_FOLDER)
        if seed in known and known[seed].model == trained.model:
            trained = known[seed]  # from the cache: the time is that of its training
        models.append(trained)
        record[f"{cut} {seed}"] = asdict(trained)
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return models


def judge(models: list[Trained]) -> Judged:
    """Asks the models and the rivals about the same cases.

    Args:
      models: of one cut, each with its seed.

    Returns:
      Every metric of every case.
    """
    from trainer.baselines import RANKERS, create_rankers
    from trainer.cases import read_cases
    from trainer.evaluation.questions import make_questions
    from trainer.event_log import EventLog
    from trainer.exported_model import ExportedModel

    item_ids = pq.read_table(Path(models[0].tables, "items.parquet"), columns=["item_id"])["item_id"].to_pylist()
    window, cases = read_cases(models[0].cases, item_ids)
    if window != "test":
        raise SystemExit("no event lies in the judged weeks: choose an earlier --cut")
    questions = make_questions(cases, searches=False)
    # Whoever is asked about, is asked about at the window's start.
    start = int(questions[TABLES["all"]].cases.table["timestamp"][0].as_py())
    log = EventLog(models[0].tables, item_ids, end=start, event_types=models[0].truth_events)
    judged = Judged(start=start, items=len(item_ids), counts=log.item_counts())
    for ranker in create_rankers(tuple(RANKERS)):
        started = time.monotonic()
        ranker.fit(log)
        judged.minutes[ranker.name] = (time.monotonic() - started) / 60
        _measure(judged, ranker.name, ranker.rank, questions)
    for model in models:
        name = judged.add_seed(model.seed)
        judged.minutes[name] = model.minutes
        ask = functools.partial(ExportedModel(model.model).rank, item_ids=item_ids)
        _measure(judged, name, ask, questions)
    return judged


def _measure(judged: Judged, name: str, rank: Callable[..., Any], questions: Mapping[str, Question]) -> None:
    from trainer import metrics

    for table, key in TABLES.items():
        question = questions[key]
        ranked = rank(question.cases, K, question.excluded)
        for metric, values in metrics.measure(ranked, question.cases.truth, METRICS).items():
            judged.values.setdefault((table, metric), {})[name] = values
        if table == "all":
            judged.lists[name] = ranked
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
        models = train_all(seeds, arguments.cut, skip=arguments.skip_training)
    text = markdown(judge(models))
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
