"""Rows of named tensors: whoever moves, stacks and chooses them need not know what they are."""

import torch

from lorasweep.families.conditioning import Conditioning

TEXT = Conditioning({"hidden": torch.arange(24.0).view(3, 4, 2), "pooled": torch.arange(3.0)})


def test_rows_are_taken_in_the_order_asked_for() -> None:
    for places in ([2, 0, 2], torch.tensor([2, 0, 2])):
        taken = TEXT.take(places)
        assert taken.tensors["pooled"].tolist() == [2, 0, 2]
        assert torch.equal(taken.tensors["hidden"], TEXT.tensors["hidden"][[2, 0, 2]])


def test_rows_kept_one_by_one_are_put_together_again() -> None:
    again = Conditioning.of_rows([TEXT.row(place) for place in range(3)])
    assert again.tensors.keys() == TEXT.tensors.keys()
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in TEXT.tensors.items())


def test_gradients_flow_through_rows() -> None:
    weight = torch.ones(2, requires_grad=True)
    Conditioning({"x": weight}).take([1]).to("cpu").tensors["x"].sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [0, 1]
