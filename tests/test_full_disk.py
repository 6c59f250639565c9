"""A disk that is full in the middle of saving: one line, and the old object is as it was."""

import errno
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

import small_bundles
from twofold.bundle import Bundle
from twofold.errors import CannotWrite
from twofold.files import new_folder
from twofold.train import checkpoint

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
SAID = r"^cannot write .*: No space left on device; the disk is full: .* What stood there before is unchanged$"


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def full_at(monkeypatch, nth, *names):
    """The disk is full from the nth call on of these methods of Path."""
    calls = []
    for name in names:
        write = getattr(Path, name)

        def failing(self, *given, write=write, **more):
            calls.append(self)
            if len(calls) >= nth:
                raise FULL
            return write(self, *given, **more)

        monkeypatch.setattr(Path, name, failing)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_bundle(tmp_path, monkeypatch, nth):
    old = small_bundles.of_pictures()
    old.save(tmp_path / "m")
    before = contents(tmp_path)
    full_at(monkeypatch, nth, "write_bytes", "write_text")
    with pytest.raises(CannotWrite, match=SAID):
        small_bundles.of_pictures(threshold=0.9).save(tmp_path / "m")
    monkeypatch.undo()
    assert contents(tmp_path) == before
    assert Bundle.load(tmp_path / "m").fingerprint == old.fingerprint


def test_a_checkpoint_whose_tensors_do_not_fit(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "step-1", {"a": torch.zeros(3)}, {"step": 1})
    before = contents(tmp_path)

    def failing(*_):
        raise SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    monkeypatch.setattr(safetensors.torch, "save_file", failing)
    with pytest.raises(CannotWrite, match=SAID):
        checkpoint.save(tmp_path / "step-1", {"a": torch.ones(3)}, {"step": 1})
    assert contents(tmp_path) == before


def test_a_checkpoint_whose_numbers_do_not_fit(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "step-1", {"a": torch.zeros(3)}, {"step": 1})
    before = contents(tmp_path)
    full_at(monkeypatch, 1, "write_text")
    with pytest.raises(CannotWrite, match=SAID):
        checkpoint.save(tmp_path / "step-1", {"a": torch.ones(3)}, {"step": 1})
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "error", [ValueError("a fault"), FileNotFoundError(2, "No such file", "input.png")]
)
def test_other_errors_are_not_about_the_place(tmp_path, error):
    with pytest.raises(type(error)), new_folder(tmp_path / "x", marker="m"):
        raise error
    assert not list(tmp_path.iterdir())
