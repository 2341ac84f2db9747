"""The images: what goes into them, and their steps, run without an engine in a clean folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfiles import FOLDER, NAMES, copied_sources, environment, read
from programs import ROOT, program, run

LOCKS = {"Dockerfile": "requirements.lock", "Dockerfile.gpu": "requirements-gpu.lock"}
STEPS_TIMEOUT_S = 900.0


def locked(path: Path) -> dict[str, str]:
    """Name: version, of a lock."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name.lower(): version for name, version in pins}


@pytest.mark.parametrize("name", NAMES)
def test_hadolint_finds_nothing(name: str) -> None:
    done = run(program("hadolint"), "--failure-threshold=style", str(FOLDER / name))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_staged_and_runs_as_nobody_in_particular(name: str) -> None:
    found = read(name)
    assert [one.stage for one in found if one.word == "FROM"] == ["tools", "packages", "encoder", "code", ""]
    last = [one for one in found if not one.stage]
    (user,) = [one.rest for one in last if one.word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    # The last stage builds nothing: no compiler, no installer, no cache comes with it.
    assert [one.word for one in last if one.word in ("RUN", "ADD")] == []
    assert all("--from=" in one.rest for one in last if one.word == "COPY")
    # What changes often comes last, so that a new version of ours is a small layer on an old large one.
    assert [one.rest.split()[-1] for one in last if one.word == "COPY"] == ["/opt/venv", "/opt/models", "/opt/aisle"]


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_needed_reaches_the_engine(name: str) -> None:
    first, *kept = [
        line
        for line in (FOLDER / f"{name}.dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith(("#", "**"))
    ]
    assert first == "*"
    allowed = [ROOT / line.removeprefix("!") for line in kept]
    for source in copied_sources(name):
        assert source.exists(), source
        assert any(source == folder or folder in source.parents for folder in allowed), source
    text = (FOLDER / name).read_text(encoding="utf-8").lower()
    assert re.findall(r"secret|password|token|credential", text) == []


def test_the_locks_hold_the_product_in_the_tested_versions_and_no_tool() -> None:
    tested, image, gpu = (
        locked(ROOT / "requirements.lock"),
        locked(FOLDER / LOCKS["Dockerfile"]),
        locked(FOLDER / LOCKS["Dockerfile.gpu"]),
    )
    product, _, tools = (ROOT / "requirements.in").read_text(encoding="utf-8").partition("# development")
    asked = {re.split(r"[\[=<>]", line)[0].lower() for line in product.splitlines() if line and line[0] not in "#"}
    assert asked <= set(image), "requirements.in has changed: run deploy/images/lock.sh"
    assert {name: version for name, version in image.items() if tested.get(name) != version} == {}
    assert set(tools.split()) & set(image) == set()
    assert {name for name in gpu if name not in image} == {name for name in gpu if name.startswith("nvidia-")}
    assert {name: version for name, version in image.items() if gpu.get(name) != version} == {}
    assert "nvidia-cudnn-cu12" in gpu


def test_the_gpu_image_names_every_folder_of_libraries() -> None:
    named = set(re.findall(r"\$NVIDIA/(\w+)/lib", environment("Dockerfile.gpu")["LD_LIBRARY_PATH"]))
    packages = {name for name in locked(FOLDER / LOCKS["Dockerfile.gpu"]) if name.startswith("nvidia-")}
    folders = {name.removeprefix("nvidia-").removesuffix("-cu12").replace("-", "_") for name in packages}
    assert named == folders - {"cuda_nvcc"}  # that is the compiler, on the PATH


def _step(line: str, opt: Path) -> str:
    """Makes a RUN line one that works in a folder, with packages linked from uv's cache instead of downloaded."""
    return line.replace("/opt/", f"{opt}/").replace("UV_NO_CACHE=1 ", "")


@pytest.mark.slow
def test_the_steps_give_a_working_aisle_in_a_clean_folder(tmp_path: Path) -> None:
    lines = [one.rest for one in read("Dockerfile") if one.word == "RUN" and one.stage in ("packages", "code")]
    assert len(lines) == 2
    packages, code = (_step(line, tmp_path) for line in lines)
    code, _, bill = code.partition(" && ")
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    clean |= {"PYTHON": sys.executable, "UV": str(ROOT / ".tools/bin/uv"), "UV_LINK_MODE": "hardlink"}
    for line in (packages, code, bill):
        subprocess.run(["bash", "-c", line], cwd=ROOT, env=clean, check=True, timeout=STEPS_TIMEOUT_S)
    inside = {"PATH": f"{tmp_path}/aisle/bin:{tmp_path}/venv/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    inside |= {"PYTHONPATH": f"{tmp_path}/aisle", "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(["aisle", "--version"], env=inside, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("aisle, version ")
    found = (
        "import pipeline.cli, importlib.util as u; print(pipeline.cli.__file__, all(map(u.find_spec, ('tfx', 'kfp'))))"
    )
    said = subprocess.run(["python", "-c", found], env=inside, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout.split() == [f"{tmp_path}/aisle/pipeline/cli.py", "True"]
    listed = json.loads((tmp_path / "aisle/sbom.cdx.json").read_text(encoding="utf-8"))
    names = {re.sub(r"[-_.]+", "-", part["name"]).lower() for part in listed["components"]}
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    assert names >= {"aisle", *locked(FOLDER / LOCKS["Dockerfile"])}
