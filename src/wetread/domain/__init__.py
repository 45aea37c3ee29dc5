"""The values everything else speaks: study, volume, finding, reading, model, code.

In: nothing but the standard library and numpy.  Out: frozen values, valid once constructed.
Never: files, network, pydicom, SQL.
"""
