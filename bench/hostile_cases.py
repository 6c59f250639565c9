"""What a hostile user does: each area draws a case from a seed, a command line or a call."""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import safetensors.numpy

from hostile_bombs import BOMBS
from hostile_moves import moved_and_back, swapped_words
from hostile_world import PEOPLE, World, copied
from twofold import build, cli
from twofold.config import Recipe
from twofold.contract import Contract
from twofold.data.items import Items
from twofold.data.pairs import Pairs
from twofold.data.production import ProductionScores
from twofold.data.scores import Scores
from twofold.files import sha256_file
from twofold.printable import utf8_name
from twofold.store import Index

__all__ = ["AREAS", "Case"]

Chance = np.random.Generator


class Case(NamedTuple):
    """One try.

    Attributes:
        name: what was done.
        words: a command line; or empty, then `call` is made.
        call: a call of the library, which gives its answer.
        like: words or a call whose answer is the truth: another answer must be a refusal or say so;
            None: any answer.
        refuse: whether nothing but a refusal is right.
        apart: the name of a format that cannot know of the damage: a silent wrong answer is counted
            under it.
    """

    name: str
    words: tuple[str, ...] = ()
    call: Callable[[], Any] | None = None
    like: "tuple[str, ...] | Callable[[], Any] | None" = None
    refuse: bool = False
    apart: str = ""


# ----------------------------------------------------------------------------------------------------
# bytes

JUNK = (
    b"",
    b"\0" * 4096,
    b"\xff" * 999,
    b"[" * 100_000,
    b"null",
    b"[]",
    b'{"format": 1}',
    b"PK\x03\x04",
    b"\x89PNG\r\n",
)


def spoilt(content: bytes, chance: Chance) -> tuple[str, bytes]:
    """Bytes with some harm done to them, and its name."""
    kind = str(chance.choice(["flip", "flips", "cut", "zeros", "insert", "repeat", "swap", "junk"]))
    spoil, size = bytearray(content), max(1, len(content))
    place, end = sorted(int(each) for each in chance.integers(0, size, 2))
    if kind == "junk" or not content:
        return "junk", JUNK[int(chance.integers(len(JUNK)))]
    if kind in ("flip", "flips"):
        for _ in range(1 if kind == "flip" else int(chance.integers(2, 40))):
            spoil[int(chance.integers(size))] ^= 1 << int(chance.integers(8))
    elif kind == "cut":
        del spoil[place:]
    elif kind == "zeros":
        spoil[place:end] = bytes(end - place)
    elif kind == "insert":
        spoil[place:place] = chance.bytes(int(chance.integers(1, 200)))
    elif kind == "repeat":
        spoil[place:place] = spoil[place:end]
    else:
        middle = (place + end) // 2
        spoil[place:end] = spoil[middle:end] + spoil[place:middle]
    return kind, bytes(spoil)


# ----------------------------------------------------------------------------------------------------
# pictures

WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("png", {}),
    "jpeg": ("jpeg", {"quality": 90}),
    "webp": ("webp", {"lossless": True}),
    "lossy_webp": ("webp", {"quality": 90}),
    "bmp": ("bmp", {}),
    "gif": ("gif", {}),
    "tiff": ("tiff", {"compression": "tiff_lzw"}),
    "deflated_tiff": ("tiff", {"compression": "tiff_adobe_deflate"}),
    "ppm": ("ppm", {}),
    "avif": ("avif", {}),
}
CHECKED = {"png"}
"""Formats with a checksum over every byte that counts: damage must be noticed."""


