"""The synthetic shop: the same seed and number give the same product, whatever the scale. No real person, brand or
article is in it."""

import random

# slug, name, children; a leaf has: nouns, price range in cents, attributes, option axis
TREE = [
    ("home", "Home & Kitchen", [
        ("cookware", "Cookware", ["Saucepan", "Frying Pan", "Stock Pot", "Wok", "Casserole"], (1490, 14900), "cookware"),
        ("tableware", "Tableware", ["Mug", "Dinner Plate", "Bowl", "Carafe", "Teapot"], (590, 5900), "ceramic"),
        ("lighting", "Lighting", ["Table Lamp", "Pendant Lamp", "Floor Lamp", "Wall Light"], (1990, 24900), "lamp"),
        ("textiles", "Textiles", ["Blanket", "Cushion", "Bed Linen", "Bath Towel"], (1290, 12900), "textile"),
    ]),
    ("clothing", "Clothing", [
        ("shirts", "Shirts", ["Linen Shirt", "Oxford Shirt", "T-Shirt", "Polo"], (1490, 7900), "wear"),
        ("knitwear", "Knitwear", ["Pullover", "Cardigan", "Knitted Scarf", "Beanie"], (1990, 12900), "wear"),
        ("shoes", "Shoes", ["Sneaker", "Boot", "Sandal", "Loafer"], (3990, 18900), "shoe"),
        ("bags", "Bags", ["Backpack", "Tote Bag", "Messenger Bag", "Wash Bag"], (1990, 15900), "bag"),
    ]),
    ("electronics", "Electronics", [
        ("headphones", "Headphones", ["Headphones", "Earbuds", "Headset"], (1990, 34900), "audio"),
        ("cables", "Cables & Chargers", ["USB-C Cable", "Charger", "Power Bank", "Travel Adapter"], (790, 7900), "power"),
        ("keyboards", "Keyboards & Mice", ["Keyboard", "Mouse", "Trackball", "Wrist Rest"], (1490, 19900), "input"),
        ("speakers", "Speakers", ["Bookshelf Speaker", "Portable Speaker", "Soundbar"], (2990, 49900), "audio"),
    ]),
    ("garden", "Garden", [
        ("tools", "Garden Tools", ["Hand Trowel", "Pruner", "Rake", "Watering Can"], (890, 8900), "tool"),
        ("seeds", "Seeds", ["Tomato Seeds", "Basil Seeds", "Sunflower Seeds", "Meadow Mix"], (190, 990), "seed"),
        ("pots", "Pots & Planters", ["Planter", "Hanging Pot", "Raised Bed", "Saucer"], (490, 12900), "ceramic"),
    ]),
    ("books", "Books & Paper", [
        ("notebooks", "Notebooks", ["Notebook", "Sketchbook", "Planner", "Journal"], (490, 3900), "paper"),
        ("pens", "Pens", ["Fountain Pen", "Ballpoint Pen", "Pencil Set", "Ink"], (290, 18900), "pen"),
    ]),
    ("sports", "Sports", [
        ("cycling", "Cycling", ["Bicycle Bell", "Helmet", "Saddle", "Pannier"], (890, 16900), "sport"),
        ("yoga", "Yoga", ["Yoga Mat", "Block", "Strap", "Bolster"], (990, 9900), "textile"),
        ("outdoor", "Outdoor", ["Tent", "Sleeping Bag", "Lantern", "Flask"], (1290, 39900), "sport"),
    ]),
    ("toys", "Toys", [
        ("puzzles", "Puzzles", ["Jigsaw Puzzle", "Wooden Puzzle", "Brain Teaser"], (790, 4900), "toy"),
        ("games", "Games", ["Board Game", "Card Game", "Dice Set"], (690, 6900), "toy"),
    ]),
    ("food", "Food", [
        ("coffee", "Coffee", ["Espresso Beans", "Filter Coffee", "Decaf Beans"], (590, 2900), "food"),
        ("tea", "Tea", ["Green Tea", "Black Tea", "Herbal Tea"], (390, 2900), "food"),
    ]),
]

