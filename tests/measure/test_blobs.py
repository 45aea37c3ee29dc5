import numpy as np

from wetread.measure.blobs import find_blobs


def _image(paint):
    image = np.full((40, 60, 60), -860.0, dtype=np.float32)
    rows, columns = np.meshgrid(np.arange(60), np.arange(60), indexing="ij")
    planes = np.arange(40)[:, None, None]
    paint(image, planes, rows[None], columns[None])
    return image


def _find(image):
    return find_blobs(image, np.ones(image.shape, dtype=bool), (1.3, 1.3, 1.3), -860.0, 60.0)


def test_a_ball_is_found_where_it_is_and_as_large():
    def ball(image, planes, rows, columns):
        image[(planes - 20) ** 2 + (rows - 31) ** 2 + (columns - 27) ** 2 <= 16] = 40.0

    blobs = _find(_image(ball))
    assert np.allclose(blobs[0].index, (20, 31, 27), atol=1)
    assert 3.5 < blobs[0].radius_mm < 7.5
    assert 150 < blobs[0].strength_hu < 300


def test_a_straight_vessel_is_no_spot():
    def tube(image, planes, rows, columns):
        image[np.broadcast_to((planes - 20) ** 2 + (rows - 31) ** 2 <= 6, image.shape)] = 40.0

    inner = [blob for blob in _find(_image(tube)) if 12 < blob.index[2] < 48]
    assert inner == []


def test_outside_counts_as_lung():
    image = np.full((30, 30, 30), 40.0, dtype=np.float32)
    inside = np.zeros(image.shape, dtype=bool)
    assert find_blobs(image, inside, (1.3, 1.3, 1.3), -860.0, 60.0) == []
