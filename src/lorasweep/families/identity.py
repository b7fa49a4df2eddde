"""What a weights file says of the kind of base that it is for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The kind of a base in the words of a file's metadata.

    Attributes:
        choice: of the group base_model, in which bases of its sizes are trained.
        base_version: `ss_base_model_version`: what a loader must build, not which weights the base had.
        architecture: `modelspec.architecture`, without what says that it is an adapter's.
        implementation: `modelspec.implementation`: where its code is published; "" where it is not.
        prediction_type: `modelspec.prediction_type`: "epsilon" or "v"; "" where it is neither.
        published: whether other programs have a place for files of this kind.
    """

    choice: str
    base_version: str
    architecture: str
    implementation: str = ""
    prediction_type: str = ""
    published: bool = True