COLORS = ["black", "white", "sand", "navy", "forest", "rust", "sky", "rose", "graphite", "ochre"]
SIZES = ["XS", "S", "M", "L", "XL"]
ADJECTIVES = ["Quiet", "Nordic", "Everyday", "Classic", "Light", "Sturdy", "Little", "Grand", "Soft", "Clear", "Modern",
              "Fine", "Simple", "Bright", "Northern", "Coastal", "Alpine", "Urban", "Rustic", "Compact"]
SERIES = ["Alder", "Birch", "Cove", "Dune", "Ember", "Fjord", "Grove", "Harbour", "Isle", "Juniper", "Kestrel", "Lark",
          "Meadow", "Nimbus", "Orchard", "Pebble", "Quartz", "Ridge", "Solstice", "Tide", "Umber", "Vale", "Willow",
          "Yarrow", "Zephyr"]
MATERIALS = {"cookware": ["cast iron", "stainless steel", "aluminium", "copper"],
             "ceramic": ["stoneware", "porcelain", "terracotta", "glass"], "lamp": ["brass", "oak", "linen", "steel"],
             "textile": ["cotton", "linen", "wool", "cork"], "wear": ["cotton", "linen", "merino", "recycled polyester"],
             "shoe": ["leather", "canvas", "suede"], "bag": ["canvas", "leather", "recycled nylon"],
             "tool": ["ash wood", "steel", "aluminium"], "paper": ["recycled paper", "cotton paper"],
             "pen": ["brass", "resin", "cedar"], "toy": ["beech", "cardboard", "maple"],
             "sport": ["nylon", "aluminium", "foam"]}
AXES = {"wear": ("size", SIZES), "shoe": ("size", [str(n) for n in range(36, 47)]), "bag": ("color", COLORS),
        "textile": ("color", COLORS), "ceramic": ("color", COLORS), "lamp": ("color", COLORS),
        "audio": ("color", COLORS[:5]), "input": ("layout", ["US", "DE", "FR"]), "food": ("weight", ["250 g", "500 g", "1 kg"]),
        "power": ("length", ["0.5 m", "1 m", "2 m"])}
EXTRA = {"audio": ("battery_hours", [8, 12, 20, 30, 40]), "power": ("watts", [18, 30, 45, 65, 100]),
         "lamp": ("lumens", [250, 400, 800, 1100]), "input": ("wireless", [True, False]),
         "seed": ("germination_days", [5, 7, 10, 14]), "paper": ("pages", [96, 144, 192, 240]),
         "toy": ("age_from", [3, 6, 8, 12, 14]), "food": ("organic", [True, False]),
         "cookware": ("diameter_cm", [16, 20, 24, 28, 32]), "sport": ("weight_class", ["light", "standard", "expedition"])}

VENDORS = [
    ("Harbour Goods", "harbour-goods", "DE", "Things for kitchen and table that last.", ["home", "food"]),
    ("Northlight Electronics", "northlight-electronics", "NL", "Sound, power and input devices.", ["electronics"]),
    ("Meadow & Vale", "meadow-and-vale", "FR", "Garden, seeds and everything that grows.", ["garden", "food", "home"]),
    ("Common Thread", "common-thread", "PT", "Clothing and bags in small series.", ["clothing", "sports"]),
    ("Paper Lantern", "paper-lantern", "GB", "Paper, pens, puzzles and games.", ["books", "toys"]),
]

PASSWORD = "demo-Souk-2468!"


def categories():
    """(slug, name, parent slug or None), parents first."""
    for position, (slug, name, children) in enumerate(TREE):
        yield slug, name, None, position
        for i, (child, child_name, *_) in enumerate(children):
            yield child, child_name, slug, i


def vendors():
    for name, slug, country, description, tops in VENDORS:
        yield {"name": name, "slug": slug, "country": country, "description": description, "tops": tops,
               "owner": f"{slug}@vendors.souk.example"}


def leaves(tops):
    return [leaf for slug, _, children in TREE if slug in tops for leaf in children]


