"""What the verbs return: small frozen results, numpy and plain Python only."""

from dataclasses import asdict
from typing import Any

from twofold.results.answers import (
    CopyFile,
    Decision,
    Found,
    Group,
    Groups,
    Hit,
    Identification,
    Spotted,
    Spotting,
    Verdict,
)
from twofold.results.change import (
    ChangeEvaluation,
    ChangeThreshold,
    RelativeThreshold,
    SceneScores,
)
from twofold.results.measurements import (
    Difference,
    Drift,
    Estimate,
    Evaluation,
    Finding,
    Moved,
    NearestExample,
    Progress,
    Reference,
    Standing,
    Tuning,
)
from twofold.results.receipts import (
    AuditEntry,
    Embeddings,
    Enrolled,
    Erasure,
    Indexed,
    Inspection,
    Migration,
    Sharded,
    Toll,
)
from twofold.results.scenes import Change, Region, Shift
from twofold.results.track import (
    ObjectTrack,
    SequenceTrack,
    TrackConfidence,
    Tracked,
    TrackEvaluation,
    Tracks,
)

__all__ = [
    "AuditEntry",
    "Change",
    "ChangeEvaluation",
    "ChangeThreshold",
    "CopyFile",
    "Decision",
    "Difference",
    "Drift",
    "Embeddings",
    "Enrolled",
    "Erasure",
    "Estimate",
    "Evaluation",
    "Finding",
    "Found",
    "Group",
    "Groups",
    "Hit",
    "Identification",
    "Indexed",
    "Inspection",
    "Migration",
    "Moved",
    "NearestExample",
    "ObjectTrack",
    "Progress",
    "Reference",
    "Region",
    "RelativeThreshold",
    "SceneScores",
    "SequenceTrack",
    "Sharded",
    "Shift",
    "Spotted",
    "Spotting",
    "Standing",
    "Toll",
    "TrackConfidence",
    "TrackEvaluation",
    "Tracked",
    "Tracks",
    "Tuning",
    "Verdict",
    "plain",
]


def plain(result: Any) -> dict[str, Any]:
    """A result as plain JSON-able Python."""
    return asdict(result)
