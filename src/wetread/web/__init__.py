"""The pages: the reading list and each study, live.

In: the store and the models.  Out: a FastAPI application.
Never: composing; patient data in addresses or logs; a script or style from elsewhere.
"""

from wetread.web.application import create_web

__all__ = ["create_web"]
