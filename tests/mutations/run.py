"""Runs cases one by one, in this process.

python -m tests.mutations.run CAUSE [PROGRAM [MISTAKE]] [N …]
python -m tests.mutations.run innocent [KIND] [N …]

Prints a line for each, with one case and one N the whole report. `all` stands for any cause, program or mistake.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(arguments: list[str]) -> int:
    from . import registry, suite

    suite.split_cpu()
    numbers = [int(word) for word in arguments if word.isdigit()]
    cases = registry.chosen([word for word in arguments if not word.isdigit()])
    runs = [(case, n) for case in cases for n in case.replicas if not numbers or n in numbers]
    if len(runs) == 1:
        report = suite.report_of(*runs[0])
        print(report)
        return 0 if report.ok else 2
    outcomes = []
    for case, n in runs:
        outcomes.append(suite.outcome_of(case, n))
        print(suite.line(outcomes[-1]), flush=True)
    wrong = sum(not outcome.right for outcome in outcomes)
    print(f"{len(outcomes)} runs, {wrong} with a wrong verdict, {sum(one.seconds for one in outcomes):.0f} s")
    return 2 if wrong or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