def pictures(world: World, scratch: Path, chance: Chance) -> Case:
    """A picture with harm done to its bytes, compared with another one."""
    name = str(chance.choice(list(WRITERS)))
    form, settings = WRITERS[name]
    mode = str(chance.choice(["RGB", "L", "P"])) if form in ("png", "bmp", "tiff") else "RGB"
    stream = io.BytesIO()
    person = int(chance.integers(PEOPLE))
    PIL.Image.open(world.picture(person, 0)).resize((48, 48)).convert(mode).save(
        stream, form, **settings
    )
    whole, other = scratch / f"whole.{form}", str(world.picture(person, 1))
    whole.write_bytes(stream.getvalue())
    kind, content = spoilt(stream.getvalue(), chance)
    hurt = scratch / f"hurt.{form}"
    hurt.write_bytes(content)
    said = ("verify", str(world.bundle))
    return Case(
        f"{name} {mode} {kind}",
        (*said, str(hurt), other, "--json"),
        like=(*said, str(whole), other, "--json"),
        apart="" if name in CHECKED else name,
    )


# ----------------------------------------------------------------------------------------------------
# bundles

ODD: tuple[Any, ...] = (
    None,
    [],
    {},
    -1,
    0,
    10**30,
    1e308,
    "",
    "x" * 10_000,
    True,
    [[[[1]]]],
    "\ud800",
    float("nan"),
    {"a": 1},
)


def bundles(world: World, scratch: Path, chance: Chance) -> Case:
    """A bundle with a spoilt file; or with JSON or tensors that are odd, and hashes that fit."""
    bundle = copied(world.bundle, scratch)
    asked = (str(world.picture(0, 0)), str(world.picture(0, 1)), "--json")
    words, truth = ("verify", str(bundle), *asked), ("verify", str(world.bundle), *asked)
    kind = str(chance.choice(["bytes", "json", "tensors", "deep"]))
    if kind == "bytes":
        file = bundle / str(chance.choice(sorted(path.name for path in bundle.iterdir())))
        done, content = spoilt(file.read_bytes(), chance)
        file.write_bytes(content)
        return Case(f"bundle {file.name} {done}", words, like=truth)
    if kind == "tensors":
        done = odd_tensors(bundle / "weights.safetensors", chance)
    elif kind == "deep":
        done, depth = "deep", int(chance.integers(500, 200_000))
        (bundle / "bundle.json").write_text('{"a":' * depth + "1" + "}" * depth)
    else:
        done = odd_json(bundle / str(chance.choice(["bundle.json", "manifest.json"])), chance)
    if not done.startswith("manifest"):
        resealed(bundle)
    # whoever writes fitting hashes can write any weights and any threshold
    return Case(f"bundle resealed {done}", words, like=truth, apart="resealed_bundle")


def odd_json(file: Path, chance: Chance) -> str:
    """Put an odd value into some place of a JSON file, or take the place away."""
    plain = json.loads(file.read_text())
    places = list(branches(plain))
    holder, key = places[int(chance.integers(len(places)))]
    if chance.random() < 0.2:
        del holder[key]
        done = "gone"
    else:
        holder[key] = ODD[int(chance.integers(len(ODD)))]
        done = f"{str(holder[key])[:20]!r}"
    file.write_text(json.dumps(plain))
    return f"{file.name} {key} {done}"


def branches(plain: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in JSON, as its holder and key."""
    for key in (
        list(plain)
        if isinstance(plain, dict)
        else range(len(plain))
        if isinstance(plain, list)
        else ()
    ):
        yield plain, key
        yield from branches(plain[key])


def odd_tensors(file: Path, chance: Chance) -> str:
    """Rename, drop, reshape or retype a tensor, or fill it with NaN."""
    tensors = safetensors.numpy.load_file(file)
    name = str(chance.choice(sorted(tensors)))
    kind = str(chance.choice(["rename", "drop", "reshape", "retype", "nan", "more"]))
    tensor = tensors.pop(name)
    if kind == "rename":
        tensors[f"{name}.x"] = tensor
    elif kind == "reshape":
        tensors[name] = np.ascontiguousarray(tensor.reshape(-1)[: max(1, tensor.size // 2)])
    elif kind == "retype":
        tensors[name] = tensor.astype(np.int32)
    elif kind == "nan":
        tensors[name] = np.full_like(tensor, np.nan) if tensor.dtype.kind == "f" else tensor
    elif kind == "more":
        tensors |= {name: tensor, "more": tensor}
    file.write_bytes(safetensors.numpy.save(tensors))
    return f"weights {kind}"


def resealed(bundle: Path) -> None:
    """Hashes that fit."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = {
        path.name: sha256_file(path) for path in bundle.iterdir() if path.name != "manifest.json"
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))


