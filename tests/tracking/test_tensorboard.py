"""TensorBoard's own reader finds what was logged, and after a resume only what counts."""

from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lorasweep.tracking.tensorboard import TensorBoard


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_scalars_images_and_notes(tmp_path):
    Image.new("RGB", (40, 24), "red").save(tmp_path / "a.png")
    board = TensorBoard(tmp_path / "tensorboard")
    board.metrics({"train/loss": 0.5, "epoch": 1}, 10)
    board.images({"samples/0 sks bear": tmp_path / "a.png"}, 10)
    board.weights(tmp_path / "FuzzyBear_v6.safetensors", ["v6", "best"], {"step": 10})
    board.finish("pruned", {"val/loss_ratio": 0.25})
    events = read(tmp_path / "tensorboard")
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(10, 0.5)]
    (image,) = events.Images("samples/0 sks bear")
    assert (image.step, image.width, image.height) == (10, 40, 24)
    (note,) = events.Tensors("weights/text_summary")
    assert note.tensor_proto.string_val == [b"FuzzyBear_v6.safetensors (v6, best)"]
    assert events.Tensors("status/text_summary")[0].tensor_proto.string_val == [b"pruned  \nval/loss_ratio: 0.25"]


def test_a_resumed_version_hides_what_was_logged_beyond_its_step(tmp_path):
    first = TensorBoard(tmp_path)
    for step in (1, 2, 3, 4):
        first.metrics({"train/loss": float(step)}, step)
    first.finish("interrupted", {})
    second = TensorBoard(tmp_path, resumed_step=2)
    second.metrics({"train/loss": 30.0}, 3)
    second.finish("complete", {})
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("train/loss")] == [
        (1, 1.0),
        (2, 2.0),
        (3, 30.0),
    ]
