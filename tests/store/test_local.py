"""The local engine: filters, ranges, recall, receipts, and what other processes see while one writes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import twofold
from twofold.contract import Contract
from twofold.errors import DamagedIndex, StoreError, UnknownLabel
from twofold.results import Embeddings
from twofold.store import Index, leftovers
from twofold.store.filters import conditions
from twofold.store.memory import Follower
from twofold.store.sqlite import connection
from twofold.store.sqlite.rows import Row

Make = Callable[..., Embeddings]
NAMES = [f"p{number % 7}/{number}" for number in range(60)]
METADATA = tuple(
    {
        "colour": ["red", "green", None][number % 3],
        "price": number / 4 if number % 2 else number,
        "new": number % 5 == 0,
        **({"shelf": f"r{number % 4}"} if number % 4 else {}),
    }
    for number in range(60)
)


@pytest.fixture
def index(tmp_path: Path, contract: Contract, make: Make) -> Iterator[Index]:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(replace(make(NAMES), metadata=METADATA))
        yield index


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        ({"colour": "red"}, lambda m: m["colour"] == "red"),
        ({"colour": ["red", None]}, lambda m: m["colour"] in ("red", None)),
        ({"new": True}, lambda m: m["new"] is True),
        ({"new": 1}, lambda m: False),
        ({"price": 3}, lambda m: m["price"] == 3),
        ({"price": {"min": 2.5, "max": 9}}, lambda m: 2.5 <= m["price"] <= 9),
        (
            {"price": {"max": 5}, "colour": "green"},
            lambda m: m["price"] <= 5 and m["colour"] == "green",
        ),
        ({"shelf": None}, lambda m: "shelf" not in m),
        ({"shelf": {"min": "r2"}}, lambda m: m.get("shelf", "") >= "r2"),
        ({"nothing": None}, lambda m: True),
    ],
)
def test_a_filter_lets_through_exactly_what_fits(
    index: Index, where: dict, passes: Callable
) -> None:
    wanted = {name for name, metadata in zip(NAMES, METADATA, strict=True) if passes(metadata)}
    assert wanted == {
        n
        for n, m in zip(NAMES, METADATA, strict=True)
        if all(c.holds(m) for c in conditions(where))
    }
    query = index.get(NAMES[:2]).vectors
    for hits in (
        *index.search(query, 60, where=where),
        *index.search_range(query, -2.0, where=where),
    ):
        assert {hit.id for hit in hits} == wanted
        for hit in hits:
            assert hit.metadata == METADATA[NAMES.index(hit.id)]
    (best,) = index.search_identities(query[:1], 9, where=where)
    assert {hit.label for hit in best} == {name.split("/")[0] for name in wanted}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"": 1}, "'' is not a key"),
        ({'a"b': 1}, "is not a key: give a text that is not empty, without quotes"),
        ({"price": []}, "an empty list of values lets nothing pass"),
        ({"price": {"from": 1}}, r"\{'from': 1\} is not a range"),
        ({"price": {"min": 1, "max": "x"}}, "mixes a text and a number"),
        (
            {"price": float("nan")},
            "'price' is nan: give a text, True, False, None, or a finite number",
        ),
        ({"price": b"x"}, "'price' is b'x'"),
    ],
)
def test_odd_filters_are_refused(index: Index, where: dict, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        index.search(index.get(NAMES[:1]).vectors, where=where)


@pytest.mark.parametrize("value", [float("inf"), 2**63, "a\0b", "\udcff", [1], {"a": 1}])
def test_odd_metadata_is_refused(index: Index, make: Make, value: object) -> None:
    with pytest.raises(StoreError, match="the metadata of 'q': 'key' is"):
        index.add(replace(make(["q"]), metadata=({"key": value},)))
    with pytest.raises(StoreError, match="2 metadata for 1 items"):
        index.add(replace(make(["q"]), metadata=({}, {})))
    assert "q" not in index


def test_metadata_comes_back_and_counts_as_content(index: Index, make: Make) -> None:
    assert index.get(NAMES).metadata == METADATA
    assert index.add(replace(make(NAMES), metadata=METADATA)) == 0
    assert (
        index.add(replace(make(NAMES), metadata=({**METADATA[0], "price": 7}, *METADATA[1:]))) == 1
    )
    assert next(iter(index.blocks(100))).metadata[-1] == {**METADATA[0], "price": 7}


def test_a_range_has_all_that_reach_it_and_nothing_else(index: Index) -> None:
    queries = index.get(NAMES[:5]).vectors
    everything = index.search(queries, 60)
    for place in (0, 3, 20):
        for query, whole in zip(queries, everything, strict=True):
            # the score of a hit finds that hit
            (found,) = index.search_range(query[None], whole[place].score)
            assert [hit.id for hit in found] == [hit.id for hit in whole[: place + 1]]
    assert index.search_range(queries, 2.0) == [[]] * 5
    with pytest.raises(StoreError, match="the score is NaN"):
        index.search_range(queries, float("nan"))


def test_a_replaced_row_is_marked_for_erasure(index: Index, make: Make) -> None:
    """What SQLite moved before the row was replaced may stand in a freed place: the next forget writes all anew."""
    with index.engine.database.reading():
        assert index.engine.database.loose() == set()
    label = index.get(NAMES[:1]).labels[0]
    index.add(make(NAMES[:1], [label], seed=99))
    with index.engine.database.reading():
        assert index.engine.database.loose() == {label}
    index.forget(label)
    with index.engine.database.reading():
        assert index.engine.database.loose() == set()


def test_recall_of_exact_search_is_one(index: Index) -> None:
    found = index.recall(5, sample=40)
    assert (found.name, found.value, found.high, found.resampled) == ("recall_at_5", 1.0, 1.0, 40)
    assert 0.85 < found.low < 1.0
    assert index.recall(5, sample=99).resampled == 60
    with pytest.raises(StoreError, match="give a sample of at least 1"):
        index.recall(sample=0)


def test_recall_sees_what_a_search_misses(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    search = type(index.engine).search

    def half(self, queries, k, filters, *, exact):
        found = search(self, queries, k, filters, exact=exact)
        return found if exact else [hits[::2] for hits in found]

    monkeypatch.setattr(type(index.engine), "search", half)
    found = index.recall(10, sample=60)
    assert found.low < 0.5 < found.high


def test_memory_follows_what_another_process_writes(
    index: Index, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is new is read: the rows from the first on are not loaded again."""
    with Index.open(index.path) as other:
        other.add(make(["new/1", "new/2"], seed=3))
        other.remove([NAMES[4]])
        other.add(make([NAMES[5]], ["changed"], seed=4))
        monkeypatch.setattr(Follower, "_begin", lambda self: pytest.fail("loaded again"))
        query = make(["q"], seed=9).vectors
        assert index.search(query, 99) == other.search(query, 99)
        assert {hit.id for hit in index.search(query, 99)[0]} == {*NAMES, "new/1", "new/2"} - {
            NAMES[4]
        }
        assert "changed" in index.labels


