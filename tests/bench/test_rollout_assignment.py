"""The benchmark of assignment measures what it says."""

from evolution_lab.bench.rollout_assignment import bench_assignment


def test_targets_that_do_not_depend_on_the_machine_are_reached():
    targets = {target.id: target for target in bench_assignment(quick=True)}
    assert set(targets) == {
        "assignment-vectorised",
        "assignment-single",
        "assignment-uniform",
        "assignment-monotone",
        "assignment-independent",
    }
    for name in ("uniform", "monotone", "independent"):
        assert targets[f"assignment-{name}"].passed, targets[f"assignment-{name}"]
    assert targets["assignment-vectorised"].value > 1e5
