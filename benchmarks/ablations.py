"""What each part of the model is worth: the shop's configuration beside the same one without a part.

    python -m benchmarks.ablations [CONFIG] [--only NAME,...] [--lora] [--seeds 7,8] [--set KEY=VALUE]
                                   [--runs DIR] [--skip-training] [--output FILE.md] [--docs]

Trains each variation as `aisle run` does, in one run folder, so that what a variation does not touch is made once.
Then asks all exported SavedModels the same cases, those that `aisle evaluate` judges by, and prints a Markdown table
with paired differences. It is a report: nothing is chosen by it. An encoder that learns is slow on few processors, so
LoRA takes part only when asked, after a short training, beside a frozen encoder after an equally short one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.ablation_tables import Row, markdown, write_section
from benchmarks.judged_window import JudgedWindow
from benchmarks.runs import ROOT, RunFolder, Trained
from pipeline.config import Config, load_config

DOCUMENT = ROOT / "docs" / "quality.md"
DEFAULT, SHORT, LORA = "default", "short", "lora"
_SHORT = ("ranking.enabled=false", "training.refit=false", "training.epochs=2", "training.max_examples=4096")
_LORA = ("encoder.mode=lora", "training.encoder_learning_rate=0.0005")


@dataclass(frozen=True)
class Ablation:
    """A variation of a shop's configuration.

    Args:
      name: on the command line.
      title: in the table.
      settings: KEY=VALUE.
      base: the name of the variation that it is compared with; its own where it is such a one.
    """

    name: str
    title: str
    settings: tuple[str, ...]
    base: str = DEFAULT


ABLATIONS = (
    Ablation(DEFAULT, "the configuration", ()),
    Ablation("text", "without text", ("features.item.text=[]",)),
    Ablation("random", "random BERT", ("encoder.weights=random",)),
    Ablation("context", "without context", ("features.context=[]", "features.time=false")),
    Ablation("times", "without history times", ("features.history.times=false",)),
    Ablation("logq", "without logQ", ("training.logq=false",)),
    Ablation("trees", "without trees", ("ranking.trees.count=0",)),
    Ablation("ranking", "without ranking stage", ("ranking.enabled=false",)),
    Ablation(SHORT, "frozen, short training", _SHORT, base=SHORT),
    Ablation(LORA, "LoRA, short training", (*_SHORT, *_LORA), base=SHORT),
)


def choose(only: Sequence[str], *, lora: bool) -> list[Ablation]:
    """Chooses ablations, and what they are compared with.

    Args:
      only: names; empty for all, LoRA apart.
      lora: whether LoRA takes part, too.

    Returns:
      In the order of `ABLATIONS`.
    """
    known = {each.name: each for each in ABLATIONS}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise SystemExit(f"there is no ablation '{unknown[0]}'; there are {', '.join(known)}")
    names = set(only or [name for name in known if name not in (SHORT, LORA)]) | ({LORA} if lora else set())
    names |= {known[name].base for name in names}
    return [each for each in ABLATIONS if each.name in names]


def train(
    runs: RunFolder, chosen: Sequence[Ablation], seeds: Sequence[int], settings: Sequence[str], *, skip: bool
) -> dict[str, list[Trained]]:
    """Trains each ablation with each seed.

    Args:
      runs: where.
      chosen: ablations.
      seeds: of the runs.
      settings: KEY=VALUE that all have in common.
      skip: whether to take the models of an earlier time.

    Returns:
      For each ablation its models, one a seed.
    """
    # Each is a variation of the shop, none the successor of another.
    common = (*settings, "gate.last_blessed=false")
    wanted = {f"{each.name} {seed}": (*common, *each.settings, f"seed={seed}") for each in chosen for seed in seeds}
    models = runs.train(wanted, skip=skip)
    return {each.name: [models[f"{each.name} {seed}"] for seed in seeds] for each in chosen}


def judge(window: JudgedWindow, chosen: Sequence[Ablation], models: dict[str, list[Trained]]) -> list[Row]:
    """Asks all models the same cases.

    Args:
      window: the cases.
      chosen: ablations.
      models: of each.
    """
    rows: dict[str, Row] = {}
    for each in chosen:
        measured = [window.measure(window.rank_model(model)) for model in models[each.name]]
        rows[each.name] = Row(
            title=each.title,
            settings=each.settings,
            values={key: np.mean([values[key] for values in measured], axis=0) for key in measured[0]},
            minutes=float(np.mean([model.minutes for model in models[each.name]])),
            base=None if each.base == each.name else rows[each.base],
        )
        print(f"{each.title}: asked", file=sys.stderr, flush=True)
    return list(rows.values())


def head(config: Config, window: JudgedWindow, seeds: Sequence[int], settings: Sequence[str]) -> str:
    """Says what the table is of."""
    from pipeline.windows import day_of
    from trainer.evaluation.evaluator import find_window

    cases = ", ".join(f"{len(asked.cases):,} in {table}" for table, asked in window.questions.items())
    start, days = find_window(config, window.name)
    changed = f" with `{' '.join(settings)}`" if settings else ""
    return (
        f"Shop `{config.name}`{changed}, {window.name} window, {days} days from {day_of(start)}; all "
        f"{len(window.item_ids):,} items ranked; users: {cases}; seed {', '.join(map(str, seeds))}. Below each value "
        "stands its paired difference to the configuration, or, after a short training, to the frozen encoder, with "
        "its 95% bootstrap interval over users; bold where that lies on one side of zero."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", default=ROOT / "examples" / "simulated.yaml", help="the YAML")
    parser.add_argument("--only", default="", help=f"of {', '.join(each.name for each in ABLATIONS)}; commas between")
    parser.add_argument("--lora", action="store_true", help="LoRA, too, and the frozen encoder beside it")
    parser.add_argument("--seeds", default="7", help="seeds, separated by commas")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all of them")
    parser.add_argument("--runs", type=Path, help="the run folder; runs/ablations-CONFIG by default")
    parser.add_argument("--skip-training", action="store_true", help="judge the models of an earlier time")
    parser.add_argument("--output", type=Path, help="also write the table to this Markdown file")
    parser.add_argument(
        "--docs", action="store_true", help="also write it into docs/quality.md, in place of the last one"
    )
    return parser.parse_args()


def main() -> None:
    """Trains, judges and prints the table."""
    arguments = _arguments()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    chosen = choose([name for name in arguments.only.split(",") if name], lora=arguments.lora)
    path = arguments.config.resolve()
    config = load_config(path, arguments.set)
    folder = arguments.runs or ROOT / "runs" / f"ablations-{path.stem}"
    runs = RunFolder(path, folder.resolve(), "ablations.json")
    models = train(runs, chosen, seeds, arguments.set, skip=arguments.skip_training)
    window = JudgedWindow.of(models[chosen[0].name][0])
    text = f"{head(config, window, seeds, arguments.set)}\n\n{markdown(judge(window, chosen, models))}"
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    if arguments.docs:
        write_section(DOCUMENT, f"ablations of {config.name}", text)


if __name__ == "__main__":
    main()
