"""The table of a drill: for each fault, what it cost the customers."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from drill.rehearsal import Rehearsal
from drill.timeline import Span, first_answer_s, longest_silence_s

_HEADINGS: Final = (
    "fault",
    "without an answer, s",
    "new primary after, s",
    "first answer after that, s",
    "errors",
    "lost",
    "doubled",
    "events of lost orders",
)


def table(rehearsal: Rehearsal) -> list[str]:
    """Return the lines of a table in Markdown, a row for each fault."""
    answered_at = [each.at for each in rehearsal.acknowledged]
    rows = [_cells(rehearsal, span, answered_at) for span in rehearsal.spans]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return [_line(cells, widths) for cells in (_HEADINGS, rule, *rows)]


def summary(rehearsal: Rehearsal) -> list[str]:
    """Return what was done in all, and the errors of each fault by their reasons."""
    kinds = Counter(each.kind for each in rehearsal.acknowledged)
    counted = ", ".join(f"{number:,} {kind}s" for kind, number in sorted(kinds.items()))
    errors = [
        f"errors, {span.name}: {', '.join(f'{number} {reason}' for reason, number in reasons.most_common())}"
        for span in rehearsal.spans
        if (reasons := Counter(each.reason for each in rehearsal.failures if span.covers(each.at)))
    ]
    return [
        f"{len(rehearsal.acknowledged):,} requests acknowledged: {counted}",
        f"{len(rehearsal.events):,} events received, {len({each.id for each in rehearsal.events}):,} different ones",
        *errors,
    ]


def _cells(rehearsal: Rehearsal, span: Span, answered_at: Sequence[float]) -> tuple[str, ...]:
    findings = rehearsal.findings
    counted = (rehearsal.failures, findings.lost, findings.doubled, findings.events_of_lost_orders)
    return (
        span.name,
        f"{longest_silence_s(answered_at, span):.1f}",
        _seconds(None if span.new_primary_at is None else span.new_primary_at - span.began),
        _seconds(first_answer_s(answered_at, span)),
        *(str(sum(span.covers(each.at) for each in every)) for every in counted),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
