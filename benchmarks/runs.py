"""The pipeline runs of a benchmark: one folder, so that what settings do not change is made once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.pushed_models import JUDGED

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Trained:
    """One run's model and what it is judged by.

    Args:
      seed: of the run.
      model: folder of the SavedModel that has not seen the judged window.
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


def run(config: Path, settings: Sequence[str], folder: Path) -> Trained:
    """Runs the pipeline as `aisle run` does.

    Args:
      config: the shop's YAML.
      settings: KEY=VALUE, as --set takes them.
      folder: the run folder.

    Returns:
      The model, whether the gate has blessed it or not.
    """
    sets = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "pipeline.cli", "run", str(config), *sets, "--output", str(folder), "--json"]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    account = json.loads(done.stdout) if done.stdout else {"failed": f"exit status {done.returncode}"}
    if "failed" in account:
        raise SystemExit(f"{' '.join(settings)}: {account['failed']}")
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
        model=str(Path(account["model"]) / JUDGED),
        tables=account["tables"],
        cases=account["cases"],
        truth_events=account["config"]["split"]["truth_events"],
        minutes=seconds / 60,
    )


@dataclass(frozen=True)
class RunFolder:
    """The run folder of a benchmark, which remembers its models.

    Args:
      config: the shop's YAML.
      path: the folder.
      record: name of the file in it that says which model came of which settings.
    """

    config: Path
    path: Path
    record: str

    def train(self, wanted: Mapping[str, Sequence[str]], *, skip: bool) -> dict[str, Trained]:
        """Trains models, or takes those of an earlier benchmark.

        Args:
          wanted: for each name of a model its settings, KEY=VALUE.
          skip: whether to train nothing.

        Returns:
          The models by name.
        """
        file = self.path / self.record
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        known = {name: Trained(**record[name]) for name in wanted if name in record}
        if skip:
            missing = [name for name in wanted if name not in known]
            if missing:
                raise SystemExit(f"--skip-training: no model '{missing[0]}' in {self.path}")
            return known
        models = {}
        for name, settings in wanted.items():
            trained = run(self.config, settings, self.path)
            if name in known and known[name].model == trained.model:
                trained = known[name]  # from the cache: the time is that of its training
            models[name] = trained
            record[name] = asdict(trained)
            file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return models
