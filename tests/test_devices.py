"""The one place that says where a twin runs."""

import pytest
import torch

from twofold import devices
from twofold.devices import available, device_of, training_device
from twofold.errors import UsageError


@pytest.fixture
def machine(monkeypatch):
    """Says which accelerators this machine shall seem to have."""

    def has(cards: int = 0, apple: bool = False, built: str | None = "12.8") -> None:
        monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: cards > 0)
        monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: cards)
        monkeypatch.setattr(devices.torch.version, "cuda", built)
        monkeypatch.setattr(devices.torch.backends.mps, "is_available", lambda: apple)

    return has


@pytest.mark.parametrize(
    ("cards", "apple", "known", "chosen"),
    [
        (0, False, ["cpu"], "cpu"),
        (1, False, ["cpu", "cuda"], "cuda"),
        (2, False, ["cpu", "cuda", "cuda:0", "cuda:1"], "cuda"),
        (0, True, ["cpu", "mps"], "cpu"),
    ],
)
def test_the_default_is_a_cuda_card_where_there_is_one(machine, cards, apple, known, chosen):
    machine(cards, apple)
    assert available() == known
    assert device_of() == torch.device(chosen)
    assert [device_of(name) for name in known] == [torch.device(name) for name in known]


def test_the_only_card_has_a_number_too(machine):
    machine(cards=1)
    assert device_of("cuda:0") == torch.device("cuda:0")


@pytest.mark.parametrize(
    ("asked", "cards", "built", "said"),
    [
        ("banana", 0, None, "--device banana: no such device. This machine has: cpu"),
        (
            "cuda",
            0,
            None,
            "--device cuda: this torch was built without CUDA. This machine has: cpu",
        ),
        ("cuda", 0, "12.8", "--device cuda: torch finds no CUDA card here. This machine has: cpu"),
        (
            "cuda:1",
            1,
            "12.8",
            "--device cuda:1: there is no card number 1. This machine has: cpu, cuda",
        ),
        ("cuda:x", 1, "12.8", "--device cuda:x: no such device. This machine has: cpu, cuda"),
        ("mps", 0, None, "--device mps: torch finds no Apple GPU here. This machine has: cpu"),
        ("meta", 0, None, "--device meta: no such device. This machine has: cpu"),
        ("", 0, None, "--device : no such device. This machine has: cpu"),
    ],
)
def test_an_unknown_device_is_refused_with_those_there_are(machine, asked, cards, built, said):
    machine(cards, built=built)
    with pytest.raises(UsageError) as error:
        device_of(asked)
    assert str(error.value) == said


def test_training_needs_more_digits_than_apple_gpus_have(machine):
    machine(apple=True)
    assert device_of("mps") == torch.device("mps")
    assert training_device() == torch.device("cpu")
    with pytest.raises(
        UsageError, match=r"--device mps: losses are added up in float64.*train with --device cpu"
    ):
        training_device("mps")
