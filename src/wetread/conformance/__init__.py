"""The DICOM Conformance Statement (PS3.2), written from what the program is made of.

In: the services that are registered, the tables of the stages.  Out: Markdown.  Never: a service that is not
registered, or one that no test holds.
"""

from wetread.conformance.statement import write_statement

__all__ = ["write_statement"]
