"""The life of a model, before it serves: each step an artefact in, an artefact out.

In: labelled images, plans.  Out: model packages, reports.  Never: imported by what serves.
"""
