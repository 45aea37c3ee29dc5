"""What the chest benchmarks share: the reader with its package's parameters, hardware, intervals.

In: the model package in this repository.  Out: readings, a line on the machine, 95 % intervals.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import scipy

from wetread.domain.reading import Reading
from wetread.domain.volume import Volume
from wetread.infer.chest_ct import read_chest_ct
from wetread.infer.request import ReadRequest
from wetread.registry.package import read_models

MODEL = read_models()["chest-ct"]


def read(volume: Volume) -> Reading:
    request = ReadRequest(
        study_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
        revision=1,
        model=MODEL,
        volume=volume,
        made_at=datetime.now(UTC),
    )
    return read_chest_ct(request)


def describe_machine() -> dict[str, object]:
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / total
    centre = share + z**2 / (2 * total)
    spread = z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    # At 0 and all of them rounding alone leaves the range.
    return max(float((centre - spread) / scale), 0.0), min(float((centre + spread) / scale), 1.0)


def median_interval(values: list[float], seed: int = 0) -> tuple[float, float, float]:
    """Median with its 95 % bootstrap interval."""
    if not values:
        return float("nan"), float("nan"), float("nan")
    data = np.asarray(values)
    draws = np.random.default_rng(seed).choice(data, size=(2000, data.size))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(np.median(data)), float(low), float(high)


def finish(result: dict[str, object], out: str | None, name: str) -> None:
    """Print the machine; write ``benchmarks/results/<name>.json`` only when asked."""
    result["machine"] = describe_machine()
    print("machine:", json.dumps(result["machine"]))
    if out is not None:
        path = Path(out) if out else Path(__file__).parent / "results" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
        print("written:", path)
