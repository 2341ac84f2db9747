"""A shop's configuration: one commented YAML, typed and validated.

Every key of the YAML is a field here, with its default and its meaning. `load_config` reads the
file, applies `--set` overrides, resolves paths and reports every mistake by key, with what came and
what is allowed. Imports no TensorFlow.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from pipeline import schema


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the key, what came and what is allowed."""


class _Section(pydantic.BaseModel):
    """A section of the YAML: unknown keys are errors, values cannot change after loading."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class CleaningRule(_Section):
    """One reason to drop rows of a table. Rules run in the order in which they stand in the YAML."""

    rule: Literal["cancelled", "non_positive", "missing", "duplicate", "outlier", "unknown_reference"]
    column: str | None = pydantic.Field(None, description="canonical column that the rule looks at")
    columns: tuple[str, ...] = pydantic.Field((), description="duplicate: rows equal in all of these are one")
    prefix: str | None = pydantic.Field(None, description="cancelled: values that start so are cancelled")
    values: tuple[str, ...] = pydantic.Field((), description="cancelled: values that mean cancelled")
    min: float | None = pydantic.Field(None, description="outlier: smallest value kept")
    max: float | None = pydantic.Field(None, description="outlier: largest value kept")

    @pydantic.model_validator(mode="after")
    def _complete(self) -> CleaningRule:
        if self.rule == "duplicate":
            if not self.columns:
                raise ValueError("rule 'duplicate' needs 'columns', the list of columns that make two rows the same")
        elif self.column is None:
            raise ValueError(f"rule '{self.rule}' needs 'column'")
        if self.rule == "cancelled" and self.prefix is None and not self.values:
            raise ValueError("rule 'cancelled' needs 'prefix' or 'values'")
        if self.rule == "outlier" and self.min is None and self.max is None:
            raise ValueError("rule 'outlier' needs 'min', 'max' or both")
        return self


class TableConfig(_Section):
    """Where a table lies and how its columns are called there."""

    path: str | None = pydantic.Field(None, description="file or glob; relative to the YAML's folder")
    format: Literal["auto", "csv", "parquet", "jsonl", "ubi"] = pydantic.Field(
        "auto", description="auto goes by the file's ending: .csv .csv.gz .parquet .jsonl .ndjson and .gz of these"
    )
    delimiter: str = pydantic.Field(",", min_length=1, max_length=1, description="csv: what separates fields")
    queries_path: str | None = pydantic.Field(None, description="ubi: the file of queries beside the events")
    columns: dict[str, str | tuple[str, ...]] = pydantic.Field(
        default_factory=dict,
        description="canonical column: the shop's name for it; several names are joined with a space. A column "
        "that is not listed is read under its own name where the file has it. 'a.b' reaches into nested JSON",
    )
    constants: dict[str, str] = pydantic.Field(
        default_factory=dict, description="canonical column: a value that every row gets"
    )
    event_types: dict[str, str] = pydantic.Field(
        default_factory=dict,
        description="events: the shop's event type: ours, or 'ignore' to leave such rows out (they are counted)",
    )
    from_events: bool = pydantic.Field(False, description="items: derive the table from the events")
    cleaning: tuple[CleaningRule, ...] = pydantic.Field((), description="rules, applied in this order")

    @pydantic.field_validator("event_types")
    @classmethod
    def _known_types(cls, value: dict[str, str]) -> dict[str, str]:
        allowed = (*schema.EVENT_TYPES, "ignore")
        for theirs, ours in value.items():
            if ours not in allowed:
                raise ValueError(f"'{theirs}' is mapped to '{ours}'; allowed are {', '.join(allowed)}")
        return value


class TablesConfig(_Section):
    """The shop's three tables. Only events are required; items may be derived from them."""

    events: TableConfig
    items: TableConfig
    users: TableConfig | None = None

    @pydantic.model_validator(mode="after")
    def _paths(self) -> TablesConfig:
        if self.events.path is None:
            raise ValueError("tables.events.path is missing: name the file of events")
        if self.items.path is None and not self.items.from_events:
            raise ValueError("tables.items needs a 'path', or 'from_events: true' to derive the items")
        if self.items.path is not None and self.items.from_events:
            raise ValueError("tables.items has both 'path' and 'from_events: true'; keep one")
        return self


class SplitConfig(_Section):
    """The split by time: train | validation_days | test_start ... test_days."""

    test_start: datetime.date = pydantic.Field(
        description="first day that the model must not see. After the last event the final model learns from "
        "everything and the gate judges on the validation weeks"
    )
    test_days: int = pydantic.Field(28, ge=1, description="length of the test window, days")
    validation_days: int = pydantic.Field(28, ge=1, description="length of the validation window before it, days")
    truth_events: tuple[str, ...] = pydantic.Field(
        ("purchase",), min_length=1, description="event types that count as hits in the windows"
    )


class HistoryConfig(_Section):
    """The events before the moment of the request."""

    length: int = pydantic.Field(32, ge=1, le=512, description="newest events kept")
    encoder: Literal["attention", "pooling"] = pydantic.Field("attention", description="how they become one vector")


