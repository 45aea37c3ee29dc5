"""DICOM objects to domain values.

In: Part 10 files and data sets.  Out: ``Instance`` with a plain header, image planes.
Never: pixels (``imaging``), a file trusted for being called ``.dcm``.
"""
