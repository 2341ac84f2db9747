"""The ablations: what is chosen, how models of a real run are judged, and what a failing run says."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import ablations
from benchmarks.ablations import ABLATIONS, DEFAULT, LORA, SHORT, choose
from benchmarks.runs import RunFolder, finished
from pipeline.config import load_config

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "examples" / f"{name}.yaml" for name in ("simulated", "online_retail")]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def main(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["ablations", *map(str, arguments)])
        ablations.main()

    return main


def test_lora_takes_part_only_when_asked() -> None:
    all_but_lora = [each.name for each in ABLATIONS if each.name not in (SHORT, LORA)]
    assert [each.name for each in choose([], lora=False)] == all_but_lora
    assert [each.name for each in choose([], lora=True)] == [each.name for each in ABLATIONS]


def test_what_is_compared_with_takes_part_too() -> None:
    assert [each.name for each in choose(["logq", "text"], lora=False)] == [DEFAULT, "text", "logq"]
    assert [each.name for each in choose([LORA], lora=False)] == [SHORT, LORA]
    with pytest.raises(SystemExit, match=r"there is no ablation 'log'; there are default, text, "):
        choose(["log"], lora=False)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=[each.name for each in ABLATIONS])
@pytest.mark.parametrize("example", EXAMPLES, ids=[example.stem for example in EXAMPLES])
def test_every_ablation_changes_the_shop(example: Path, ablation: ablations.Ablation) -> None:
    assert (load_config(example, ablation.settings) == load_config(example)) == (ablation.name == DEFAULT)


def test_models_of_a_run_are_asked_through_their_signatures(
    pushed_run: Path, shop_yaml: Path, tmp_path: Path, call: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    trained = finished(pushed_run)
    # The same model under two names: no difference, with no interval around it.
    record = {f"{name} {trained.seed}": asdict(trained) for name in (DEFAULT, "logq")}
    (tmp_path / "ablations.json").write_text(json.dumps(record))
    given = ("--seeds", trained.seed, "--runs", tmp_path, "--skip-training", "--output", tmp_path / "table.md")
    call(shop_yaml, "--only", "logq", *given)
    text = (tmp_path / "table.md").read_text()
    assert capsys.readouterr().out == text
    assert text.startswith("Shop `tiny`, test window, 28 days from 2024-11-20; all ")
    report = json.loads((pushed_run / "reports" / "evaluation.json").read_text())
    base, row = [line for line in text.splitlines() if line.startswith("| ")][2:]
    for table in {"warm", "new", "cold"} & set(report["tables"]):
        for metric in ("recall@20", "ndcg@20"):
            judged = report["tables"][table]["results"]["model"][metric]["value"]
            shown = f"{judged:.4f}".removeprefix("0")
            assert f"| {shown} |" in base
            assert f"| {shown}<br>+.0000 (+.0000 to +.0000) |" in row
    assert "without logQ<br>`training.logq=false`" in row


def test_a_model_that_is_not_there_is_named(shop_yaml: Path, tmp_path: Path, call: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="no model 'default 7'"):
        call(shop_yaml, "--runs", tmp_path, "--skip-training")


def test_a_run_that_fails_ends_the_benchmark(shop_yaml: Path, tmp_path: Path) -> None:
    runs = RunFolder(shop_yaml, tmp_path, "ablations.json")
    with pytest.raises(SystemExit, match=r"training\.logk=false: exit status [12]"):
        runs.train({"logk 7": ("training.logk=false",)}, skip=False)
    assert not (tmp_path / "ablations.json").exists()
