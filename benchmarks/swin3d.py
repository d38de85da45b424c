"""Speed of swin3d on a clip beside the bare network on ready crops, and what its seams change.

    python benchmarks/swin3d.py [--variant t] [--pictures 32] [--threads 1] [--device cpu]

Weights are random, pictures a photographed face that moves. The node cuts the crops from pictures
of 360x288, normalises them and makes rows; the bare network gets normalised crops. Both run in
turns in one process, the best of three rounds counts, in seconds of the processor (of the clock on
a GPU). A ratio of 1 means that the node costs nothing beside its network.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np


def clip_of(n):
    from skimage import data

    from affectflow.cache.records import Features, frame_times
    from affectflow.extract.clip import Clip, Frame
    from affectflow.extract.vision.mtcnn_face import COLUMNS

    face = data.astronaut()[:240, 100:340]
    frames, rows = [], []
    for k in range(n):
        left = 60 + k % 40
        picture = np.full((288, 360, 3), 120, np.uint8)
        picture[24:264, left : left + 240] = face
        frames.append(Frame(picture, k / 10, k / 10, k))
        box = (left + 80, 60, left + 170, 180)
        rows.append([*box, 1, *np.repeat(100.0, 10), 1, 360, 288, k / 10])
    faces = Features(np.array(rows, np.float32), frame_times(n, 0.1), COLUMNS)
    return Clip("face", media="face.mp4", features={"faces": faces}, _frames={10.0: frames})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--variant", default="t")
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()

    import torch

    from affectflow.extract.registry import extractor
    from affectflow.extract.vision.crops import face_crops
    from affectflow.extract.vision.video_network import KINDS, load_video_network, make_network

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    name = f"swin3d_{options.variant}"
    clip = clip_of(options.pictures)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save(make_network(name).state_dict(), path)
        settings = {"variant": options.variant, "checkpoint": str(path), "dtype": "float32"}
        settings |= {"precision": options.precision}
        node = extractor("swin3d", **settings, window=max(9.6, options.pictures / 10))
        loaded = load_video_network(name, path, options.device, options.precision)
        kind = KINDS[name]
        parts = face_crops(clip, clip.features["faces"], 128, 10.0)
        crops = np.concatenate([pictures for _, pictures, _ in parts])
        ready = (crops / 255 - kind.mean) / kind.std
        ready = torch.from_numpy(ready.transpose(3, 0, 1, 2)[None].astype(np.float32))
        ready = ready.to(options.device, loaded.dtype)

        def bare():
            with torch.inference_mode():
                return kind.rows(loaded.network, ready)[0].float().cpu().numpy()

        def whole():
            (found,) = node.many([clip], options.device)
            return found.values

        clock = time.process_time if options.device == "cpu" else time.perf_counter
        best = dict.fromkeys((bare, whole), np.inf)
        found = {}
        for _ in range(4):  # the first round warms up and is beaten
            for work in best:
                begin = clock()
                found[work] = work()
                best[work] = min(best[work], clock() - begin)
    largest = np.abs(found[bare]).max()
    print(f"{options.pictures} pictures, {name}, {options.precision} on {options.device}")
    print(f"figure swin3d_pictures_per_second = {options.pictures / best[whole]:.1f} 1/s")
    print(f"figure swin3d_speed_to_bare = {best[bare] / best[whole]:.3f} ratio")
    difference = np.abs(found[bare] - found[whole]).max() / largest
    print(f"figure swin3d_difference_to_bare = {difference:.2g} of the largest value")


if __name__ == "__main__":
    main()
