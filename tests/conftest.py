"""What holds for the whole suite."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

# In an activated environment pynetdicom's own storescp and echoscu would stand before DCMTK's.
_OURS = Path(sys.executable).parent
os.environ["PATH"] = os.pathsep.join(
    folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != _OURS
)

#: Set by .ci/run, which installs every tool: a test that skips for want of one has then found a fault.
IN_CI = os.environ.get("WETREAD_CI") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let a skip fail in CI; only the shared data, which nobody can install, may be absent."""
    report: Any = yield
    reason = str(report.longrepr) if report.skipped else ""
    if IN_CI and reason and not hasattr(report, "wasxfail") and "shared data folder" not in reason:
        report.outcome = "failed"
        report.longrepr = f"Skipped in CI, where every tool is installed: {reason}"
    return report
