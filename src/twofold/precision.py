"""Which arithmetic a training runs in: `auto` is bfloat16 where the hardware has it, float32 elsewhere.

A processor without bfloat16 instructions computes it all the same, several times slower than
float32.
"""

import os
import platform
from collections.abc import Callable

import torch

__all__ = ["native_bfloat16", "resolved", "said", "slowdown"]

WITHOUT_BFLOAT16 = {
    "SSE41",
    "AVX",
    "AVX2",
    "AVX2_VNNI",
    "AVX2_VNNI_2",
    "AVX512_CORE",
    "AVX512_CORE_VNNI",
}
"""Values of ONEDNN_MAX_CPU_ISA that keep oneDNN, which does torch's convolutions, from multiplying in bfloat16."""


def resolved(precision: str, device: torch.device) -> str:
    """`float32` or `bfloat16`: what was asked for, or for `auto` what suits the device."""
    if precision != "auto":
        return precision
    return "bfloat16" if native_bfloat16(device) else "float32"


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 itself; False where torch cannot tell."""
    if device.type == "cuda":
        return _says(lambda: torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return _says(lambda: torch.backends.mps.is_macos_or_newer(14, 0))
    if device.type != "cpu":
        return False
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    if limit.strip().upper() in WITHOUT_BFLOAT16:
        return False
    if platform.machine().lower() in ("aarch64", "arm64"):
        # reads the BF16 feature of the processor
        return _says(lambda: torch.ops.mkldnn._is_mkldnn_bf16_supported())
    # on x86 the same question is answered with yes by AVX-512 alone, which emulates it
    return any(
        _says(getattr(torch.cpu, name, _no))
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


def said(precision: str, device: torch.device) -> str:
    """One line about the arithmetic of a training, and why it is chosen."""
    chosen = resolved(precision, device)
    if precision != "auto":
        return f"trains in {chosen}, as the recipe says"
    has = "multiplies in bfloat16" if chosen == "bfloat16" else "has no bfloat16 arithmetic"
    return (
        f"trains in {chosen}: this {_NAMES.get(device.type, device.type)} {has} (precision = auto)"
    )


def slowdown(precision: str, device: torch.device) -> str | None:
    """A warning where bfloat16 was asked for and the device only imitates it."""
    if precision != "bfloat16" or native_bfloat16(device):
        return None
    return (
        f"this {_NAMES.get(device.type, device.type)} has no bfloat16 arithmetic and imitates it: "
        f"a step can take "
        "eight times as long as in float32, which precision = auto would choose"
    )


_NAMES = {"cpu": "processor", "cuda": "card", "mps": "GPU"}


def _no() -> bool:
    return False


def _says(question: Callable[[], object]) -> bool:
    """The answer of a function that other versions of torch may lack or refuse."""
    try:
        return bool(question())
    except Exception:  # whatever it is, float32 always works
        return False
