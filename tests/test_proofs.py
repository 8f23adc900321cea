"""The proofs can be run: they elaborate, their mutants exist, the README tells of all of them."""

import importlib.util
from pathlib import Path

import pytest

from proofs.catalogue import PROOFS, table
from proofs.engine import Verdict, check, emit
from proofs.proof import Mutant, Proof, StaleMutantError

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_harness_elaborates_and_mutants_exist(proof: Proof) -> None:
    assert "cell $check" in emit(proof.harness(proof.design), induction=True)
    assert proof.mutants
    for mutant in proof.mutants:
        assert mutant.of(proof.design) is not proof.design


def test_names_are_unique() -> None:
    assert len({proof.name for proof in PROOFS}) == len(PROOFS)


def test_stale_mutant_is_refused() -> None:
    with pytest.raises(StaleMutantError, match=r"stands 0 times.*'no such text'"):
        Mutant(flaw="no such text", old="nowhere to be found", new="").of(PROOFS[0].design)


def test_readme_has_the_table() -> None:
    assert table() in (ROOT / "README.md").read_text()


@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("z3") is None, reason="needs the prove extra")
def test_holds_fails_and_is_told_apart() -> None:
    proof = next(proof for proof in PROOFS if proof.name == "queue-3")
    folder = ROOT / "build" / "prove" / "test"
    good = check(proof.harness(proof.design), folder=folder, depth=proof.depth, induction=True)
    assert good.verdict is Verdict.HOLDS
    flawed = proof.harness(proof.mutants[0].of(proof.design))
    bad = check(flawed, folder=folder, depth=proof.reach, induction=False)
    assert bad.verdict is Verdict.FAILS
    assert "payloads leave in order" in bad.reason
    assert bad.trace is not None
    assert bad.trace.exists()
