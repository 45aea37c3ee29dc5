"""Go and get: watch a PACS, retrieve priors, ask the modality worklist.

In: a ``Pacs`` and what is wanted of it.  Out: what it lists; objects, handed to whoever takes them in.
Never: trust in what a PACS answers; a whole study in memory; a decision about what is wanted.
"""
