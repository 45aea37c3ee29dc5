"""Guidelines for lung nodules and tumour response, as tables.

In: an exam with measured nodules, as JSON gives it.  Out: ``Answer``: category, rule, management, when next.
Never: an answer from fields that contradict each other; a threshold met by rounding of binary fractions.
"""

from wetread.measure.guidelines.answer import Answer
from wetread.measure.guidelines.ask import GUIDELINES, ask_guideline

__all__ = ["GUIDELINES", "Answer", "ask_guideline"]
