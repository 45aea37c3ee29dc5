"""Wetread gives every medical image study a wet read.

The tree is the path of a study: ``receive``, ``assemble``, ``match``, ``infer``, ``compose``,
``deliver``, ``worklist``; ``path`` joins them. See ARCHITECTURE.md.
"""

import os

# Some libraries report to their makers unless told not to before they are imported. Nothing leaves the
# machine but what the configuration names (``tests/privacy/test_reports_home.py``).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime
os.environ["NNCF_CI"] = "1"  # NNCF, by openvino-telemetry

__version__ = "0.2.0"
