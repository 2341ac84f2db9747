"""What search learns beside the towers, once they are trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from trainer.job import TrainingJob
from trainer.lexical.fusion import FusionWeights
from trainer.phase import TrainedModel
from trainer.reranking.reranker import Reranker
from trainer.search import LearnedSearch
from trainer.search_weights import TowerVectors, learned_weights
from trainer.texts import TextVectors, Vectors
from trainer.transform import QueryTokens


def learn_search(job: TrainingJob, trained: TrainedModel) -> LearnedSearch:
    """Learns what the configuration asks for: the weights of words and meaning, and the cross-encoder.

    Args:
      job: what the training is made of.
      trained: the towers that have not seen the validation window.
    """
    return LearnedSearch(_weights(job, trained), _reranker(job))


def _weights(job: TrainingJob, trained: TrainedModel) -> FusionWeights | None:
    search, features = job.config.search, job.config.features
    if search.fusion == "fixed" or not (search.words and features.query):
        return None
    towers = TowerVectors(
        trained.model,
        job.catalogue,
        trained.item_vectors,
        history_length=features.history.length,
        encode=_encoder(job, trained),
    )
    return learned_weights(job.config, job.fn_args.custom_config["tables"], job.catalogue, towers)


def _encoder(job: TrainingJob, trained: TrainedModel) -> Callable[[list[str]], Vectors]:
    """Makes what turns texts [n] into the encoder's vectors, [n, width]."""
    encoder, cache = job.config.encoder, Path(job.fn_args.custom_config["cache"])
    assert trained.model.encoder is not None  # queries are read
    vectors = TextVectors(encoder, trained.model.encoder, cache, seed=job.config.seed)
    if encoder.kind == "tensorflow_hub":
        return lambda texts: vectors.encode(np.array(texts, object))
    tokenise = QueryTokens(job.fn_args.transform_output, job.config)
    return lambda texts: vectors.encode(tokenise(texts))


def _reranker(job: TrainingJob) -> Reranker | None:
    if not job.config.search.rerank.enabled:
        return None
    # It imports KerasNLP, which other shops need not wait for.
    from trainer.reranking.stage import learned_cross_encoder, make_reranker

    custom = job.fn_args.custom_config
    network = learned_cross_encoder(
        job.config,
        job.catalogue,
        custom["tables"],
        tokenise=QueryTokens(job.fn_args.transform_output, job.config),
        cache=Path(custom["cache"]),
        board=Path(job.fn_args.model_run_dir) / "cross_encoder",
    )
    return make_reranker(network, job.catalogue, job.config)
