"""What each role may, in code and in the documentation."""

import re
from pathlib import Path

import pytest

from wetread.identity import OPEN, Permission, Principal, PrincipalKind, Role
from wetread.identity.roles import PERMISSIONS

PAGE = Path(__file__).parents[2] / "docs/how-to/users-and-roles.md"


def test_the_table_in_the_documentation_is_the_one_in_the_code() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGE.read_text(), re.M))
    told = {Role(name): set(words.split("; ")) for name, words in rows.items()}
    assert told == {role: {one.value for one in PERMISSIONS[role]} for role in Role}


def test_nobody_gets_more_by_being_less() -> None:
    assert PERMISSIONS[Role.RADIOLOGIST] < PERMISSIONS[Role.LEAD]
    assert PERMISSIONS[Role.DATA_SCIENTIST] < PERMISSIONS[Role.RADIOLOGIST]
    for role in (Role.ADMINISTRATOR, Role.DATA_SCIENTIST):
        assert Permission.IDENTITY not in PERMISSIONS[role]
    assert not PERMISSIONS[Role.SERVICE] & {Permission.PAGES, Permission.REPORT, Permission.RETRY}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_principal_may_what_its_role_may(role: Role, permission: Permission) -> None:
    person = Principal(name="a", kind=PrincipalKind.LOCAL, role=role)
    program = Principal(name="token a", kind=PrincipalKind.TOKEN, role=role)
    nobody = Principal(name="a", kind=PrincipalKind.LOCAL)
    assert person.may(permission) is (permission in PERMISSIONS[role])
    assert program.may(permission) is (permission in PERMISSIONS[role] - {Permission.PAGES})
    assert not nobody.may(permission)
    assert OPEN.may(permission)


def test_a_scope_of_nothing_sees_nothing() -> None:
    class Study:
        source = "CT1"

    def sees(sources):
        return Principal(name="a", kind=PrincipalKind.LOCAL, sources=sources).may_see(Study())

    assert [sees(None), sees(("CT1", "MR")), sees(("MR",)), sees(())] == [True, True, False, False]
