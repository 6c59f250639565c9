"""Sentence pairs with a graded score: SICK (Marelli et al. 2014) and STS-B (Cer et al. 2017).

    python bench/text.py --set sick|stsb --data DIR [--only PART] [--seeds 2] [--epochs N] [--quick]

DIR in the public layout: SICK_train.txt, SICK_trial.txt and SICK_test_annotated.txt, or
stsb-en-train.csv, -dev and -test. The given training pairs train, the trial or dev pairs choose the
epoch, and the test pairs are looked at once. SICK's protocol lets sentences of the test stand in
training too, in other pairs.

frozen: MiniLM as others have trained it, and the mean of wordllama's static vectors. lstm (sick): a
twin of bidirectional LSTMs that starts from static vectors and sees no outside pairs. match (sick):
the same, compared by `Matching` in place of the cosine. minilm: a twin that starts from MiniLM,
trained on the set's own pairs. embed: sentences embedded by us and by sentence-transformers with
the same weights, in turns; processor seconds. steps: processor seconds of a step of `fit` over
forward + backward + AdamW of the same network on the same texts.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from last_line import print_last_line, row
from twofold import Bundle, Items, Recipe, build, fit
from twofold.data.pairs import Pairs
from twofold.embedding import embed_values, pair_scores
from twofold.inputs.text import Text
from twofold.metrics.correlation import pearson, spearman
from twofold.nn.bert import WEIGHTS
from twofold.nn.word_vectors import symbol_table
from twofold.recipes import minilm, text

STEP_GOAL = 1.2
OF_SICK = ("lstm", "match")
"""Parts that are measured on SICK alone."""

SENTENCES, TURNS = 10_000, 5


class Graded(NamedTuple):
    """A set: pairs that train, choose and test, what is reported of it, and a loss that aims at that."""

    train: Pairs
    valid: Pairs
    test: Pairs
    loss: dict[str, Any]
    measure: str

    @property
    def sentences(self) -> list[str]:
        """Every sentence once."""
        return list(
            dict.fromkeys(
                text for part in (self.train, self.valid, self.test) for text in part.values
            )
        )


def main() -> None:
    """Each part, then the last line."""
    parser = argparse.ArgumentParser(
        description="graded sentence pairs, and the speed of encoders of texts"
    )
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="in place of those of the recipes")
    parser.add_argument(
        "--quick", action="store_true", help="few pairs and steps, to see that everything runs"
    )
    options = parser.parse_args()
    started = time.monotonic()
    graded = SETS[options.set](options.data)
    if options.quick:
        graded = graded._replace(
            **{part: first(getattr(graded, part), 96) for part in ("train", "valid", "test")}
        )
    results: list[dict[str, Any]] = []
    for name, part in PARTS.items():
        if options.only in (None, name) and (options.set == "sick" or name not in OF_SICK):
            found = part(graded, options)
            results += found
            for line in found:
                print(f"{line['name']:>36} {line['value']:9.4f} {line['unit']}", flush=True)
    print_last_line("text", started, results)


def sick(folder: Path) -> Graded:
    """SICK: relatedness from 1 to 5; reported by Pearson's correlation."""
    parts = []
    for part in ("train", "trial", "test_annotated"):
        with (folder / f"SICK_{part}.txt").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        parts.append(
            pairs([(r["sentence_A"], r["sentence_B"], float(r["relatedness_score"])) for r in rows])
        )
    return Graded(
        *parts, loss={"name": "pair_regression", "lowest": 1.0, "highest": 5.0}, measure="pearson"
    )


def stsb(folder: Path) -> Graded:
    """STS-B: similarity from 0 to 5; reported by Spearman's correlation."""
    parts = []
    for part in ("train", "dev", "test"):
        with (folder / f"stsb-en-{part}.csv").open(encoding="utf-8", newline="") as file:
            parts.append(pairs([(a, b, float(score)) for a, b, score in csv.reader(file)]))
    return Graded(*parts, loss={"name": "pair_cosent"}, measure="spearman")


def pairs(rows: list[tuple[str, str, float]]) -> Pairs:
    """Graded pairs of sentences."""
    texts = tuple(dict.fromkeys(text for a, b, _ in rows for text in (a, b)))
    place = {text: number for number, text in enumerate(texts)}
    index = np.array([[place[a], place[b]] for a, b, _ in rows])
    answers = np.array([score for *_, score in rows])
    ends = {"index_a": index[:, 0], "index_b": index[:, 1], "columns": ("text_a", "text_b")}
    return Pairs(values=texts, ids=texts, answers=answers, grades=True, **ends)


def first(pairs: Pairs, count: int) -> Pairs:
    """The first pairs alone."""
    return pairs.take(np.arange(min(count, len(pairs)))).alone()


