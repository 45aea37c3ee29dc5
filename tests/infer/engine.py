"""A stand-in for docker: takes its command line, and runs what an image would, without a container."""

from __future__ import annotations

import sys
from pathlib import Path

_SCRIPT = r"""#!{python}
import json, os, sys, time
from pathlib import Path

if sys.argv[1] == "kill":
    Path({log!r}).open("a").write("kill " + sys.argv[2] + "\n")
    sys.exit(0)
assert sys.argv[1] == "run"
mounts = dict()
for key, value in zip(sys.argv, sys.argv[1:]):
    if key == "--mount":
        parts = dict(one.partition("=")[::2] for one in value.split(","))
        mounts[parts["target"]] = Path(parts["source"])
IN, OUT = mounts["/in"], mounts["/out"]
Path({log!r}).open("a").write(json.dumps(sys.argv[1:]) + "\n")
import nibabel, numpy as np
image = nibabel.load(IN / "image.nii")
voxels = np.asarray(image.dataobj)


def save(array, affine=None):
    found = nibabel.Nifti1Image(array.astype(np.float32), image.affine if affine is None else affine)
    nibabel.save(found, OUT / "probabilities.nii.gz")


{body}
"""


def write_engine(folder: Path, body: str) -> Path:
    """Write a program called docker; ``body`` is what the image does with ``voxels``, by ``save``.

    Returns
    -------
    Path
        What it was called with, a line a call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "calls.log"
    program = folder / "docker"
    program.write_text(_SCRIPT.format(python=sys.executable, log=str(log), body=body))
    program.chmod(0o755)
    return log
