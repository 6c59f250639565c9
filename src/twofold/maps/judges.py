"""What says of each pixel how probable a change is: a trained twin of change."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float32

from twofold.twin import ChangeTwin

__all__ = ["TwinJudge"]


class TwinJudge:
    """A trained twin, one window at a time; see `tiles.Judge`."""

    def __init__(self, twin: ChangeTwin, device: torch.device) -> None:
        self.twin = twin.to(device).eval()
        self.device = device
        self.stride, self.margin = twin.stride, twin.margin
        self.normalise: Callable[..., Float[np.ndarray, "bands height width"]] = twin.normalise

    def __call__(
        self,
        before: Float[np.ndarray, "bands height width"],
        after: Float[np.ndarray, "bands height width"],
    ) -> Float32[np.ndarray, "height width"]:
        dates = (
            torch.from_numpy(np.ascontiguousarray(each))[None].to(self.device)
            for each in (before, after)
        )
        with torch.inference_mode():
            return self.twin.logits(*dates)[0].sigmoid().float().cpu().numpy()
