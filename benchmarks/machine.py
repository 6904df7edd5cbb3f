"""The machine that a result was measured on, in words that name no host."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def machine() -> dict[str, object]:
    """Device, processor, cores, torch and its threads."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    processor = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "processor": processor,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
