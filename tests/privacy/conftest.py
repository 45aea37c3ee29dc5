"""The phantom and the service of the whole path."""

from tests.path.conftest import make_service, visits

__all__ = ["make_service", "visits"]
