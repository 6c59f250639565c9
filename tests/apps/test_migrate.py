"""Migration: again from sources, or over a bridge; what it costs is measured, and nobody gets lost or comes back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from small_bundles import of_vectors
from twofold.apps import migrate as app
from twofold.apps.bridge import Bridge
from twofold.apps.migrate import BRIDGED, migrate
from twofold.bundle import Bundle
from twofold.data.items import Items
from twofold.errors import FingerprintMismatch, NotEnoughData, StoreError
from twofold.results import Embeddings
from twofold.store import Index
from twofold.store.protection.protect import new_key
from twofold.store.protection.rotation import orthogonal

DIM = 32


def vectors_of(
    people: int, each: int, *, seed: int = 0, noise: float = 0.4
) -> tuple[np.ndarray, list[str]]:
    """Unit vectors of people who are told apart, `each` a person."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, DIM)).repeat(each, axis=0)
    found = centres + noise * random.normal(size=centres.shape)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32), [f"p{number // each:03}" for number in range(people * each)]


def files(folder: Path, vectors: np.ndarray) -> list[Path]:
    folder.mkdir()
    for number, vector in enumerate(vectors):
        np.save(folder / f"{number:04}.npy", vector)
    return sorted(folder.iterdir())


def filled(
    place: Path,
    bundle: Bundle,
    vectors: np.ndarray,
    labels: list[str],
    sources: Sequence[Path] = (),
) -> Index:
    index = Index.create(place, bundle.contract)
    metadata = [
        {"number": n} | ({"source": str(sources[n])} if n < len(sources) else {})
        for n in range(len(labels))
    ]
    made = app.made(bundle, list(vectors))
    ids = tuple(f"{label}/{n}" for n, label in enumerate(labels))
    fingerprint = bundle.fingerprint
    index.add(
        Embeddings(
            ids=ids,
            labels=tuple(labels),
            vectors=made,
            fingerprint=fingerprint,
            metadata=tuple(metadata),
        )
    )
    return index


def other_model(dim: int = DIM, *, wobble: float = 0.0) -> Bundle:
    """A model that sees the same things turned, and a little differently."""
    turn = orthogonal(b"another model", max(DIM, dim))[:DIM, :dim]
    noise = wobble * np.random.default_rng(5).normal(size=turn.shape) / np.sqrt(DIM)
    return of_vectors(turn=turn + noise)


@pytest.fixture
def old() -> Bundle:
    return of_vectors(dim=DIM)


def test_what_has_a_source_is_embedded_again(tmp_path: Path, old: Bundle) -> None:
    vectors, labels = vectors_of(10, 3)
    new, sources = other_model(wobble=0.5), files(tmp_path / "files", vectors)
    seen: list[tuple[str, int, int]] = []
    with (
        filled(tmp_path / "old", old, vectors, labels, sources) as index,
        Index.create(tmp_path / "new", new.contract) as target,
    ):
        done = migrate(index, new, target, watch=lambda *words: seen.append(words))
        assert (done.items, done.embedded, done.bridged, done.toll) == (30, 30, 0, None)
        assert target.contract.fingerprint == new.fingerprint
        assert sorted(target.ids) == sorted(index.ids)
        found = target.get(index.ids)
        np.testing.assert_allclose(found.vectors, app.made(new, list(vectors)), atol=1e-6)
        assert found.metadata == index.get(index.ids).metadata
        assert found.labels == index.get(index.ids).labels
        assert seen == [("migrating", 30, 30)]
        assert migrate(index, new, target).items == 0


@pytest.mark.parametrize("dim", [16, 32, 48])
def test_without_sources_a_bridge_is_fitted_to_a_sample(
    tmp_path: Path, old: Bundle, dim: int
) -> None:
    vectors, labels = vectors_of(20, 4)
    new = other_model(dim)
    other, names = vectors_of(40, 4, seed=1)
    sample = Items.from_arrays(list(other), names)
    with (
        filled(tmp_path / "old", old, vectors, labels) as index,
        Index.create(tmp_path / "new", new.contract) as target,
    ):
        done = migrate(index, new, target, old=old, sample=sample)
        assert (done.items, done.embedded, done.bridged, done.pairs) == (80, 0, 80, 160)
        assert done.toll is not None
        assert done.toll.name == "recall_at_1"
        assert done.toll.again.unit == "identity"
        found = target.get(index.ids)
        assert all(each[BRIDGED] is True for each in found.metadata or ())
        assert [each["number"] for each in found.metadata or ()] == list(range(80))
        if dim >= DIM:  # the two models differ by a turn alone, which a bridge gets right
            np.testing.assert_allclose(found.vectors, app.made(new, list(vectors)), atol=1e-5)
            assert done.toll.bridged == done.toll.again
            assert done.toll.likeness == pytest.approx(1.0, abs=1e-6)
        else:
            assert done.toll.bridged.value <= done.toll.again.value
            assert done.toll.likeness < 1.0


