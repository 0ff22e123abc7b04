"""Maps and first students in closed form."""

from __future__ import annotations

import torch
from torch import Generator

from training.fit import chosen_channels, fitted_map, inner_products, pruned
from training.student import TAPS, mapped


def test_a_map_that_exists_is_found():
    generator = Generator().manual_seed(0)
    own = torch.cat([torch.randn(500, 4, generator=generator), torch.ones(500, 1)], dim=1).double()
    affine = torch.randn(7, 5, generator=generator).double()
    found = fitted_map(own.T @ own, affine @ own.T @ own)
    torch.testing.assert_close(found, affine.float(), rtol=0.02, atol=0.02)


def test_channels_are_chosen_that_tell_all_others():
    generator = Generator().manual_seed(0)
    base = torch.randn(1000, 3, generator=generator).double()
    copies = torch.stack(
        [base[:, 0], 2 * base[:, 0], base[:, 1], base[:, 1] + base[:, 0], base[:, 2], base[:, 2]], dim=1
    )
    homogeneous = torch.cat([copies, torch.ones(1000, 1)], dim=1)
    chosen = chosen_channels(homogeneous.T @ homogeneous / 1000, 3).tolist()
    told = copies[:, chosen] @ torch.linalg.lstsq(copies[:, chosen], copies).solution
    assert float((told - copies).square().sum() / copies.square().sum()) < 1e-9


def test_a_student_with_all_channels_sees_what_its_teacher_sees(teacher, tiny, small, corpus):
    pictures = [corpus.crops(4, 64, Generator().manual_seed(index)) for index in range(3)]
    whole = pruned(tiny, teacher, pictures)
    narrow = pruned(small, teacher, pictures)
    for student, least, most in ((whole, 0.0, 0.02), (narrow, 1e-4, 0.9)):
        seen, truth = student.extractor(torch.float32)(pictures[0], TAPS), teacher(pictures[0], TAPS)
        for tap in TAPS:
            error = (mapped(student.maps[tap], seen[tap]) - truth[tap]).square().sum() / truth[tap].square().sum()
            assert least <= float(error) < most, tap


def test_products_are_summed_over_batches(teacher, corpus):
    pictures = [corpus.crops(2, 32, Generator().manual_seed(index)) for index in range(2)]
    both = inner_products(teacher, teacher, ["relu2_1"], pictures)["relu2_1"]
    parts = [inner_products(teacher, teacher, ["relu2_1"], [batch])["relu2_1"] for batch in pictures]
    for index in range(2):
        torch.testing.assert_close(both[index], parts[0][index] + parts[1][index])