# ----------------------------------------------------------------------------------------------------
# indexes


def indexes(world: World, scratch: Path, chance: Chance) -> Case:
    """An index with a spoilt file, searched or looked at."""
    index = copied(world.gallery, scratch)
    files = sorted(path for path in index.rglob("*") if path.is_file())
    file = files[int(chance.integers(len(files)))]
    done, content = spoilt(file.read_bytes(), chance)
    file.write_bytes(content)
    query = str(world.picture(2, 1))
    ways = {
        "search": ("search", str(world.bundle), "INDEX", query, "--json"),
        "identify": ("identify", str(world.bundle), "INDEX", query, "--json"),
        "info": ("info", "INDEX", "--json"),
        "audit": ("audit", "INDEX", "--json"),
        "check": ("check", "INDEX", "--json"),
    }
    way = str(chance.choice(list(ways)))
    words, truth = (
        tuple(w.replace("INDEX", str(p)) for w in ways[way]) for p in (index, world.gallery)
    )
    return Case(f"index {file.name} {done} {way}", words, like=None if way == "check" else truth)


# ----------------------------------------------------------------------------------------------------
# tables

READERS: dict[str, Callable[[Path], Any]] = {
    "items.csv": lambda path: shown_items(Items.open(path)),
    "pairs.csv": lambda path: shown_pairs(Pairs.from_table(path)),
    "scores.csv": lambda path: shown_scores(Scores.open(path)),
    "scores.jsonl": lambda path: repr(ProductionScores.open(path)),
    "contract.json": lambda path: Contract.load(path).to_dict(),
    "recipe.toml": lambda path: build.check(Recipe.read(path)) and Recipe.read(path).toml(),
}


def shown_items(items: Items) -> Any:
    """All that a table of items says."""
    # columns that mean nothing to us keep their own spelling
    others = [{key.lower(): value for key, value in each.items()} for each in items.metadata or ()]
    return items.ids, items.names, items.labels.tolist(), repr(others)


def shown_pairs(pairs: Pairs) -> Any:
    """All that a table of pairs says."""
    answers = None if pairs.answers is None else pairs.answers.tolist()
    return pairs.ids, pairs.index_a.tolist(), pairs.index_b.tolist(), answers


def shown_scores(scores: Scores) -> Any:
    """All that a table of scores says."""
    blocks = [(block.scores.tolist(), block.same.tolist()) for block in scores.pairs]
    return scores.unit, scores.identities, blocks


def rewritten(text: str) -> dict[str, bytes]:
    """The same table as other programs write it: each must be read as it is meant, or refused."""
    lines = text.splitlines()
    header, rows = lines[0], lines[1:]
    return {
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "utf-16": text.encode("utf-16"),
        "utf-16-be": text.encode("utf-16-be"),
        "crlf": text.replace("\n", "\r\n").encode(),
        "cr": text.replace("\n", "\r").encode(),
        "semicolons": text.replace(",", ";").encode(),
        "tabs": text.replace(",", "\t").encode(),
        "trailing": "\n".join(f"{line},," for line in lines).encode(),
        "trailing header": "\n".join([f"{header},,", *rows]).encode(),
        "capitals": "\n".join([header.upper(), *rows]).encode(),
        "titles": "\n".join([header.title(), *rows]).encode(),
        "blanks": "\n".join(
            [header.replace(",", " , "), *(row.replace(",", " , ") for row in rows)]
        ).encode(),
        "quoted": "\n".join(
            ",".join(f'"{field}"' for field in line.split(",")) for line in lines
        ).encode(),
        "empty lines": text.replace("\n", "\n\n").encode(),
        "no last newline": text.rstrip("\n").encode(),
        # in a column of answers only: as the name of an identity, 1.0 is another one
        "floats": (
            text.replace(",1\n", ",1.0\n").replace(",0\n", ",0.0\n") if "same" in header else text
        ).encode(),
    }


