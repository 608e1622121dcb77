"""
Change the sources one place at a time and count the changes that no test notices.

`python -m tests.mutation core` does so for `oracle/core`, `libraries` and `settle` for the
contracts. `--sample N` takes N mutants by chance from `--seed`. Survivors are printed and, with
`--out`, every verdict is written as a line of JSON. What survives because it does the same as the
original is listed with the reason in `equivalent.json` and does not count; see docs/mutation.md.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests.mutation.targets import library_targets, python_targets, settle_targets
from tests.mutation.trial import Verdict, change, preload

EQUIVALENT = Path(__file__).resolve().parent / "equivalent.json"
TARGETS = {"core": python_targets, "libraries": library_targets, "settle": settle_targets}


def main(arguments: list[str] | None = None) -> int:
    """Judge mutants and report; return 1 if the score falls short of `--goal`."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("subject", choices=TARGETS)
    parser.add_argument("--only", help="one module or library of the subject")
    parser.add_argument("--sample", type=int, help="how many mutants; all unless given")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--goal", type=float, default=0.0, help="least share of mutants killed")
    parser.add_argument("--out", type=Path, help="file for a line of JSON a mutant")
    options = parser.parse_args(arguments)

    preload()
    targets = list(TARGETS[options.subject](options.only))
    todo = [(target, mutant) for target in targets for mutant in target.mutants]
    total = len(todo)
    random.Random(options.seed).shuffle(todo)
    todo = todo[: options.sample]
    for target in {target.path: target for target, _ in todo}.values():
        if not target.sound():
            parser.error(f"the tests of {target.path} fail without any mutant")
    verdicts: Counter[Verdict] = Counter()
    by_path: Counter[tuple[str, Verdict]] = Counter()
    judged_equivalent = {
        (one["path"], one["old"], one["new"]) for one in json.loads(EQUIVALENT.read_text("utf-8"))
    }
    out = options.out.open("a", encoding="utf-8") if options.out else None
    for target, mutant in todo:
        start = time.monotonic()
        verdict = target.judge(mutant)
        old, new = change(target.source, mutant.apply(target.source) or "")
        if (target.path, old, new) in judged_equivalent:
            if verdict is Verdict.KILLED:
                parser.error(f"{target.path}:{mutant.line} is not equivalent: a test notices {new}")
            verdict = Verdict.EQUIVALENT
        verdicts[verdict] += 1
        by_path[target.path, verdict] += 1
        if out:
            record = {
                "path": mutant.path,
                "line": mutant.line,
                "operator": mutant.operator,
                "old": old,
                "new": new,
                "verdict": verdict,
                "seconds": round(time.monotonic() - start, 1),
            }
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
            out.flush()
        if verdict is Verdict.SURVIVED:
            place = f"{mutant.path}:{mutant.line}  {mutant.operator}"
            print(f"{place}\n    {old}\n    {new}", flush=True)

    killed, survived = verdicts[Verdict.KILLED], verdicts[Verdict.SURVIVED]
    score = killed / (killed + survived) if killed + survived else 0.0
    report = {
        "subject": options.subject,
        "mutants": total,
        "judged": sum(verdicts.values()),
        **{verdict.value: verdicts[verdict] for verdict in Verdict},
        "score": round(score, 4),
        "seed": options.seed,
        "sources": {
            path: {verdict.value: by_path[path, verdict] for verdict in Verdict}
            for path in sorted({target.path for target in targets})
        },
    }
    print(json.dumps(report))
    return int(score < options.goal)


if __name__ == "__main__":
    sys.exit(main())
