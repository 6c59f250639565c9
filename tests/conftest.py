"""Every test runs with the shapes of twofold's tensors checked: jaxtyping's annotations, enforced by beartype."""

from jaxtyping import install_import_hook

install_import_hook("twofold", "type_checking.checked")
