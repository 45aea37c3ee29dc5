"""OHIF, the viewer that comes prebuilt from npm: set up once from its package, served under ``/ohif/``."""
