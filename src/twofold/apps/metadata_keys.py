"""Keys of the metadata that we set ourselves in an index; all others are the user's."""

__all__ = ["CONTENT", "GROUP", "MAP", "SOURCE", "TEXT"]

CONTENT = "content"
"""A hash of the thing."""

GROUP = "group"
"""Its metadata group."""

SOURCE = "source"
"""Where it came from, if that was asked for."""

TEXT = "text"
"""What it says, if that was asked for."""

MAP = "map"
"""Its feature map, if that was asked for (`feature_maps`)."""
