"""The contract beside a model: what its signatures take and answer, in JSON, so that nobody guesses."""

from __future__ import annotations

from pathlib import Path

import pydantic

CONTRACT_FILE = "assets.extra/contract.json"
FORMAT = 1


class ContractError(ValueError):
    """A model's contract cannot be read; the message names the file and the key."""


class _Part(pydantic.BaseModel):
    # A newer aisle may say more; what is known here must hold.
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)


class TensorContract(_Part):
    """One input or output of a signature; `default` is what a missing input means."""

    dtype: str
    shape: tuple[int, ...] = ()
    required: bool = False
    default: str | int | float | None = None
    meaning: str = ""


class SignatureContract(_Part):
    """One signature."""

    inputs: dict[str, TensorContract]
    outputs: dict[str, TensorContract]


class EncoderContract(_Part):
    """The text encoder inside the model."""

    kind: str = ""
    preset: str = ""
    mode: str = ""


class DataContract(_Part):
    """The time of the events that the model learned from, seconds since 1970 UTC."""

    first_event: int = 0
    last_event: int = 0


class Contract(_Part):
    """What a model promises.

    Args:
      name: the model's name on the server.
      shop: the shop's name in its configuration.
      context: the names of the context inputs.
      holiday_country: ISO code of the calendar that fills `holiday`; None if the shop has none.
      signatures: the signatures by name.
    """

    format: int
    name: str
    shop: str = ""
    aisle_version: str = ""
    created: str = ""
    default_k: int = 20
    history_length: int = 0
    dimension: int = 0
    items: int = 0
    event_types: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    holiday_country: str | None = None
    encoder: EncoderContract = EncoderContract()
    data: DataContract = DataContract()
    signatures: dict[str, SignatureContract] = {}


def read_contract(model_dir: Path) -> Contract | None:
    """Reads the contract of a model.

    Args:
      model_dir: the folder of one version.

    Returns:
      The contract, or None if the model brings none, as one that aisle did not make.

    Raises:
      ContractError: if there is one that cannot be used.
    """
    file = model_dir / CONTRACT_FILE
    if not file.is_file():
        return None
    try:
        contract = Contract.model_validate_json(file.read_bytes())
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ContractError(f"{file}: {key}: {first['msg']}") from error
    if contract.format != FORMAT:
        raise ContractError(f"{file}: format: expected {FORMAT}, got {contract.format}; update aisle")
    return contract
