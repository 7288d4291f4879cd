"""Runs cases one by one: `python -m tests.mutations.run CAUSE [PROGRAM] [N …]`, `… run innocent [KIND] [N …]`.

Prints a line for each; with one case and one N the whole report. CAUSE, PROGRAM and KIND may be `all`.
"""

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(arguments: list[str]) -> int:
    from . import registry, suite

    suite.split_cpu()
    words = [word for word in arguments if not word.isdigit()]
    numbers = [int(word) for word in arguments if word.isdigit()]
    cases = registry.chosen(words)
    runs = [(case, n) for case in cases for n in case.replicas if not numbers or n in numbers]
    if len(runs) == 1:
        begin = time.perf_counter()
        print(suite.report_of(*runs[0]))
        print(f"{time.perf_counter() - begin:.1f} s")
        return 0
    outcomes = [_shown(suite.outcome_of(case, n)) for case, n in runs]
    wrong = [outcome for outcome in outcomes if not outcome.right]
    print(f"{len(outcomes)} runs, {len(wrong)} wrong, {sum(one.seconds for one in outcomes):.0f} s")
    return 1 if wrong or not outcomes else 0


def _shown(outcome):
    verdict = "right" if outcome.right else "WRONG"
    what = outcome.error.strip().splitlines()[-1] if outcome.error else f"causes {list(outcome.causes)}"
    failed = f" failed {list(outcome.failed)}" if not outcome.right else ""
    name = "/".join(filter(None, [outcome.case, outcome.program, outcome.mistake]))
    print(f"{verdict} {name} N={outcome.replicas}: {what} {outcome.residual}{failed} {outcome.seconds} s", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
