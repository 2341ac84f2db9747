"""What must stay true of the whole tree: who imports whom, sizes, and what is not loaded."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "trainer", "serving")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EVERYTHING = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]

# Who may import which of our packages. Everything else between the packages goes by dotted text.
ALLOWED = {
    "pipeline": {"pipeline"},
    "trainer": {"trainer", "pipeline.config", "pipeline.schema"},
    "serving": {"serving"},
}
WITHOUT_TENSORFLOW = (
    "pipeline.config",
    "pipeline.schema",
    "pipeline.sources",
    "pipeline.cleaning",
    "pipeline.tables",
    "pipeline.simulator",
    "pipeline.examples",
    "pipeline.cli",
    "trainer.metrics",
    "serving.allocator",
    "serving.async_client",
    "serving.client",
    "serving.contract",
    "serving.deployment",
    "serving.monitoring",
    "serving.option_files",
    "serving.promotion",
    "serving.workers",
)
HEAVY = ("tensorflow", "tfx", "apache_beam", "keras", "numpy", "pandas", "pyarrow", "grpc")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _may_import(package: str, name: str) -> bool:
    if name.split(".", maxsplit=1)[0] not in PACKAGES:
        return True
    # `from pipeline import config` yields "pipeline" first: the names taken from it are judged one by one.
    return any(
        name == allowed or name.startswith(allowed + ".") or allowed.startswith(name + ".")
        for allowed in ALLOWED[package]
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] == package
        for name in _imported(_tree(path))
        if not _may_import(package, name)
    ]
    assert wrong == []


def test_the_direction_rule_can_fail() -> None:
    assert not _may_import("pipeline", "trainer.run")
    assert not _may_import("trainer", "pipeline.tables")
    assert not _may_import("serving", "pipeline.schema")
    assert _may_import("trainer", "pipeline.schema.RAW_USER_ID")


@pytest.mark.parametrize(
    ("module", "importers"),
    [("tensorflow_recommenders", {"trainer/tfrs_adapter.py"})],
)
def test_one_file_imports_it(module: str, importers: set[str]) -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(name.split(".")[0] == module for name in _imported(_tree(path)))
    }
    assert found == importers


def test_serving_imports_no_tfx() -> None:
    found = [
        str(path)
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] == "serving"
        and any(name.split(".")[0] in {"tfx", "tfx_bsl", "apache_beam"} for name in _imported(_tree(path)))
    ]
    assert found == []


def test_files_are_short() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in SOURCES
        if (count := len(path.read_text().splitlines())) > MAX_FILE_LINES
    }
    assert long == {}


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_folders_are_two_deep() -> None:
    deep = [str(path.relative_to(ROOT)) for path in SOURCES if len(path.relative_to(ROOT).parts) > 3]
    assert deep == []


def test_files_are_nouns() -> None:
    banned = {"utils", "util", "common", "helpers", "helper", "misc", "v2"}
    assert [str(path) for path in EVERYTHING if path.stem in banned] == []


def test_no_except_hides_everything() -> None:
    broad = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
    ]
    assert broad == []


def test_autograph_rewrites_no_function() -> None:
    """Our graphs have no Python loops over tensors, and rewriting what Keras and tft call takes seconds each time."""
    rewritten = []
    for path in SOURCES:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "tf.function"]
        plain = [call for call in calls if "autograph=False" not in {ast.unparse(each) for each in call.keywords}]
        bare = [
            each for node in nodes for each in getattr(node, "decorator_list", ()) if ast.unparse(each) == "tf.function"
        ]
        rewritten += [f"{path.relative_to(ROOT)}:{node.lineno}" for node in (*plain, *bare)]
    assert rewritten == []


def test_no_machine_path_or_host_in_the_project() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    texts = {
        name: (ROOT / name).read_text(encoding="utf-8", errors="replace") for name in listed if (ROOT / name).is_file()
    }
    banned = ["/" + "work/", "/" + "root/", "file:" + "///"]
    assert [f"{name}: {word}" for name, text in texts.items() for word in banned if word in text] == []


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", WITHOUT_TENSORFLOW)
def test_module_loads_no_tensorflow(module: str) -> None:
    assert "tensorflow" not in _loaded_by(f"import {module}")


def test_no_command_loads_anything_heavy_for_its_help() -> None:
    modules = ", ".join(module for module, _ in COMMANDS.values())
    assert _loaded_by(f"import pipeline.cli, {modules}").intersection(HEAVY) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", name, "--help"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert f"aisle {name}" in done.stdout.replace("\n", " ").split("Example", 1)[-1]
    assert "--json" in done.stdout or name in {"tensorboard"}


def test_wrong_usage_exits_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "nonsense"], capture_output=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
