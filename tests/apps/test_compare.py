"""Two bundles on the same unseen identities."""

import numpy as np
import pytest
import torch
from torch import nn

from twofold.apps.compare import compare, compare_scores
from twofold.bundle import Bundle
from twofold.calibration.pairs import calibrate
from twofold.config import Recipe
from twofold.data.scores import Scores
from twofold.data.synthetic import clusters
from twofold.errors import DataError, IdentityOverlap
from twofold.provenance import Provenance
from twofold.twin import Twin
from vectors import Vector, bundle, renamed


class Cut(nn.Module):
    """Forgets all but the first numbers of a vector: a worse model."""

    dim = 32

    def forward(self, batch):
        return torch.cat([batch[:, :4], torch.zeros_like(batch[:, 4:])], dim=1)


def worse(**parts):
    return Bundle(
        twin=Twin(Vector(), Cut(), "cosine"),
        recipe=Recipe(),
        provenance=Provenance.of_format_1(parts, ()),
    )


def test_a_bundle_that_knows_more_is_better():
    items = clusters(40, 4, spread=0.9)
    found = {each.name: each for each in compare(worse(), bundle(), items, far=0.1)}
    assert set(found) == {"eer", "auc", "tar_at_far"}
    assert found["eer"].b < found["eer"].a and found["eer"].low > 0
    assert found["eer"].resampled == 40 and found["eer"].unit == "identity"
    assert compare(bundle(), bundle(), items)[0].gain == 0.0


def test_thresholds_are_compared_where_they_were_found_elsewhere():
    items, others = clusters(40, 4, spread=0.9), renamed(clusters(40, 4, spread=0.9, seed=1))
    sides = [calibrate(each, others, far=0.1, standing="estimate") for each in (worse(), bundle())]
    names = [each.name for each in compare(*sides, items)]
    assert names[-2:] == ["false_match_rate", "false_non_match_rate"]


def test_identities_that_one_of_them_was_trained_on_are_refused():
    items = clusters(20, 3)
    for a, b in (
        (worse(train=items.identities[:1]), bundle()),
        (worse(), bundle(train=items.identities[:1])),
    ):
        with pytest.raises(IdentityOverlap, match="1 of 20 identities were trained on"):
            compare(a, b, items)
    kept = bundle(train=items.identities[:10], test=items.identities[10:])
    assert compare(worse(), kept, items)[0].resampled == 10


def test_scores_of_any_two_models():
    items = clusters(20, 3, spread=0.9)
    vectors = np.stack(items.values).astype(np.float64)
    a, b = (Scores.from_vectors(each, items.labels) for each in (vectors[:, :8], vectors))
    assert compare_scores(a, b)[0].gain > 0
    nobody = Scores.from_arrays(np.zeros(2), np.array([True, False]), first=None, second=None)
    with pytest.raises(DataError, match="only one of the two gives the identities of its pairs"):
        compare_scores(a, nobody)
