"""What the API says, as values: ``web.api`` makes them, ``client`` reads them, OpenAPI describes them.

In: nothing.  Out: frozen dataclasses.  Never: a field renamed or taken away within ``/api/v1``; words that
only a page needs.
"""