class ItemFeaturesConfig(_Section):
    """What the item tower reads."""

    id: bool = pydantic.Field(True, description="learn a vector for each item that has training events")
    text: tuple[str, ...] = pydantic.Field(("title", "brand", "category"), description="columns joined for the encoder")
    brand: bool = True
    category: bool = True
    price: bool = True

    @pydantic.field_validator("text")
    @classmethod
    def _known_texts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in schema.RAW_ITEM_TEXTS:
                raise ValueError(f"'{name}' is no text column; allowed are {', '.join(schema.RAW_ITEM_TEXTS)}")
        return value


class FeaturesConfig(_Section):
    """Which parts of a table the towers read. Each part is optional when asked: a missing one never fails."""

    history: HistoryConfig = HistoryConfig()
    time: bool = pydantic.Field(True, description="hour, weekday and month of the request")
    context: tuple[str, ...] = pydantic.Field((), description="context columns: country, holiday, weather, place, ...")
    holiday_country: str | None = pydantic.Field(
        None, description="ISO code; fills 'holiday' from that country's calendar where the table brings none"
    )
    query: bool = pydantic.Field(True, description="the search text")
    user_buckets: int = pydantic.Field(0, ge=0, description="hash buckets for user ids; 0 leaves the user id out")
    item: ItemFeaturesConfig = ItemFeaturesConfig()


class EncoderConfig(_Section):
    """The pretrained text encoder."""

    kind: Literal["keras_nlp", "tensorflow_hub"] = "keras_nlp"
    preset: str = pydantic.Field(
        "all-minilm-l6-v2",
        description="keras_nlp: the name that `make setup` brings, a KerasNLP preset, or a folder; "
        "tensorflow_hub: a handle or the folder of a SavedModel from strings to vectors",
    )
    mode: Literal["frozen", "lora", "full"] = pydantic.Field("frozen", description="which of its weights learn")
    lora_rank: int = pydantic.Field(8, ge=1, description="rank of the LoRA updates")
    sequence_length: int = pydantic.Field(48, ge=4, le=512, description="tokens kept, start and end included")
    dtype: Literal["float32", "bfloat16"] = pydantic.Field("bfloat16", description="for encoding the frozen catalogue")
    batch_size: int = pydantic.Field(64, ge=1, description="texts encoded at once")

    @pydantic.model_validator(mode="after")
    def _hub_is_frozen(self) -> EncoderConfig:
        if self.kind == "tensorflow_hub" and self.mode != "frozen":
            raise ValueError("a tensorflow_hub encoder can only be 'frozen'")
        return self


class ModelConfig(_Section):
    """The towers."""

    dimension: int = pydantic.Field(64, ge=2, description="width of query and item vectors")
    hidden: tuple[int, ...] = pydantic.Field((128,), description="widths of the hidden layers of each tower")
    dropout: float = pydantic.Field(0.1, ge=0, lt=1)
    l2: float = pydantic.Field(1e-6, ge=0, description="weight decay on embeddings and dense kernels")
    temperature: float = pydantic.Field(0.05, gt=0, description="softmax temperature of the retrieval loss")


