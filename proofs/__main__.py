"""``python -m proofs``: proves everything, and shows that every mutant is caught."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from weft.hw.errors import WeftError

from .catalogue import PROOFS, table
from .engine import Outcome, Verdict, check
from .proof import Proof

__all__ = ["main"]

WORK = Path("build/prove")


def obligations(proof: Proof) -> Iterator[tuple[str, bool, Outcome]]:
    """Run `proof` and then each of its mutants: what it was, whether it is as it must be, why."""
    folder = WORK / proof.name
    done = check(
        proof.harness(proof.design),
        folder=folder / "design",
        depth=proof.depth,
        induction=not proof.bounded,
    )
    yield "", done.verdict is Verdict.HOLDS, done
    for number, mutant in enumerate(proof.mutants):
        done = check(
            proof.harness(mutant.of(proof.design)),
            folder=folder / f"mutant_{number}",
            depth=proof.reach,
            induction=False,
        )
        yield mutant.flaw, done.verdict is Verdict.FAILS, done


def line(proof: Proof, flaw: str, good: bool, outcome: Outcome) -> str:
    """What came out, in a line."""
    if flaw:
        told = f"caught: {outcome.reason}" if good else f"NOT CAUGHT in {proof.reach} cycles"
        return f"    {outcome.seconds:6.1f} s  {told}  [{flaw}]"
    if good:
        how = f"for {proof.depth} cycles" if proof.bounded else f"by {proof.depth}-induction"
        return f"{proof.name:16}{outcome.seconds:6.1f} s  holds {how}"
    trace = f"; see {outcome.trace}" if outcome.trace else ""
    return f"{proof.name:16}{outcome.seconds:6.1f} s  {outcome.verdict.value.upper()}: " + (
        f"{outcome.reason or 'no claim named'}{trace}"
    )


@click.command()
@click.argument("names", nargs=-1)
@click.option("--table", "show_table", is_flag=True, help="Print the README's table and stop.")
@click.option("--no-mutants", is_flag=True, help="Only the designs themselves.")
def main(names: tuple[str, ...], show_table: bool, no_mutants: bool) -> None:
    """Prove NAMES, or everything; exit 1 if a claim fails or a mutant is not caught."""
    if show_table:
        print(table())
        return
    known = [proof.name for proof in PROOFS]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name} is none of {', '.join(known)}", param_hint="NAMES")
    chosen = [proof for proof in PROOFS if not names or proof.name in names]
    start, failures, mutants = time.monotonic(), 0, 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as progress:
        total = sum(1 + (0 if no_mutants else len(proof.mutants)) for proof in chosen)
        task = progress.add_task("", total=total)
        for proof in chosen:
            progress.update(task, description=proof.name)
            for flaw, good, outcome in obligations(proof):
                progress.advance(task)
                failures += not good
                mutants += bool(flaw)
                print(line(proof, flaw, good, outcome), flush=True)
                if no_mutants:
                    break
    seconds = time.monotonic() - start
    print(f"{len(chosen)} proofs, {mutants} mutants, {failures} failures, {seconds:.0f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    try:
        main()
    except WeftError as error:
        sys.exit(f"prove: error: {error}")
