"""Pushes damaged versions beside a good one and tells what became of them; a process of its own, for it may crash.

    python tests/serving/damaged_models.py FOLDER COUNT SEED

FOLDER holds `good`, a whole model; a line of JSON is printed for each damaged version.
"""

import json
import os
import random
import shutil
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

ONE_ANSWER = 2.5


def damage(folder: Path, dice: random.Random) -> str:
    """Damages one file or the tree; returns how."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = dice.choice(files)
    content = file.read_bytes()
    kind = dice.choice(["flip", "flip", "flip", "cut", "swap", "insert", "empty", "remove", "folder", "noise", "zeros"])
    place = dice.randrange(max(1, len(content)))
    end = min(len(content), place + dice.randint(1, 40))
    if kind == "flip":
        changed = bytearray(content)
        for _ in range(dice.choice([1, 1, 3, 20])):
            if changed:
                changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        file.write_bytes(bytes(changed))
    elif kind == "remove":
        file.unlink()
    elif kind == "folder":
        file.unlink()
        file.mkdir()
    else:
        new = {
            "cut": content[:place],
            "swap": content[:place] + dice.randbytes(end - place) + content[end:],
            "insert": content[:place] + dice.randbytes(dice.randint(1, 9)) + content[place:],
            "empty": b"",
            "noise": dice.randbytes(200),
            "zeros": content[:place] + bytes(end - place) + content[end:],
        }[kind]
        file.write_bytes(new)
    return f"{kind} {file.relative_to(folder)}"


def tell(**fields: object) -> None:
    """Writes one line at once: the next step may be the last."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main(folder: Path, count: int, seed: int) -> None:
    """Pushes `count` damaged versions, one after the other."""
    import logging

    import numpy as np

    from serving.errors import ServingError
    from serving.model_store import ModelStore

    logging.getLogger("aisle.serving").setLevel(logging.CRITICAL)
    dice = random.Random(seed)
    base_path = folder / "m"
    shutil.copytree(folder / "good", base_path / "1")
    store = ModelStore("m", base_path)
    store.poll()

    def ask() -> float:
        with store.use() as (_, predictor):
            outputs = predictor.predict(predictor.signature(""), {"x": np.ones(1, np.float32)}, ["y"])
            return float(outputs["y"][0])

    for number in range(2, count + 2):
        shutil.copytree(folder / "good", folder / "next")
        how = damage(folder / "next", dice)
        tell(damage=how)
        (folder / "next").rename(base_path / str(number))
        for _ in range(2):
            store.poll()
        try:
            answer = ask()
        except ServingError as error:
            answer = str(error)
        tell(answer=answer, by=store.available(), why=store.statuses()[0].message)
        shutil.rmtree(base_path / str(number))
        store.poll()
    store.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
