"""One run at a time in a folder, and files that are never half there."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run_folder import RunFolder, RunFolderError, read_json, write_json

HOLD = """
import sys
from pathlib import Path
from pipeline.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that runs in the folder."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


def test_a_second_run_is_refused_and_told_who_runs(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.is_locked()
    with (
        pytest.raises(RunFolderError, match=rf"in progress in .*run \(process {holder.pid}\).*--output"),
        folder.locked(),
    ):
        pass
    holder.communicate("")
    with folder.locked():
        pass
    assert not folder.is_locked()


def test_a_killed_run_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()
    with RunFolder(tmp_path / "run").locked():
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunFolderError, match=r"file/run cannot be written to"),
        RunFolder(tmp_path / "file" / "run").locked(),
    ):
        pass


def test_artifacts_without_metadata_are_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (folder.artifacts / "TableGen").mkdir(parents=True)
    folder.metadata.touch()
    folder.discard_orphans()
    assert folder.artifacts.exists()
    folder.metadata.unlink()
    folder.discard_orphans()
    assert not folder.artifacts.exists()


def test_json_files_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.json"
    assert read_json(path) is None
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert read_json(path) == {"a": 2}
    assert [entry.name for entry in path.parent.iterdir()] == ["run.json"]
