"""The contract beside a model is read as it is written, or refused with the key that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.contract import CONTRACT_FILE, ContractError, TensorContract, read_contract

WHOLE: dict[str, Any] = {
    "format": 1,
    "name": "aisle",
    "shop": "online_retail",
    "aisle_version": "0.1.0",
    "created": "2026-11-24T08:00:00+00:00",
    "default_k": 20,
    "history_length": 32,
    "dimension": 64,
    "items": 3630,
    "event_types": ["view", "purchase"],
    "context": ["country"],
    "holiday_country": None,
    "encoder": {"kind": "keras_nlp", "preset": "all-minilm-l6-v2", "mode": "frozen"},
    "data": {"first_event": 1, "last_event": 2},
    "signatures": {
        "recommend": {
            "inputs": {
                "user_id": {"dtype": "string", "shape": [-1], "required": True, "default": None, "meaning": "who"},
                "k": {"dtype": "int32", "shape": [-1], "required": False, "default": 20, "meaning": "how many"},
            },
            "outputs": {"scores": {"dtype": "float32", "shape": [-1, -1], "meaning": "higher is better"}},
        }
    },
    "something_newer": 1,
}


def _write(folder: Path, contract: Any) -> Path:
    file = folder / CONTRACT_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(contract if isinstance(contract, str) else json.dumps(contract))
    return folder


def test_a_whole_contract(tmp_path: Path) -> None:
    contract = read_contract(_write(tmp_path, WHOLE))
    assert contract is not None
    assert (contract.name, contract.items, contract.context) == ("aisle", 3630, ("country",))
    assert contract.signatures["recommend"].inputs["k"] == TensorContract(
        dtype="int32", shape=(-1,), required=False, default=20, meaning="how many"
    )


def test_a_model_without_one(tmp_path: Path) -> None:
    assert read_contract(tmp_path) is None


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ("{", "contract.json: the file: Invalid JSON"),
        (WHOLE | {"items": "many"}, "contract.json: items: Input should be a valid integer"),
        ({"format": 1}, "contract.json: name: Field required"),
        (WHOLE | {"format": 2}, "format: expected 1, got 2; update aisle"),
    ],
)
def test_wrong_contracts_name_the_key(tmp_path: Path, contract: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        read_contract(_write(tmp_path, contract))
