"""A validation for people: HTML and PDF, in the order of the CLAIM items.

In: ``Validation``.  Out: files.  Never: a number without its interval; "validated" said of a model.

References
----------
CLAIM 2024 update, Tejani et al., Radiol Artif Intell 2024;6:e240300, doi:10.1148/ryai.240300.
"""

# reportlab has no types.
# mypy: disable-error-code="no-untyped-call,attr-defined"

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table

from wetread.lab.gallery import Failure, draw_curves
from wetread.lab.score import Scores
from wetread.lab.validate import METRICS_FILE, Validation, to_metrics
from wetread.stats.interval import Interval

_WARNING = "Not for clinical use. A validation on given images says nothing of other hospitals and scanners."


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    #: Numbers of the CLAIM items that it answers.
    items: str
    title: str
    lines: tuple[str, ...] = ()
    #: Header and rows.
    table: tuple[tuple[str, ...], ...] = ()


def write_report(found: Validation, failures: Sequence[Failure], out: Path) -> None:
    """Write ``metrics.json``, ``report.html`` and ``report.pdf`` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / METRICS_FILE).write_text(json.dumps(to_metrics(found), indent=2) + "\n", encoding="utf-8")
    sections = list_sections(found)
    (out / "report.html").write_text(_html(found, sections, failures), encoding="utf-8")
    _write_pdf(found, sections, out / "report.pdf")


def list_sections(found: Validation) -> tuple[Section, ...]:
    """Return the report in parts."""
    model, card = found.model, found.model.card
    gate = {None: "The package has no gate.", True: "Passed.", False: "Not passed."}[found.is_accepted]
    sections = [
        Section("1-3", "What this is", (f"{model.title}, version {model.identity.version}, a validation.",)),
        Section("4-6", "Intended use", (model.intended_use.strip(), _WARNING)),
        Section("7-14", "Data", _data(found)),
        Section("15-19", "Truth", found.notes or ("As the data have it.",)),
        Section(
            "20-27",
            "Model and training",
            (
                f"Digest {model.identity.digest}.",
                *(f"{name}: {text}" for name, text in card.items()),
            ),
        ),
        Section(
            "28-32",
            "How it was judged",
            (
                "The code that serves. Intervals of 95 %; AUC by DeLong, proportions by Wilson, the rest by"
                " bootstrap of patients (2,000 draws); samples of a patient stay together. Two models:"
                " AUC by DeLong, accuracy by McNemar, Dice by paired bootstrap.",
                f"Seed {found.seed}.",
            ),
        ),
        Section("33-36", "Scores", table=_scores(found.scores)),
        *_subgroups(found.scores),
    ]
    if found.external is not None:
        rows = [("score", "outside minus inside"), *((n, _text(one)) for n, one in found.drops.items())]
        sections += [
            Section("33-36", "Elsewhere", table=_scores(found.external)),
            Section("33-36", "The drop", table=tuple(rows)),
        ]
    if found.comparison:
        sections.append(_comparison(found))
    lines = tuple(
        (one.metric, f"{one.wanted:g}", f"{one.reached:.4g}", "yes" if one.is_passed else "no")
        for one in found.gates
    )
    head4 = ("score", "wanted", "worse end of the interval", "passed")
    sections.append(Section("37-38", "Gate", (gate,), (head4, *lines) if lines else ()))
    sections.append(Section("39-44", "Limits", (card.get("limits", "The card names none."),)))
    return tuple(sections)


def _comparison(found: Validation) -> Section:
    head = ("score", f"{found.compared_with} minus this", "p")
    rows = [(name, _text(one.difference), f"{one.p_value:.3g}") for name, one in found.comparison.items()]
    if found.margin is None:
        return Section("33-36", "Beside another model", table=(head, *rows))
    verdicts = ["yes" if one.is_not_inferior else "not shown" for one in found.comparison.values()]
    judged = [(*row, verdict) for row, verdict in zip(rows, verdicts, strict=True)]
    title = f"worse by less than {found.margin:g}"
    return Section("33-36", "Beside another model", table=((*head, title), *judged))


def _data(found: Validation) -> tuple[str, ...]:
    scores = found.scores
    return (
        f"{found.data}: {scores.samples} samples of {scores.patients} patients.",
        f"Digest {found.data_digest}.",
        f"Validated {found.made_at:%Y-%m-%d}.",
    )


def _scores(scores: Scores) -> tuple[tuple[str, ...], ...]:
    rows = [(name.replace("_", " "), _text(one)) for name, one in scores.intervals.items()]
    return (("score", "value (95 % interval)"), *rows)


def _subgroups(scores: Scores) -> list[Section]:
    sections = []
    for column, groups in scores.subgroups.items():
        rows = [
            (
                one.name or "(none)",
                str(one.patients),
                "too few patients" if one.score is None else _text(one.score),
            )
            for one in groups
        ]
        head = (column, "patients", f"{scores.subgroup_metric} (interval for all at once)")
        sections.append(Section("33-36", f"By {column}", table=(head, *rows)))
    return sections


def _text(one: Interval) -> str:
    if not math.isfinite(one.value):
        return "undefined"
    if not math.isfinite(one.low):
        return f"{one.value:.3f} (no interval: too few)"
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def _html(found: Validation, sections: Sequence[Section], failures: Sequence[Failure]) -> str:
    environment = Environment(loader=PackageLoader("wetread.lab", "pages"), autoescape=True)
    pictures = [(one.sample_id, one.words, base64.b64encode(one.png).decode("ascii")) for one in failures]
    return environment.get_template("report.html").render(
        found=found, sections=sections, curves=_curves(found.scores), pictures=pictures, warning=_WARNING
    )


def _curves(scores: Scores) -> list[str]:
    curves = scores.curves
    drawn = []
    if "roc" in curves:
        axes = ("1 - specificity", "sensitivity")
        drawn.append(draw_curves("ROC", axes, {"roc": curves["roc"]}, has_diagonal=True))
        axes = ("said", "came true")
        drawn.append(draw_curves("Calibration", axes, {"model": curves["calibration"]}, has_diagonal=True))
        both = {"model": curves["net_benefit"], "act on all": curves["net_benefit_of_all"]}
        axes = ("probability to act from", "net benefit")
        drawn.append(draw_curves("Decision curve", axes, both, has_diagonal=False))
    if scores.froc:
        points = [(one.false_positives, one.sensitivity) for one in scores.froc]
        axes = ("false positives an image", "sensitivity")
        drawn.append(draw_curves("FROC", axes, {"froc": points}, has_diagonal=False))
    return drawn


def _write_pdf(found: Validation, sections: Sequence[Section], path: Path) -> None:
    styles = getSampleStyleSheet()
    story: list[Flowable] = [Paragraph(_safe(found.model.title), styles["Title"])]
    for section in sections:
        story.append(Paragraph(f"{_safe(section.title)} (CLAIM {section.items})", styles["Heading2"]))
        story += [Paragraph(_safe(line), styles["BodyText"]) for line in section.lines]
        if section.table:
            cells = [[Paragraph(_safe(cell), styles["BodyText"]) for cell in row] for row in section.table]
            story += [Table(cells, hAlign="LEFT"), Spacer(1, 8)]
    document = SimpleDocTemplate(str(path), pagesize=A4, title=found.model.title, author="Wetread")
    document.build(story)


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
