"""Wetread gives every medical image study a wet read.

The tree is the path of a study: ``receive``, ``assemble``, ``match``, ``infer``, ``compose``,
``deliver``, ``worklist``; ``path`` joins them. See ARCHITECTURE.md.
"""

__version__ = "0.2.0"
