"""Generated products, reproducible by seed, as a file and as tuples."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEED = 20240601
MAKERS = ("Northwind", "Halden", "Orbis", "Castell", "Miro", "Quill", "Tamsin", "Varda", "Ebro", "Solis")
THINGS = ("laptop", "headphones", "camera", "monitor", "keyboard", "lamp", "backpack", "kettle", "watch", "chair")
TRAITS = ("light", "quiet", "compact", "sturdy", "folding", "wireless", "repairable", "bright", "warm", "plain")
CATEGORIES = ("Laptops", "Audio", "Cameras", "Home", "Office", "Travel", "Kitchen", "Garden")


def products(count: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Yield `count` products in feed form; each title contains the row's number."""
    chance = random.Random(seed)
    for number in range(count):
        maker, thing, trait = chance.choice(MAKERS), chance.choice(THINGS), chance.choice(TRAITS)
        yield {
            "title": f"{maker} {trait} {thing} {title_mark(number)}",
            "price": chance.randrange(500, 250_000) / 100,
            "description": f"A {trait} {thing} by {maker}, made to be used every day and kept for years.",
            "category": chance.choice(CATEGORIES),
            "image": f"https://example.com/pictures/{number}.jpg",
            "rating": {"rate": chance.randrange(10, 51) / 10, "count": chance.randrange(5_000)},
        }


def title_mark(number: int) -> str:
    """Return the part of the title that is unique to row `number`."""
    return f"no{number:08d}"


def write_jsonl(path: Path, count: int) -> Path:
    """Write `count` products to `path`, one JSON object a line, and return the path."""
    with path.open("w", encoding="utf-8") as file:
        for product in products(count):
            file.write(json.dumps(product) + "\n")
    return path


def write_json(path: Path, count: int) -> Path:
    """Write `count` products to `path` as one JSON array, and return the path."""
    path.write_text(json.dumps(list(products(count))), encoding="utf-8")
    return path


def write_csv(path: Path, count: int) -> Path:
    """Write `count` products to `path` as CSV, and return the path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["title", "price", "description", "category", "image", "rating.rate", "rating.count"])
        table.writerows(plain_rows(count))
    return path


def plain_rows(count: int) -> list[tuple[Any, ...]]:
    """Return the same products as rows (title, price, description, category, image, rate, count)."""
    return [
        (p["title"], p["price"], p["description"], p["category"], p["image"], p["rating"]["rate"], p["rating"]["count"])
        for p in products(count)
    ]