def test_who_is_far_behind_reads_everything_again(
    index: Index, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.store.sqlite.database.KEPT_GONE", 0)
    monkeypatch.setattr("twofold.store.sqlite.database.PRUNE_EVERY", 1)
    with Index.open(index.path) as other:
        for number in range(40):
            other.remove([NAMES[number]])
        assert (
            other.engine.database.connection.execute("SELECT count(*) FROM gone").fetchone()[0]
            <= 40
        )
        assert other.engine.database.state().floor > 0
        assert {hit.id for hit in index.search(make(["q"]).vectors, 99)[0]} == set(NAMES[40:])


def test_a_row_that_vanishes_behind_our_back_is_damage(index: Index, make: Make) -> None:
    index.search(make(["q"]).vectors)
    index.engine.database.connection.execute("DELETE FROM items WHERE row = 3")
    index.add(make(["late"]))
    with pytest.raises(DamagedIndex, match=r"row 3 of .* is not there any more"):
        index.search(make(["q"]).vectors, 99)


def test_many_are_forgotten_at_once_with_a_receipt(index: Index) -> None:
    with pytest.raises(UnknownLabel, match="nobody called 'p9'"):
        index.forget(["p1", "p9"])
    with pytest.raises(StoreError, match="nobody to forget"):
        index.forget([])
    assert len(index) == 60
    receipt = index.forget(["p1", "p3", "p1"])
    assert receipt.labels == ("p1", "p3")
    assert set(receipt.ids) == {name for name in NAMES if name[:2] in ("p1", "p3")}
    assert receipt.pieces > 2 * len(receipt.ids)
    assert receipt.files >= 2
    assert receipt.searched >= (index.path / "truth.sqlite").stat().st_size
    assert receipt.left == 0
    assert index.labels == ("p0", "p2", "p4", "p5", "p6")


def test_who_has_no_items_left_can_still_be_forgotten(index: Index, make: Make) -> None:
    index.add(make(["anna-surname/1"]))
    index.remove(["anna-surname/1"])
    assert "anna-surname" not in index.labels
    assert index.forget("anna-surname").ids == ()
    assert b"anna-surname" not in (index.path / "truth.sqlite").read_bytes()
    with pytest.raises(UnknownLabel):
        index.forget("anna-surname")


def test_names_that_are_part_of_others_do_not_delay_an_erasure(
    tmp_path: Path, make: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(["anna-lena/1", "anna-lena-marie/1", "anna-lena-marie/anna-lena/1"]))
        index.engine.database.connection.set_trace_callback(steps.append)
        assert index.forget("anna-lena").left == 0
        assert not any(step.startswith(("VACUUM", "REINDEX")) for step in steps)
        assert index.ids == ("anna-lena-marie/1", "anna-lena-marie/anna-lena/1")


def test_names_in_random_order_leave_nothing(
    tmp_path: Path, make: Make, contract: Contract
) -> None:
    """They split the pages of their index again and again."""
    order = np.random.default_rng(0).permutation(3000)
    with Index.create(tmp_path / "store", contract) as index:
        for start in range(0, 3000, 100):
            index.add(
                make([f"person-{number:05}-surname/photo" for number in order[start : start + 100]])
            )
        found = [index.forget(f"person-{number:05}-surname") for number in range(0, 3000, 150)]
        assert all(receipt.left == 0 for receipt in found)
        content = (index.path / "truth.sqlite").read_bytes()
        assert not any(receipt.labels[0].encode() in content for receipt in found)


@pytest.mark.parametrize("place", [0, 1, 7, 8190, (1 << 16) - 3, (1 << 16) + 5])
def test_pieces_are_found_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    monkeypatch.setattr(leftovers, "CHUNK", 1 << 16)
    random = np.random.default_rng(place)
    row = Row(300, 1, "anna/1", "a", "2026-01-01", None, None, "{}", random.bytes(64))
    pieces = leftovers.pieces_of([row], [random.bytes(40)])
    assert {len(piece) for piece in pieces} >= {6, 8}
    for piece in pieces:
        content = bytearray((1 << 17) + 9)
        content[place : place + len(piece)] = piece
        (tmp_path / "file").write_bytes(bytes(content))
        found = leftovers.look(tmp_path, pieces)
        assert (found.left >= 1, found.files) == (True, 1), piece
    (tmp_path / "file").write_bytes(random.bytes(1 << 17))
    assert leftovers.look(tmp_path, pieces).left == 0


def test_a_strange_file_in_the_folder_is_told(index: Index, make: Make) -> None:
    index.add(make(["anna-surname/1"]))
    (index.path / "notes.txt").write_text("anna-surname called")
    with pytest.raises(
        StoreError,
        match=r"1 places in the files of .* still hold bytes of them: if that folder has",
    ):
        index.forget("anna-surname")
    (index.path / "notes.txt").unlink()
    index.close()
    with Index.open(index.path) as again:
        assert not again.engine.database.state().erasing


@pytest.mark.parametrize("place", ["items", "items_by_label"])
def test_a_copy_in_a_freed_place_is_found_and_rewritten(
    index: Index, make: Make, place: str
) -> None:
    """Such copies are left by pages that were split or joined; here one is put there."""
    index.add(make(["anna-surname/1"]))
    (page,) = index.engine.database.connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = ?", (place,)
    ).fetchone()
    index.close()
    file = index.path / "truth.sqlite"
    content = bytearray(file.read_bytes())
    start = (page - 1) * 8192
    (gap, _), *_ = leftovers.free(bytes(content[start : start + 8192]), 0, rewritten=False)
    content[start + gap + 8 : start + gap + 20] = b"anna-surname"
    file.write_bytes(bytes(content))
    with Index.open(index.path) as again:
        receipt = again.forget("anna-surname")
        assert (receipt.leftovers, receipt.left) == (1, 0)
        assert len(again) == 60
    assert b"anna-surname" not in file.read_bytes()