class TrainingConfig(_Section):
    """How the towers learn."""

    batch_size: int = pydantic.Field(1024, ge=2)
    epochs: int = pydantic.Field(20, ge=1, description="at most; early stopping may end before")
    learning_rate: float = pydantic.Field(0.001, gt=0)
    encoder_learning_rate: float = pydantic.Field(2e-5, gt=0, description="for the encoder's own weights")
    warmup_share: float = pydantic.Field(0.05, ge=0, lt=1, description="share of all steps with rising rate")
    early_stopping_patience: int = pydantic.Field(3, ge=1, description="epochs without a better validation metric")
    event_weights: dict[str, float] = pydantic.Field(
        default_factory=lambda: {"purchase": 1.0},
        description="event type: weight in the loss; types that are not listed are history, not labels",
    )
    refit: bool = pydantic.Field(True, description="train again with the validation weeks before the push")
    max_examples: int | None = pydantic.Field(None, ge=1, description="learn from the newest so many examples only")
    mixed_precision: bool = False
    xla: bool = False
    deterministic: bool = pydantic.Field(True, description="the same seed gives the same model")

    @pydantic.field_validator("event_weights")
    @classmethod
    def _positive_types(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if name not in schema.EVENT_TYPES or name == "search":
                raise ValueError(f"'{name}' cannot be a label; allowed are view, click, cart, purchase, rate")
            if weight <= 0:
                raise ValueError(f"the weight of '{name}' is {weight}; it must be more than 0")
        if not value:
            raise ValueError("at least one event type must have a weight")
        return value


class GateConfig(_Section):
    """What a model must show before it is pushed."""

    task: Literal["recommend", "search"] = pydantic.Field("recommend", description="which requests are judged")
    metric: str = pydantic.Field("ndcg@20", pattern=r"^(recall|ndcg|mrr|hit_rate)@[1-9][0-9]*$")
    rivals: tuple[str, ...] = pydantic.Field(("popular",), description="simple rankers that it must not lose to")
    tolerance: float = pydantic.Field(0.0, ge=0, description="how far below a rival is still no loss")


class ServingConfig(_Section):
    """The pushed model."""

    name: str = pydantic.Field("aisle", pattern=r"^[A-Za-z0-9_\-]+$", description="the model's name on the server")
    default_k: int = pydantic.Field(20, ge=1, description="answers for a request that asks for no number")


class RunnerConfig(_Section):
    """How the pipeline runs."""

    beam_args: tuple[str, ...] = pydantic.Field((), description="options for Apache Beam")
    event_buckets: int | None = pydantic.Field(None, ge=1, description="files that events are split into; by size")


class Config(_Section):
    """The whole configuration of one shop."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9_\-]+$", description="the shop's name; runs/NAME holds its runs")
    seed: int = pydantic.Field(7, ge=0)
    tables: TablesConfig
    split: SplitConfig
    features: FeaturesConfig = FeaturesConfig()
    encoder: EncoderConfig = EncoderConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    gate: GateConfig = GateConfig()
    serving: ServingConfig = ServingConfig()
    runner: RunnerConfig = RunnerConfig()


_PATH_KEYS = ("path", "queries_path")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Reads a shop's YAML.

    `${NAME}` and `${NAME:-default}` in values are filled from the environment. Relative table paths are
    taken from the YAML's folder; those given by an override from the current one.

    Args:
      path: the YAML file.
      overrides: `KEY.SUBKEY=VALUE` texts, later ones win; VALUE is read as YAML.

    Returns:
      The validated configuration, with absolute table paths.

    Raises:
      ConfigError: naming the key, what came and what is allowed.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as a UTF-8 text file: {error}") from error
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: is not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: expected keys and values at the top, got {type(tree).__name__}")
    tree = _fill_variables(tree, str(file))
    _resolve_paths(tree, file.resolve().parent)
    for override in overrides:
        _apply_override(tree, override)
    return parse_config(tree, source=str(file))


def parse_config(tree: Mapping[str, Any], source: str = "configuration") -> Config:
    """Validates a tree of plain values as `load_config` does, for configurations that travel as JSON.

    Raises:
      ConfigError: as `load_config`; `source` begins each line of the message.
    """
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        lines = [_describe(source, detail) for detail in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from error


def models_folder() -> Path:
    """The folder with the encoders that `make setup` brought: $AISLE_MODELS, or `.models` beside the packages."""
    return Path(os.environ.get("AISLE_MODELS") or Path(__file__).resolve().parents[1] / ".models")


def encoder_source(encoder: EncoderConfig) -> str:
    """Resolves `encoder.preset`: a name in `models_folder()` or a folder becomes its path, else it stays a name."""
    bundled = models_folder() / encoder.preset
    if bundled.is_dir():
        return str(bundled)
    if encoder.preset == EncoderConfig().preset:
        raise ConfigError(f"encoder.preset: '{encoder.preset}' is not in {models_folder()}; run `make setup`")
    folder = Path(encoder.preset).expanduser()
    return str(folder.resolve()) if folder.is_dir() else encoder.preset


def _describe(source: str, detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"]) or "the file"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"{source}: {key}: unknown key; {_allowed_keys(detail['loc'])}"
    if detail["type"] == "missing":
        return f"{source}: {key}: is missing"
    return f"{source}: {key}: {message}; got {_shorten(detail.get('input'))}"


def _allowed_keys(location: tuple[Any, ...]) -> str:
    model: Any = Config
    for part in location[:-1]:
        if isinstance(part, int) or not hasattr(model, "model_fields"):
            model = CleaningRule
            continue
        model = _section_of(model.model_fields[part].annotation)
    return f"allowed are {', '.join(model.model_fields)}"


def _section_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, _Section):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if isinstance(argument, type) and issubclass(argument, _Section):
            return argument
    return Config


def _shorten(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."


def _fill_variables(value: Any, source: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill_variables(inner, source) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill_variables(inner, source) for inner in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name, default)
        if found is None:
            raise ConfigError(f"{source}: '{value}' needs the environment variable {name}, which is not set")
        return found

    return _VARIABLE.sub(fill, value)


def _resolve_paths(tree: dict[str, Any], folder: Path) -> None:
    tables = tree.get("tables")
    for table in tables.values() if isinstance(tables, dict) else ():
        for key in _PATH_KEYS if isinstance(table, dict) else ():
            if isinstance(table.get(key), str):
                table[key] = os.path.normpath(folder / Path(table[key]).expanduser())


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise ConfigError(f"--set {override}: expected KEY.SUBKEY=VALUE")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not valid YAML: {error}") from error
    if parts[-1] in _PATH_KEYS and isinstance(value, str):
        value = str(Path(value).expanduser().resolve())
    branch = tree
    for part in parts[:-1]:
        inner = branch.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: '{part}' holds a value, not keys")
        branch = inner
    branch[parts[-1]] = value
