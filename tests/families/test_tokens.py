"""Captions of up to 225 tokens, in chunks of 75, as kohya's sd-scripts lays them out."""

import torch

from lorasweep.families.sdxl.tokens import chunk_ids, count_tokens, join_chunks


class WordTokenizer:
    """One token per word, its number; BOS 1000, EOS 1001, padding as given."""

    bos_token_id, eos_token_id = 1000, 1001

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, text: str, *, add_special_tokens: bool, verbose: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [int(word) for word in text.split()]}


def words(count: int) -> str:
    return " ".join(str(number) for number in range(1, count + 1))


def test_short_caption_in_one_chunk() -> None:
    ids = chunk_ids(WordTokenizer(0), words(3), 75)
    assert ids.tolist() == [[1000, 1, 2, 3, 1001] + [0] * 72]


def test_long_caption_runs_through_chunks_each_with_its_own_frame() -> None:
    ids = chunk_ids(WordTokenizer(1001), words(80), 225)
    assert ids.shape == (3, 77)
    assert ids[0].tolist() == [1000, *range(1, 76), 1001]
    assert ids[1].tolist() == [1000, *range(76, 81), 1001] + [1001] * 70
    assert ids[2].tolist() == [1000, 1001] + [1001] * 75


def test_an_unreached_chunk_of_the_second_encoder_is_bos_eos_padding() -> None:
    assert chunk_ids(WordTokenizer(0), words(75), 150)[1].tolist() == [1000, 1001] + [0] * 75


def test_what_is_longer_is_cut() -> None:
    assert chunk_ids(WordTokenizer(0), words(400), 150)[1, 75].item() == 150


def test_count_leaves_out_bos_and_eos() -> None:
    assert count_tokens(WordTokenizer(0), words(9)) == 9


def test_join_keeps_first_bos_all_inner_positions_and_the_last() -> None:
    states = torch.arange(3 * 77).view(1, 3, 77, 1)
    joined = join_chunks(states)[0, :, 0].tolist()
    assert joined == [0, *range(1, 76), *range(78, 153), *range(155, 230), 230]
    assert len(joined) == 227
