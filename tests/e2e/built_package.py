"""An environment that has our code from the package that setup.py builds, and the locked packages beside it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "trainer", "serving")
ORIGINS_VARIABLE = "TESTED_ORIGINS"
# At its end every Python of the environment says how it was started and where our packages came from.
_SAY = f'''
import atexit, json, os, sys

def say():
    found = {{name: sys.modules[name].__file__ for name in {PACKAGES} if name in sys.modules}}
    with open(os.environ["{ORIGINS_VARIABLE}"], "a") as file:
        file.write(json.dumps([sys.orig_argv, found]) + "\\n")

if "{ORIGINS_VARIABLE}" in os.environ:
    atexit.register(say)
'''


@dataclass(frozen=True)
class BuiltPackage:
    """What was built.

    Args:
      site: the environment's folder of packages.
      python: the environment's Python.
      sources: the files of our packages that were to be packed.
      packed: the files of our packages that were.
    """

    site: Path
    python: Path
    sources: set[str]
    packed: set[str]

    def run(self, script: Path, *arguments: str, folder: Path, **variables: str) -> str:
        """Runs a script of its own in a folder; fails with what it said."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        command = [str(self.python), str(script), *arguments]
        done = subprocess.run(
            command, cwd=folder, env=kept | variables, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
        return done.stdout


def build(folder: Path) -> BuiltPackage:
    """Builds the source package as Beam does for its workers, of it the wheel, and an environment of that."""
    source, dist = folder / "source", folder / "dist"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    _setup(source, "sdist", "--dist-dir", str(dist))
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    _setup(unpacked, "bdist_wheel", "--dist-dir", str(dist))
    (wheel,) = dist.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "environment")], check=True)
    (site,) = (folder / "environment/lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as packed_wheel:
        names = {name for name in packed_wheel.namelist() if name.split("/")[0] in PACKAGES}
        packed_wheel.extractall(site)
    (site / "say_origins.py").write_text(_SAY, encoding="utf-8")
    (site / "locked.pth").write_text(f"{sysconfig.get_path('purelib')}\nimport say_origins\n", encoding="utf-8")
    files = (path for name in PACKAGES for path in (source / name).rglob("*") if path.is_file())
    sources = {str(path.relative_to(source)) for path in files}
    return BuiltPackage(site, folder / "environment/bin/python", sources, names)


def _setup(folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
