from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from vidpose.errors import UsageError
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.options import flag, options_of
from vidpose.training.learner import build_model
from vidpose.training.optimizers import learning_rate
from vidpose.training.recipe import PAPER, Recipe, recipe_for


def test_the_papers_recipe_is_the_default() -> None:
    recipe = recipe_for("h36m")
    assert recipe == Recipe()
    assert (recipe.lr, recipe.lr_decay, recipe.batch, recipe.epochs) == (2e-4, 0.98, 1024, 130)
    assert (recipe.weight_decay, recipe.drop_path, recipe.normalisation) == (0.1, 0.1, "screen")
    assert learning_rate(recipe, 0, 10) == 2e-4
    assert learning_rate(recipe, 25, 10) == pytest.approx(2e-4 * 0.98**2)


def test_the_official_recipe_depends_on_the_2d_joints() -> None:
    cpn, true = (recipe_for("h36m", "official", k) for k in ("cpn_ft_h36m_dbb", "gt"))
    assert (cpn.lr, cpn.lr_decay, cpn.batch, cpn.epochs) == (4e-5, 0.99, 512, 200)
    assert true.lr == 4e-4
    assert recipe_for("h36m", "official").lr == 4e-5
    for dataset in ("mpi_inf_3dhp", "humaneva"):  # whose 2D joints are true by default
        assert recipe_for(dataset, "official").lr == 4e-4


def test_other_datasets_have_their_own() -> None:
    assert recipe_for("humaneva").frames == 43
    assert recipe_for("mpi_inf_3dhp").frames == 9
    assert recipe_for("mocap").normalisation == "person-2"
    assert recipe_for("mocap", "paper").normalisation == "person-2"
    assert recipe_for("h36m", "vidpose").normalisation == "screen"
    with pytest.raises(UsageError, match="no recipe 'mine'"):
        recipe_for("h36m", "mine")


def test_cosine_rises_then_falls() -> None:
    recipe = replace(PAPER, schedule="cosine", epochs=10, warmup=0.1, lr=1.0)
    rates = [learning_rate(recipe, step, 10) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] < 1e-3


@pytest.mark.parametrize(
    "wrong",
    [
        *({"epochs": 0}, {"frames": 4}, {"batch": 0}, {"accumulate": 0}, {"val_windows": 0}),
        *({"val_fraction": 1.0}, {"lr": 0.0}, {"lr_decay": 1.5}, {"ema": 1.0}),
        *({"precision": "fp8"}, {"select_on": "luck"}, {"schedule": "up"}),
        *({"velocity": -1.0}, {"procrustes": float("nan")}, {"normalisation": "inches"}),
    ],
)
def test_impossible_recipes_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=flag(next(iter(wrong)))):
        Recipe(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "resnet"}, "--model resnet: choose poseformer, sequence"),
        ({"single_frame": True}, "is for the network sequence"),
        ({"embed_dim": 12}, "is not a multiple of the 8 attention heads"),
    ],
)
def test_impossible_networks_are_rejected(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_model(Recipe(**wrong), 17)


def test_every_normalisation_can_be_chosen() -> None:
    assert set(options_of(Recipe)["normalisation"].choices) == set(NORMALISATIONS)
