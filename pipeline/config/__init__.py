"""A shop's configuration: one commented YAML, typed and validated.

Every key of the YAML is a field here, with its default and its meaning. `load_config` reads the file,
applies `--set` overrides, resolves paths and reports every mistake by key, with what came and what is
allowed. Imports no TensorFlow.
"""

from pipeline.config.beam import BeamConfig
from pipeline.config.gate import GateCheck, GateConfig
from pipeline.config.kubeflow import KubeflowConfig, PodConfig
from pipeline.config.loading import ConfigError, encoder_source, load_config, models_folder, parse_config
from pipeline.config.model import (
    Config,
    EncoderConfig,
    FeaturesConfig,
    HistoryConfig,
    ItemFeaturesConfig,
    ModelConfig,
    RunnerConfig,
    ServingConfig,
    TrainingConfig,
)
from pipeline.config.ranking import CandidatesConfig, RankingConfig
from pipeline.config.reranking import RerankConfig
from pipeline.config.search import SearchConfig
from pipeline.config.tables import CleaningRule, SplitConfig, TableConfig, TablesConfig
from pipeline.config.tracking import TrackingConfig
from pipeline.config.tuner import TunerConfig

__all__ = [
    "BeamConfig",
    "CandidatesConfig",
    "CleaningRule",
    "Config",
    "ConfigError",
    "EncoderConfig",
    "FeaturesConfig",
    "GateCheck",
    "GateConfig",
    "HistoryConfig",
    "ItemFeaturesConfig",
    "KubeflowConfig",
    "ModelConfig",
    "PodConfig",
    "RankingConfig",
    "RerankConfig",
    "RunnerConfig",
    "SearchConfig",
    "ServingConfig",
    "SplitConfig",
    "TableConfig",
    "TablesConfig",
    "TrackingConfig",
    "TrainingConfig",
    "TunerConfig",
    "encoder_source",
    "load_config",
    "models_folder",
    "parse_config",
]
