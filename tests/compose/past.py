"""The scene compared with an earlier study: a nodule grown, one stable, one gone, the free air new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wetread.domain.comparison import (
    Alignment,
    Bending,
    Comparison,
    GoneFinding,
    PriorComparison,
    PriorImages,
    PriorPlace,
    Status,
)
from wetread.domain.reading import Reading

PRIOR_STUDY, PRIOR_SERIES = "1.2.826.0.1.3680043.10.7.1", "1.2.826.0.1.3680043.10.7.1.1"
PRIOR_FRAME = "1.2.826.0.1.3680043.10.7.9"
IMAGES = PriorImages(
    series_instance_uid=PRIOR_SERIES,
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    frame_of_reference_uid=PRIOR_FRAME,
    sop_instance_uids=tuple(f"{PRIOR_SERIES}.{number}" for number in range(1, 6)),
)


def make_alignment(shift_mm: tuple[float, float, float] = (4.0, -3.0, 12.0), seed: int = 0) -> Alignment:
    """A turn of 5 degrees about z, a little larger, shifted, and bent by up to some millimetres."""
    turn = np.deg2rad(5.0)
    matrix = 1.02 * np.array(
        [[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]]
    )
    shape = (13, 11, 13)
    drawn = np.random.default_rng(seed).normal(0.0, 2500.0, (*shape, 3))
    return Alignment(
        matrix=tuple(tuple(float(one) for one in row) for row in matrix),
        shift_mm=shift_mm,
        bending=Bending(
            shape=shape,
            origin_lps_mm=(-168.0, -140.0, -168.0),
            spacing_mm=28.0,
            displacements_um=tuple(np.rint(drawn.ravel()).astype(int).tolist()),
        ),
    )


def compare(reading: Reading, **changes: object) -> Reading:
    """Return the scene's Reading as one that compares."""
    air, first, second = reading.findings
    stable = PriorComparison(
        study_instance_uid=PRIOR_STUDY,
        volume_change_percent=3.0,
        volume_change_ci95=(-18.0, 24.0),
        status=Status.STABLE,
        studied_on="2026-08-22",
        interval_days=90,
        volume_mm3=500.0,
        place=PriorPlace(sop_instance_uid=IMAGES.sop_instance_uids[1], center_lps_mm=(50.0, 31.0, -20.0)),
    )
    grown = replace(
        stable,
        status=Status.GROWING,
        volume_change_percent=42.0,
        volume_change_ci95=(18.0, 70.0),
        doubling_time_days=177.9,
    )
    comparison = Comparison(
        study_instance_uid=PRIOR_STUDY,
        studied_on="2026-08-22",
        interval_days=90,
        lung_overlap=0.98,
        vessel_likeness=0.9,
        new=(air.tracking_uid,),
        gone=(
            GoneFinding(
                tracking_uid="2.25.77",
                label="lung nodule",
                status=Status.RESOLVED,
                center_lps_mm=(60.0, 5.0, 10.0),
                volume_mm3=110.0,
                mean_diameter_mm=6.0,
            ),
        ),
        images=IMAGES,
        alignment=make_alignment(),
    )
    findings = (air, replace(first, prior=grown), replace(second, prior=stable))
    return replace(reading, findings=findings, comparison=replace(comparison, **changes))
