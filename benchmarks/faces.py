"""What following faces between looks costs in recall and gains in speed.

    python benchmarks/faces.py CLIP [CLIP ...] [--rate 25] [--min-size 40]

The reference is the cascade on every picture. Recall is the share of the faces it finds that
``faces`` has too (intersection over union at least 0.5), precision the other way round; a face that
only one picture in a row shows counts like any other. Decoding is not timed; seconds are those of
the processor, so that other work on the machine does not count.
"""

import argparse
import time

import numpy as np


def seconds(work):
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def shares(tracks, reference):
    """Faces of both, and how many there are of each: per picture, boxes (n, 4)."""
    from affectflow.extract.vision.chosen import picture_times
    from affectflow.extract.vision.tracking import linked, overlaps

    _, picture = picture_times(tracks)
    both = mine = 0
    for k, faces in enumerate(reference):
        boxes = tracks.values[(picture == k) & tracks.mask, :4]
        shared = overlaps(boxes, faces.boxes)
        both += sum(shared[i, j] >= 0.5 for i, j in linked(boxes, faces.boxes))
        mine += len(boxes)
    return both, mine, sum(map(len, reference))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--rate", type=float, default=25)
    parser.add_argument("--min-size", type=float, default=40)
    options = parser.parse_args()

    import torch

    from affectflow.extract.clip import Clip
    from affectflow.extract.registry import extractor
    from affectflow.extract.vision.mtcnn_cascade import load_cascade

    torch.set_num_threads(1)
    cascade = load_cascade()
    clips, bare, reference = [], [], []
    for path in options.clips:
        frames = list(Clip("c", path).frames(options.rate))
        clips.append(Clip("c", path, _frames={options.rate: frames}))
        cascade.detect(frames[0].image, options.min_size, 0.7)
        taken, found = seconds(
            lambda frames=frames: [
                cascade.detect(frame.image, options.min_size, 0.7) for frame in frames
            ]
        )
        bare.append(taken)
        reference.append(found)
    print(f"{sum(map(len, reference))} pictures, faces from {options.min_size:g} pixels")
    for n in (1, 3, 5, 10):
        node = extractor(
            "faces", rate=options.rate, looks=options.rate / n, min_size=options.min_size
        )
        taken, counts = 0.0, np.zeros(3)
        for clip, faces in zip(clips, reference, strict=True):
            time_of_one, tracks = seconds(lambda clip=clip, node=node: node.extract(clip))
            taken += time_of_one
            counts += shares(tracks, faces)
        both, mine, theirs = counts
        print(f"figure faces_every_{n}_speed_to_bare = {sum(bare) / taken:.2f} ratio")
        print(f"figure faces_every_{n}_recall = {both / max(theirs, 1):.3f} share")
        print(f"figure faces_every_{n}_precision = {both / max(mine, 1):.3f} share")


if __name__ == "__main__":
    main()
