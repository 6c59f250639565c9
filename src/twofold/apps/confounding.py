"""What makes a checkup's pairs easier than they look: trivial traits, and identities of one site that are alike."""

from collections.abc import Iterator

import numpy as np

from twofold.apps.survey import Survey
from twofold.data.confounds import BOUND, confounds, forgery_confounds
from twofold.data.items import Items
from twofold.metrics.sites import CHANCE
from twofold.recruitment import site_dependence
from twofold.results import Estimate, Finding

__all__ = ["site_findings", "trait_findings"]


def trait_findings(items: Items, known: Survey, *, seed: int) -> list[Finding]:
    """Traits that tell genuine from impostor pairs, or from forgeries."""
    places = np.flatnonzero(known.described[: len(items)])
    columns: dict[str, np.ndarray] = {name: values[places] for name, values in known.traits.items()}
    if items.source is not None:
        places = places if columns else np.arange(len(items))
        columns["source"] = items.source[places][:, None]
    labels, identity, forged = items.labels[places], items.identity[places], items.forged[places]
    drawn = ~forged
    genuine = {name: values[drawn] for name, values in columns.items()}
    strangers = confounds(genuine, labels[drawn], identity=identity[drawn], seed=seed)
    forgers = forgery_confounds(columns, labels, identity=identity, forged=forged, seed=seed)
    return [
        *_confounded(strangers, "pairs of different identities", code="confound"),
        *_confounded(forgers, "forgeries", code="confound-forgeries"),
    ]


def _confounded(found: dict[str, Estimate], whom: str, *, code: str) -> Iterator[Finding]:
    said = [
        f"{name} {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]" for name, auc in found.items()
    ]
    strong = [text for text, auc in zip(said, found.values(), strict=True) if auc.low > BOUND]
    if strong:
        yield Finding(
            level="warning",
            code=code,
            message=f"genuine pairs are told from {whom} by a trivial "
            f"trait alone: AUC of {', '.join(strong)}, above {BOUND:g} "
            "even at the lower end of the 95 % interval over identities",
            remedy="a model may learn the trait instead of the identity: collect each "
            "identity under several conditions, or bring the trait to one value for all; "
            "ignore this if it is a true mark of the identity",
        )
    if said:
        message = f"AUC of trivial traits, genuine pairs against {whom} (0.5 is chance): {', '.join(said)}"
        yield Finding(level="note", code=f"{code}-traits", message=message, remedy="")


def site_findings(items: Items, known: Survey, *, seed: int) -> list[Finding]:
    """Whether the site, or the group, of identities tells anything about impostor scores."""
    if known.vectors is None:
        return []
    kept = np.flatnonzero(known.readable[: len(items)] & ~items.forged)
    part, vectors = items.take(kept), known.vectors[kept]
    said = part.site is not None
    found = site_dependence(part, lambda rows, cols: vectors[rows] @ vectors[cols].T, seed=seed)
    if found is None:
        return []
    of = "site" if said else "group"
    told = (
        f"{found.explained:.0%} of what tells identities' impostor scores apart lies between "
        f"{of}s, and impostor pairs of one {of} score {found.within:+.2f} standard deviations more"
    )
    if found.p_value > CHANCE:
        message = f"identities of one {of} look independent: {told}, which chance explains (p = {found.p_value:.2g})"
        return [Finding(level="note", code="sites", message=message, remedy="")]
    remedy = (
        "calibrate and evaluate count sites in place of identities, since there is a column site"
        if said
        else "if groups say who was recruited together, calibrate "
        "by them: --set site=group, or name the column site"
    )
    message = f"identities of one {of} are not independent: {told} (p = {found.p_value:.2g})"
    return [Finding(level="warning", code="sites", message=message, remedy=remedy)]
