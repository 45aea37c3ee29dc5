"""Features of a region as the Image Biomarker Standardisation Initiative (IBSI) defines them.

In: a volume, a mask on its grid, settings.  Out: ``RegionFeatures``: 121 numbers by name.
Never: a mask resampled; a number where the definition divides by 0 (it is None).

IBSI reference manual, arXiv:1612.07003; Zwanenburg et al. 2020, doi:10.1148/radiol.2020191145.
"""

from wetread.measure.texture.catalogue import FEATURES, Feature
from wetread.measure.texture.measure import RegionFeatures, measure_texture
from wetread.measure.texture.settings import Aggregation, TextureSettings

__all__ = ["FEATURES", "Aggregation", "Feature", "RegionFeatures", "TextureSettings", "measure_texture"]
