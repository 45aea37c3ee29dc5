"""Take in images and messages: bytes are safe before we say success.

In: associations, connections, folders.  Out: instances in the store, or a status that says why not.
Never: a path or a name chosen by a sender; success before the disk has it.
"""
