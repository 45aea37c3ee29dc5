"""Why a region is not measured.

In: nothing.  Out: errors that say what to change.  Never: a number where one of them is meant.

::

    InputError
    └─ RegionRefused     whoever drew the mask
       └─ EmptyRegion, RegionTooLarge
    ConfigError
    └─ InvalidTextureSettings
"""

from __future__ import annotations

from wetread.errors import ConfigError, InputError


class RegionRefused(InputError):
    """The region cannot be measured: correct the mask."""

    code = "region-refused"


class EmptyRegion(RegionRefused):
    """The mask marks no voxel: there is nothing to measure."""

    code = "empty-region"


class RegionTooLarge(RegionRefused):
    """Measuring the region would take too long: take wider bins or a smaller region."""

    code = "region-too-large"


class InvalidTextureSettings(ConfigError):
    """The settings of the texture do not fit each other or the region: correct them."""

    code = "invalid-texture-settings"