def product(seed, number):
    """Product `number` (from 0). The vendor goes round, so each vendor's list is known without making the others."""
    rnd = random.Random(f"{seed}/{number}")
    vendor = number % len(VENDORS)
    slug, _, nouns, (low, high), kind = rnd.choice(leaves(VENDORS[vendor][4]))
    noun = rnd.choice(nouns)
    series = rnd.choice(SERIES)
    title = f"{series} {rnd.choice(ADJECTIVES)} {noun}"
    attributes = {"series": series}
    if kind in MATERIALS:
        attributes["material"] = rnd.choice(MATERIALS[kind])
    if kind in EXTRA:
        key, values = EXTRA[kind]
        attributes[key] = rnd.choice(values)
    # Prices end in 90 or 50; low prices are more frequent.
    base = int(low * (high / low) ** (rnd.random() ** 1.3))
    base = max(low, base // 100 * 100 + rnd.choice((50, 90)))
    made = {
        "number": number, "vendor": vendor, "title": title, "brand": series, "category": slug,
        "slug": f"{series}-{noun}-{number:06d}".lower().replace(" ", "-"),
        "description": f"{noun} of the {series} series"
                       + (f", made of {attributes['material']}" if "material" in attributes else "") + ". "
                       + rnd.choice(["Made to be used every day.", "Repairable, with spare parts for ten years.",
                                     "Packed without plastic.", "A present that stays.",
                                     "Developed with the people who use it."]),
        "attributes": attributes, "variants": [],
    }
    axis, values = AXES.get(kind, (None, [None]))
    chosen = sorted(rnd.sample(values, min(len(values), rnd.choice((1, 2, 3, 3, 4)))), key=values.index)
    sale = rnd.random() < 0.12
    for i, value in enumerate(chosen):
        price = base + (i * base // 5 // 100 * 100 if kind in ("food", "power") else 0)
        sku = f"{VENDORS[vendor][1][:2].upper()}-{number:06d}" + (f"-{i + 1}" if value is not None else "")
        made["variants"].append({
            "sku": sku, "title": value or "", "options": {axis: value} if axis else {},
            "price": price * 4 // 5 // 10 * 10 if sale else price, "compare_at": price if sale else None,
            "weight_g": rnd.choice((80, 150, 240, 400, 750, 1200, 2600)),
            # Some are out of stock, some are nearly: a shop without them shows nothing.
            "on_hand": rnd.choice((0, 2, 5, 12, 40, 120, 400, 400)),
        })
    return made


def products(seed, scale, vendor):
    for number in range(vendor, scale, len(VENDORS)):
        yield product(seed, number)


HISTORY_DAYS = 60


def history(seed, products, now_ms, shoppers=250):
    """What invented shoppers did in the last days with products (id, category): rows of the import of history.

    Each likes two categories and, in them, mostly what many like; who buys has looked before, and some things go together.
    """
    rnd = random.Random(f"{seed}/history")
    shelf = {}
    for product_id, category in products:
        shelf.setdefault(category, []).append(product_id)
    tastes = sorted(shelf)
    rows = []

    def note(kind, shopper, session, product_id, at, **more):
        rows.append({"id": f"{seed}-{len(rows)}", "type": kind, "user_id": f"demo-shopper-{shopper}",
                     "session_id": session, "product_id": product_id, "occurred_at": at, **more})

    def pick(category):
        goods = shelf[category]
        return goods[min(int(rnd.expovariate(4.0 / len(goods))), len(goods) - 1)]

    for shopper in range(shoppers if tastes else 0):
        likes = rnd.sample(tastes, min(2, len(tastes)))
        for visit in range(rnd.choice((1, 2, 2, 3, 4))):
            session = f"demo-visit-{seed}-{shopper}-{visit}"
            at = now_ms - int(rnd.random() ** 1.4 * HISTORY_DAYS * 86400000) - 7200000
            basket = []
            for step in range(rnd.randint(2, 7)):
                product_id = pick(rnd.choice(likes if rnd.random() < 0.85 else tastes))
                note("view", shopper, session, product_id, at + step * 40000)
                if rnd.random() < 0.3 and product_id not in basket:
                    basket.append(product_id)
                    note("add_to_cart", shopper, session, product_id, at + step * 40000 + 15000)
            if basket and rnd.random() < 0.7:
                if rnd.random() < 0.5:  # what lies beside it on the shelf
                    goods = next(g for g in shelf.values() if basket[0] in g)
                    beside = goods[(goods.index(basket[0]) + 1) % len(goods)]
                    basket += [beside] if beside not in basket else []
                for product_id in basket:
                    note("purchase", shopper, session, product_id, at + 600000,
                         order_id=f"demo-order-{seed}-{shopper}-{visit}", qty=1)
    return rows
