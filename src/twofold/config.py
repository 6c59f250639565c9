"""Recipe: how to build and train a twin, to and from TOML. No torch here; names become modules in build.py."""

import inspect
import math
import re
import textwrap
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from twofold.errors import RecipeError, nearest

LARGEST_COUNT = 10**9
"""No count in a recipe is larger: it fits every integer of torch, and no data set has more items."""

__all__ = ["Optimiser", "Piece", "Recipe", "Schedule", "Split", "Tiles", "Windows"]


def _refuse_not_finite(section: str, arguments: Mapping[str, Any]) -> None:
    """Raise RecipeError for infinity and NaN, which no argument takes, in lists too."""
    for name, value in arguments.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise RecipeError(f"{section}.{name} must be a finite number, not {value}")


class Piece(BaseModel):
    """A name from one of our own tables and its flat arguments: `"cosine"`, or `{name = "triplet", margin = 0.3}`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


def _from_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Named = Annotated[Piece, BeforeValidator(_from_name)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, info: Any) -> Any:
        """Refuse true, which pydantic takes for 1, and texts, which it takes for numbers, where a number belongs."""
        wanted = cls.model_fields[str(info.field_name)].annotation
        kinds = {*get_args(wanted)} or {wanted}
        if isinstance(value, bool | str) and type(value) not in kinds and kinds & {int, float}:
            raise ValueError(
                f"must be a number, not {'text' if isinstance(value, str) else 'true or false'}"
            )
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and int in kinds
            and value > LARGEST_COUNT
        ):
            raise ValueError(f"must be at most {LARGEST_COUNT:,}")
        return value


class Optimiser(_Part):
    """AdamW (Loshchilov & Hutter 2019) or SGD with Nesterov momentum; norms and biases are not decayed."""

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)


class Schedule(_Part):
    """Learning rate over training: linear warm-up for `warmup` of all steps, then by name.

    `cosine` falls to `final` times the peak; `step` multiplies by `factor` after each of `at`
    (shares of training); `plateau` multiplies by `factor` when the monitored number has not
    improved for `patience` epochs.
    """

    name: Literal["constant", "cosine", "step", "plateau"] = "cosine"
    warmup: float = Field(default=0.05, ge=0, lt=1)
    final: float = Field(default=0.0, ge=0, le=1)
    factor: float = Field(default=0.1, gt=0, lt=1)
    at: tuple[Annotated[float, Field(ge=0, le=1)], ...] = (0.5, 0.75)
    patience: int = Field(default=3, ge=1)


class Split(_Part):
    """Shares of the identities that train, choose, calibrate and test; `by_group` keeps groups whole.

    With `folds` of 2 or more every identity trains and is judged, by a model of the other folds
    (cross-fitting). 0 or 1 turns that off; None leaves it to the number of identities.
    """

    train: float = Field(default=0.7, gt=0)
    valid: float = Field(default=0.1, ge=0)
    calibrate: float = Field(default=0.1, ge=0)
    test: float = Field(default=0.1, ge=0)
    by_group: bool = False
    folds: int | None = Field(default=None, ge=0)


class Tiles(_Part):
    """What batches of a training on scenes are made of.

    `count` square tiles of `size` pixels, cut at any place and angle. `changed` is the share of
    them that is drawn around a changed pixel; the others are drawn anywhere. An epoch shows each
    scene about once.
    """

    size: int = Field(default=128, ge=32, le=4096)
    count: int = Field(default=8, ge=1)
    changed: float = Field(default=0.5, ge=0, le=1)


class Windows(_Part):
    """What batches of a training on synthetic motion are made of.

    `count` pairs of an object and a search window, and `steps` batches per epoch: pairs are drawn
    anew, so that an epoch is as long as one says. Where the trunk is frozen, what it makes of them
    is kept in memory (60 KB per pair), and the same pairs are shown in `repeats` epochs. At the
    end the confidence is calibrated on `films` synthetic films; 0: it is not.
    """

    count: int = Field(default=16, ge=2, le=4096)
    steps: int = Field(default=250, ge=1)
    repeats: int = Field(default=4, ge=1)
    films: int = Field(default=24, ge=0, le=10_000)


class Recipe(_Part):
    """How to build and train a twin. Every field has a default; unknown keys are errors.

    Attributes:
        kind: what is trained: "embedding", one vector per input; "change", what differs between two
            pictures of one place; or "track", where one object is in the next frame.
        input, encoder, comparison: what the twin is made of.
        augment: settings of the input type's augmentation, in training only.
        loss, miner: what is learned from, and which triplets of a batch the loss sees (None: the
            loss decides).
        margin_growth: share of the training over which the loss's margin grows evenly to its setting,
            from 0 (`negative_margin`: from half), so that it begins with what is easy; 0: it has its
            setting from the first step.
        p, k: a batch holds `p` identities with `k` items each.
        balance: how much more often identities with few items are drawn than those with many, from
            0 (in proportion to their items) to 1 (all alike); between them by the effective number
            of items, whose beta it is (.99, .999: Cui et al. 2019).
        micro_batch: embed a batch in pieces of so many items, each a second time when its gradient
            is known: the same gradient in the memory of one piece, for a third more arithmetic.
            None: all at once.
        tiles: of a training on scenes, in place of `p` and `k`. windows: the same of tracking.
        memory: embeddings of so many past items stand beside the batch as further pairs of the
            loss, from the end of the warm-up on (cross-batch memory); 0: none.
        hard_classes: batches are put together from groups of so many classes that the model finds
            most alike, drawn again each epoch; None: at random. Must divide `p`.
        groups_per_batch: draw the identities of a batch from this many groups (alphabets, say);
            None: from all.
        epochs: an epoch shows every item about once (every variant of it, if the augmentation makes
            classes).
        fewest_steps: where few items train, so that `epochs` make fewer steps, `train` raises
            `epochs`; 0: never.
        max_seconds: training stops cleanly after so many seconds.
        compile: let torch compile the encoder first; needs a C++ compiler, pays on GPUs and in long
            trainings.
        precision: `bfloat16` runs the encoder under autocast; losses and statistics stay float32.
            `auto` is bfloat16 where the hardware multiplies in it, float32 elsewhere.
        clip_norm: largest gradient norm; None: not clipped.
        ema: decay of the moving average of the weights, which is then what is validated and kept;
            None: off.
        freeze: what of the encoder is not trained: "trunk" (all below the head), a number of its
            lowest blocks, or the name of one of its modules; None: all is trained. Where the whole
            trunk is frozen and `augment` is empty, its features are made once and kept in memory.
        layer_decay: each block of the encoder is trained with this times the learning rate of the
            block above; None: all with the same.
        monitor: what chooses the best weights, measured on the validation part: `eer` or
            `recall_at_1` of items, `eer` or `auc` of pairs, `spearman` or `pearson` of graded
            pairs, `f1` of scenes, `overlap` of tracks.
        patience: stop after so many epochs without improvement of `monitor` on unseen identities;
            None: never.
        validate_every: epochs between two looks at the validation identities.
        copies: an embedding is the mean over so many warped copies of the input (the first is the
            input itself).
        copies_strength: the copies are warped with the numbers of `augment` times this.
    """

    kind: Literal["embedding", "change", "track"] = "embedding"
    input: Named = Piece(name="Image")
    augment: dict[str, Any] = Field(default_factory=dict)
    encoder: Named = Piece(name="resnet_small")
    comparison: Named = Piece(name="cosine")
    loss: Named = Piece(name="supcon")
    miner: Named | None = None
    margin_growth: float = Field(default=0.0, ge=0, le=1)
    p: int = Field(default=16, ge=2)
    k: int = Field(default=4, ge=2)
    tiles: Tiles = Tiles()
    windows: Windows = Windows()
    balance: float = Field(default=0.0, ge=0, le=1)
    micro_batch: int | None = Field(default=None, ge=1)
    memory: int = Field(default=0, ge=0)
    hard_classes: int | None = Field(default=None, ge=2)
    groups_per_batch: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=30, ge=1)
    fewest_steps: int = Field(default=0, ge=0)
    max_seconds: float | None = Field(default=None, gt=0)
    optimiser: Annotated[Optimiser, BeforeValidator(_from_name)] = Optimiser()
    schedule: Annotated[Schedule, BeforeValidator(_from_name)] = Schedule()
    compile: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    clip_norm: float | None = Field(default=None, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    freeze: str | int | None = Field(default=None)
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    monitor: Literal["eer", "recall_at_1", "auc", "spearman", "pearson", "f1", "overlap"] = "eer"
    patience: int | None = Field(default=None, ge=1)
    validate_every: int = Field(default=1, ge=1)
    copies: int = Field(default=1, ge=1)
    copies_strength: float = Field(default=0.5, ge=0, le=1)
    split: Split = Split()

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, data: Any, handler: Callable[[Any], "Recipe"]) -> "Recipe":
        try:
            return handler(data)
        except ValidationError as error:
            raise RecipeError(
                "; ".join(_explain(dict(problem)) for problem in error.errors())
            ) from None

    @model_validator(mode="after")
    def _finite(self) -> "Recipe":
        for name in ("input", "encoder", "comparison", "loss", "miner"):
            piece: Piece | None = getattr(self, name)
            _refuse_not_finite(name, {} if piece is None else piece.arguments)
        _refuse_not_finite("augment", self.augment)
        return self

    @model_validator(mode="after")
    def _grouped(self) -> "Recipe":
        if self.hard_classes is not None and self.p % self.hard_classes:
            raise RecipeError(
                f"hard_classes = {self.hard_classes} must divide p = {self.p}: choose a p that is "
                f"a multiple of it"
            )
        if self.hard_classes is not None and self.groups_per_batch is not None:
            raise RecipeError(
                "hard_classes and groups_per_batch both say which classes meet in a batch: drop one"
            )
        if self.hard_classes is not None and self.balance:
            raise RecipeError(
                "hard_classes and balance both say how often a class is drawn: drop one"
            )
        return self

    @classmethod
    def read(cls, path: str | Path) -> "Recipe":
        """The recipe in a TOML file.

        Raises:
            RecipeError: no such file, no TOML, an unknown key or a value that does not fit.
        """
        try:
            return cls.model_validate(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise RecipeError(
                f"{path} cannot be read ({error.strerror}): give a TOML file or a built-in name"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} is not TOML: {error}") from None

    def toml(self, *, comments: bool = False) -> str:
        """The recipe as TOML; what is None is left out, as TOML has no word for it.

        Args:
            comments: explain each setting above its line, and name those that are left out.
        """
        text = tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))
        return _commented(text) if comments else text

    def replace(self, settings: Mapping[str, Any]) -> "Recipe":
        """A copy with `settings` changed: `{"epochs": 5, "loss.margin": 0.3}`; a new name drops the old arguments."""
        table = self.model_dump(mode="json", exclude_none=True)
        for key, value in settings.items():
            _set(table, key.split("."), value)
        return type(self).model_validate(table)


def _commented(text: str) -> str:
    """TOML of a recipe with the words of its documentation above each top-level setting."""
    told, lines, seen = _documentation(), [], set()
    for line in text.splitlines():
        found = re.match(r"\[?(\w+)", line)
        words = told.get(found[1]) if found else None
        if words and words not in seen and (line.startswith("[") or "[" not in "".join(lines)):
            seen.add(words)
            lines += [f"# {each}" for each in textwrap.wrap(words, 98)]
        lines.append(line)
    unset = [
        name
        for name, field in Recipe.model_fields.items()
        if field.default is None and f"\n{name} =" not in text
    ]
    if unset:
        lines.insert(0, f"# not set: {', '.join(unset)}")
    return "\n".join(lines) + "\n"


def _documentation() -> dict[str, str]:
    """What the docstring of Recipe says of each setting."""
    described = inspect.cleandoc(Recipe.__doc__ or "").partition("Attributes:\n")[2]
    told: dict[str, str] = {}
    for entry in re.split(r"(?m)^    (?=\w)", described)[1:]:
        names, _, words = entry.partition(":")
        text = " ".join(words.split()).replace("`", "")
        told |= dict.fromkeys(re.split(r",\s*", names), text)
    return told


def _set(table: dict[str, Any], keys: list[str], value: Any) -> None:
    *sections, last = keys
    for section in sections:
        inner = table.setdefault(section, {})
        if isinstance(inner, str):  # a bare name is short for a section with a name
            inner = table[section] = {"name": inner}
        if not isinstance(inner, dict):
            raise RecipeError(f"{'.'.join(keys)}: {section} is {inner!r}, not a section")
        table = cast("dict[str, Any]", inner)
    if last == "name" and table.get("name") != value:
        table.clear()
    table[last] = value


def _explain(problem: dict[str, Any]) -> str:
    keys = [str(key) for key in problem["loc"]]
    where = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        return f"unknown recipe key {where!r}: {nearest(keys[-1], _fields(keys[:-1]))}"
    # pydantic's word for what our own validators raise
    said = problem["msg"].removeprefix("Value error, ")
    return f"recipe key {where!r}: {said}, got {problem['input']!r}"


def _fields(section: list[str]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "optimiser": Optimiser,
        "schedule": Schedule,
        "split": Split,
        "tiles": Tiles,
        "windows": Windows,
    }
    return list(models[section[0]].model_fields if section else Recipe.model_fields)
