"""The served graph: raw strings and numbers in, items out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer import contract
from trainer.answers import Answers
from trainer.catalogue import Catalogue
from trainer.heads.head import LearnedHead
from trainer.index import ExactIndex, row_table
from trainer.lexical.search import WordSearch
from trainer.lexical.texts import ItemTexts
from trainer.ranking_stage import RankingStage
from trainer.request_reader import RequestReader, Tensors, TextReader, Towers, numbers
from trainer.rules.attributes import ItemAttributes
from trainer.rules.fallback import Popularity
from trainer.search import LearnedSearch, Search
from trainer.transform import TransformGraph


class ServedModel(tf.Module):
    """Everything that an answer needs: transform graphs, catalogue, towers, index.

    Args:
      config: the shop.
      model: the trained towers.
      catalogue: the items.
      attributes: what rules know of them.
      popularity: what sells, for requests that say nothing.
      item_vectors: [items, dim] float32, what `model.item_vectors` gives for the catalogue.
      event_transform_graph: folder of the Transform step's output for events.
      item_transform_graph: the same for items.
      stage: scores the candidates of `recommend` and `rank` again; None leaves them as the towers score them.
      heads: what `rank` answers beside the scores, by name.
      texts: of the items, for `search` by words; None leaves it to the towers.
      search: what search has learned beside the towers.
    """

    def __init__(
        self,
        config: Config,
        *,
        model: Towers,
        catalogue: Catalogue,
        attributes: ItemAttributes,
        popularity: Popularity,
        item_vectors: npt.NDArray[np.float32],
        event_transform_graph: str,
        item_transform_graph: str,
        stage: RankingStage | None = None,
        heads: Mapping[str, LearnedHead] | None = None,
        texts: ItemTexts | None = None,
        search: LearnedSearch | None = None,
    ) -> None:
        super().__init__(name="aisle")
        _check_sizes(catalogue, item_vectors)
        # The Keras model stays out of the saved object: its weights are named here, and what its methods need beyond.
        self._weights = [variable.value for variable in model.variables]
        self._text_module = getattr(model.encoder, "module", None)
        self._item_vectors, self._reads_item_texts = model.item_vectors, bool(config.features.item.text)
        self._event_transform, self._item_transform = map(TransformGraph, (event_transform_graph, item_transform_graph))
        self._rows, self.index = row_table(catalogue.ids), ExactIndex(item_vectors)
        self._texts, words = TextReader(config, model), None if texts is None else WordSearch(config.search, texts)
        self._requests = RequestReader(
            config,
            model=model,
            texts=self._texts,
            transform=self._event_transform,
            rows=self._rows,
            item_vectors=self.index.vectors,
        )
        self._answers = Answers(
            catalogue, attributes, index=self.index, rows=self._rows, popularity=popularity, stage=stage
        )
        self._search = Search(config.search, words=words, requests=self._requests, index=self.index, learned=search)
        self.filterable, self.heads = attributes.known, dict(heads or {})
        # No signature answers these two; the evaluation compares the items of a list by them.
        self.item_ids, self.item_vectors = self._answers.ids, self.index.vectors

    def recommend(self, inputs: Tensors) -> Tensors:
        """Answers `recommend`."""
        request = self._requests.read(inputs)
        return self._answers.best(request.queries, inputs, request=request, silent=self._requests.silent(request))

    def search(self, inputs: Tensors) -> Tensors:
        """Answers `search`: words say what is wanted, so the ranking stage stays out."""
        asked = self._search.read(inputs)
        return self._answers.best(
            asked.request.queries,
            inputs,
            silent=self._requests.silent(asked.request),
            fused=lambda allowed: self._search.scores(asked, allowed),
            reasons=lambda rows: self._search.reasons(asked, rows),
        )

    def facets(self, inputs: Tensors) -> Tensors:
        """Answers `facets`: counts everything relevant that the filters allow, whoever asks."""
        found = self._search.relevant(self._search.read(self._requests.nobody(inputs)))
        return self._answers.facets(found, inputs)

    def similar_items(self, inputs: Tensors) -> Tensors:
        """Answers `similar_items`: nothing for an unknown item, and never the item itself."""
        rows = self._rows.lookup(inputs[schema.RAW_ITEM_ID])
        vectors = tf.gather(self.index.vectors, tf.maximum(rows, 0))
        return self._answers.best(vectors, inputs, banned=rows, known=rows >= 0)

    def embed_items(self, inputs: Tensors) -> Tensors:
        """Answers `embed_items`."""
        raw = {name: inputs[name][:, tf.newaxis] for name in (schema.RAW_ITEM_ID, *schema.RAW_ITEM_TEXTS)}
        price = inputs[schema.RAW_PRICE][:, tf.newaxis]
        raw[schema.RAW_PRICE] = tf.where(tf.math.is_finite(price), price, 0.0)
        features = self._item_transform(raw)
        text = None
        if self._reads_item_texts:
            text = self._texts.vectors(features, tokens=schema.FEATURE_TEXT_TOKENS, strings=schema.FEATURE_TEXT)
        rows = self._rows.lookup(inputs[schema.RAW_ITEM_ID])
        return {"embedding": self._item_vectors(numbers(features), rows, text)}

    def rank(self, inputs: Tensors) -> Tensors:
        """Answers `rank`."""
        request = self._requests.read(inputs)
        scores = self._answers.scores_of(request, self._requests.silent(request))
        rows = self._rows.lookup(inputs[contract.CANDIDATES])
        further = {name: tf.where(scores > -np.inf, head(request, rows), 0.0) for name, head in self.heads.items()}
        return {"scores": scores, **further}

    def transform_request(self, inputs: Tensors) -> Tensors:
        """Computes the transformed features of requests, by the transform graph of the training events."""
        return self._requests.transform(inputs)


def _check_sizes(catalogue: Catalogue, item_vectors: npt.NDArray[np.float32]) -> None:
    if len(catalogue) != len(item_vectors):
        raise ValueError(f"expected one vector for each of {len(catalogue.ids)} items, got {len(item_vectors)}")
