"""The simulated shop's products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.simulator.arrays import Floats, Ints
from pipeline.simulator.assortment import ASSORTMENTS, Assortment
from pipeline.simulator.plan import Plan

SLOTS = ("tone", "material", "style")  # the words of a title that customers have tastes for
ZIPF_EXPONENT = 0.75
PRICE_REACH = 1.0  # relative prices count up to a factor of e

_STREAM = 1  # of the seed
_DESCRIPTIONS = (
    "The {tone} {material} {noun} from {brand}, {style} in every detail. Made for {use}.",
    "{brand} presents: {noun}, {style}, {tone} and {material}. Made for {use}.",
    "From {brand}: {style} {noun} in a {tone} {material} version, for {use}.",
)


def vocabulary() -> tuple[tuple[str, str], ...]:
    """Returns every (slot, word) that a title can hold, in the order of their numbers."""
    words: dict[tuple[str, str], None] = {}
    for slot in SLOTS:
        for assortment in ASSORTMENTS:
            words.update(dict.fromkeys((slot, word) for word in getattr(assortment, slot + "s")))
    return tuple(words)


@dataclass(frozen=True)
class Catalogue:
    """Products, sorted by category and noun so that each group is one range of rows.

    Args:
      item_ids: `[items]`, unique; later offered products have higher numbers.
      titles, descriptions, brands, attributes, nouns: `[items]`.
      category: `[items]`, index into `ASSORTMENTS`.
      words: `[items, 3]`, for each of `SLOTS` the word's number in `vocabulary()`.
      price: `[items]`.
      relative_price: `[items]`, log(price / the category's median), within ±`PRICE_REACH`.
      popularity: `[items]`, Zipf weights, positive.
      offered_s: `[items]`, first second on sale.
      noun_range: `[items, 2]`, first row and end of the item's group of equal nouns.
      category_range: `[categories, 2]`, first row and end of each category.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    brands: tuple[str, ...]
    attributes: tuple[str, ...]
    nouns: tuple[str, ...]
    category: Ints
    words: Ints
    price: Floats
    relative_price: Floats
    popularity: Floats
    offered_s: Ints
    noun_range: Ints
    category_range: Ints

    def __len__(self) -> int:
        return len(self.item_ids)


def build_catalogue(plan: Plan) -> Catalogue:
    """Makes `plan.items` products."""
    rng = np.random.default_rng([plan.seed, _STREAM])
    category = _categories(plan.items)
    noun, words, extras = _draw_words(category, rng)
    order = np.lexsort((noun, category))
    category, noun, words, extras = category[order], noun[order], words[order], extras[order]
    texts = [_texts(int(c), int(n), w, e) for c, n, w, e in zip(category, noun, words, extras, strict=True)]
    price, relative_price = _prices(category, extras, rng)
    offered_s = _offered(plan, category, rng)
    ids = np.empty(plan.items, np.int64)
    ids[np.lexsort((rng.random(plan.items), offered_s))] = np.arange(plan.items)
    edges = np.searchsorted(category, np.arange(len(ASSORTMENTS) + 1))
    return Catalogue(
        item_ids=tuple(f"I{number + 1:06d}" for number in ids.tolist()),
        titles=tuple(text[0] for text in texts),
        descriptions=tuple(text[1] for text in texts),
        brands=tuple(text[2] for text in texts),
        attributes=tuple(text[3] for text in texts),
        nouns=tuple(text[4] for text in texts),
        category=category,
        words=words,
        price=price,
        relative_price=relative_price,
        popularity=(1.0 + rng.permutation(plan.items)) ** -ZIPF_EXPONENT,
        offered_s=offered_s,
        noun_range=_ranges(category, noun),
        category_range=np.stack([edges[:-1], edges[1:]], axis=1),
    )


def _categories(items: int) -> Ints:
    """Spreads the items over the categories, none empty while there are enough items."""
    return np.sort(np.arange(items, dtype=np.int64) % len(ASSORTMENTS))


def _draw_words(category: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Draws noun `[items]`, word numbers `[items, 3]` and (brand, size, description) numbers `[items, 3]`."""
    numbers = {word: number for number, word in enumerate(vocabulary())}
    draws = rng.random((len(category), 7))
    noun = np.empty(len(category), np.int64)
    words = np.empty((len(category), len(SLOTS)), np.int64)
    extras = np.empty((len(category), 3), np.int64)
    for index, assortment in enumerate(ASSORTMENTS):
        rows = category == index
        noun[rows] = (draws[rows, 0] * len(assortment.nouns)).astype(np.int64)
        for column, slot in enumerate(SLOTS):
            choices = np.array([numbers[slot, word] for word in getattr(assortment, slot + "s")])
            words[rows, column] = choices[(draws[rows, 1 + column] * len(choices)).astype(np.int64)]
        for column, count in enumerate((len(assortment.brands), len(assortment.sizes), len(_DESCRIPTIONS))):
            extras[rows, column] = (draws[rows, 4 + column] * count).astype(np.int64)
    return noun, words, extras


def _texts(category: int, noun: int, words: Ints, extras: Ints) -> tuple[str, str, str, str, str]:
    assortment: Assortment = ASSORTMENTS[category]
    every = vocabulary_texts()
    tone, material, style = (every[number] for number in words.tolist())
    brand, size = assortment.brands[extras[0]], assortment.sizes[extras[1]]
    parts = {
        "tone": tone, "material": material, "style": style, "noun": assortment.nouns[noun],
        "brand": brand, "size": size, "use": assortment.use,
    }  # fmt: skip
    title = assortment.title.format_map(parts)
    attributes = f"colour or taste: {tone}; material or flavour: {material}; style: {style}; size: {size}"
    return title[0].upper() + title[1:], _DESCRIPTIONS[extras[2]].format_map(parts), brand, attributes, parts["noun"]


_VOCABULARY_TEXTS = tuple(word for _, word in vocabulary())


def vocabulary_texts() -> tuple[str, ...]:
    """Returns the words of `vocabulary()` without their slots."""
    return _VOCABULARY_TEXTS


def _prices(category: Ints, extras: Ints, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Log-normal by category; the first brand of a category is the cheap one, the last the dear one."""
    median = np.array([assortment.price for assortment in ASSORTMENTS])[category]
    spread = np.array([assortment.spread for assortment in ASSORTMENTS])[category]
    brand = (extras[:, 0] - 1) * 0.2
    price = np.maximum(np.round(median * np.exp(brand + spread * rng.standard_normal(len(category))), 2), 0.5)
    return price, np.clip(np.log(price / median), -PRICE_REACH, PRICE_REACH)


def _offered(plan: Plan, category: Ints, rng: np.random.Generator) -> Ints:
    """Marks `plan.new_items` of the items as new; the first item of each category never is."""
    offered = np.full(plan.items, plan.start_s, np.int64)
    _, anchors = np.unique(category, return_index=True)
    candidates = np.setdiff1d(np.arange(plan.items), anchors)
    count = min(round(plan.items * plan.new_items), len(candidates))
    chosen = np.sort(rng.choice(candidates, count, replace=False))
    first, last = plan.new_window_start_s, plan.end_s
    moments = rng.integers(first, max(first + 1, last - (last - first) // 6), count)
    offered[chosen] = moments - moments % 3600
    return offered


def _ranges(category: Ints, noun: Ints) -> Ints:
    """Returns for each row the first row and the end of its group of equal (category, noun)."""
    group = category * 1000 + noun
    return np.stack([np.searchsorted(group, group, "left"), np.searchsorted(group, group, "right")], axis=1)
