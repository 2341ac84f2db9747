"""The sections that say what the towers read and how they learn, and the whole of them."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from pipeline import schema
from pipeline.config.adaptation import AdaptationConfig
from pipeline.config.beam import BeamConfig
from pipeline.config.gate import GateConfig
from pipeline.config.kubeflow import KubeflowConfig
from pipeline.config.ranking import RankingConfig
from pipeline.config.search import SearchConfig
from pipeline.config.tables import Section, SplitConfig, TablesConfig
from pipeline.config.tracking import TrackingConfig
from pipeline.config.tuner import TunerConfig


class HistoryConfig(Section):
    """The events before the moment of the request."""

    length: int = pydantic.Field(32, ge=1, le=512, description="newest events kept")
    used: int | None = pydantic.Field(None, ge=1, description="newest of these that the query tower reads; none: all")
    encoder: Literal["attention", "pooling"] = pydantic.Field("attention", description="how they become one vector")
    times: bool = pydantic.Field(True, description="whether the model reads how long ago they were")

    @pydantic.model_validator(mode="after")
    def _used_are_kept(self) -> HistoryConfig:
        if self.used is not None and self.used > self.length:
            raise ValueError(f"'used' is {self.used}; examples hold only 'length' = {self.length} events")
        return self


class ItemFeaturesConfig(Section):
    """What the item tower reads."""

    id: bool = pydantic.Field(True, description="learn a vector for each item that has training events")
    text: tuple[str, ...] = pydantic.Field(
        ("title", "brand", "category"), description="columns joined for the encoder; none: no text"
    )
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


class FeaturesConfig(Section):
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


class EncoderConfig(Section):
    """The pretrained text encoder."""

    kind: Literal["keras_nlp", "tensorflow_hub"] = "keras_nlp"
    preset: str = pydantic.Field(
        "all-minilm-l6-v2",
        description="keras_nlp: the name that `make setup` brings, a KerasNLP preset, or a folder; "
        "tensorflow_hub: a handle or the folder of a SavedModel from strings to vectors",
    )
    weights: Literal["pretrained", "random"] = pydantic.Field(
        "pretrained", description="where they start; random: the same network by chance, to see what pretraining gives"
    )
    mode: Literal["frozen", "lora", "full"] = pydantic.Field("frozen", description="which of its weights learn")
    lora_rank: int = pydantic.Field(8, ge=1, description="rank of the LoRA updates")
    sequence_length: int = pydantic.Field(48, ge=4, le=512, description="tokens kept, start and end included")
    dtype: Literal["auto", "float32", "bfloat16"] = pydantic.Field(
        "auto", description="for encoding the frozen catalogue; auto: bfloat16 where the processor multiplies in it"
    )
    batch_size: int = pydantic.Field(64, ge=1, description="texts encoded at once")

    @pydantic.model_validator(mode="after")
    def _hub_is_as_it_is(self) -> EncoderConfig:
        if self.kind == "tensorflow_hub" and self.mode != "frozen":
            raise ValueError("a tensorflow_hub encoder can only be 'frozen'")
        if self.kind == "tensorflow_hub" and self.weights != "pretrained":
            raise ValueError("the weights of a tensorflow_hub encoder can only be 'pretrained'")
        return self


class ModelConfig(Section):
    """The towers."""

    dimension: int = pydantic.Field(64, ge=2, description="width of query and item vectors")
    hidden: tuple[int, ...] = pydantic.Field((128,), description="widths of the hidden layers of each tower")
    dropout: float = pydantic.Field(0.1, ge=0, lt=1)
    l2: float = pydantic.Field(1e-6, ge=0, description="weight decay on embeddings and dense kernels")
    temperature: float = pydantic.Field(0.05, gt=0, description="softmax temperature of the retrieval loss")


class TrainingConfig(Section):
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
    hard_negatives: int | None = pydantic.Field(
        None, ge=1, description="learn from the hardest so many negatives of each batch row only; all without"
    )
    logq: bool = pydantic.Field(True, description="take back that popular items are negatives more often")
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


class ServingConfig(Section):
    """The pushed model."""

    name: str = pydantic.Field("aisle", pattern=r"^[A-Za-z0-9_\-]+$", description="the model's name on the server")
    default_k: int = pydantic.Field(20, ge=1, description="answers for a request that asks for no number")


class RunnerConfig(Section):
    """How the pipeline runs."""

    event_buckets: int | None = pydantic.Field(None, ge=1, description="files that events are split into; by size")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _beam_has_moved(cls, values: Any) -> Any:
        if isinstance(values, dict) and "beam_args" in values:
            raise ValueError("'beam_args' is now 'args' of the section 'beam', which knows the runners' own keys too")
        return values


class Config(Section):
    """The whole configuration of one shop."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9_\-]+$", description="the shop's name; runs/NAME holds its runs")
    seed: int = pydantic.Field(7, ge=0)
    tables: TablesConfig
    split: SplitConfig
    features: FeaturesConfig = FeaturesConfig()
    encoder: EncoderConfig = EncoderConfig()
    adaptation: AdaptationConfig = AdaptationConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    ranking: RankingConfig = RankingConfig()
    search: SearchConfig = SearchConfig()
    gate: GateConfig = GateConfig()
    tuner: TunerConfig = TunerConfig()
    tracking: TrackingConfig = TrackingConfig()
    serving: ServingConfig = ServingConfig()
    runner: RunnerConfig = RunnerConfig()
    beam: BeamConfig = BeamConfig()
    kubeflow: KubeflowConfig = KubeflowConfig()

    @pydantic.model_validator(mode="after")
    def _adapts_what_is_frozen_later(self) -> Config:
        if self.adaptation.mode != "none" and self.encoder.kind != "keras_nlp":
            raise ValueError("adaptation: a tensorflow_hub encoder cannot learn; set adaptation.mode to none")
        if self.adaptation.mode != "none" and not self.features.query:
            raise ValueError("adaptation serves search: set features.query to true, or adaptation.mode to none")
        if self.adaptation.mode != "none" and self.encoder.mode != "frozen":
            raise ValueError(
                f"adaptation.mode is {self.adaptation.mode} and encoder.mode is {self.encoder.mode}: an encoder learns "
                "either from the shop's texts before the towers, or with them; set one of them to none or frozen"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _reads_both_texts_again(self) -> Config:
        tokens = self.encoder.kind == "keras_nlp" and self.features.query and bool(self.features.item.text)
        if self.search.rerank.enabled and not tokens:
            raise ValueError(
                "search.rerank reads queries and items by a keras_nlp encoder: set features.query to true and name "
                "columns in features.item.text, or set search.rerank.enabled to false"
            )
        return self

    @property
    def history_length(self) -> int:
        """Newest events of a request's history that any part of the model reads."""
        return max(self.features.history.length, self.ranking.history_length if self.ranking.enabled else 0)
