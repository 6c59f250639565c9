"""Every test runs with the shapes of twofold's tensors checked: jaxtyping's annotations, enforced by beartype."""

import pytest
from jaxtyping import install_import_hook

install_import_hook("twofold", "type_checking.checked")


@pytest.fixture(autouse=True)
def no_bfloat16_by_default(monkeypatch):
    """`precision = "auto"` is float32 in this process, whatever the processor; tests/test_precision.py fakes others."""
    from twofold import precision

    monkeypatch.setattr(precision, "native_bfloat16", lambda device: False)