def broken(text: str) -> dict[str, bytes]:
    """Tables that are none, or nobody's."""
    header = text.splitlines()[0]
    return {
        "empty": b"",
        "header only": header.encode(),
        "header and newline": f"{header}\n".encode(),
        "wide": (
            "\n".join([",".join(f"c{n}" for n in range(1_000_000)), ",".join(["1"] * 1_000_000)])
        ).encode(),
        "wide rows": f"{header}\n{'1,' * 1_000_000}\n".encode(),
        "long field": f"{header}\n{'x' * 3_000_000},1,1\n".encode(),
        "open quote": f'{header}\n"never closed,1,1\n'.encode(),
        "nul": f"{header}\na\0b,1,1\n".encode(),
        "same twice": text.replace(header, ",".join([header.split(",")[0]] * 3)).encode(),
        "deep": b"[" * 100_000,
        "no columns": b"\n\n\n,,,\n",
    }


def tables(world: World, scratch: Path, chance: Chance) -> Case:
    """A table that another program wrote, or that is none, read by the library."""
    name = str(chance.choice(list(READERS)))
    (scratch / "data").symlink_to(world.data)
    source, file = world.root / name, scratch / name
    kind = (
        str(chance.choice(["bytes", "rewritten", "broken"])) if name.endswith(".csv") else "bytes"
    )
    read, like = READERS[name], None
    if kind == "bytes":
        done, content = spoilt(source.read_bytes(), chance)
    else:
        made = rewritten(source.read_text()) if kind == "rewritten" else broken(source.read_text())
        done = str(chance.choice(list(made)))
        content = made[done]
        like = (lambda: read(source)) if kind == "rewritten" else None
    file.write_bytes(content)
    return Case(f"table {name} {done}", call=lambda: read(file), like=like, refuse=kind == "broken")


# ----------------------------------------------------------------------------------------------------
# options

PLACES = {
    "verify": ("BUNDLE", "PICTURE", "PICTURE"),
    "identify": ("BUNDLE", "INDEX", "PICTURE"),
    "search": ("BUNDLE", "INDEX", "PICTURE"),
    "index": ("BUNDLE", "DATA", "NEW"),
    "embed": ("BUNDLE", "DATA", "NEW"),
    "dedup": ("DATA",),
    "enrol": ("BUNDLE", "INDEX", "somebody", "PICTURE"),
    "expire": ("INDEX", "person-1", "2127-01-01"),
    "revoke": ("INDEX", "person-1"),
    "forget": ("BUNDLE", "INDEX", "person-1"),
    "purge": ("INDEX",),
    "check": ("INDEX",),
    "audit": ("INDEX",),
    "info": ("BUNDLE",),
    "doctor": ("DATA",),
    "evaluate": ("CONTRACT", "SCORES"),
    "monitor": ("CONTRACT", "LINES"),
    "calibrate": ("SCORES",),
    "migrate": ("INDEX", "BUNDLE", "NEW"),
    "rekey": ("INDEX", "--rotate"),
}
"""Commands that end in a moment, with what they are given."""

NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "-1",
    "-99999999999999999999",
    "1e400",
    "banana",
    "1,5",
    "0x10",
    "",
)
TEXTS = (
    "",
    "\x1b[2J",
    "[bold]x[/]",
    "x" * 100_000,
    "a\nb",
    "\udcff",
    "../../x",
    "=1+1",
    "-",
    "%s{0}",
    "null",
    "ünï",
)
PATHS = (
    *("", "none/there", "FILE", "FOLDER", "LOOP", "DEVNULL", "x" * 300, "\udcff", "a\nb", "NEW"),
    *("BUNDLE", "INDEX", "EMPTY"),
)


