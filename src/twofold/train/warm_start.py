"""Training on from a trained bundle: its weights, where they fit. What it knows of its data is `split.inherited`."""

from typing import Any

from twofold.bundle import Bundle
from twofold.errors import RecipeError
from twofold.nn.builder import built_from
from twofold.twin import Twin

__all__ = ["take_weights"]

HEAD = "encoder.head."
"""Where the weights stand that depend on the length of an embedding."""

MAY_DIFFER = frozenset({"dim", "dropout", "weights"})
"""Arguments of an encoder that leave the shapes and the meaning of its trunk as they are."""


def take_weights(twin: Twin, ancestor: Bundle) -> tuple[str, ...]:
    """Give `twin` the weights of `ancestor`; what starts from scratch is returned as notes.

    Raises:
        RecipeError: another input or encoder, so that the weights would mean nothing; says what
            differs.
    """
    _refuse_others(twin, ancestor.twin)
    mine, theirs = twin.state_dict(), ancestor.twin.state_dict()
    taken = {
        name: tensor
        for name, tensor in theirs.items()
        if name in mine and tensor.shape == mine[name].shape
    }
    head = sorted(name for name in mine.keys() - taken.keys() if name.startswith(HEAD))
    anew = sorted(mine.keys() - taken.keys() - set(head))
    if any(name.startswith("encoder.") for name in anew):
        raise RecipeError(
            f"the weights of {anew[0]} differ in shape from those of the bundle: train from it "
            f"with its own encoder"
        )
    if head:  # one part of a head that fits is worth nothing without the other
        taken = {name: tensor for name, tensor in taken.items() if not name.startswith(HEAD)}
    twin.load_state_dict(mine | taken)
    notes = [f"began with the weights of the bundle {ancestor.fingerprint[:12]}"]
    if head:
        notes.append(
            f"the encoder's head starts from random weights: dim is {twin.embedding_dim}, that of the "
            f"bundle {ancestor.twin.embedding_dim}"
        )
    if twin.comparison.name != ancestor.twin.comparison.name:
        notes.append(
            f"compared by {twin.comparison.name}, the bundle by {ancestor.twin.comparison.name}"
        )
    elif anew:
        notes.append(f"the weights of {twin.comparison.name} start from scratch")
    return tuple(notes)


def _refuse_others(twin: Twin, other: Twin) -> None:
    """Raise RecipeError where the input or the encoder is of another kind."""
    differ = _differences("input", _described(twin)[0], _described(other)[0])
    mine, theirs = (
        {name: value for name, value in _described(each)[1].items() if name not in MAY_DIFFER}
        for each in (twin, other)
    )
    differ += _differences("encoder", mine, theirs)
    if differ:
        raise RecipeError(
            f"the bundle cannot be trained on with this recipe: {'; '.join(differ)}. Set these as "
            f"in the bundle "
            "(`twofold info BUNDLE --json` shows its recipe)"
        )


def _described(twin: Twin) -> tuple[dict[str, Any], dict[str, Any]]:
    encoder = built_from(twin.encoder) or {"name": type(twin.encoder).__name__}
    return {"name": twin.input.name, **twin.input.arguments()}, encoder


def _differences(what: str, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    return [
        f"{what}.{key} is {mine.get(key)!r}, in the bundle {theirs.get(key)!r}"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]
