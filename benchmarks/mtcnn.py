"""Speed of mtcnn-face beside facenet-pytorch's own detector on the same pictures.

    python benchmarks/mtcnn.py [CLIP] [--min-size 40] [--threads 1]

Without a clip a photographed face is moved over a picture of 360x288. Both run in turns in one
process, the best of three rounds counts. A ratio above 1 means that affectflow is faster. The node
is the extractor on ready pictures; facenet-pytorch one by one is the floor that it is held to.
Seconds are those of the processor, so that other work on the machine does not count.
"""

import argparse
import time

import numpy as np


def pictures(clip, n):
    if clip is None:
        from skimage import data

        canvas = np.full((n, 288, 360, 3), 120, np.uint8)
        face = data.astronaut()[:240, 100:340]
        for k in range(n):
            left = 60 + k % 40
            canvas[k, 24:264, left : left + 240] = face
        return canvas
    from affectflow.extract.clip import Clip

    frames = [frame.image for frame in Clip("clip", str(clip)).frames(25)][:n]
    return np.stack(frames)


def seconds(work):
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("clip", nargs="?")
    parser.add_argument("--min-size", type=float, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=64)
    options = parser.parse_args()

    import torch
    from facenet_pytorch import MTCNN

    from affectflow.extract.clip import Clip, Frame
    from affectflow.extract.registry import extractor
    from affectflow.extract.vision.mtcnn_cascade import load_cascade

    torch.set_num_threads(options.threads)
    images = pictures(options.clip, options.pictures)
    theirs = MTCNN(keep_all=True, min_face_size=options.min_size)
    ours = load_cascade()

    def one_by_one():
        return [theirs.detect(image, landmarks=True) for image in images]

    def batched():
        parts = range(0, len(images), 16)
        return [theirs.detect(images[k : k + 16], landmarks=True) for k in parts]

    def affectflow():
        return [ours.detect(image, options.min_size, 0.7) for image in images]

    frames = [Frame(image, k / 25, k / 25, k) for k, image in enumerate(images)]
    extract = extractor("mtcnn-face", rate=25, min_size=options.min_size).extract

    def node():
        return extract(Clip("ready", "ready.mp4", _frames={25.0: frames}))

    best = dict.fromkeys((one_by_one, batched, node, affectflow), np.inf)
    for _ in range(4):  # the first round warms up and is beaten
        for work in best:
            taken, found = seconds(work)
            best[work] = min(best[work], taken)
            if work is one_by_one:
                reference = found
    far = [
        np.abs(a[2].astype(float) - b.landmarks).max()
        for a, b in zip(reference, found, strict=True)
        if a[0] is not None and len(a[0]) == len(b)
    ]
    same = sum(
        (0 if a[0] is None else len(a[0])) == len(b) for a, b in zip(reference, found, strict=True)
    )
    height, width = images.shape[1:3]
    print(f"{len(images)} pictures of {width}x{height}, faces from {options.min_size:g} pixels")
    print(f"figure mtcnn_pictures_per_second = {len(images) / best[affectflow]:.1f} 1/s")
    print(f"figure mtcnn_speed_to_facenet = {best[one_by_one] / best[affectflow]:.2f} ratio")
    print(f"figure mtcnn_speed_to_facenet_batched = {best[batched] / best[affectflow]:.2f} ratio")
    print(f"figure mtcnn_face_node_speed_to_facenet = {best[one_by_one] / best[node]:.2f} ratio")
    print(f"figure mtcnn_face_node_speed_to_cascade = {best[affectflow] / best[node]:.2f} ratio")
    print(f"figure mtcnn_pictures_with_as_many_faces = {same / len(images):.3f} share")
    print(f"figure mtcnn_largest_landmark_difference = {max(far, default=0):.2g} px")


if __name__ == "__main__":
    main()