def frozen_rows(graded: Graded, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What the pretrained weights do without training."""
    test = graded.test
    anchor = f"{len(test)} test pairs, nothing trained"
    cut = Text(unit="subwords", vocabulary="wordllama", longest=256)
    table = symbol_table(cut.symbols, 256, weights="wordllama").weight.detach().numpy()
    static = np.stack([table[cut.read(text)[1:]].mean(axis=0) for text in test.values])
    static /= np.linalg.norm(static, axis=1, keepdims=True)
    means = (static[test.index_a] * static[test.index_b]).sum(axis=1).astype(np.float64)
    return [
        *measured(
            f"{options.set}_minilm_frozen", scored(Bundle.pretrained("minilm"), test), test, anchor
        ),
        *measured(
            f"{options.set}_static_mean",
            means,
            test,
            f"{anchor}; mean of wordllama's 256-d vectors",
        ),
    ]


def measured(name: str, scores: np.ndarray, test: Pairs, anchor: str) -> list[dict[str, Any]]:
    """Both correlations of scores with the answers."""
    both = {"pearson": pearson, "spearman": spearman}
    return [
        row(f"{name}_{key}", of(scores, test.targets), anchor=anchor) for key, of in both.items()
    ]


def scored(bundle: Bundle, test: Pairs) -> np.ndarray:
    """The bundle's score of each pair."""
    vectors = embed_values(bundle, test.values)
    return pair_scores(bundle, vectors[test.index_a], vectors[test.index_b])


def lstm_rows(graded: Graded, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A twin of LSTMs from static vectors."""
    return tuned("lstm", lstm_recipe(), graded, options, goal=0.84, fixed_vectors=True)


def match_rows(graded: Graded, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The same twin of LSTMs, its vectors compared by a learned match."""
    recipe = lstm_recipe().replace({"comparison": "Matching"})
    return tuned("lstm_match", recipe, graded, options, goal=0.84, fixed_vectors=True)


def minilm_rows(graded: Graded, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A twin from MiniLM."""
    return tuned(
        "minilm", minilm_recipe(), graded, options, goal=0.88 if options.set == "sick" else 0.85
    )


def lstm_recipe() -> Recipe:
    """One layer of 128 numbers each way over wordllama's vectors; chosen on the trial pairs (docs/LOG.md)."""
    return Recipe.model_validate(
        {
            "input": {"name": "Text", "unit": "subwords", "vocabulary": "wordllama", "longest": 64},
            "encoder": {
                "name": "lstm",
                "weights": "wordllama",
                "width": 128,
                "dim": 256,
                "dropout": 0.1,
            },
            "p": 16,
            "k": 4,
            "epochs": 10,
            "optimiser": {"learning_rate": 2e-3, "weight_decay": 0.01},
            "clip_norm": 1.0,
            "ema": 0.99,
        }
    )


def minilm_recipe() -> Recipe:
    """The built-in recipe, for half of its epochs: these sets are large for it."""
    return minilm().replace({"epochs": 2})


def tuned(
    name: str,
    recipe: Recipe,
    graded: Graded,
    options: argparse.Namespace,
    *,
    goal: float,
    fixed_vectors: bool = False,
) -> list[dict[str, Any]]:
    """A recipe trained with each seed; the mean of the test's correlation, the worst and the best seed beside."""
    epochs = 1 if options.quick else options.epochs or recipe.epochs
    recipe = recipe.replace({"loss": graded.loss, "monitor": graded.measure, "epochs": epochs})
    found: dict[str, list[float]] = {"pearson": [], "spearman": []}
    for seed in range(options.seeds):
        twin = build.twin(recipe, seed=seed)
        if fixed_vectors:
            twin.encoder.first.requires_grad_(False)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        bundle = fit(twin, graded.train, graded.valid, recipe=recipe, seed=seed)
        scores = scored(bundle, graded.test)
        found["pearson"].append(pearson(scores, graded.test.targets))
        found["spearman"].append(spearman(scores, graded.test.targets))
        history = [round(line[graded.measure], 4) for line in bundle.training["history"]]
        print(
            f"{name} seed {seed}: {graded.measure} of the validation pairs, by epoch: {history}",
            flush=True,
        )
    anchor = (
        f"{graded.loss['name']}, {len(graded.train)} training pairs, epoch of {epochs} chosen on "
        f"{len(graded.valid)}, "
        f"{len(graded.test)} test pairs; {options.seeds} seed(s), the mean, and the worst and the "
        f"best as interval"
    )
    return [
        row(
            f"{options.set}_{name}_{key}",
            statistics.mean(values),
            interval=(min(values), max(values)),
            goal=goal if key == graded.measure else None,
            anchor=anchor,
        )
        for key, values in found.items()
    ]


def embed_rows(graded: Graded, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Our seconds and those of sentence-transformers, in turns over parts of the same sentences."""
    from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]

    count = 200 if options.quick else SENTENCES
    sentences = np.random.default_rng(0).permutation(
        np.resize(np.array(graded.sentences, object), count)
    )
    bundle = Bundle.pretrained("minilm")
    peer = SentenceTransformer(str(WEIGHTS["all-minilm-l6-v2"].path().parent), device="cpu")

    def theirs(part: list[str]) -> np.ndarray:
        return np.asarray(peer.encode(part, normalize_embeddings=True, show_progress_bar=False))

    def ours(part: list[str]) -> np.ndarray:
        return embed_values(bundle, part)

    ratios, spent, difference = [], {"ours": 0.0, "theirs": 0.0}, 0.0
    for turn, part in enumerate([sentences[:64], *np.array_split(sentences, TURNS)]):
        took, vectors = zip(
            *(cpu_seconds(lambda of=of, part=part: of(part.tolist())) for of in (ours, theirs)),
            strict=True,
        )
        difference = max(difference, float(np.abs(vectors[0] - vectors[1]).max()))
        if turn:  # the first turn warms up
            ratios.append(took[1] / took[0])
            spent = {"ours": spent["ours"] + took[0], "theirs": spent["theirs"] + took[1]}
    anchor = (
        f"processor seconds of sentence-transformers over ours, {count} sentences in {TURNS} "
        f"turns, "
        f"{torch.get_num_threads()} thread(s): {spent['theirs']:.1f} s and {spent['ours']:.1f} s"
    )
    ratio = spent["theirs"] / spent["ours"]
    return [
        row(
            "minilm_embed_ratio",
            ratio,
            interval=(min(ratios), max(ratios)),
            unit="x",
            goal=1.0,
            anchor=anchor,
        ),
        row(
            "minilm_embed_largest_difference",
            difference,
            goal=1e-5,
            anchor="any number of any vector",
        ),
    ]


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of the whole process, and what `work` returned."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def step_rows(graded: Graded, options: argparse.Namespace) -> list[dict[str, Any]]:
    """`fit` over the bare step, for the LSTM of the recipe `text` and for the transformer of its size."""
    size, steps, turns = (16, 3, 1) if options.quick else (128, 12, 5)
    sentences = graded.sentences[: size * steps]
    items = Items.from_arrays(sentences, [str(number // 4) for number in range(len(sentences))])
    rows = []
    for name, encoder in (
        ("lstm", {"dim": 256, "width": 256}),
        ("transformer", {"dim": 256, "width": 256}),
    ):
        settings = {
            "encoder": {"name": name, **encoder},
            "p": size // 4,
            "k": 4,
            "epochs": 1,
            "precision": "float32",
        }
        recipe = (
            text()
            .replace(settings | {"augment": {}})
            .model_copy(update={"clip_norm": None, "ema": None})
        )
        ratios = []
        for turn in range(turns + 1):
            bare = bare_seconds(recipe, sentences, size)
            if turn:  # the first turn warms up
                ratios.append(fit_seconds(recipe, items) / bare)
        lengths = [len(build.input(recipe).read(sentence)) for sentence in sentences]
        rows.append(
            row(
                f"{name}_step_over_bare",
                statistics.median(ratios),
                interval=(min(ratios), max(ratios)),
                unit="x",
                goal=STEP_GOAL,
                anchor="processor seconds; forward + backward + AdamW on the same texts, "
                f"{statistics.mean(lengths):.1f} words each, batch {size}, "
                f"{torch.get_num_threads()} thread(s); "
                f"median of {turns} turns",
            )
        )
    return rows


def fit_seconds(recipe: Recipe, items: Items) -> float:
    """Processor seconds a step of `fit`, from the end of its first step to the end of its last."""
    ends: list[float] = []
    fit(
        build.twin(recipe, seed=0),
        items,
        recipe=recipe,
        watch=lambda _: ends.append(time.process_time()),
    )
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def bare_seconds(recipe: Recipe, sentences: list[str], size: int) -> float:
    """Processor seconds of forward + backward + optimiser step on ready batches of the same texts."""
    twin = build.twin(recipe, seed=0)
    order = np.random.default_rng(0).permutation(len(sentences))
    arrays = [twin.input.read(sentences[place]) for place in order]
    batches = [
        twin.input.stack(arrays[start : start + size]) for start in range(0, len(arrays), size)
    ]
    optimiser = torch.optim.AdamW(twin.encoder.parameters(), fused=True)

    def step(batch: Any) -> None:
        moved(optimiser, twin.encoder(batch).square().mean())

    step(batches[0])
    seconds, _ = cpu_seconds(lambda: [step(batch) for batch in batches[1:]])
    return seconds / (len(batches) - 1)


def moved(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One backward pass and one step."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


SETS: dict[str, Callable[[Path], Graded]] = {"sick": sick, "stsb": stsb}
PARTS: dict[str, Callable[[Graded, argparse.Namespace], list[dict[str, Any]]]] = {
    "frozen": frozen_rows,
    "lstm": lstm_rows,
    "match": match_rows,
    "minilm": minilm_rows,
    "embed": embed_rows,
    "steps": step_rows,
}


if __name__ == "__main__":
    main()
