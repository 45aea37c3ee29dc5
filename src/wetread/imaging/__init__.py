"""Pixels to volumes, and masks to files.

In: series by their files, NIfTI files.  Out: ``Volume`` in modality values (CT: HU), NIfTI masks.
Never: an opinion on what is shown; RAS beyond ``nifti``.
"""
