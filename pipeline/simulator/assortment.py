"""What the simulated shop sells: its leaf categories and the words that its products are made of."""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = ("blue", "red", "green", "black", "white", "grey")
TASTES = ("dark", "mild", "strong", "salted")


@dataclass(frozen=True)
class Assortment:
    """One leaf category.

    Args:
      path: the whole category path.
      demand: share of the shop's visits, relative to the other categories.
      price: median price.
      spread: standard deviation of the logarithm of the price.
      nouns: what the things are.
      styles, tones, materials: one word of each makes a product.
      sizes: the variants that a product comes in.
      brands: who makes them.
      use: completes "Made for ...".
      title: the order of the words in a title.
      cycle_days: days after which a buyer needs more of it; 0 for things that last.
    """

    path: str
    demand: float
    price: float
    spread: float
    nouns: tuple[str, ...]
    styles: tuple[str, ...]
    tones: tuple[str, ...]
    materials: tuple[str, ...]
    sizes: tuple[str, ...]
    brands: tuple[str, ...]
    use: str
    title: str = "{style} {tone} {material} {noun} {size}"
    cycle_days: int = 0

    @property
    def leaf(self) -> str:
        """The last part of the path."""
        return self.path.rsplit(" > ", maxsplit=1)[-1]


ASSORTMENTS: tuple[Assortment, ...] = (
    Assortment(
        path="Home > Kitchen > Cookware",
        demand=1.2,
        price=32.0,
        spread=0.5,
        nouns=("frying pan", "saucepan", "wok", "casserole", "roasting tin", "spoon set", "salad bowl"),
        styles=("rustic", "modern", "classic", "compact"),
        tones=COLOURS,
        materials=("steel", "copper", "ceramic", "wooden"),
        sizes=("20 cm", "24 cm", "28 cm"),
        brands=("Hearthwell", "Kupfer & Sohn", "Bonne Table"),
        use="weekday dinners and long Sunday lunches",
    ),
    Assortment(
        path="Home > Decor > Candles",
        demand=0.9,
        price=14.0,
        spread=0.45,
        nouns=("scented candle", "pillar candle", "tealight holder", "lantern", "candlestick", "wreath"),
        styles=("rustic", "vintage", "modern", "handmade"),
        tones=COLOURS,
        materials=("glass", "ceramic", "wooden", "copper"),
        sizes=("small", "medium", "large"),
        brands=("Lumen House", "Nordlys", "Hearthwell"),
        use="long evenings and a warm room",
    ),
    Assortment(
        path="Home > Garden > Planters",
        demand=0.9,
        price=26.0,
        spread=0.55,
        nouns=("planter", "flower pot", "hanging basket", "watering can", "raised bed", "bird house"),
        styles=("rustic", "vintage", "modern", "handmade"),
        tones=COLOURS,
        materials=("wooden", "ceramic", "steel", "recycled"),
        sizes=("20 cm", "40 cm", "60 cm"),
        brands=("Greenyard", "Balkonia", "Terra Verde"),
        use="balconies, terraces and small gardens",
    ),
    Assortment(
        path="Clothing > Shoes > Running Shoes",
        demand=1.1,
        price=85.0,
        spread=0.35,
        nouns=("shoes", "trainers", "sneakers", "racing flats", "spikes"),
        styles=("running", "trail", "lightweight", "waterproof"),
        tones=COLOURS,
        materials=("mesh", "leather", "knitted", "recycled"),
        sizes=("women", "men", "junior"),
        brands=("Velox", "Pacemaker", "Corsa"),
        use="roads, parks and the first five kilometres",
        title="{tone} {material} {style} {noun} {size}",
    ),
    Assortment(
        path="Clothing > Outerwear > Rainwear",
        demand=0.7,
        price=48.0,
        spread=0.45,
        nouns=("umbrella", "raincoat", "rain jacket", "poncho", "rain boots"),
        styles=("compact", "classic", "lightweight", "waterproof"),
        tones=COLOURS,
        materials=("nylon", "rubber", "cotton", "recycled"),
        sizes=("women", "men", "junior"),
        brands=("Drizzle", "Regenfrei", "Corsa"),
        use="wet days on the way to work and school",
    ),
    Assortment(
        path="Clothing > Accessories > Knitwear",
        demand=0.8,
        price=29.0,
        spread=0.5,
        nouns=("scarf", "beanie", "gloves", "cardigan", "wool socks"),
        styles=("classic", "vintage", "handmade", "lightweight"),
        tones=COLOURS,
        materials=("woollen", "cashmere", "knitted", "cotton"),
        sizes=("women", "men", "junior"),
        brands=("Nordlys", "Maglia", "Highfell"),
        use="cold mornings and winter walks",
    ),
    Assortment(
        path="Clothing > Beach > Swimwear",
        demand=0.8,
        price=34.0,
        spread=0.45,
        nouns=("swimsuit", "bikini", "swim shorts", "beach towel", "sun hat"),
        styles=("classic", "vintage", "modern", "lightweight"),
        tones=COLOURS,
        materials=("nylon", "cotton", "linen", "recycled"),
        sizes=("women", "men", "junior"),
        brands=("Costa", "Velox", "Riviera"),
        use="pools, lakes and days at the sea",
    ),
    Assortment(
        path="Toys > Games > Board Games",
        demand=0.8,
        price=27.0,
        spread=0.4,
        nouns=("board game", "puzzle", "card game", "chess set", "dice game", "memory game"),
        styles=("classic", "vintage", "compact", "cooperative"),
        tones=COLOURS,
        materials=("wooden", "cardboard", "magnetic", "recycled"),
        sizes=("travel", "family", "deluxe"),
        brands=("Spielhaus", "Meeple Mill", "Giocondo"),
        use="two to six players on a rainy afternoon",
    ),
    Assortment(
        path="Toys > Building > Blocks and Trains",
        demand=0.8,
        price=31.0,
        spread=0.5,
        nouns=("building blocks", "train set", "marble run", "toy crane", "stacking tower", "pull-along dog"),
        styles=("classic", "handmade", "compact", "modern"),
        tones=COLOURS,
        materials=("wooden", "magnetic", "cardboard", "recycled"),
        sizes=("starter", "family", "deluxe"),
        brands=("Spielhaus", "Petit Pont", "Giocondo"),
        use="small hands from the age of three",
    ),
    Assortment(
        path="Beauty > Hair > Shampoo",
        demand=0.9,
        price=11.0,
        spread=0.4,
        nouns=("shampoo", "conditioner", "hair mask", "shampoo bar", "hair oil"),
        styles=("organic", "vegan", "gentle", "classic"),
        tones=("moisturising", "volumising", "repairing", "mild"),
        materials=("lavender", "citrus", "mint", "coconut"),
        sizes=("100 ml", "250 ml", "500 ml"),
        brands=("Flora Bath", "Saponella", "Pure Source"),
        use="daily care without silicones",
        cycle_days=35,
    ),
    Assortment(
        path="Food > Pantry > Coffee and Tea",
        demand=1.1,
        price=9.5,
        spread=0.4,
        nouns=("coffee beans", "ground coffee", "espresso", "green tea", "black tea", "herbal tea"),
        styles=("organic", "fairtrade", "artisan", "classic"),
        tones=TASTES,
        materials=("vanilla", "caramel", "mint", "citrus"),
        sizes=("250 g", "500 g", "1 kg"),
        brands=("Harbour Roast", "Caffe Alba", "Leaf & Co"),
        use="the first cup of the day",
        cycle_days=28,
    ),
    Assortment(
        path="Food > Sweets > Chocolate",
        demand=0.9,
        price=7.5,
        spread=0.45,
        nouns=("chocolate bar", "truffles", "pralines", "chocolate eggs", "hot chocolate", "nougat"),
        styles=("organic", "fairtrade", "artisan", "vegan"),
        tones=TASTES,
        materials=("vanilla", "caramel", "mint", "citrus"),
        sizes=("100 g", "250 g", "gift box"),
        brands=("Cacao Row", "Caffe Alba", "Maison Douce"),
        use="sharing, or not sharing",
    ),
    Assortment(
        path="Pets > Dogs > Dog Food",
        demand=0.8,
        price=19.0,
        spread=0.5,
        nouns=("dry food", "wet food", "dog treats", "chew sticks", "puppy food"),
        styles=("organic", "vegan", "gentle", "classic"),
        tones=("crunchy", "tender", "mild", "strong"),
        materials=("chicken", "salmon", "beef", "lamb"),
        sizes=("1 kg", "3 kg", "10 kg"),
        brands=("Good Boy", "Wuff", "Bau Bau"),
        use="dogs of every size and appetite",
        cycle_days=21,
    ),
    Assortment(
        path="Office > Desk > Notebooks",
        demand=0.8,
        price=16.0,
        spread=0.5,
        nouns=("notebook", "planner", "sketchbook", "pen set", "desk organiser", "pencil case"),
        styles=("classic", "vintage", "modern", "compact"),
        tones=COLOURS,
        materials=("leather", "recycled", "wooden", "linen"),
        sizes=("A6", "A5", "A4"),
        brands=("Inkwell", "Papierlager", "Carta Nova"),
        use="lists, plans and better ideas",
    ),
    Assortment(
        path="Jewellery > Gifts > Necklaces",
        demand=0.7,
        price=64.0,
        spread=0.6,
        nouns=("necklace", "pendant", "bracelet", "earrings", "ring", "locket"),
        styles=("classic", "vintage", "modern", "handmade"),
        tones=("golden", "rose", "blue", "green", "white"),
        materials=("silver", "pearl", "copper", "glass"),
        sizes=("short", "medium", "long"),
        brands=("Maison Douce", "Perla", "Silberwerk"),
        use="birthdays, anniversaries and no reason at all",
    ),
)

COUNTRIES: tuple[str, ...] = ("GB", "DE", "FR", "ES", "IT")
COUNTRY_SHARES: tuple[float, ...] = (0.30, 0.28, 0.20, 0.12, 0.10)
WEATHERS: tuple[str, ...] = ("sunny", "cloudy", "rain", "snow")
