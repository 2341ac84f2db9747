import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from table_files import HEADER, lines, write

from pipeline.commands.validate import command


def _validate(
    folder: Path, *options: str, text: str = HEADER + lines(8) + "u,i,never,view,1\nu,,2024-01-01,view,[x]\n"
) -> Result:
    write(folder / "e.csv", text)
    tree = {
        "name": "tiny",
        "tables": {"events": {"path": "e.csv"}, "items": {"from_events": True}},
        "split": {"test_start": "2025-01-01"},
    }
    write(folder / "shop.yaml", yaml.safe_dump(tree))
    return CliRunner().invoke(command, [str(folder / "shop.yaml"), *options], env={"COLUMNS": "100"})


def test_it_prints_every_reason_with_examples(tmp_path: Path) -> None:
    result = _validate(tmp_path)
    assert result.exit_code == 0, result.output
    cells = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in result.output.splitlines() if "│" in line
    ]
    assert ["read", "10", ""] in cells
    assert ["dropped, timestamp: unparsable", "1", "row 9: 'never'"] in cells
    assert ["dropped, price: unparsable", "1", "row 10: '[x]'"] in cells
    assert ["kept", "8", ""] in cells


def test_json_is_one_document(tmp_path: Path) -> None:
    result = _validate(tmp_path, "--json")
    events = json.loads(result.stdout)["tables"]["events"]
    assert (events["read"], events["kept"]) == (10, 8)
    assert events["dropped"]["timestamp: unparsable"]["examples"][0]["row"] == 9


def test_overrides_apply_and_nothing_left_is_a_failure(tmp_path: Path) -> None:
    rules = "[{rule: outlier, column: price, min: 100}]"
    result = _validate(tmp_path, "--set", f"tables.events.cleaning={rules}")
    assert result.exit_code == 1
    assert "nothing is left of events" in result.stderr
    assert "outlier: price: 8 rows" in result.stderr


@pytest.mark.parametrize("text", ["", HEADER.replace(",", ";")])
def test_a_useless_file_is_a_failure_that_names_it(tmp_path: Path, text: str) -> None:
    result = _validate(tmp_path, text=text)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path / 'e.csv'}: ")


def test_a_mistake_in_the_configuration_is_wrong_usage(tmp_path: Path) -> None:
    result = _validate(tmp_path, "--set", "tables.events.fromat=csv")
    assert result.exit_code == 2
    assert "tables.events.fromat: unknown key" in result.stderr


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _validate(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.csv", "shop.yaml"]
