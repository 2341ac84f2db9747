"""What adaptation to the catalogue's own texts does to search by meaning alone, beside the encoder as it came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs import Trained
from benchmarks.search_fusion import Measured, named_items, read_ids
from benchmarks.search_judgments import Judgments
from benchmarks.search_rivals import ALL, ZeroShot, read_texts
from pipeline.config import Config, parse_config
from trainer.adaptation.stage import adapted_weights


def adapted(judged: Judgments, trained: Trained, config: Config, folder: Path, settings: Sequence[str]) -> Measured:
    """Adapts the encoder, without any judgment, and measures its similarities alone.

    Args:
      judged: the queries.
      trained: whose tables hold the items.
      config: of the shop.
      folder: of the run; what is learned lies in its cache.
      settings: KEY=VALUE of the section `adaptation`; mode is lora unless they say another.

    Raises:
      SystemExit: if no epoch told held-out pairs apart better than the encoder as it came.
    """
    values = {"mode": "lora"} | dict(setting.split("=", maxsplit=1) for setting in settings)
    config = parse_config({**config.model_dump(), "adaptation": {**config.adaptation.model_dump(), **values}})
    cache, plain = folder / "cache", ZeroShot(config, folder / "cache")
    weights = adapted_weights(
        config,
        named_items(read_ids(trained.tables)),
        trained.tables,
        tokenise=plain.tokens,
        cache=cache,
        board=folder / "adaptation",
    )
    if weights is None:
        raise SystemExit("no epoch was better than the encoder as it came, so that one stays")
    encoder = ZeroShot(config, cache, weights)
    items = encoder.items(read_texts(trained.tables, ALL))
    return judged.measure(encoder.queries(judged.queries) @ items.T)
