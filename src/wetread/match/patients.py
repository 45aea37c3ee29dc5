"""Is a study of one patient?

In: a study's headers.  Out: a problem where they name several.  Never: what they say in its text.
"""

from __future__ import annotations

from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.study import Study, header_text

#: A name is written in many ways, these are not. (PS3.3 C.7.1.1, C.7.2.1)
_IDENTITY = ("PatientID", "PatientBirthDate", "PatientSex")


def check_patients(study: Study) -> tuple[Problem, ...]:
    """Return a problem that refuses where images of a study name different patients.

    Empty attributes contradict nothing.
    """
    headers = [instance.header for series in study.series for instance in series.instances]
    differing = [
        keyword
        for keyword in _IDENTITY
        if len({header_text(header, keyword).strip() for header in headers} - {""}) > 1
    ]
    if not differing:
        return ()
    message = (
        f"The images of this study name different patients ({', '.join(differing)} differ):"
        " find out whose they are and send each patient's as a study of its own."
    )
    return (Problem(code=ProblemCode.MIXED_PATIENTS, message=message),)
