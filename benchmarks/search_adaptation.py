"""What adaptation to the catalogue's own texts does to search, beside the encoder as it came."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs import Trained
from benchmarks.search_fusion import Fusions, Measured, named_items, read_ids
from benchmarks.search_judgments import Judgments
from benchmarks.search_rivals import ALL, ZeroShot, read_texts
from pipeline.config import Config, parse_config
from trainer.adaptation.stage import adapted_weights


def compared(
    judged: Judgments, trained: Trained, config: Config, folder: Path, settings: Sequence[str]
) -> list[dict[str, Measured]]:
    """Adapts the encoder, without any judgment, and measures searches with it and without it.

    Args:
      judged: the queries.
      trained: whose tables hold the items.
      config: of the shop.
      folder: of the run; what is learned lies in its cache.
      settings: KEY=VALUE of the section `adaptation`; mode is lora unless they say another.

    Returns:
      Two tables, the adapted encoder first in each: meaning alone, and fused with words as configured.

    Raises:
      SystemExit: if no epoch told held-out pairs apart better than the encoder as it came.
    """
    # An epoch takes minutes, and the log says how far it is.
    logging.basicConfig(level=logging.INFO, format="%(message)s")
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
    texts = read_texts(trained.tables, ALL)
    alone, fused = dict[str, Measured](), dict[str, Measured]()
    for name, encoder in {"adapted": ZeroShot(config, cache, weights), "as it came": plain}.items():
        vectors = encoder.queries(judged.queries), encoder.items(texts)
        alone[f"the encoder {name}"] = judged.measure(vectors[0] @ vectors[1].T)
        fusions = Fusions(judged, trained, config, encoder, vectors)
        fused[f"words and the encoder {name}"] = fusions.configured()
    return [alone, fused]