def test_a_bridge_that_costs_something_says_so(tmp_path: Path) -> None:
    """A model that sees six numbers of 32 cannot give back the others."""
    vectors, labels = vectors_of(60, 4)
    old, new = other_model(6), of_vectors(dim=DIM)
    other, names = vectors_of(60, 4, seed=1)
    with (
        filled(tmp_path / "old", old, vectors, labels) as index,
        Index.create(tmp_path / "new", new.contract) as target,
    ):
        done = migrate(index, new, target, old=old, sample=Items.from_arrays(list(other), names))
        assert done.toll is not None
        assert done.toll.bridged.value < done.toll.again.value - 0.1
        assert done.toll.bridged.low <= done.toll.bridged.value <= done.toll.bridged.high
        truth, over = app.made(new, list(vectors)), target.get(index.ids).vectors
        assert np.einsum("nd,nd->n", truth, over).mean() == pytest.approx(
            done.toll.likeness, abs=0.05
        )


def test_items_with_a_source_are_the_sample_for_those_without(tmp_path: Path, old: Bundle) -> None:
    vectors, labels = vectors_of(40, 3)
    sources = files(tmp_path / "files", vectors)[:90]
    new = other_model()
    with (
        filled(tmp_path / "old", old, vectors, labels, sources) as index,
        Index.create(tmp_path / "new", new.contract) as target,
    ):
        sources[0].write_bytes(sources[0].read_bytes())
        sources[5].unlink()
        done = migrate(index, new, target)
        assert (done.items, done.embedded, done.bridged, done.pairs) == (120, 89, 31, 89)
        marked = [
            name
            for name, each in zip(index.ids, target.get(index.ids).metadata or (), strict=True)
            if BRIDGED in each
        ]
        assert marked == [index.ids[5], *index.ids[90:]]
        np.testing.assert_allclose(
            target.get(index.ids).vectors, app.made(new, list(vectors)), atol=1e-5
        )


def test_a_source_that_has_changed_is_none(tmp_path: Path, old: Bundle) -> None:
    from twofold.data.hashes import content_hash

    vectors, _ = vectors_of(2, 1)
    one, two = files(tmp_path / "files", vectors)
    assert app.unchanged(one, content_hash(one))
    assert not app.unchanged(one, content_hash(two))
    assert app.unchanged(one, None)
    assert not app.unchanged(tmp_path / "nowhere", None)


def test_single_items_have_to_find_themselves(tmp_path: Path, old: Bundle) -> None:
    vectors, labels = vectors_of(80, 1)
    new = other_model(wobble=0.3)
    other, names = vectors_of(80, 1, seed=1)
    with (
        filled(tmp_path / "old", old, vectors, labels) as index,
        Index.create(tmp_path / "new", new.contract) as target,
    ):
        done = migrate(index, new, target, old=old, sample=Items.from_arrays(list(other), names))
        assert done.toll is not None
        assert done.toll.name == "finds_itself"
        assert done.toll.again.value == 1.0


def test_neither_sources_nor_a_sample(tmp_path: Path, old: Bundle) -> None:
    vectors, labels = vectors_of(10, 3)
    new, sources = other_model(), files(tmp_path / "files", vectors)
    with (
        filled(tmp_path / "old", old, vectors, labels, sources[:9]) as index,
        Index.create(tmp_path / "new", new.contract) as target,
    ):
        with pytest.raises(
            NotEnoughData,
            match=r"21 items have no source .* and can only be bridged; 9 have one, and there is no",
        ):
            migrate(index, new, target)
        few = Items.from_arrays(list(vectors[:20]), labels[:20])
        with pytest.raises(
            NotEnoughData, match=r"there is a sample of 20: give at least 50 things for both models"
        ):
            migrate(index, new, target, old=old, sample=few)
        same = Items.from_arrays(
            list(np.repeat(vectors[:3], 20, axis=0)), np.repeat(labels[:3], 20)
        )
        with pytest.raises(
            NotEnoughData,
            match="identities: a bridge is measured on identities that it was not fitted to: give "
            "4",
        ):
            migrate(index, new, target, old=old, sample=same)
        assert len(target) == 0


