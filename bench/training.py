"""Training: what a step of `fit` costs over the bare arithmetic, and what using all pairs of a batch gains.

    python bench/training.py [--quick] [--threads 2] [--only conv4|koch|eer|busy|face] [--data DIR]

conv4: seconds a step of `fit` (28 x 28, data in memory, SupCon) over forward + backward + AdamW of
the same network on one random batch of the same size; the sides take turns, and the interval is the
best and the worst turn.

koch: pairs a second of `fit` on P x K batches, all pairs of a batch used, against the usual twin
step: as many forward passes, each pair its own two pictures, all in one batch. That is the hard
comparison; beside it stands the literal one, a forward pass, a backward pass and an optimiser step
for every single pair.

eer: seconds until the same equal error rate on unseen classes, for the two ways of using a batch:
the worse of the two ways' best rates is the target. Same network, same head, same loss formula, one
validation an epoch for both.

busy: seconds a step of the recipe `face` beside one process that computes without end, over what
fair sharing would give: the processor seconds of a step with one thread, spread over threads that
each get of a core what that process gets, so that other work on the machine counts for both. Two
processes take turns: one whose threads wait as the command line sets it, one as OpenMP comes.

face: minutes of `twofold train face` on 40 x 10 pictures of 92 x 112: drawn, or those of --data DIR
(s1/1.pgm, ...).
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image as Picture
from torch import Tensor

from last_line import print_last_line, row
from twofold import Items, Recipe, Twin, build, fit, losses
from twofold.data.synthetic import glyphs
from twofold.inputs.image import Image
from twofold.nn.cnn import conv4, koch
from twofold.precision import native_bfloat16
from twofold.recipes import face_from_scratch as face
from twofold.results import Progress
from twofold.threads import SETTINGS, wait_briefly

AUGMENT = {"rotation": 15.0, "scale": 0.2, "shear": 0.3, "shift": 0.15}
GOAL, AUGMENTED_GOAL, PAIRS_GOAL, BUSY_GOAL = 1.15, 1.3, 100, 1.6
QUICK_SIDE = 24
SMALL_FACE = {"input.size": QUICK_SIDE, "encoder.width": 8}
"""What --quick makes of the recipe `face`: a step takes a few milliseconds."""


def main() -> None:
    """Each part, then the last line."""
    parser = argparse.ArgumentParser(
        description="Training steps against the bare network, and against single pairs"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few and small steps, to see that everything runs"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=("conv4", "koch", "eer", "busy", "face"))
    parser.add_argument(
        "--data", type=Path, help="pictures of faces for face: DIR/s1/1.pgm and so on"
    )
    parser.add_argument("--rounds", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.rounds:
        rounds(options.rounds, quick=options.quick)
        return
    started = time.monotonic()
    results: list[dict[str, Any]] = []
    parts = {"conv4": conv4_rows, "koch": koch_rows, "eer": eer_rows, "busy": busy_rows}
    for name, part in (parts | {"face": partial(face_rows, data=options.data)}).items():
        if options.only in (None, name):
            found = part(options.quick)
            results += found
            for line in found:
                print(f"{line['name']:>36} {line['value']:9.3f} {line['unit']}", flush=True)
    print_last_line("training", started, results)


def conv4_rows(quick: bool) -> list[dict[str, Any]]:
    """`fit` over the bare step, without and with augmentation, in both precisions."""
    size, steps, turns = (32, 4, 1) if quick else (256, 16, 7)
    items = glyphs(classes=size // 2, each=8, size=28)
    rows = []
    native = native_bfloat16(torch.device("cpu"))
    for precision in ("float32", "bfloat16") if native and not quick else ("float32",):
        ratios: dict[str, list[float]] = {"": [], "_augmented": []}
        waiting = dict.fromkeys(ratios, 0.0)
        for turn in range(turns + 1):
            bare = bare_seconds(size, steps, precision)
            for name, augment in (("", {}), ("_augmented", AUGMENT)):
                recipe = conv4_recipe(size, steps, precision=precision, augment=augment)
                seconds, waiting[name] = fit_seconds(
                    Twin(Image(size=28, channels=1), conv4()), items, recipe
                )
                if turn:  # the first turn warms up
                    ratios[name].append(seconds / bare)
        for name, found in ratios.items():
            rows.append(
                row(
                    f"conv4_step_over_bare{name}{'' if precision == 'float32' else '_' + precision}",
                    statistics.median(found),
                    interval=(min(found), max(found)),
                    unit="x",
                    goal=AUGMENTED_GOAL if name else GOAL,
                    anchor=f"forward + backward + AdamW of the network, batch {size}, {precision}, "
                    f"{torch.get_num_threads()} thread(s); {waiting[name]:.1%} of the last epoch "
                    f"waited for data",
                )
            )
    return rows


def conv4_recipe(size: int, steps: int, *, precision: str, augment: dict[str, float]) -> Recipe:
    """Batches of `size` items of eight a class; an epoch of the benchmark's items holds four."""
    table = {
        "loss": "supcon",
        "p": size // 8,
        "k": 8,
        "epochs": max(1, steps // 4),
        "augment": augment,
    }
    return Recipe.model_validate(table | {"precision": precision})


def fit_seconds(twin: Twin, items: Items, recipe: Recipe) -> tuple[float, float]:
    """Mean seconds a step of `fit`, from the end of its first step to the end of its last; and the share of waiting."""
    ends: list[float] = []
    seen: list[Progress] = []

    def watch(progress: Progress) -> None:
        ends.append(time.perf_counter())
        seen.append(progress)

    fit(twin, items, recipe=recipe, watch=watch)
    return (ends[-1] - ends[0]) / (len(ends) - 1), seen[-1].waiting


def bare_seconds(size: int, steps: int, precision: str) -> float:
    """Mean seconds of forward + backward + optimiser step on one random batch."""
    network = conv4()
    batch = torch.rand(size, 1, 28, 28)
    if precision == "bfloat16":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            embeddings = network(batch)
        moved(optimiser, embeddings.float().square().mean())

    step()
    return mean_seconds(step, steps)


def moved(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One backward pass and one step."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def mean_seconds(step: Callable[[], None], times: int) -> float:
    """Wall time of one of `times` calls."""
    started = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - started) / times


def koch_rows(quick: bool) -> list[dict[str, Any]]:
    """Pairs a second with Koch's network at 105 x 105."""
    p, k, steps = (2, 2, 1) if quick else (32, 8, 3)
    items = glyphs(classes=p, each=k, size=105)
    recipe = Recipe.model_validate(
        {
            "loss": "binary_cross_entropy",
            "p": p,
            "k": k,
            "epochs": steps + 1,
            "precision": "float32",
        }
    )
    seconds, _ = fit_seconds(koch_twin(), items, recipe)
    ours = p * k * (p * k - 1) / 2 / seconds
    in_batches = p * k / 2 / pair_seconds(items, p * k // 2, steps)
    singly = 1 / pair_seconds(items, 1, 1 if quick else 20)
    anchor = f"Koch's network at 105 x 105, batches of {p * k} pictures, {torch.get_num_threads()} thread(s)"
    return [
        row("koch_pairs_per_second", ours, unit="pairs/s", anchor=anchor),
        row(
            "koch_pairs_ratio",
            ours / in_batches,
            unit="x",
            goal=PAIRS_GOAL,
            anchor=f"{anchor}; each pair its own two forward passes, {p * k // 2} pairs per step",
        ),
        row(
            "koch_pairs_ratio_single",
            ours / singly,
            unit="x",
            anchor=f"{anchor}; the twins see one pair a step",
        ),
    ]


def koch_twin() -> Twin:
    """The network and the learned head of the 2015 paper."""
    return Twin(Image(size=105, channels=1), koch(), "WeightedL1")


def pair_seconds(items: Items, pairs: int, steps: int) -> float:
    """Mean seconds of a step that pushes `pairs` pairs through the twins, each picture of each pair by itself."""
    twin = koch_twin()
    optimiser = torch.optim.AdamW(twin.parameters(), fused=True)
    batches = pairs_of(items, twin, pairs)

    def step() -> None:
        a, b, same = next(batches)
        loss = losses.pair_cross_entropy(twin.comparison.pairs(twin.embed(a), twin.embed(b)), same)
        moved(optimiser, loss)

    step()
    return mean_seconds(step, steps)


def pairs_of(items: Items, twin: Twin, pairs: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Random pairs, half of them genuine as far as the number allows."""
    generator = torch.Generator().manual_seed(0)
    everything = twin.input.stack(list(items.values))
    labels = torch.from_numpy(items.labels)
    while True:
        a = torch.randint(len(items), (pairs,), generator=generator)
        b = torch.where(
            torch.arange(pairs) % 2 == 0,
            a ^ 1,
            torch.randint(len(items), (pairs,), generator=generator),
        )
        yield everything[a], everything[b], (labels[a] == labels[b]).float()


def eer_rows(quick: bool) -> list[dict[str, Any]]:
    """Seconds to one equal error rate, by all pairs of a batch and by pairs that each bring their own pictures."""
    seconds = 1.0 if quick else 60.0
    items = glyphs(classes=30 if quick else 280, each=8, size=28, jitter=0.06, seed=1)
    parts = items.split(0.7, 0.3, calibrate=0.0, test=0.0, seed=0)
    ways = ("binary_cross_entropy", "pair_cross_entropy")
    found = {loss: history(loss, parts.train, parts.valid, seconds) for loss in ways}
    target = max(min(line["eer"] for line in lines) for lines in found.values())
    ours, pairs = (
        next(line["seconds"] for line in lines if line["eer"] <= target) for lines in found.values()
    )
    anchor = f"until an EER of {target:.3f} on unseen glyphs; conv4 and the learned head, at most {seconds:g} s each"
    return [
        row("equal_eer_all_pairs_seconds", ours, unit="s", anchor=anchor, seed=0),
        row("equal_eer_listed_pairs_seconds", pairs, unit="s", anchor=anchor, seed=0),
        row("equal_eer_time_ratio", pairs / ours, unit="x", anchor=anchor, seed=0),
        row("equal_eer_target", target, anchor="the worse of the two ways' best"),
    ]


def history(loss: str, train: Items, valid: Items, seconds: float) -> list[dict[str, Any]]:
    """One line per epoch: equal error rate of unseen classes, and seconds since the start."""
    table = {
        "loss": loss,
        "p": 16,
        "k": 4,
        "epochs": 1000,
        "max_seconds": seconds,
        "schedule": "constant",
    }
    with build.seeded(0):
        twin = Twin(Image(size=28, channels=1, mean=1.0, std=0.35), conv4(width=32), "WeightedL1")
    return fit(twin, train, valid, recipe=Recipe.model_validate(table)).training["history"]


def busy_rows(quick: bool) -> list[dict[str, Any]]:
    """Steps beside a process that computes, and alone; with threads that sleep soon, and as OpenMP comes."""
    steps, turns, threads = (1, 1, 2) if quick else (8, 5, 2)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    plain = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    brief = dict(plain)
    wait_briefly(brief)
    found: dict[str, list[Turn]] = {
        name: [] for name in ("alone", "alone_openmp", "busy", "busy_openmp")
    }
    workers = ((1, brief), (threads, brief), (threads, plain))
    with contextlib.ExitStack() as stack:
        one, ours, openmp = (
            stack.enter_context(worker(steps, *each, quick=quick)) for each in workers
        )
        work = []
        for _ in range(turns):
            work.append(one().cpu)
            found["alone"].append(ours())
            found["alone_openmp"].append(openmp())
            found["busy"].append(beside(ours))
            found["busy_openmp"].append(beside(openmp))
    anchor = (
        f"face at {QUICK_SIDE if quick else 64} pixels a side, batches of 64, "
        f"{threads} threads on {cores} cores beside one busy process; "
        f"{statistics.median(work):.2f} processor seconds a step with one thread; {turns} turns, "
        f"the busy process got "
        f"{statistics.median(turn.share for turn in found['busy']):.2f} of a core"
    )

    def fair(turn: Turn) -> float:
        # a thread of ours should get what the busy process gets, but not more than three alike
        # would on a quiet machine
        return statistics.median(work) / (threads * min(turn.share, cores / (threads + 1), 1.0))

    numbers = {
        "busy_wall_over_fair": [turn.wall / fair(turn) for turn in found["busy"]],
        "busy_wall_over_fair_as_openmp_waits": [
            turn.wall / fair(turn) for turn in found["busy_openmp"]
        ],
        "busy_wall_over_openmp": ratios(found["busy"], found["busy_openmp"]),
        "quiet_wall_over_openmp": ratios(found["alone"], found["alone_openmp"]),
    }
    return [
        row(
            name,
            statistics.median(values),
            interval=(min(values), max(values)),
            unit="x",
            goal=BUSY_GOAL if name == "busy_wall_over_fair" else None,
            anchor=anchor,
        )
        for name, values in numbers.items()
    ]


class Turn(NamedTuple):
    """Wall and processor seconds a step, and the share of a core that a busy process beside it got."""

    wall: float
    cpu: float
    share: float = 1.0


def ratios(ours: list[Turn], theirs: list[Turn]) -> list[float]:
    """Wall time over wall time, turn by turn."""
    return [a.wall / b.wall for a, b in zip(ours, theirs, strict=True)]


def beside(work: Callable[[], Turn]) -> Turn:
    """A turn beside one process that computes without end."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        turn = work()
    finally:
        process.kill()
        process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return turn._replace(share=used / (time.monotonic() - started))


def rounds(steps: int, *, quick: bool) -> None:
    """For each line that comes in, some steps of `face`; answers with wall and processor seconds a step."""
    items = glyphs(classes=32, each=8, size=64)
    recipe = face().replace(
        {"epochs": steps // 4 + 1, "precision": "float32"} | (SMALL_FACE if quick else {})
    )
    for _ in sys.stdin:
        ends: list[tuple[float, float]] = []
        watch = partial(
            lambda ends, _: ends.append((time.perf_counter(), time.process_time())), ends
        )
        fit(build.twin(recipe, seed=0), items, recipe=recipe, watch=watch)
        wall, cpu = (last - first for first, last in zip(ends[0], ends[-1], strict=True))
        print(json.dumps([wall / (len(ends) - 1), cpu / (len(ends) - 1)]), flush=True)


@contextlib.contextmanager
def worker(
    steps: int, threads: int, environment: dict[str, str], *, quick: bool
) -> Iterator[Callable[[], Turn]]:
    """A process of its own, for OpenMP reads its settings once; calling what is yielded makes it do a round."""
    command = [sys.executable, __file__, "--rounds", str(steps), "--threads", str(threads)]
    command += ["--quick"] if quick else []
    environment = environment | {"OMP_NUM_THREADS": str(threads)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:

        def turn() -> Turn:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return Turn(*json.loads(process.stdout.readline()))

        turn()  # the first one warms up
        yield turn
        process.communicate("")


def face_rows(quick: bool, *, data: Path | None = None) -> list[dict[str, Any]]:
    """`twofold train face` on a folder, as a user calls it: as it comes, and without cross-fitting."""
    with tempfile.TemporaryDirectory() as folder:
        place = data or drawn_faces(Path(folder) / "data", 12 if quick else 40)
        rows = []
        for name, settings in (("", []), ("_without_folds", ["--set", "split.folds=0"])):
            out = f"{folder}/bundle{name}"
            command = [
                sys.executable,
                "-m",
                "twofold",
                "train",
                "face",
                str(place),
                "-o",
                out,
                "--json",
                *settings,
            ]
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            few = {"epochs": 2, "copies": 1} | SMALL_FACE if quick else {}
            command += [word for key, value in few.items() for word in ("--set", f"{key}={value}")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            minutes, after = (
                (time.monotonic() - started) / 60,
                resource.getrusage(resource.RUSAGE_CHILDREN),
            )
            told = json.loads(done.stdout)
            anchor = (
                f"{'drawn pictures' if data is None else data.name}; the last training: "
                f"{told['epochs']} epochs, "
                f"{told['steps']} steps, {told['precision']}, {told['profile']['threads']} threads"
            )
            used = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60
            rows += [
                row(f"face_training_minutes{name}", minutes, unit="min", anchor=anchor, seed=0),
                row(f"face_training_cpu_minutes{name}", used, unit="min", anchor=anchor, seed=0),
            ]
    return rows


def drawn_faces(folder: Path, people: int) -> Path:
    """As many folders of ten pictures of 92 x 112, the sizes of ORL."""
    items = glyphs(classes=people, each=10, size=112)
    for number, (value, label) in enumerate(zip(items.values, items.labels, strict=True)):
        place = folder / f"s{label + 1}"
        place.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(value[:, 10:102, 0]).save(place / f"{number % 10 + 1}.pgm")
    return folder


if __name__ == "__main__":
    main()
