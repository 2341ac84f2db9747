"""`aisle recommend`, `search` and `similar`, against a server and in the process."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from history_tables import AS_OF, DAY

from serving.commands.answers import BATCH

NOT_A_SERVER = "127.0.0.1:9"


def run(name: str, *words: str) -> Result:
    command = importlib.import_module(f"serving.commands.{name}").command
    return CliRunner().invoke(command, list(words), catch_exceptions=False)


@pytest.fixture(params=["server", "model"])
def shop(request: pytest.FixtureRequest, server: Any, run_path: Path) -> list[str]:
    if request.param == "model":
        return ["--model", str(run_path / "serving/shop"), "--model-name", "shop"]
    return ["--server", server.grpc_address, "--model-name", "shop"]


@pytest.fixture
def histories(run_path: Path) -> list[str]:
    return ["--histories", str(run_path / "histories.parquet")]


def answers(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def ids(answer: Any) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_recommend_as_json(shop: list[str], histories: list[str]) -> None:
    # anna, in France: bread viewed a day and 30 days ago, dates bought.
    result = run("recommend", *shop, *histories, "--users", "anna", "bert", "somebody-new", "--k", "3", "--json")
    anna, bert, new = answers(result)
    assert list(anna) == ["user_id", "items"]
    assert list(anna["items"][0]) == ["item_id", "score", "title"]
    assert [anna["user_id"], bert["user_id"], new["user_id"]] == ["anna", "bert", "somebody-new"]
    assert ids(anna) == ["apple", "cheese", "eggs"]
    assert anna["items"][0]["score"] == pytest.approx(5.6)
    assert ids(bert) == ["bread", "dates", "figs"]
    assert ids(new) == ["apple", "bread", "cheese"]


def test_recommend_for_people(shop: list[str], histories: list[str]) -> None:
    result = run("recommend", *shop, *histories, "--users", "anna", "--users", "somebody-new", "--k", "2")
    assert result.exit_code == 0
    assert "anna · 3 events known, the last: bread, dates, bread" in result.stdout
    assert "somebody-new · unknown user" in result.stdout
    assert "Fine apple" in result.stdout


def test_exclude_seen_and_the_moment(shop: list[str], histories: list[str]) -> None:
    words = [*shop, *histories, "--users", "anna", "--k", "6", "--json", "--exclude-seen"]
    assert "dates" not in ids(answers(run("recommend", *words))[0])
    # At this moment anna had not bought the dates yet.
    (before,) = answers(run("recommend", *words, "--at", str(AS_OF - 3 * DAY)))
    assert "dates" in ids(before)


def test_context_of_the_request(shop: list[str], histories: list[str]) -> None:
    words = [*shop, *histories, "--users", "anna", "--k", "1", "--json"]
    assert ids(answers(run("recommend", *words, "--context", "holiday=Noël"))[0]) == ["figs"]
    assert ids(answers(run("recommend", *words, "--context", "country=DE"))[0]) == ["bread"]
    result = run("recommend", *words, "--context", "moon=full")
    assert result.exit_code == 2
    assert "this model takes no such context; it takes country, holiday" in result.stderr


def test_the_calendar_fills_the_holiday(run_path: Path) -> None:
    words = ["--model", str(run_path / "serving/shop/3"), "--users", "anna", "--k", "1", "--json"]
    assert ids(answers(run("recommend", *words, "--at", "2026-12-25T10:00"))[0]) == ["figs"]
    assert ids(answers(run("recommend", *words, "--at", "2026-12-24T10:00"))[0]) == ["apple"]


def test_histories_are_found_beside_the_model(run_path: Path) -> None:
    result = run("recommend", "--model", str(run_path / "serving/shop"), "--users", "anna", "--k", "1")
    assert "anna · 3 events known" in result.stdout


def test_histories_are_found_by_the_servers_version(
    server: Any, run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--server", server.grpc_address, "--model-name", "shop", "--users", "anna", "--k", "1"]
    result = run("recommend", *words)
    assert "No history is known: every user is asked about as a new one." in result.stderr
    assert "anna · no history known" in result.stdout
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/shop").symlink_to(run_path)
    assert "anna · 3 events known" in run("recommend", *words).stdout


def test_events_instead_of_histories(shop: list[str], histories: list[str], tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(f"user_id,item_id,timestamp,event_type\nanna,figs,{AS_OF + 5},view\nanna,figs,{AS_OF + 6},view\n")
    words = [*shop, "--users", "anna", "--k", "1", "--json", "--events", str(file)]
    assert ids(answers(run("recommend", *words))[0]) == ["figs"]
    people = run("recommend", *words[:-3], *histories, *words[-2:])
    assert "anna · 5 events known, the last: figs, figs, bread" in people.stdout


def test_users_from_files(shop: list[str], tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("anna\n\nbert\n anna \n")
    (tmp_path / "users.csv").write_text("name,user_id\nx,007\n")
    words = [*shop, "--users", str(tmp_path / "users.txt"), str(tmp_path / "users.csv"), "carl", "--json"]
    assert [answer["user_id"] for answer in answers(run("recommend", *words))] == ["anna", "bert", "007", "carl"]


def test_output_is_whole_or_not_there(shop: list[str], tmp_path: Path) -> None:
    users = [f"user-{number}" for number in range(2 * BATCH + 1)]
    output = tmp_path / "answers.jsonl"
    result = run("recommend", *shop, "--users", *users, "--output", str(output))
    assert result.exit_code == 0
    assert result.stdout == f"{len(users)} answers written to {output}\n"
    assert [json.loads(line)["user_id"] for line in output.read_text().splitlines()] == users
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]
    result = run("recommend", *shop, "--users", "a", "--output", str(tmp_path / "no" / "x.jsonl"))
    assert result.exit_code == 1
    assert "cannot be written: No such file" in result.stderr


def test_search(shop: list[str], tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_text("Fine figs\n")
    first, second = answers(
        run("search", *shop, "--queries", "Fine eggs", str(tmp_path / "queries.txt"), "--k", "1", "--json")
    )
    assert (first["query"], ids(first)) == ("Fine eggs", ["eggs"])
    assert (second["query"], ids(second)) == ("Fine figs", ["figs"])


def test_search_says_why(shop: list[str]) -> None:
    words = [*shop, "--queries", "Fine eggs", "--k", "6"]
    (answer,) = answers(run("search", *words, "--json"))
    eggs, figs = answer["items"][0], next(item for item in answer["items"] if item["item_id"] == "figs")
    assert (eggs["title"], eggs["price"]) == ("Fine eggs", 2.5)
    assert eggs["why"] == {"similarity": pytest.approx(0.202), "matched_words": ["Fine", "eggs"], "named": True}
    assert "price" not in figs
    assert figs["why"]["matched_words"] == []
    people = [line.split() for line in run("search", *words).stdout.splitlines()]
    assert people[1] == ["title", "price", "item", "score", "alike", "why"]
    assert people[2] == ["1", "Fine", "eggs", "2.50", "eggs", "20.200", "0.20", "named,", "Fine,", "eggs"]
    assert any(line[3:5] == ["-", "figs"] and line[-2:] == ["by", "meaning"] for line in people)


def test_search_counts_facets(shop: list[str]) -> None:
    words = [*shop, "--queries", "Fine eggs", "--k", "1", "--exclude", "figs", "--facets", "brand, price"]
    (answer,) = answers(run("search", *words, "--json"))
    expected = {"all": {"items": 5}, "brand": {"Even": 3, "Odd": 2}, "price": {"from 0": 4, "from 5": 1}}
    assert answer["facets"] == expected
    assert "brand Even 3 · Odd 2" in run("search", *words).stdout
    wrong = run("search", *words, "--facets", "colour")
    assert wrong.exit_code == 2
    assert "--facets colour: expected some of category, brand, price, rating, stock" in wrong.stderr


def test_rules(shop: list[str], tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("item_id\ncheese\neggs\nfigs\n")
    include = ["--include", str(tmp_path / "own.csv"), "--include", "bread"]
    asked = {"recommend": ["--users", "new"], "search": ["--queries", "words"], "similar": ["--items", "apple"]}
    for name, about in asked.items():
        words = [*shop, *about, "--k", "6", "--json"]
        assert ids(answers(run(name, *words, *include))[0]) == ["bread", "cheese", "eggs", "figs"]
        assert ids(answers(run(name, *words, *include, "--exclude", "eggs", "--max-price", "5"))[0]) == [
            "bread",
            "cheese",
        ]
        boosts = ["--boost", "figs=9", "--boost", "bread=-8"]
        assert ids(answers(run(name, *words, *include, *boosts))[0]) == ["figs", "cheese", "eggs", "bread"]
    people = run("similar", *shop, "--items", "apple", "--include", "apple")
    assert "unknown item, or every other one is filtered" in people.stdout


def test_rules_that_cannot_be(shop: list[str]) -> None:
    words = [*shop, "--users", "anna"]
    result = run("recommend", *words, "--category", "Home")
    assert result.exit_code == 2
    assert "--category: this model cannot do that: its items have no column 'category'" in result.stderr
    for boost in ("figs", "figs=much", "=3"):
        result = run("recommend", *words, "--boost", boost)
        assert result.exit_code == 2
        assert f"--boost {boost}: expected ITEM=WEIGHT, for example 85123A=1.5" in result.stderr
    assert run("recommend", *words, "--diversity", "2").exit_code == 2


def test_similar(shop: list[str]) -> None:
    first, second = answers(run("similar", *shop, "--items", "apple", "nothing", "--k", "2", "--json"))
    assert (first["item_id"], ids(first)) == ("apple", ["bread", "cheese"])
    assert (second["item_id"], second["items"]) == ("nothing", [])
    assert "nothing · unknown item: no item fits" in run("similar", *shop, "--items", "nothing").stdout


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--users", "a"], 2, "give either --server HOST:PORT or --model DIR"),
        (["--server", "localhost", "--users", "a"], 2, "expected HOST:PORT, for example localhost:8500"),
        (["--server", NOT_A_SERVER], 2, "Missing option '--users'"),
        (["--server", NOT_A_SERVER, "--users", "users.txt"], 2, "--users users.txt: there is no such file"),
        (["--server", NOT_A_SERVER, "--users", "a", "--at", "soon"], 2, "--at soon: expected seconds since 1970 or an"),
        (["--server", NOT_A_SERVER, "--users", "a", "--context", "x"], 2, "--context x: expected KEY=VALUE"),
        (["--server", NOT_A_SERVER, "--users", "a", "--k", "0"], 2, "0 is not in the range"),
        (["--server", NOT_A_SERVER, "--users", "a", "--deadline", "0.3"], 1, f"no server answers at {NOT_A_SERVER}"),
    ],
)
def test_what_goes_wrong_is_said(words: list[str], status: int, message: str) -> None:
    result = run("recommend", *words)
    assert result.exit_code == status
    assert message in result.stderr


def test_hints_name_the_way_out(server: Any, tmp_path: Path) -> None:
    result = run("recommend", "--server", server.grpc_address, "--users", "a")
    assert result.exit_code == 1
    assert "the server has no model 'aisle'; say which with --model-name NAME" in result.stderr
    result = run("search", "--server", server.grpc_address, "--model-name", "half_plus_two", "--queries", "a")
    assert "the model cannot answer this question: 'search' needs features.query in its CONFIG" in result.stderr
    result = run("recommend", "--model", str(tmp_path), "--users", "a")
    assert result.exit_code == 1
    assert "holds no version; expected folders with a number as their name" in result.stderr
