"""`aisle simulate` as a person or a program calls it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main

FEW = ("simulate", "--users", "20", "--items", "30", "--events", "400", "--days", "90", "--output")


def test_it_says_what_it_wrote(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*FEW, str(tmp_path / "shop")])
    assert result.exit_code == 0, result.output
    assert f"events           400 rows  {tmp_path / 'shop' / 'events.csv'}" in result.output
    assert (tmp_path / "shop" / "truth.json").is_file()


def test_json_is_one_document(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*FEW, str(tmp_path / "shop"), "--json", "--format", "parquet"])
    told = json.loads(result.output)
    assert {name: table["rows"] for name, table in told["tables"].items()} == {"users": 20, "items": 30, "events": 400}
    assert all(Path(table["path"]).is_file() for table in told["tables"].values())


def test_a_folder_in_use_needs_force(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("mine")
    refused = CliRunner().invoke(main, [*FEW, str(tmp_path)])
    assert refused.exit_code == 1
    assert "--force" in refused.output
    assert (tmp_path / "events.csv").read_text() == "mine"
    assert CliRunner().invoke(main, [*FEW, str(tmp_path), "--force"]).exit_code == 0


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, [*FEW, str(tmp_path / "file" / "shop")])
    assert result.exit_code == 1
    assert "cannot be written" in result.output


@pytest.mark.parametrize(
    ("option", "value"),
    [("--users", "0"), ("--items", "0"), ("--events", "0"), ("--new-items", "1"), ("--start", "June"), ("--days", "x")],
)
def test_wrong_usage_names_the_option(option: str, value: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*FEW, str(tmp_path / "shop"), option, value])
    assert result.exit_code == 2
    assert option in result.output
    assert not (tmp_path / "shop").exists()
