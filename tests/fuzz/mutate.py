"""Mutations of bytes: damage as disks, other programs and attackers make it."""

from __future__ import annotations

import random

TOKENS = (
    b"\x00", b"\xff", b"\x80", b"\x1b[31m", b"\r", b"\n", b"\t", b";", b",", b'"', b"'",
    b"nan", b"inf", b"-1", b"1e999", b"1e-400", b"0x1p3", b"1_0", "\u0661".encode(), b"9" * 400,
    b"[" * 3000, b'{"a":' * 2000, b"null", b"true", b"[]", b"{}", b"../", b"/dev/zero",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"neutral", b"true_labels", b"pred_probs_", b"=cmd",
    b"\xe2\x80\xae",
)  # fmt: skip


def mutated(generator: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One seed with a few random changes; now and then a piece of another one."""
    data = bytearray(generator.choice(seeds))
    for _ in range(generator.choice((1, 1, 1, 2, 3, 5, 8))):
        at, kind = generator.randrange(len(data) + 1), generator.randrange(8)
        length = generator.choice((1, 1, 2, 4, 8, 64, 512))
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << generator.randrange(8)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = data[at : at + length] * generator.choice((1, 2, 10))
        elif kind == 4:
            data[at:at] = generator.randbytes(length)
        elif kind == 5:
            other = generator.choice(seeds)
            start = generator.randrange(len(other) + 1)
            data[at : at + length] = other[start : start + length]
        else:
            token = generator.choice(TOKENS)
            data[at : at + (len(token) if kind == 6 else 0)] = token
    return bytes(data)
