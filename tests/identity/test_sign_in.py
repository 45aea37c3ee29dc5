"""Names, passwords, codes: what lets in, what locks, what the trail says."""

import threading

import pytest
from sqlalchemy import update

from tests.identity.conftest import OTHER_PASSWORD, PASSWORD, House, attempt, code_at
from tests.stores import open_store
from tests.web.conftest import Ward
from wetread.domain.audit import AuditEventType, AuditOutcome
from wetread.errors import ConfigError, SignInRefused, TooManyTries, WeakPassword
from wetread.identity import Role
from wetread.identity.password import Passwords
from wetread.identity.people import check_name
from wetread.identity.sign_in import SignIn
from wetread.identity.throttle import WINDOW_S, Throttle
from wetread.identity.totp import match_step, new_secret
from wetread.store import schema
from wetread.store.keys import EncryptionSettings, make_key_file

WRONG = "not the right words"


def is_let_in(house: House, **typed: str) -> bool:
    try:
        house.identity.sign_in.judge(attempt(**typed), house.clock())
    except SignInRefused:
        return False
    return True


def test_the_right_password_lets_in_and_nothing_else_does(house: House) -> None:
    house.add("anna")
    assert is_let_in(house)
    assert is_let_in(house, name=" Anna ")
    for wrong in (WRONG, "", PASSWORD.upper(), PASSWORD + "\0", "' OR 1=1 --"):
        assert not is_let_in(house, password=wrong)
        house.identity.people.unlock("anna", house.clock(), by="test")
    assert not is_let_in(house, name="anna' --")


def test_every_refusal_reads_the_same(house: House) -> None:
    house.add("anna")
    house.add("gone")
    house.identity.people.set_active("gone", False, house.clock(), by="test")
    house.add("coded")
    house.store.accounts.set(house.identity.people.get("coded").id, totp_secret=new_secret())
    sentences = set()
    for typed in ({"password": WRONG}, {"name": "nobody"}, {"name": "gone"}, {"name": "coded"}):
        with pytest.raises(SignInRefused) as caught:
            house.identity.sign_in.judge(attempt(**typed), house.clock())
        sentences.add(str(caught.value))
    assert len(sentences) == 1


def test_five_failures_lock_and_each_further_one_locks_for_twice_as_long(house: House) -> None:
    house.add("anna")
    for _ in range(5):
        assert not is_let_in(house, password=WRONG)
    for minutes in (15, 30, 60):
        house.clock.pass_by(minutes * 60 - 1)
        assert not is_let_in(house), "locked, whatever the password"
        house.clock.pass_by(1)
        assert not is_let_in(house, password=WRONG)
    house.clock.pass_by(24 * 3600)
    assert is_let_in(house)
    assert not is_let_in(house, password=WRONG)
    assert is_let_in(house), "the right one began the count anew"


def test_no_lock_is_longer_than_a_day(house: House) -> None:
    house.add("anna")
    house.store.accounts.set(house.identity.people.get("anna").id, failures=5000)
    assert not is_let_in(house, password=WRONG)
    house.clock.pass_by(24 * 3600)
    assert is_let_in(house)


