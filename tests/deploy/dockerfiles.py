"""What a Dockerfile says, instruction by instruction."""

import re
from dataclasses import dataclass
from pathlib import Path

from programs import ROOT

FOLDER = ROOT / "deploy/images"
NAMES = ("Dockerfile", "Dockerfile.gpu")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Args:
      stage: the name of its stage; "" of the last.
      word: FROM, RUN, ...
      rest: what follows, continued lines joined.
    """

    stage: str
    word: str
    rest: str


def read(name: str) -> list[Instruction]:
    """Reads a Dockerfile of ours."""
    text = re.sub(r"^\s*#.*\n", "", (FOLDER / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found, stage = [], ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stage = rest.partition(" AS ")[2]
        if word:
            found.append(Instruction(stage, word, " ".join(rest.split())))
    return found


def environment(name: str) -> dict[str, str]:
    """Returns what the last stage sets, as written."""
    lines = [found.rest for found in read(name) if found.word == "ENV" and not found.stage]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def copied_sources(name: str) -> list[Path]:
    """Returns what is copied from the folder of the build."""
    lines = [found.rest for found in read(name) if found.word == "COPY" and "--from=" not in found.rest]
    return [ROOT / source for line in lines for source in line.split()[:-1]]