def options(world: World, scratch: Path, chance: Chance) -> Case:
    """A command with an odd value for one of its options or arguments."""
    command = str(chance.choice(list(PLACES)))
    words = list(PLACES[command])
    found = list(cli.app[command].assemble_argument_collection())
    argument = found[int(chance.integers(len(found)))]
    name, hint = argument.names[0], str(argument.hint)
    number = argument.hint in (int, float, int | None, float | None)
    pool = NUMBERS if number else PATHS if "Path" in hint or name == "INDEX" else TEXTS
    value = pool[int(chance.integers(len(pool)))]
    if name.isupper():
        place = min(
            sum(each.names[0].isupper() for each in found[: found.index(argument)]), len(words) - 1
        )
        words[place] = value
    elif argument.hint is bool:
        words.append(name)
    else:
        words += [f"{name}={value}"]
    known = places(world, scratch)
    filled = tuple(known.get(word, swapped(word, known)) for word in words)
    return Case(f"{command} {name} {value[:20]!r}", filled, refuse=number and not name.isupper())


def swapped(word: str, known: dict[str, str]) -> str:
    """The word with the place behind an option's equals sign filled in."""
    name, sign, value = word.partition("=")
    return f"{name}={known[value]}" if sign and name.startswith("--") and value in known else word


def places(world: World, scratch: Path) -> dict[str, str]:
    """What stands for the capitals: copies of the world where a command may write."""
    (scratch / "file").write_text("a file")
    (scratch / "folder").mkdir()
    (scratch / "empty").write_bytes(b"")
    (scratch / "loop").symlink_to("loop")
    return {
        "BUNDLE": str(copied(world.bundle, scratch)),
        "INDEX": str(copied(world.gallery, scratch)),
        "DATA": str(copied(world.data, scratch)),
        "PICTURE": str(world.picture(0, 0)),
        "CONTRACT": str(copied(world.contract, scratch)),
        "SCORES": str(copied(world.root / "scores.csv", scratch)),
        "LINES": str(copied(world.root / "scores.jsonl", scratch)),
        "NEW": str(scratch / "new"),
        "FILE": str(scratch / "file"),
        "FOLDER": str(scratch / "folder"),
        "EMPTY": str(scratch / "empty"),
        "LOOP": str(scratch / "loop" / "x"),
        "DEVNULL": os.devnull,
    }


# ----------------------------------------------------------------------------------------------------
# names

NAMES = (
    *(
        "cat[copy]",
        "[bold red]x[b]",
        "\x1b[2J\x1b]0;title\x07",
        "a\nb",
        "a\rb",
        " blank ",
        "\t",
        "=1+1",
    ),
    *(
        "@SUM(1)",
        "-rf",
        "--json",
        "x\udcff",
        "\udcc3(",
        "ünïcödé",
        "\u202egnp",
        "'quote\"",
        "a,b;c",
    ),
    *(
        "%s%n{0}",
        "x" * 240,
        "null",
        "..x",
        "$(id)",
        "a\\b",
        "<script>",
        "CON",
        "\u2028",
        "e\u0301",
        "NaN",
    ),
    *("1e5", "007", "#1", "~", "*?"),
)