def test_indexes_and_models_that_do_not_belong_together(tmp_path: Path, old: Bundle) -> None:
    vectors, labels = vectors_of(10, 3)
    new, third = other_model(), other_model(wobble=0.1)
    with (
        filled(tmp_path / "old", old, vectors, labels) as index,
        Index.create(tmp_path / "new", new.contract) as target,
    ):
        with pytest.raises(FingerprintMismatch):
            migrate(index, third, target)
        with pytest.raises(FingerprintMismatch):
            migrate(index, new, target, old=third, sample=Items.from_arrays(list(vectors), labels))
        with pytest.raises(
            StoreError, match=r"is of this very model \(.*\): there is nothing to migrate"
        ):
            migrate(index, old, index)


def test_dates_and_revocations_go_with_them(tmp_path: Path, old: Bundle) -> None:
    vectors, labels = vectors_of(10, 3)
    new, sources = other_model(), files(tmp_path / "files", vectors)
    with (
        filled(tmp_path / "old", old, vectors, labels, sources) as index,
        Index.create(tmp_path / "new", new.contract, protect=new_key()) as target,
    ):
        index.expire("p001", "2999-01-01")
        index.expire("p002", "2020-01-01")
        index.revoke(["p003", "p004"])
        people = [
            (each.label, each.items, each.expires, each.revoked is None)
            for each in index.enrolled()
        ]
        migrate(index, new, target)
        assert [
            (e.label, e.items, e.expires, e.revoked is None) for e in target.enrolled()
        ] == people
        assert target.standing() == (7, 21)


def test_cut_off_it_goes_on_and_nobody_comes_back(
    tmp_path: Path, old: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, labels = vectors_of(10, 3)
    new, sources = other_model(), files(tmp_path / "files", vectors)
    monkeypatch.setattr(app, "ITEMS_AT_ONCE", 7)
    with (
        filled(tmp_path / "old", old, vectors, labels, sources) as index,
        Index.create(tmp_path / "new", new.contract) as target,
    ):
        index.revoke(["p003", "p008"])
        # the last two calls are the revoked ones; one is cut off between add and revoke
        for calls in (2, 2, 1):
            count = 0

            def cut(*words: object, calls: int = calls) -> None:
                nonlocal count
                count += 1
                if count == calls:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                migrate(index, new, target, watch=cut)
            assert {e.label for e in target.enrolled() if e.revoked} == {"p003", "p008"} & set(
                target.labels
            )
        target.restore([label for label in ("p003", "p008") if label in target.labels])
        migrate(index, new, target)
        assert {e.label for e in target.enrolled() if e.revoked} == {"p003", "p008"}
        assert sorted(target.ids) == sorted(index.ids)


@pytest.mark.parametrize(("wide", "narrow"), [(8, 8), (8, 5), (5, 8)])
@pytest.mark.parametrize("unit", [True, False])
def test_the_bridge_is_the_best_orthogonal_map(wide: int, narrow: int, unit: bool) -> None:
    random = np.random.default_rng(0)
    old, new = random.normal(size=(200, wide)), random.normal(size=(200, narrow)) + 3 * (not unit)
    bridge = Bridge.fit(old, new, unit=unit)
    square = bridge.matrix.T @ bridge.matrix if wide >= narrow else bridge.matrix @ bridge.matrix.T
    np.testing.assert_allclose(square, np.eye(min(wide, narrow)), atol=1e-12)

    def likeness(matrix: np.ndarray) -> float:
        """What is largest where |A R - B| is smallest: tr(R' A' B)."""
        return float(np.sum((old - bridge.mean_old) @ matrix * (new - bridge.mean_new)))

    for _ in range(200):
        near = bridge.matrix + 0.05 * random.normal(size=bridge.matrix.shape)
        left, _, right = np.linalg.svd(near, full_matrices=False)
        assert likeness(left @ right) <= likeness(bridge.matrix) + 1e-9
    if unit:
        np.testing.assert_allclose(
            np.linalg.norm(bridge(old.astype(np.float32)), axis=1), 1.0, atol=1e-6
        )
