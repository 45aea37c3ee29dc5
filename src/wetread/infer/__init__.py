"""Run one model on one study.

In: a Study, a chosen series, a Model.  Out: a Reading, always: read, or not read with the reason.
Never: sending, storing; a model inside the serving process.
"""
