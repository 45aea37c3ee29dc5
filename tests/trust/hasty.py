"""`wetread` with short waits: what comes back every ten seconds comes back every second.

    python -m tests.trust.hasty serve ...

In: the arguments of the command.  Out: the command.  Never: another order of things, only sooner.
"""

from wetread import dispatch, engine, outbox
from wetread.cli import main

dispatch.SWEEP_S = 1.0
outbox._AGAIN_S = 1.0
engine.LONGEST_BACKOFF_S = 0.3
dispatch.READ_WAITS_S = (0.5, 1.0)

if __name__ == "__main__":
    main()