def test_short_names_are_forgotten(tmp_path: Path, make: Make, contract: Contract) -> None:
    with Index.create(tmp_path / "store", contract) as index:
        index.add(
            make(
                [f"{number}" for number in range(500)], [f"{number % 50}" for number in range(500)]
            )
        )
        receipt = index.forget("7")
        assert (len(receipt.ids), receipt.left) == (10, 0)


WRITER = """
import sys
from twofold.store import Index
index = Index.open(sys.argv[1])
with index.engine.database.writing():
    print("writing", flush=True)
    sys.stdin.readline()
"""


def writer(path: Path) -> subprocess.Popen:
    environment = dict(
        os.environ, PYTHONPATH=str(Path(twofold.__file__).parents[1]), OMP_NUM_THREADS="1"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=-1, stdout=-1, env=environment, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.skipif(
    not Path("/proc/locks").exists(), reason="the system does not tell who holds a lock"
)
def test_a_second_writer_is_told_who_the_first_is_and_a_killed_one_is_no_hindrance(
    index: Index, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.05)
    with Index.open(index.path) as second, writer(index.path) as process:
        with pytest.raises(
            StoreError, match=rf"process {process.pid} \(python.*\) is writing to .*: try again"
        ):
            second.add(make(["late"]))
        assert len(second.search(make(["q"]).vectors, 99)[0]) == 60  # readers read on
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert second.add(make(["late"])) == 1


def test_reading_in_blocks_delays_nobody(index: Index, make: Make) -> None:
    blocks = index.blocks(10)
    first = next(blocks)
    index.forget("p0")
    index.add(make(["late/1"]))
    rest = [name for block in blocks for name in block.ids]
    assert len(set(first.ids) & set(rest)) == 0
    assert {*first.ids, *rest} >= set(index.ids)


def test_a_lost_end_of_the_log_is_noticed(index: Index, make: Make, tmp_path: Path) -> None:
    index.engine.database.empty_log()
    index.add(make(["late/1"]))
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("truth.sqlite", "acknowledged"):
        (copy / name).write_bytes((index.path / name).read_bytes())
    with pytest.raises(
        DamagedIndex,
        match=r"is at write 1, and write 2 was acknowledged: its write-ahead log is",
    ):
        Index.open(copy)
    found = twofold.store.upkeep.inspect(copy).findings
    assert {finding.code for finding in found if finding.level == "fatal"} == {"lost-writes"}
    assert twofold.store.upkeep.inspect(copy, repair=True).sound
    with Index.open(copy) as again:
        assert len(again) == 60
    (index.path / "acknowledged").write_bytes(b"torn")
    Index.open(index.path).close()


def test_an_index_whose_names_do_not_fit_its_rows_is_refused(index: Index) -> None:
    index.close()
    file = index.path / "truth.sqlite"
    content = file.read_bytes()
    place = content.rfind(b"p3/59"[:5]) if b"p3/59" in content else content.rfind(b"p1/57")
    spoilt = bytearray(content)
    spoilt[place + 1] ^= 4  # an id in its own index, or in the row
    file.write_bytes(bytes(spoilt))
    with pytest.raises(DamagedIndex, match=r"do not fit together|not as written"):
        Index.open(index.path)


def test_many_rows_go_to_a_cache_of_which_nothing_wrong_is_served(
    tmp_path: Path, make: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.store.large.EXACT_ROWS", 50)
    with Index.create(tmp_path / "store", contract) as index:
        index.add(make(NAMES))
        index.add(make(["late/1"], seed=5))
        index.remove([NAMES[3]])
        query = make(["q"], seed=9).vectors
        exact = index.search(query, 10, exact=True)
        assert {hit.id for hit in index.search(query, 61)[0]} <= {*NAMES, "late/1"} - {NAMES[3]}
        assert index.search_range(query, exact[0][4].score) == [exact[0][:5]]
        index.forget("p2")
        assert not any(hit.label == "p2" for hit in index.search(query, 61)[0])