def test_a_hundred_tries_at_once_are_still_a_hundred_tries(house: House) -> None:
    house.add("anna")
    # Nobody is sent away, so that all are compared before any is counted.
    judge = SignIn(
        house.store.accounts, Passwords(parallel=4, waiting=100), house.identity.sign_in.settings,
        Throttle(1000), house.told.append,
    )  # fmt: skip
    barrier = threading.Barrier(20)
    let_in: list[bool] = []

    def guess(password: str) -> None:
        barrier.wait()
        try:
            judge.judge(attempt(password=password), house.clock())
            let_in.append(True)
        except SignInRefused:
            let_in.append(False)

    threads = [threading.Thread(target=guess, args=(f"{WRONG} {number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert let_in == [False] * 20
    row = house.identity.people.get("anna")
    assert row.failures == 5, "what came after the lock was not even looked at"
    assert row.locked_until == house.clock().timestamp() + 900


def test_one_address_that_fails_too_often_must_wait(house: House) -> None:
    house.add("anna")
    for number in range(30):
        assert not is_let_in(house, name=f"guess{number}")
    with pytest.raises(TooManyTries):
        is_let_in(house)
    assert is_let_in(house, address="10.0.0.8"), "others do not wait"
    house.clock.pass_by(WINDOW_S)
    assert is_let_in(house)


def test_a_throttle_counts_half_of_an_ipv6_address_and_forgets_the_oldest(house: House) -> None:
    throttle = Throttle(2)
    for last in ("1", "2"):
        throttle.note(f"2001:db8:0:1::{last}", house.clock())
    with pytest.raises(TooManyTries):
        throttle.check("2001:db8:0:1:ffff::9", house.clock())
    throttle.check("2001:db8:0:2::1", house.clock())
    for number in range(20_000):
        throttle.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", house.clock())
    assert len(throttle._failures) == 10_000


def test_no_code_works_twice(house: House) -> None:
    secret = new_secret()
    house.add("anna")
    house.store.accounts.set(house.identity.people.get("anna").id, totp_secret=secret)
    code = code_at(secret, house.clock())
    assert not is_let_in(house)
    assert is_let_in(house, code=code)
    assert not is_let_in(house, code=code)
    house.clock.pass_by(30)
    assert not is_let_in(house, code=code), "nor a step later, when it would still be in time"
    assert is_let_in(house, code=code_at(secret, house.clock()))


def test_a_code_is_good_for_its_step_and_one_beside(house: House) -> None:
    secret, now = new_secret(), house.clock()
    house.clock.pass_by(-90)
    verdicts = []
    for _ in range(7):
        verdicts.append(match_step(secret, code_at(secret, house.clock()), 0, now) is not None)
        house.clock.pass_by(30)
    assert verdicts == [False, False, True, True, True, False, False]
    for wrong in ("", "000000 ", "abc", "١٢٣٤٥٦", "\ud800", "0" * 10_000):
        assert match_step(secret, wrong, 0, now) is None or wrong == "000000 "


def test_the_trail_says_what_the_page_does_not_and_no_password(house: House) -> None:
    house.add("anna")
    for typed in ({"password": WRONG}, {"name": WRONG}, {}):
        is_let_in(house, **typed)
    house.identity.enter(attempt(), "")
    failures = [one for one in house.told if one.outcome is AuditOutcome.MINOR_FAILURE]
    assert [one.actors[0].user_id for one in failures] == ["anna", "unknown name"]
    login = house.told[-1]
    assert (login.type, login.subtype) == (AuditEventType.USER_AUTHENTICATION, "110122")
    assert login.actors[0].address == "10.0.0.7"
    for _ in range(5):
        is_let_in(house, password=WRONG)
    assert any("is locked for 15 minutes" in sentence for sentence in house.sentences())
    assert WRONG not in repr(house.told)
    assert PASSWORD not in repr(house.told)


def test_a_password_kept_at_an_older_cost_is_kept_anew(house: House) -> None:
    from argon2 import PasswordHasher

    house.add("anna")
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    house.store.accounts.set(house.identity.people.get("anna").id, password_hash=weak)
    assert is_let_in(house)
    assert "m=19456,t=2,p=1" in house.identity.people.get("anna").password_hash
    assert is_let_in(house)


def test_one_cannot_change_a_password_without_it(house: House) -> None:
    house.add("anna")
    people = house.identity.people
    with pytest.raises(SignInRefused):
        people.change_own_password(attempt(password=WRONG), OTHER_PASSWORD, house.clock())
    with pytest.raises(WeakPassword):
        people.change_own_password(attempt(), "anna anna anna", house.clock())
    people.change_own_password(attempt(), OTHER_PASSWORD, house.clock())
    assert not is_let_in(house)
    assert is_let_in(house, password=OTHER_PASSWORD)


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "ünal", "a/b", "<b>", "a\nb", "token x"])
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(ConfigError):
        check_name(name)


def test_one_name_is_one_account_and_programs_get_none(house: House) -> None:
    house.add("anna")
    with pytest.raises(ConfigError):
        house.add("ANNA")
    with pytest.raises(ConfigError):
        house.add("robot", Role.SERVICE)
    with pytest.raises(ConfigError):
        house.identity.people.set_role("anna", Role.SERVICE, house.clock(), by="test")


def test_a_sealed_secret_counts_and_a_copied_one_lets_nobody_in(tmp_path) -> None:
    make_key_file(tmp_path / "key")
    store = open_store(tmp_path / "data", EncryptionSettings(key_file=tmp_path / "key"))
    house, secrets = House(Ward(store)), {}
    for name in ("anna", "mallory"):
        house.add(name)
        secret = secrets[name] = new_secret()
        typed = attempt(name)
        house.identity.people.set_own_totp(typed, secret, code_at(secret, house.clock()), house.clock())
    house.clock.pass_by(30)
    assert not is_let_in(house)
    assert is_let_in(house, code=code_at(secrets["anna"], house.clock()))
    copied = house.identity.people.get("mallory").totp_secret
    with store.engine.begin() as connection:
        table = schema.account
        connection.execute(update(table).where(table.c.name == "anna").values(totp_secret=copied))
    house.clock.pass_by(30)
    for secret in secrets.values():
        assert not is_let_in(house, code=code_at(secret, house.clock()))
    assert "does not open" in house.sentences()[-1]
    assert house.identity.people.get("anna").failures == 2
    house.identity.people.reset_totp("anna", house.clock(), by="test")
    assert is_let_in(house), "without a second factor, once an administrator took it away"
    store.close()