def names(world: World, scratch: Path, chance: Chance) -> Case:
    """Files and labels with odd names, through every command that lists them; JSON must hold them exactly."""
    data = scratch / "data"
    label, file = (NAMES[int(chance.integers(len(NAMES)))] for _ in range(2))
    for person in range(3):
        folder = data / (label if person == 0 else f"person-{person}")
        shutil.copytree(world.data / f"person-{person}", folder)
    (data / label / "0.png").rename(data / label / f"{file[:200]}.png")
    picture, bundle, new = (
        str(data / label / f"{file[:200]}.png"),
        str(world.bundle),
        str(scratch / "new"),
    )
    ways = {
        "index": ("index", bundle, str(data), new),
        "index json": ("index", bundle, str(data), new, "--json"),
        "keep source": ("index", bundle, str(data), new, "--keep-source"),
        "embed": ("embed", bundle, str(data), new),
        "dedup": ("dedup", str(data), "--report", f"{new}.html"),
        "dedup json": ("dedup", bundle, str(data), "--json"),
        "doctor": ("doctor", str(data), "--fix", f"{new}.csv"),
        "doctor json": ("doctor", str(data), "--json"),
        "enrol": ("enrol", bundle, new, "--", label, picture),
        "verify": ("verify", bundle, picture, picture),
        "search": ("search", bundle, str(world.gallery), str(data / label)),
        "search report": ("search", bundle, str(world.gallery), picture, "--report", f"{new}.html"),
        "identify": ("identify", bundle, str(world.gallery), picture),
        "evaluate": ("evaluate", bundle, str(data), "--report", f"{new}.html"),
        "revoke": ("revoke", str(copied(world.gallery, scratch)), "--", label),
        "forget": ("forget", bundle, str(scratch / "index"), "--", label),
    }
    way = str(chance.choice([*ways, "round trip"]))
    if way == "round trip":
        return Case(
            f"name {label!r} {file!r} {way}",
            call=lambda: round_trip(world, data, scratch),
            like=lambda: True,
        )
    return Case(f"name {label[:20]!r} {file[:20]!r} {way}", ways[way])


def round_trip(world: World, data: Path, scratch: Path) -> bool:
    """Whether the names of a folder are those of the table that the doctor writes, and of the index."""
    truth, table, new = Items.open(data), scratch / "t.csv", scratch / "i"
    # a table in UTF-8 cannot name other files: those are left out, with their reason
    nameable = [utf8_name(str(value)) == str(value) for value in truth.values]
    part = truth.take(np.flatnonzero(nameable))
    for words in (
        ["doctor", str(data), "--fix", str(table)],
        ["index", str(world.bundle), str(data), str(new)],
    ):
        try:
            cli.main(words)
        except SystemExit as ended:
            if ended.code not in (0, 2):
                raise
    again = Items.open(table)
    files = [{value.resolve() for value in items.values} for items in (again, truth)]
    with Index.open(new) as index:
        named = set(index.labels) == set(truth.names) and set(index.ids) == set(truth.ids)
    return named and set(again.names) == set(part.names) and files[0] <= files[1]


def bombs(world: World, scratch: Path, chance: Chance, *, name: str) -> Case:
    """A picture that costs much to decode, compared with another one: any answer within the bounds of a try."""
    path = scratch / f"{name}.bin"
    path.write_bytes(BOMBS[name]())
    return Case(
        f"bomb {name}", ("verify", str(world.bundle), str(path), str(world.picture(0, 0)), "--json")
    )


def moves(world: World, scratch: Path, chance: Chance) -> Case:
    """Arguments in another order, or files with odd names that decisions move away and back."""
    if chance.random() < 0.5:
        several = [name for name, words in PLACES.items() if len(words) > 1 and name != "rekey"]
        words = swapped_words((name := str(chance.choice(several)), *PLACES[name]), chance)
        known = places(world, scratch)
        return Case(
            f"order {' '.join(words)}", tuple(known.get(word, word) for word in words), refuse=True
        )
    chosen = [name for name in NAMES if not name.startswith("..")]
    picked = [chosen[place] for place in chance.choice(len(chosen), size=4, replace=False)]
    found = [f"{picked[0]}.png", f"{picked[1]}.png", f"{picked[2]}/{picked[3][:200]}.png"]
    link = bool(chance.integers(2))
    return Case(
        f"decisions {found!a:.60}",
        call=lambda: moved_and_back(world, scratch, found, link=link),
        like=lambda: True,
    )


AREAS: dict[str, Callable[[World, Path, Chance], Case]] = {
    "pictures": pictures,
    "bundles": bundles,
    "indexes": indexes,
    "tables": tables,
    "options": options,
    "names": names,
    "moves": moves,
    **{f"bomb:{name}": partial(bombs, name=name) for name in BOMBS},
}
"""Each draws one case; what is spoilt lies in the scratch folder. Of bombs there is nothing to draw."""
