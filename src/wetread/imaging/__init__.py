"""Pixels to volumes, frames and pictures, and masks to files.

In: series, open objects, NIfTI files.  Out: ``Volume`` (CT: HU), NIfTI masks, frames, PNG and JPEG.
Never: an opinion on what is shown; RAS beyond ``nifti``.
"""
