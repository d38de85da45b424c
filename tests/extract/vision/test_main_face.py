import numpy as np

from affectflow.extract.vision.main_face import MainFace
from affectflow.extract.vision.mtcnn_cascade import Faces


def faces(*boxes):
    n = len(boxes)
    return Faces(np.array(boxes, np.float32), np.ones(n), np.zeros((n, 5, 2)))


LEFT, RIGHT = (0, 0, 50, 50), (100, 0, 150, 50)


def test_starts_with_the_largest_face():
    main = MainFace()
    assert main.among(faces(LEFT, (100, 0, 160, 60)), 0.0) == 1
    assert main.track == 1


def test_stays_with_its_face_when_another_is_a_little_larger():
    main = MainFace()
    main.among(faces(LEFT), 0.0)
    assert main.among(faces((100, 0, 160, 60), (2, 2, 52, 52)), 0.1) == 1
    assert main.track == 1


def test_a_face_of_more_than_twice_the_area_takes_over():
    main = MainFace()
    main.among(faces(LEFT), 0.0)
    assert main.among(faces((100, 0, 180, 80), LEFT), 0.1) == 0
    assert main.track == 2


def test_waits_for_a_face_that_vanished_for_up_to_a_second():
    waiting, gone = MainFace(), MainFace()
    for main in (waiting, gone):
        main.among(faces(LEFT), 0.0)
    larger = (100, 0, 155, 55)
    assert waiting.among(faces(larger, LEFT), 0.9) == 1
    assert gone.among(faces(larger, LEFT), 1.1) == 0


def test_a_cut_to_another_place_starts_a_new_track():
    main = MainFace()
    main.among(faces(LEFT), 0.0)
    main.among(faces(RIGHT), 0.1)
    assert main.track == 2
