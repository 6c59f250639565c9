"""Against pytorch-metric-learning 2.9.0, run live in float64: value and gradient to 1e-6."""

import math

import pytest
import torch
from pytorch_metric_learning import distances as peer_distances
from pytorch_metric_learning import losses as peer
from pytorch_metric_learning import miners as peer_miners

from twofold import losses
from twofold.comparison import Plain

LABELS = torch.arange(24) % 5
COSINE = peer_distances.CosineSimilarity()
EUCLIDEAN = peer_distances.LpDistance(normalize_embeddings=False)


def agree(ours, theirs, embeddings):
    mine, others = embeddings.clone().requires_grad_(), embeddings.clone().requires_grad_()
    value, expected = ours(mine), theirs(others)
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)
    (ours_gradient,), (their_gradient,) = (
        torch.autograd.grad(value, mine),
        torch.autograd.grad(expected, others),
    )
    torch.testing.assert_close(ours_gradient, their_gradient, rtol=1e-6, atol=1e-6)


def mined(loss, miner, x):
    return loss(x, LABELS, miner(x.detach(), LABELS))


CASES = {
    "contrastive_cosine": (
        ("contrastive", "cosine", {"positive_margin": 0.1, "negative_margin": 0.8}),
        lambda x: peer.ContrastiveLoss(pos_margin=0.9, neg_margin=0.2, distance=COSINE)(x, LABELS),
    ),
    "contrastive": (
        ("contrastive", "euclidean", {"negative_margin": 2.0}),
        lambda x: peer.ContrastiveLoss(neg_margin=2, distance=EUCLIDEAN)(x, LABELS),
    ),
    "triplet_all": (
        ("triplet", "euclidean", {"margin": 0.3}),
        lambda x: peer.TripletMarginLoss(margin=0.3, distance=EUCLIDEAN)(x, LABELS),
    ),
    "triplet_soft": (
        ("triplet", "cosine", {"margin": 0.1, "soft": True}),
        lambda x: peer.TripletMarginLoss(margin=0.1, smooth_loss=True, distance=COSINE)(x, LABELS),
    ),
    "triplet_hard": (
        ("triplet", "euclidean", {"mining": "hard"}),
        lambda x: mined(
            peer.TripletMarginLoss(margin=0.2, distance=EUCLIDEAN),
            peer_miners.BatchHardMiner(distance=EUCLIDEAN),
            x,
        ),
    ),
    "triplet_semi_hard": (
        ("triplet", "cosine", {"mining": "semi_hard"}),
        lambda x: mined(
            peer.TripletMarginLoss(margin=0.2, distance=COSINE),
            peer_miners.TripletMarginMiner(
                margin=0.2, type_of_triplets="semihard", distance=COSINE
            ),
            x,
        ),
    ),
    "nt_xent": (("nt_xent", "cosine", {}), lambda x: peer.NTXentLoss()(x, LABELS)),
    "nt_xent_euclidean": (
        ("nt_xent", "euclidean", {"temperature": 0.5}),
        lambda x: peer.NTXentLoss(temperature=0.5, distance=EUCLIDEAN)(x, LABELS),
    ),
    "supcon": (("supcon", "cosine", {}), lambda x: peer.SupConLoss()(x, LABELS)),
    "multi_similarity": (
        ("multi_similarity", "cosine", {}),
        lambda x: peer.MultiSimilarityLoss()(x, LABELS),
    ),
    "circle": (("circle", "cosine", {}), lambda x: peer.CircleLoss()(x, LABELS)),
}


@pytest.mark.parametrize("case", CASES)
def test_batch_losses(case, batch):
    (name, comparison, settings), theirs = CASES[case]
    agree(
        lambda x: getattr(losses, name)(x, LABELS, comparison=Plain(comparison), **settings),
        theirs,
        batch(24, 6),
    )


def test_arc_face(batch):
    ours = losses.ArcFace(6, 7).double()
    theirs = peer.ArcFaceLoss(7, 6, margin=math.degrees(0.5)).double()
    theirs.W.data = ours.proxies.data.T.clone()
    # A far item, beyond pi - margin of its proxy, takes the other branch of the formula.
    embeddings = torch.cat([batch(23, 6), -ours.proxies.data[LABELS[-1:]]])
    embeddings[-1, 0] += 0.01
    agree(lambda x: ours(x, LABELS), lambda x: theirs(x, LABELS), embeddings)
    ours(embeddings, LABELS).backward()
    theirs(embeddings, LABELS).backward()
    torch.testing.assert_close(ours.proxies.grad, theirs.W.grad.T, rtol=1e-6, atol=1e-6)


def test_proxy_anchor(batch):
    ours = losses.ProxyAnchor(6, 7).double()
    theirs = peer.ProxyAnchorLoss(7, 6).double()
    theirs.proxies.data = ours.proxies.data.clone()
    agree(lambda x: ours(x, LABELS), lambda x: theirs(x, LABELS), batch(24, 6))
    ours(batch(24, 6), LABELS).backward()
    theirs(batch(24, 6), LABELS).backward()
    torch.testing.assert_close(ours.proxies.grad, theirs.proxies.grad, rtol=1e-6, atol=1e-6)


def test_external_is_the_loss_itself(batch):
    theirs = peer.MultiSimilarityLoss()
    agree(
        lambda x: losses.external(theirs)(x, LABELS, comparison=Plain("cosine")),
        lambda x: theirs(x, LABELS),
        batch(24),
    )
