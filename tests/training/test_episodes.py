"""Episodes: another frame than the sources, the same whoever makes it, changed all alike."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.training.drawn_faces import N_FRAMES, SIZE_PX, drawn_face, drawn_points
from thvideo.errors import InputError
from thvideo.landmarks import schema
from thvideo.landmarks.draw import draw_landmarks
from thvideo.models.shown import as_signed
from thvideo.training.batch import Batch, Episode, region_of, stack
from thvideo.training.batch_loader import batches_from
from thvideo.training.change import PLAIN, Change, EpisodeOptions
from thvideo.training.clip_source import Cut
from thvideo.training.dataset import COLUMNS, inset_slices
from thvideo.training.episodes import Episodes, drawn_frames, nearest_source

WILD = EpisodeOptions(turn_deg=15.0)


# Drafts take time, and only whole batches are compared here.
USUAL = EpisodeOptions(with_drafts=False)


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return {k: v for k, v in vars(batch).items() if isinstance(v, torch.Tensor)}


def episodes(drawn: Path, options: EpisodeOptions = USUAL, **more) -> Episodes:
    return Episodes(drawn, "train", SIZE_PX, options, **more)


def test_the_target_is_never_among_its_sources() -> None:
    rng = np.random.default_rng(0)
    for n_frames, n_shots in [(10, 8), (10, 1), (2, 8), (3, 2)] * 50:
        target, *sources = drawn_frames(rng, n_frames, n_shots)
        assert len(sources) == n_shots
        assert target not in sources
        assert len(set(sources)) == min(n_shots, n_frames - 1) or n_shots >= n_frames
    targets = {drawn_frames(rng, 4, 1)[0] for _ in range(100)}
    assert targets == {0, 1, 2, 3}


def test_a_batch_is_the_same_whoever_makes_which_part(drawn: Path) -> None:
    whole = episodes(drawn, seed=3).batch(5, range(4))
    other = episodes(drawn, seed=3)
    other.keep_in_memory(1 << 30)
    parts = [other.batch(5, range(2, 4)), other.batch(5, range(2))]
    ahead = list(batches_from(other, range(4, 6), range(4), 1))[1]
    for name, value in tensors(whole).items():
        joined = torch.cat([getattr(part, name) for part in reversed(parts)])
        assert torch.equal(value, joined), name
        assert torch.equal(value, getattr(ahead, name)), name
    assert not torch.equal(whole.target, episodes(drawn, seed=4).batch(5, range(4)).target)
    assert not torch.equal(whole.target, other.batch(6, range(4)).target)


def test_few_sources_are_the_usual_case_and_the_papers_number_can_be_fixed(drawn: Path) -> None:
    made = episodes(drawn)
    counts = [made.batch(number, range(1)).sources.shape[1] for number in range(40)]
    assert counts.count(1) > 8
    assert max(counts) > 4
    assert episodes(drawn, replace(PLAIN, fixed_shots=8)).batch(0, range(1)).sources.shape[1] == 8


def test_landmark_images_fit_their_pictures_also_mirrored(drawn: Path) -> None:
    mirrored = episodes(drawn, replace(PLAIN, flip=1.0, fixed_shots=2))
    plain = episodes(drawn, replace(PLAIN, flip=0.0, fixed_shots=2))
    one, other = plain.batch(1, range(3)), mirrored.batch(1, range(3))
    assert torch.equal(one.target.flip(-1), other.target)
    # The image's colours tell right from left, so it is not just the mirrored one.
    assert not torch.equal(one.target_map.flip(-1), other.target_map)
    moved = one.points.numpy()[:, schema.FLIP] * (-1, 1) + (SIZE_PX - 1, 0)
    np.testing.assert_allclose(other.points.numpy(), moved, atol=1e-4)
    # The person's right eye is on the left of a picture, mirrored or not.
    for batch in (one, other):
        right, left = (batch.points[:, eye, 0].mean(1) for eye in (slice(36, 42), slice(42, 48)))
        assert (right < left).all()
    image = draw_landmarks(other.points.numpy(), (SIZE_PX, SIZE_PX))
    assert np.array_equal(other.target_map.permute(0, 2, 3, 1).numpy(), image)


@pytest.mark.parametrize("disk_px", [64, 128])
def test_points_move_with_the_pixels_under_them(disk_px: int) -> None:
    """A dot is painted at a landmark; after the change it is found where the landmark went."""
    for seed in range(12):
        change = Change.draw(np.random.default_rng(seed), replace(WILD, colour=0.0), SIZE_PX)
        place = np.array([0.42, 0.55]) * disk_px
        y, x = np.mgrid[:disk_px, :disk_px]
        distance = np.hypot(x - place[0], y - place[1])
        dot = (255 * np.exp(-((distance / (0.03 * disk_px)) ** 2))).astype(np.uint8)
        frame = np.repeat(dot[..., None], 3, axis=2)
        scale = SIZE_PX / disk_px
        points = np.tile((place + 0.5) * scale - 0.5, (1, 70, 1)).astype(np.float32)
        moved = change.points(points)[0]
        # Mirrored, a landmark takes the name of its counterpart: here all are at one place.
        found = change.picture(frame, change.matrix_from(scale), SIZE_PX)[..., 0].astype(float)
        rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
        centre = np.array([(found * columns).sum(), (found * rows).sum()]) / found.sum()
        np.testing.assert_allclose(moved[30], centre, atol=0.12)


def test_large_frames_are_shrunk_without_skipping_pixels(tmp_path: Path) -> None:
    """A pattern finer than what is trained on becomes grey, not a coarser pattern."""
    frames = np.zeros((2, 8 * SIZE_PX, 8 * SIZE_PX, 3), np.uint8)
    frames[:, ::2] = 255
    points = np.stack([drawn_points(0, 0, frame) * 8 for frame in range(2)]).astype(np.float32)
    mask = np.full(frames.shape[1:3], 255, np.uint8)
    made = Episodes.__new__(Episodes)
    made.size_px = made._fine_px = SIZE_PX
    episode = made._changed(np.random.default_rng(0), Cut(frames, points, mask), 0, PLAIN)
    assert episode.pictures.shape[1:3] == (SIZE_PX, SIZE_PX)
    assert np.ptp(episode.pictures.astype(int)) <= 2
    np.testing.assert_allclose(episode.points, (points + 0.5) / 8 - 0.5, atol=1e-3)


def test_all_frames_of_an_episode_change_alike(drawn: Path) -> None:
    options = EpisodeOptions(fixed_shots=3, noise=0.0, flip=0.5, colour=1.0)
    batch = episodes(drawn, options).batch(2, range(4))
    # The wall behind a drawn face is one colour, and the mask tells where it still is picture.
    for index in range(4):
        inside = batch.mask[index, 0] == 255
        ys, xs = torch.nonzero(inside, as_tuple=True)
        corner = int((ys + xs).argmin())
        colours = torch.cat([batch.target[index][None], batch.sources[index]])
        walls = colours[:, :, ys[corner], xs[corner]].int()
        assert (walls - walls[0]).abs().max() <= 2


def test_pixels_beyond_the_picture_and_the_inset_count_nothing(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for suffix in (".mp4", ".npz"):
        whole = drawn / "clips" / "p0" / f"0{suffix}"
        (tmp_path / "clips" / f"a{suffix}").write_bytes(whole.read_bytes())
    points = np.load(tmp_path / "clips" / "a.npz")["points"]
    np.savez(tmp_path / "clips" / "a.npz", points=points, valid=np.int16([8, 0, 64, 60]))
    row = f"a\tanna\ttrain\tsynthetic\t{N_FRAMES}\t64\t"
    (tmp_path / "clips.tsv").write_text("\t".join(COLUMNS) + f"\n{row}\n")
    mask = episodes(tmp_path, PLAIN).batch(0, range(1)).mask[0, 0].numpy()
    assert not mask[:, :8].any()
    assert not mask[60:].any()
    assert not mask[inset_slices(SIZE_PX)].any()
    assert (mask[:40, 8:] == 255).all()
    zoomed_out = replace(PLAIN, zoom=(0.5, 0.5))
    mask = episodes(tmp_path, zoomed_out).batch(0, range(1)).mask[0, 0].numpy()
    assert not mask[:15].any()
    assert mask[20:30, 24:40].all()


def test_the_source_nearest_in_pose_and_mouth_is_warped() -> None:
    faces = np.stack([drawn_points(0, 0, frame) for frame in range(N_FRAMES)])
    assert nearest_source(faces, faces[7]) == 7
    others = np.delete(faces, 7, axis=0)
    mouth = np.linalg.norm(others[:, 62] - others[:, 66], axis=1)
    wanted = np.linalg.norm(faces[7, 62] - faces[7, 66])
    chosen = nearest_source(others, faces[7])
    assert abs(mouth[chosen] - wanted) <= np.sort(np.abs(mouth - wanted))[2]


def test_what_stays_still_is_the_first_source_whichever_is_warped() -> None:
    at = [
        drawn_points(person, 0, 0) + np.array([dx, 0]) for person, dx in ((0, 0), (1, -6), (2, 8))
    ]
    points = np.stack(at).astype(np.float32)
    pictures = np.stack([drawn_face(person, face) for person, face in enumerate(points)])
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    episode = Episode(pictures, points, points[0], mask, chosen=1, video=0)
    shown = stack([episode], SIZE_PX, with_drafts=False).shown()
    first, chosen = (as_signed(torch.from_numpy(one)[None].movedim(3, 1)) for one in pictures[1:])
    assert torch.equal(shown.still, first)
    assert torch.equal(shown.draft, chosen)
    # The head that was there is the first source's, which lies to the left.
    columns = shown.still_head[0, 0].sum(dim=0)
    middle = float((columns * torch.arange(SIZE_PX)).sum() / columns.sum())
    assert middle == pytest.approx(points[1, :68, 0].mean(), abs=3)


def test_the_region_is_mouth_and_eyes(drawn: Path) -> None:
    points = drawn_points(0, 0, 0)
    region = region_of(points, SIZE_PX)
    for part in (schema.RIGHT_EYE, schema.LEFT_EYE, schema.OUTER_LIP):
        x, y = np.round(points[part].mean(0)).astype(int)
        assert region[y, x] == 255
    x, y = np.round(points[30]).astype(int)
    assert region[y, x] == 0
    assert 0.02 < (region > 127).mean() < 0.25


def test_validation_episodes_are_always_the_same_and_of_all_people(drawn: Path) -> None:
    val = Episodes(drawn, "val", SIZE_PX, WILD)
    assert (val.n_people, val.n_clips) == (2, 4)
    first, again = val.fixed(6, 1), val.fixed(6, 1)
    assert all(np.array_equal(a.pictures, b.pictures) for a, b in zip(first, again, strict=True))
    assert {episode.video for episode in first} == {0, 1, 2, 3}
    # Unchanged: the frames as they are on the disk.
    capture = cv2.VideoCapture(str(drawn / "clips" / "p4" / "0.mp4"))
    frames = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(N_FRAMES)]
    assert any(np.array_equal(first[0].pictures[0], frame) for frame in frames)


def test_pictures_alone_are_no_dataset(tmp_path: Path) -> None:
    row = "a\tanna\ttrain\tpicture\t1\t64\t"
    (tmp_path / "clips.tsv").write_text("\t".join(COLUMNS) + f"\n{row}\n")
    with pytest.raises(InputError, match="no train clip with two frames"):
        episodes(tmp_path)


@pytest.fixture
def with_picture(drawn: Path, tmp_path: Path) -> Path:
    """The drawn faces, before them one of train and one of val as pictures."""
    shutil.copytree(drawn, tmp_path / "set")
    folder, rows = tmp_path / "set" / "clips", []
    for name, person in (("a", 0), ("z", 4)):
        points = drawn_points(person, 0, 0)[None]
        picture = cv2.cvtColor(drawn_face(person, points[0]), cv2.COLOR_RGB2BGR)
        writer = cv2.VideoWriter(
            str(folder / f"{name}.mp4"), cv2.VideoWriter.fourcc(*"png "), 25, (SIZE_PX, SIZE_PX)
        )
        writer.write(picture)
        writer.release()
        labels = np.round(points * 16).astype(np.int16)
        np.savez(folder / f"{name}.npz", points=labels, valid=np.int16([0, 0, 60, 64]))
        split = "train" if name == "a" else "val"
        rows.append(f"{name}\tpainted {name}\t{split}\tpicture\t1\t64\t")
    table = tmp_path / "set" / "clips.tsv"
    header, *others = table.read_text().splitlines()
    table.write_text("\n".join([header, *rows, *others]) + "\n")
    return tmp_path / "set"


def test_a_picture_is_drawn_from_itself_moved(with_picture: Path) -> None:
    made = episodes(with_picture, replace(PLAIN, picture_share=1.0, fixed_shots=3))
    made.keep_in_memory(1 << 30)
    batch = made.batch(0, range(2))
    points = drawn_points(0, 0, 0)
    truth = torch.from_numpy(drawn_face(0, points)).permute(2, 0, 1)
    for index in range(2):
        assert torch.equal(batch.target[index], truth)
        np.testing.assert_allclose(batch.points[index], points, atol=1 / 16)
        assert not batch.mask[index, 0, :, 60:].any()
        # The face counts, from chin to above the brows; what geometry moved around it does not.
        left, top = points[:68].min(axis=0)
        right, bottom = points[:68].max(axis=0)
        rows, columns = (np.flatnonzero(batch.mask[index, 0].numpy().any(axis=a)) for a in (1, 0))
        assert top - 6 < rows[0] < top
        assert bottom < rows[-1] < bottom + 6
        assert left - 6 < columns[0] < left
        assert right < columns[-1] < right + 6
        assert batch.mask[index, 0, int(points[30, 1]), int(points[30, 0])] == 255
    # No two sources are alike, none is the target, and a draft leads back to the target.
    pictures = [source for sources in batch.sources for source in sources]
    assert len({source.numpy().tobytes() for source in [truth, *pictures]}) == 7
    moved = (batch.sources.int() - truth.int()).abs().float().mean(dim=(2, 3, 4))
    assert moved.min() > 0.5
    chosen = batch.sources[torch.arange(2), batch.chosen]
    away, back = ((one.int() - truth.int()).abs().float().mean() for one in (chosen, batch.draft))
    assert back < 0.8 * away


def test_pictures_take_their_share_and_columns_of_their_own(
    drawn: Path, with_picture: Path
) -> None:
    made = episodes(with_picture, replace(USUAL, picture_share=0.3))
    assert (made.n_clips, made.n_people, made.n_pictures, made.n_columns) == (8, 4, 1, 9)
    seen = torch.cat([made.batch(number, range(4)).video for number in range(40)])
    assert 0.2 < (seen == 8).float().mean() < 0.4
    assert set(seen.tolist()) == set(range(9))
    # Nobody is judged by a picture, and runs that want none are as if there were none.
    assert Episodes(with_picture, "val", SIZE_PX, PLAIN).n_columns == 4
    without = episodes(with_picture, replace(USUAL, picture_share=0.0))
    usual = episodes(drawn)
    assert without.digest() == usual.digest() != made.digest()
    assert torch.equal(without.batch(1, range(4)).target, usual.batch(1, range(4)).target)


def test_a_million_rows_take_little_memory(tmp_path: Path) -> None:
    """Two numbers a row beside the table's own, shown on fewer rows."""
    names = [f"person {i // 7}" for i in range(20_000)]
    lines = [f"c{i}\t{name}\ttrain\treal\t9\t64\t" for i, name in enumerate(names)]
    (tmp_path / "clips.tsv").write_text("\n".join(["\t".join(COLUMNS), *lines]) + "\n")
    made = episodes(tmp_path)
    assert (made.n_clips, made.n_people) == (20_000, len(set(names)))
    held = [value.nbytes for value in vars(made).values() if isinstance(value, np.ndarray)]
    assert sum(held) <= 3 * 8 * 20_000
    # People in the order of their names, whatever the table's: batches do not depend on it.
    for place, name in enumerate(sorted(set(names))[:5]):
        assert made._clips_of(place).tolist() == [i for i, one in enumerate(names) if one == name]


def test_the_number_of_sources_says_nothing_about_the_first_person(drawn: Path) -> None:
    """NumPy seeds [a, b] and [a, b, 0] alike: the first episode would have followed K."""
    episodes = Episodes(drawn, "train", 64, EpisodeOptions())
    seen = {}
    for number in range(40):
        batch = episodes.batch(number, range(1))
        seen.setdefault(batch.sources.shape[1], set()).add(int(batch.video[0]))
    assert len(seen[1]) > 1
