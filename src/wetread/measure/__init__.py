"""Numbers from images: lungs, free pleural air, nodules, volume, diameter, density, texture, calcium.

In: a ``Volume``.  Out: masks and numbers with units.  Never: DICOM, files, findings, words.
"""
