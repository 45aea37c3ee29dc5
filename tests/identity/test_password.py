"""Passwords: which are taken, what is kept, and what comparing costs."""

import statistics
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.identity.conftest import PASSWORD
from wetread.errors import TooManyTries, WeakPassword
from wetread.identity.password import Passwords, check_new_password

PASSWORDS = Passwords()


def test_what_is_kept_is_argon2id_with_the_recommended_cost() -> None:
    kept = PASSWORDS.hash(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in kept
    assert PASSWORDS.hash(PASSWORD) != kept
    assert PASSWORDS.verify(kept, PASSWORD)
    assert not PASSWORDS.verify(kept, PASSWORD + " ")


@pytest.mark.parametrize("kept", ["", "plain", "$argon2id$broken", PASSWORD])
def test_what_is_no_kept_password_lets_nobody_in(kept: str) -> None:
    assert not PASSWORDS.verify(kept, PASSWORD)
    assert not PASSWORDS.verify(kept, "")


def test_the_same_letters_from_another_keyboard_are_the_same_password() -> None:
    assert PASSWORDS.verify(PASSWORDS.hash("Größe und Länge messen"), "Gro\u0308ße und La\u0308nge messen")


@pytest.mark.parametrize(
    "password",
    ["", "short", "elevenchars", "x" * 1025, "aaaaaaaaaaaaaa", "abababababab", "123456789012", "password1234",
     "Password2026!", "passwordpassword", "qwertyuiopasdfgh", "qwertyuiopqwerty", "Radiology2026!",
     "wetread-wetread", "Wetread123456", "210987654321", "letmeinletmein", "my name is anna ok",
     "ANNA-is-secret-9", "iloveyouforever"],
)  # fmt: skip
def test_what_would_be_found_by_trying_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword) as caught:
        check_new_password(password, "anna")
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    [PASSWORD, "x7#kQ!mv2$Lw", "пароль из пяти слов", "correct zebra stapled", "é" * 4 + "abcdefg1"],
)
def test_the_others_are_taken(password: str) -> None:
    check_new_password(password, "anna")


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_only_the_password_is_right(one: str, other: str) -> None:
    import unicodedata

    same = unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other)
    assert PASSWORDS.verify(PASSWORDS.hash(one), other) is same


def test_surrogates_and_megabytes_are_wrong_and_no_crash() -> None:
    kept = PASSWORDS.hash(PASSWORD)
    assert not PASSWORDS.verify(kept, "\ud800" * 20)
    assert not PASSWORDS.verify(kept, "x" * 1_000_000)


def test_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    kept = PASSWORDS.hash(PASSWORD)

    def measure(of: str) -> float:
        begun = time.perf_counter()
        PASSWORDS.verify(of, "wrong password here")
        return time.perf_counter() - begun

    pairs = [(measure(kept), measure("")) for _ in range(9)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.4 < unknown / known < 2.5


def test_so_many_at_a_time_and_the_rest_is_sent_away() -> None:
    passwords = Passwords(parallel=1, waiting=2)
    kept = passwords.hash(PASSWORD)
    outcomes: list[str] = []
    barrier = threading.Barrier(30)

    def attempt() -> None:
        barrier.wait()
        try:
            outcomes.append(str(passwords.verify(kept, PASSWORD)))
        except TooManyTries:
            outcomes.append("sent away")

    threads = [threading.Thread(target=attempt) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) == {"True", "sent away"}
    assert passwords.verify(kept, PASSWORD), "places are given back"
