"""Scores with their intervals.

In: arrays of what was said and what is true, with who the patient is.  Out: numbers with intervals.
Never: files, models, images of a patient.
"""
