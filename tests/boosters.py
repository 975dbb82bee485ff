# SPDX-License-Identifier: Apache-2.0
"""Boosted trees made by hand: packages of the flavor `xgboost` whose exact answers are known here, without any library.

Leaves are multiples of 1/64 and small, splits halves: sums in float32 are exact, in any order."""

import json
import random


class Booster:
    """`trees` complete trees of that depth over x0, x1, ...; the answer is the sum of the leaves that a row reaches."""

    def __init__(self, seed, trees=10, depth=5, features=4):
        rng = random.Random(seed)
        self.features, self.depth = features, depth
        inner, leaves = 2 ** depth - 1, 2 ** depth
        self.trees = [([rng.randrange(features) for _ in range(inner)], [rng.randrange(-8, 9) / 2 for _ in range(inner)],
                       [rng.randrange(-640, 641) / 64 for _ in range(leaves)]) for _ in range(trees)]

    def answer(self, row):
        total = 0.0
        for feature, split, leaves in self.trees:
            at = 0
            for _ in range(self.depth):
                at = 2 * at + 1 + (row[feature[at]] >= split[at])
            total += leaves[at - len(feature)]
        return total

    def tree(self, feature, split, leaves):
        inner, n = len(feature), len(feature) + len(leaves)
        return {"tree_param": {"num_nodes": str(n), "size_leaf_vector": "1", "num_feature": str(self.features)},
                "left_children": [2 * i + 1 if i < inner else -1 for i in range(n)],
                "right_children": [2 * i + 2 if i < inner else -1 for i in range(n)],
                "split_indices": feature + [0] * len(leaves), "split_conditions": split + leaves,
                "default_left": [0] * n, "split_type": [0] * n, "sum_hessian": [1] * n}

    def package(self, note=""):
        """The files of the model folder; the note makes another digest of the same trees."""
        model = {"version": [3, 0, 0], "learner": {
            "learner_model_param": {"base_score": "0", "num_class": "0", "num_feature": str(self.features)},
            "objective": {"name": "reg:squarederror"},
            "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0] * len(self.trees),
                                                             "trees": [self.tree(*tree) for tree in self.trees]}}}}
        ml_model = (f"flavors:\n  xgboost:\n    data: booster.json\n    model_class: xgboost.core.Booster\n"
                    f"model_uuid: 0123456789abcdef0123456789abcdef\n")
        return {"MLmodel": ml_model, "booster.json": json.dumps(model), "note.txt": note}
