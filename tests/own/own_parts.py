"""Parts of a user's own: descent along the gradient's sign, a metric of the model."""

from dataclasses import replace
from typing import ClassVar

from lorasweep.adapters.kinds import lora
from lorasweep.metrics.metric import Measuring, Metric
from lorasweep.optim.optimizers.kind import OptimizerKind
from lorasweep.optim.schedules.kind import ScheduleKind
from lorasweep.tracking.tracker import TrackerKind


def build(groups, rate, arguments):
    import torch

    class Sign(torch.optim.Optimizer):
        def __init__(self, groups, lr):
            super().__init__(groups, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.sub_(parameter.grad.sign(), alpha=group["lr"])
                        self.state[parameter]["count"] = self.state[parameter].get("count", 0) + 1

    return Sign(groups, rate)


SIGN = OptimizerKind(build=build, arguments=lambda config: {}, dotted="own_parts.Sign", constants={})


class Steadiness(Measuring):
    def __init__(self, name):
        self.name = name

    def begin(self, measured):
        assert measured.base is not None and len(measured.heldout()) == len(measured.references().heldout)

    def base(self):
        return {self.name: 1.0}

    def model(self):
        return {self.name: 0.25}


def steady(name):
    return Metric(
        direction="maximize",
        label="steadiness",
        meaning="how little it moves",
        margin=0.1,
        needs={"evaluation.heldout_loss=true": "evaluation.heldout_loss"},
        prepare=lambda config: Steadiness(name),
    )


class Notes:
    def __init__(self, tracked):
        self.file = tracked.folder / "notes.txt"

    def write(self, line):
        self.file.write_text((self.file.read_text() if self.file.exists() else "") + line + "\n")

    def has(self, name, step):
        return False

    def metrics(self, values, step):
        self.write(f"{step} {sorted(values)[0]}")

    def images(self, images, step):
        pass

    def weights(self, path, aliases, metadata):
        self.write(path.name)

    def finish(self, status, summary):
        self.write(status)


NOTES = TrackerKind(
    title="Notes", open=Notes, mark_best=lambda folder, print_line: (folder / "notes.txt").write_text("the best")
)
STEADINESS, DOTTED = steady("val/steadiness"), steady("own_parts:DOTTED")


def build_tiny(*args, **options):
    from lorasweep.adapters.lora import LoraAdapter

    class Tiny(LoraAdapter):
        starts: ClassVar = {"lora_A": 1e-3, "lora_B": 0.0}

    return Tiny(*args, **options)


TINY = replace(lora.ADAPTER, build=build_tiny, title="LoRA that starts small")


def build_halving(optimizer, config, *, warmup, total_steps, last):
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, lambda step: 0.5**step, last_epoch=last)


HALVING = ScheduleKind(build=build_halving)
