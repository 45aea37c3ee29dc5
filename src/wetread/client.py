"""A running service, asked by its API.

In: its address, a token.  Out: values of ``wetread.contract``.  Never: a token over a network in clear text,
or to where an answer points; what names a patient in an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from wetread.contract.answers import Failure
from wetread.contract.deliveries import DeliveryLine, DeliveryPage, Retried
from wetread.contract.models import ModelDetail, ModelList, RuleList
from wetread.contract.queue import ReadingQueue
from wetread.contract.replay import Replayed
from wetread.contract.shadow import ShadowComparison
from wetread.contract.studies import Begun, Explanation, StudyDetail, StudyLine, StudyPage
from wetread.domain.progress import DeliveryState
from wetread.domain.reading import Priority
from wetread.errors import AccessError, ConfigError, NotHeld, PeerError, PeerUnreachable
from wetread.network import ClientTls, client_context

_PREFIX = "/api/v1"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Most items of one page.
_PAGE = 200
Said = TypeVar("Said")


@dataclass(frozen=True, slots=True)
class Client:
    """Asks one service; each question is a connection of its own."""

    url: str
    token: str = field(default="", repr=False)
    #: Longest wait for an answer.
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse an address that would give the token away.

        Raises
        ------
        ConfigError
            If so.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("The address of a service is https://HOST:PORT, on this machine http://.")
        if self.token and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ConfigError("A token goes to other machines by https:// only.", host=parts.hostname)

    def iter_studies(self, wanted: Mapping[str, Any], most: int) -> Iterator[StudyLine]:
        """Yield studies, newest study date first; ``wanted``: fields of a search."""
        after: str | None = None
        while most > 0:
            asked = {**wanted, "limit": min(most, _PAGE)} | ({"after": after} if after else {})
            page = self._ask("POST", "/studies/search", StudyPage, json=asked)
            yield from page.items
            most, after = most - len(page.items), page.after
            if after is None:
                return

    def find_study(self, study: str) -> StudyLine:
        """Return the study of a UID, an accession number (the newest), or the key in a page's address.

        Raises
        ------
        NotHeld
            If there is none.
        """
        if len(study) == 16 and not set(study) - set("0123456789abcdef"):
            return self.get_study(study).study
        for name in ("study_instance_uid", "accession_number"):
            if name == "study_instance_uid" and set(study) - set("0123456789."):
                continue
            found = list(self.iter_studies({name: study}, 1))
            if found:
                return found[0]
        raise NotHeld("No such study is there: check the UID.")

    def get_study(self, key: str) -> StudyDetail:
        """Return everything about a study."""
        return self._ask("GET", f"/studies/{key}", StudyDetail)

    def explain(self, key: str) -> Explanation:
        """Return which models ran on a study or did not, and why."""
        return self._ask("GET", f"/studies/{key}/explanation", Explanation)

    def read_again(self, key: str) -> Begun:
        """Have a study read again."""
        return self._ask("POST", f"/studies/{key}/read-again", Begun, json={})

    def get_queue(self) -> ReadingQueue:
        """Return what waits for its models."""
        return self._ask("GET", "/queue", ReadingQueue)

    def call_off(self, key: str) -> StudyLine:
        """Take a study out of the queue."""
        return self._ask("POST", f"/studies/{key}/call-off", StudyLine, json={})

    def give_priority(self, key: str, priority: Priority | None, why: str) -> StudyLine:
        """Give a study a priority; None: that of models and rules again."""
        if priority is None:
            return self._ask("DELETE", f"/studies/{key}/priority", StudyLine)
        said = {"priority": priority.value, "why": why}
        return self._ask("PUT", f"/studies/{key}/priority", StudyLine, json=said)

    def iter_deliveries(
        self, states: tuple[DeliveryState, ...], destination: str = "", study_key: str = ""
    ) -> Iterator[DeliveryLine]:
        """Yield deliveries in any of these states, the last planned first."""
        asked: dict[str, Any] = {"state": [state.value for state in states], "limit": _PAGE}
        asked |= {"destination": destination} if destination else {}
        asked |= {"study": study_key} if study_key else {}
        while True:
            page = self._ask("GET", "/deliveries", DeliveryPage, params=asked)
            yield from page.items
            if page.after is None:
                return
            asked["after"] = page.after

    def retry(self, delivery_id: int) -> DeliveryLine:
        """Try one delivery again."""
        return self._ask("POST", f"/deliveries/{delivery_id}/retry", DeliveryLine, json={})

    def retry_destination(self, destination: str) -> Retried:
        """Try everything again that a destination refused or that failed."""
        return self._ask("POST", "/deliveries/retry", Retried, json={"destination": destination})

    def list_models(self) -> ModelList:
        """Return the registered models."""
        return self._ask("GET", "/models", ModelList)

    def get_model(self, name: str) -> ModelDetail:
        """Return one model."""
        return self._ask("GET", f"/models/{name}", ModelDetail)

    def compare_shadow(self, name: str, version: str) -> ShadowComparison:
        """Return how a version in the shadow compares with the live one."""
        return self._ask("GET", f"/models/{name}/{version}/shadow", ShadowComparison)

    def list_rules(self) -> RuleList:
        """Return the rules in force."""
        return self._ask("GET", "/rules", RuleList)

    def iter_replay(self, rules: list[dict[str, Any]], since: date | None, most: int) -> Iterator[Replayed]:
        """Yield what changed rules would do, a batch at a time, of at most so many studies."""
        after: str | None = None
        while most > 0:
            asked: dict[str, Any] = {"rules": rules, "limit": min(most, 500)}
            asked |= {"since": since.isoformat()} if since else {}
            asked |= {"after": after} if after else {}
            batch = self._ask("POST", "/rules/replay", Replayed, json=asked)
            yield batch
            if batch.after is None:
                return
            told = batch.summary
            most -= told.newly_read + told.no_longer_read + told.other_model + told.other_urgency
            most -= told.unchanged
            after = batch.after

    def _ask(self, method: str, path: str, kind: type[Said], **more: Any) -> Said:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        tls = client_context(ClientTls()) if self.url.startswith("https://") else True
        try:
            with httpx.Client(verify=tls, timeout=self.timeout_s, headers=headers, trust_env=False) as client:
                answer = client.request(method, f"{self.url.rstrip('/')}{_PREFIX}{path}", **more)
        except httpx.HTTPError as error:
            raise PeerUnreachable(
                "The service does not answer: check --url and that it runs.", reason=type(error).__name__
            ) from error
        if answer.status_code >= 300:
            raise _refusal(answer)
        try:
            adapter: TypeAdapter[Said] = TypeAdapter(kind)
            said = adapter.validate_json(answer.content)
        except ValidationError as error:
            raise PeerError("The service answers something else than this version reads: upgrade.") from error
        return said


def _refusal(answer: httpx.Response) -> AccessError | PeerError:
    try:
        said = TypeAdapter(Failure).validate_json(answer.content)
    except ValidationError:
        return PeerError("This is no service of Wetread: check --url.", status=answer.status_code)
    details = "; ".join(f"{one.where}: {one.message}" for one in said.details)
    kind = NotHeld if answer.status_code == 404 else AccessError
    return kind(f"{said.message} {details}".strip(), code=said.code)
