"""Fuzz one target for as long as it is told, led by coverage (atheris).

In: a target of ``tests.hostile.fuzz``, minutes.  Out: a line at the end; the input that broke it, if one did.
Never: an input that is lost: whatever breaks a target stays in the corpus folder.

Example: ``python benchmarks/fuzz.py --target data-set --minutes 10``
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
NAMES = ("data-set", "pixels", "hl7", "documents", "reading", "model-toml", "nifti", "archive")
#: Of the process, libraries included.
MEMORY_MB = 1024
ROUND_S = 20


def main() -> None:
    """Parse the command line and fuzz."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", choices=NAMES, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument(
        "--corpus", type=Path, help="where inputs are kept; a new folder where it is not given"
    )
    arguments = parser.parse_args()
    corpus = arguments.corpus or Path(tempfile.mkdtemp(prefix="wetread-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    fuzz(arguments.target, arguments.minutes, corpus)


def fuzz(name: str, minutes: float, corpus: Path) -> None:
    """Run libFuzzer on a target; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["wetread"]):
        from tests.hostile.fuzz import TARGETS, mutate, run_once

    target = TARGETS[name]
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def run(data: bytes) -> None:
        run_once(target, data)

    def change(data: bytes, longest: int, seed: int) -> bytes:
        chance = random.Random(seed)
        own = mutate(data, chance) if chance.random() < 0.5 else atheris.Mutate(data, longest)
        return bytes(own[:longest])

    limits = [f"-max_total_time={int(minutes * 60)}", f"-rss_limit_mb={MEMORY_MB}", f"-timeout={ROUND_S}"]
    command = [sys.argv[0], str(corpus), f"-artifact_prefix={corpus}/", "-print_final_stats=1", *limits]
    atheris.Setup(command, run, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
