"""Linear maps that are found from labelled features in closed form: within-class covariance normalisation."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["within_class_whitening"]

SHRINKAGE = 0.2
"""Share of a multiple of the identity in the covariance within classes, which few items tell badly. On LFW .1 to .4
are alike (docs/LOG.md)."""


def within_class_whitening(
    features: Float[Tensor, "n features"], labels: Int[Tensor, "n"], *, dim: int
) -> tuple[Float[Tensor, "features"], Float[Tensor, "dim features"]]:
    """The mean of features, and a map of what is left to `dim` numbers, in which items of a class differ alike.

    Principal components first, of which the map keeps as many as the items tell; rows beyond are 0.
    Then the covariance of items about the mean of their class becomes the identity (Hatch et al.
    2006), so that what differs between pictures of one person counts less than what differs between
    people. Classes of one item count for the components alone.
    """
    values = features.double()
    mean = values.mean(dim=0)
    values = values - mean
    strength, directions = torch.linalg.eigh(values.T @ values / max(len(values), 1))
    count = min(dim, len(values) - 1, int((strength > strength[-1] * 1e-9).sum()))
    basis = directions.flip(1)[:, : max(count, 0)]
    found = values.new_zeros(dim, len(mean))
    if count > 0:
        found[:count] = _whitened(values @ basis, labels).T @ basis.T
    return mean.float(), found.float()


def _whitened(
    values: Float[Tensor, "n components"], labels: Int[Tensor, "n"]
) -> Float[Tensor, "components components"]:
    """The map, to be multiplied from the right, that makes the covariance within classes the identity."""
    _, owner, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    sums = values.new_zeros(len(sizes), values.shape[1]).index_add_(0, owner, values)
    apart = (values - sums[owner] / sizes[owner, None])[sizes[owner] > 1]
    degrees = len(apart) - int((sizes > 1).sum())
    size = values.shape[1]
    unit = torch.eye(size, dtype=values.dtype)
    if degrees < 1 or not bool(apart.any()):  # no class tells how its items differ
        return unit / values.square().mean().sqrt()
    within = apart.T @ apart / degrees
    even = within.trace() / size
    return torch.linalg.cholesky(
        torch.linalg.inv((1 - SHRINKAGE) * within + SHRINKAGE * even * unit)
    )
