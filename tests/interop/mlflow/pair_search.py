# SPDX-License-Identifier: Apache-2.0
"""Every form of the search grammars, asked of both servers (see pair_wire.py). What a filter finds is told by names alone, so
that a difference is easy to read."""

import time

# Where the two part, and why: status that Gyre answers with, reason.
CRASH = (400, "MLflow fails with 500, which clients try again for minutes")
FINDS = (200, "MLflow finds nothing, or refuses, where the form is allowed elsewhere in its grammar")


def found(w, path, body, what, method="POST", instead=None, hidden=()):
    """Ask and write down only which ones came, in order, or which error. hidden: parts of the question that each server has its own of."""
    answer = w.post(path, body, record=False) if method == "POST" else w.get(path, body, record=False)
    if answer.status == 200:
        answer.json = {"found": what(answer.json)}
    else:
        answer.json = {"error_code": (answer.json or {}).get("error_code"), "message": ""}
    asked = w.plain(f"{path} {body}")
    for part in hidden:
        asked = asked.replace(part, "<its own>")
    w.steps.append((asked, answer, "", instead[0] if instead else None))


RUNS = [  # name, metrics, params, tags, status, start
    ("r0", {"acc": 0.5, "loss": 2.0, "a.b": 1}, {"size": "small", "p.q": "x", "only": "1"}, {"t": "a", "x y": "1"}, "FINISHED", 1700000000000),
    ("r1", {"acc": 0.7, "loss": -1.0}, {"size": "Small"}, {"t": "A", "q": "it's"}, "RUNNING", 1700000001000),
    ("r2", {"acc": "NaN", "loss": 0}, {"size": "large"}, {"t": "b"}, "FAILED", 1700000002000),
    ("r3", {"acc": "Infinity"}, {"size": ""}, {}, "KILLED", 1700000003000),
    ("r4", {"loss": 5}, {}, {"t": "ab%c", "u_v": "x_y"}, "SCHEDULED", 1700000003000),
]

RUN_FILTERS = [
    "", "   ", "metrics.acc > 0.5", "metrics.acc >= 0.5", "metrics.acc = 0.5", "metrics.acc != 0.5", "metrics.acc < 0.7", "metrics.acc <= .7",
    "metrics.acc > -1", "metrics.loss > -1.0e0", "metrics.loss = 5", "metrics.loss < 1e1", "metric.acc>=0.5", "metrics.`acc` > 0.5",
    'metrics."acc" > 0.5', 'metrics."a.b" = 1', "metrics.`a.b` = 1", "metrics.a.b = 1", "metrics.none > 0", "metrics.acc > 0 and metrics.loss > 0",
    "metrics.acc > 0 AND params.size = 'small'", "metrics.acc > 0 AnD tags.t = 'a'", "params.size = 'small'", 'params.size = "small"',
    "params.size != 'small'", "params.size LIKE 's%'", "params.size like 'S%'", "params.size ILIKE 's%'", "params.size ilike '%MALL'",
    "params.size LIKE '_mall'", "param.size = 'large'", "parameter.size = 'large'", "parameters.size = 'large'", "params.size = ''",
    'params."p.q" = "x"', "params.`p.q` = 'x'", "params.p.q = 'x'", "params.only IS NULL", "params.only IS NOT NULL", "params.only is not null",
    "tags.t = 'a'", "tag.t = 'A'", "tags.t != 'a'", "tags.t LIKE 'a%'", "tags.t ILIKE 'a%'", "tags.t LIKE '%\\%%'", "tags.`x y` = '1'",
    'tags."x y" = "1"', 'tags.q = "it\'s"', "tags.t IS NULL", "tags.t IS NOT NULL", "tags.t IS NULL AND metrics.acc > 0", "tags.u_v LIKE 'x_y'",
    "status = 'FINISHED'", "attributes.status = 'RUNNING'", "attribute.status != 'RUNNING'", "attr.status = 'FAILED'", "run.status = 'KILLED'",
    "status = 'finished'", "status LIKE 'F%'", "status ILIKE 'f%'", "status IN ('FAILED')", "run_name = 'r1'", "attributes.run_name LIKE 'r%'",
    "attributes.`run name` = 'r2'", 'attributes."Run name" = "r2"', "attributes.`Run Name` != 'r2'", "run_name ILIKE 'R1'", "user_id = 'u1'",
    "user_id = 'nobody'", "start_time > 1700000001000", "attributes.start_time >= 1700000001000", "start_time = 1700000002000", "start_time != 0",
    "created < 1700000001000", "end_time = 1700000005000", "end_time > 0", "artifact_uri LIKE '%artifacts'", "artifact_uri = 'x'",
    "attributes.run_id IN ('{run:r1}')", "run_id IN ('{run:r0}', '{run:r3}')", "run_id IN ('{run:r0}','nope')", "run_id NOT IN ('{run:r0}')",
    "run_id = '{run:r4}'", "run_id != '{run:r4}'", "run_id LIKE '%'", "run_id in ('{run:r1}')", "dataset.name = 'd1'", "datasets.name = 'd1'",
    "dataset.digest = 'x2'", "dataset.context = 'train'", "dataset.name LIKE 'd%'", "dataset.name ILIKE 'D%'", "dataset.name IN ('d1', 'd2')",
    "dataset.name NOT IN ('d1')", "dataset.name != 'd1'", "dataset.name = 'd1' AND dataset.context = 'test'", "dataset.name = 'd1' AND metrics.acc > 0",
    "metrics.acc > 0 AND metrics.acc < 1 AND params.size LIKE '%' AND tags.t != 'zzz' AND status = 'FINISHED'",
    # Refused:
    "metrics.acc", "metrics.acc >", "> 0.5", "metrics.acc > '0.5'", "metrics.acc > abc", "metrics.acc == 0.5", "metrics.acc LIKE '1'",
    "metrics.acc > 0.5 OR metrics.loss > 1", "NOT metrics.acc > 0.5", "(metrics.acc > 0.5)", "metrics.acc > 0.5;", "0.5 < metrics.acc",
    "metrics.acc IS NULL", "metrics.acc > 0.5 and", "and metrics.acc > 0.5", "metrics.acc > 0.5 metrics.loss > 1", "params.size > 'a'",
    "params.size = small", "params.size = 1", "params.size = `small`", "params.size IN ('small')", "tags.t >= 'a'", "tags.t = a", "tags.t = 3",
    "status > 'A'", "status = RUNNING", "start_time > 'x'", "start_time LIKE '1'", "end_time = '1'", "experiment_id = '0'", "lifecycle_stage = 'active'",
    "attributes.name = 'x'", "nope = 'x'", "nope.x = 'y'", "Metrics.acc > 0", "dataset.nope = 'x'", "dataset.name = x", "dataset.name > 'x'",
    "run_id IN ()", "run_id IN ('a', 1)", "run_id IN 'a'", "run_id NOT IN", "run_name IN ('a')", "params.size IS", "params.size IS 1",
    "metrics.acc BETWEEN 0 AND 1", "metrics > 1", "'metrics.acc' > 1", "params.'size' = 'small'", "tags.t = 'unclosed", "tags.t != \"mixed'",
    "metrics.acc > 0.5 --", "metrics.acc > 1 AND (params.size = 'a')", "params.size = 'a' 'b'", "=", "and", "x", "''", "metrics.acc > 1, metrics.loss > 2",
]

RUN_DIFFERS = {"   ": (200, "a filter of blanks is none")}

RUN_ORDERS = [
    [], ["metrics.acc"], ["metrics.acc ASC"], ["metrics.acc DESC"], ["metrics.acc desc"], ["metrics.loss DESC"], ["metrics.`acc` asc"],
    ['metrics."a.b" DESC'], ["metrics.none"], ["params.size"], ["params.size DESC"], ["params.none DESC"], ["tags.t"], ["tags.t DESC"],
    ["start_time"], ["start_time DESC"], ["attributes.start_time ASC", "metrics.loss DESC"], ["attribute.status"], ["run_name DESC"],
    ["attributes.end_time"], ["attributes.end_time DESC"], ["user_id", "run_name"], ["status DESC", "start_time"], ["Created DESC"],
    ["metrics.acc DESC", "metrics.loss ASC", "params.size"],
    # Refused:
    ["metrics.acc", "metrics.acc DESC"], ["nope"], ["nope.x"], ["metrics.acc SIDEWAYS"], ["metrics.acc ASC DESC"], ["experiment_id"], [""],
    ["lifecycle_stage"], ["datasets.name"], ["metrics.acc; drop"],
]


def search_runs(w):
    e = w.experiment()
    ids = {}
    for name, metrics, params, tags, status, start in RUNS:
        r = w.post("/runs/create", {"experiment_id": e, "run_name": name, "user_id": "u" + name[1], "start_time": start,
                                    "tags": [{"key": k, "value": v} for k, v in tags.items()]}, record=False)["run"]["info"]["run_id"]
        ids[name] = r
        w.labels[r] = f"<{name}>"
        w.post("/runs/log-batch", {"run_id": r, "metrics": [{"key": k, "value": v, "timestamp": 1700000000000} for k, v in metrics.items()],
                                   "params": [{"key": k, "value": v} for k, v in params.items()]}, record=False)
        w.post("/runs/update", {"run_id": r, "status": status, **({"end_time": 1700000005000} if name == "r0" else {})}, record=False)
    for name, dataset, digest, context in (("r0", "d1", "x1", "train"), ("r0", "d2", "x2", "test"), ("r1", "d1", "x1", "test"), ("r2", "d3", "x3", None)):
        tags = [{"key": "mlflow.data.context", "value": context}] if context else []
        w.post("/runs/log-inputs", {"run_id": ids[name], "datasets": [{"dataset": {"name": dataset, "digest": digest, "source_type": "s", "source": "s"}, "tags": tags}]}, record=False)

    def names(answer):
        return [r["info"]["run_name"] for r in answer.get("runs", [])]

    for text in RUN_FILTERS:
        for name, r in ids.items():
            text = text.replace(f"{{run:{name}}}", r)
        found(w, "/runs/search", {"experiment_ids": [e], "filter": text, "order_by": ["run_name"]}, names, instead=RUN_DIFFERS.get(text))
    for order in RUN_ORDERS:
        named = any(o.startswith("run_name") for o in order)
        found(w, "/runs/search", {"experiment_ids": [e], "order_by": order if named else [*order, "run_name"]}, names,
              instead=CRASH if order == ["metrics.acc", "metrics.acc DESC"] else None)
    w.post("/runs/delete", {"run_id": ids["r1"]}, record=False)
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        found(w, "/runs/search", {"experiment_ids": [e], "run_view_type": view, "order_by": ["run_name"]}, names)
    for more in ({"max_results": 0}, {"max_results": -1}, {"max_results": 50001}, {"page_token": "nonsense"}, {"experiment_ids": []},
                 {"experiment_ids": ["987654"]}):
        found(w, "/runs/search", {"experiment_ids": [e], "order_by": ["run_name"], **more}, names)
    seen, token = [], None
    while True:
        page = w.post("/runs/search", {"experiment_ids": [e], "max_results": 2, "order_by": ["run_name DESC"], **({"page_token": token} if token else {})}, record=False)
        seen += names(page.json)
        token = page.json.get("next_page_token")
        if not token:
            break
    assert seen == ["r4", "r3", "r2", "r0"], seen


def search_experiments(w):
    made = {}
    for name, tags in (("Alpha", {"t": "a", "k": "1"}), ("alpha", {"t": "A"}), ("beta", {"t": "b", "x y": "z"}), ("Beta_1", {})):
        made[name] = w.experiment(name, tags=[{"key": k, "value": v} for k, v in {**tags, "s": w.suffix}.items()])
        time.sleep(0.003)
    n = w.name
    for text in ("", f"name = '{n('alpha')}'", f"name != '{n('alpha')}'", f"attribute.name = '{n('alpha')}'", f"attributes.name = '{n('beta')}'",
                 "name LIKE 'a%'", "name ILIKE 'a%'", "name LIKE 'Beta__%'", f"name = \"{n('beta')}\"", "tags.t = 'a'", "tag.t = 'A'", "tags.t != 'a'",
                 "tags.t LIKE 'a%'", "tags.t ILIKE 'a%'", "tags.`x y` = 'z'", 'tags."x y" = "z"', "tags.k IS NULL", "tags.k IS NOT NULL",
                 "creation_time > 0", "creation_time < 5", "last_update_time > 0", "attribute.creation_time >= 1600000000000", "tags.t = 'a' AND name LIKE 'A%'",
                 "name", "name = alpha", "name > 'a'", "nope = 'x'", "nope.x = 'y'", "name = 'a' OR name = 'b'", "creation_time > 'x'", "creation_time LIKE 'x'",
                 "tags.t = 1", "tags.t > 'a'", "name == 'a'", "metrics.x > 1", f"experiment_id = '{made['beta']}'", f"experiment_id != '{made['beta']}'", f"experiment_id IN ('{made['beta']}', '{made['alpha']}')",
                 f"experiment_id NOT IN ('{made['beta']}')", "experiment_id > '1'", "experiment_id = 1", "lifecycle_stage = 'active'", "name IN ('a')"):
        both = f"{text} AND tags.s = '{w.suffix}'" if text else f"tags.s = '{w.suffix}'"
        found(w, "/experiments/search", {"max_results": 100, "filter": both, "order_by": ["name"]}, lambda a: [x["name"] for x in a.get("experiments", [])],
              hidden=[f"'{made['beta']}'", f"'{made['alpha']}'"])
    for order in ([], ["name"], ["name ASC"], ["name DESC"], ["experiment_id"], ["experiment_id DESC"], ["creation_time"], ["creation_time DESC"],
                  ["attribute.last_update_time DESC"], ["attribute.name DESC"], ["tags.t"], ["nope"], ["name SIDEWAYS"], ["lifecycle_stage"]):
        found(w, "/experiments/search", {"max_results": 100, "filter": f"tags.s = '{w.suffix}'", "order_by": order}, lambda a: [x["name"] for x in a.get("experiments", [])])


def search_registered_models(w):
    for name, tags in (("Alpha", {"t": "a"}), ("alpha", {"t": "A"}), ("beta", {"t": "b"}), ("Beta", {})):
        w.post("/registered-models/create", {"name": w.name(name), "tags": [{"key": k, "value": v} for k, v in {**tags, "s": w.suffix}.items()]}, record=False)
        time.sleep(0.003)
    w.post("/registered-models/create", {"name": w.name("prompt"), "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "s", "value": w.suffix}]}, record=False)
    n = w.name

    def names(answer):
        return [x["name"] for x in answer.get("registered_models", [])]

    for text in ("", f"name = '{n('alpha')}'", f"name != '{n('alpha')}'", "name LIKE 'a%'", "name ILIKE 'a%'", "tags.t = 'a'", "tag.t = 'A'", "tags.t != 'a'",
                 "tags.t LIKE 'a%'", "tags.t ILIKE 'a%'", "name LIKE 'A%' AND tags.t = 'a'", "attribute.name = 'x'", "tags.`mlflow.prompt.is_prompt` = 'true'",
                 "tags.`mlflow.prompt.is_prompt` != 'true'", "name > 'a'", "name = a", "nope = 'x'", "version_number = 1", "name IN ('a')",
                 "name = 'a' OR name = 'b'", "tags.t IS NULL", "tags.t = 1", "name = 'a", "run_id = 'x'", "name ==", "name LIKE a"):
        both = f"{text} AND tags.s = '{w.suffix}'" if text else f"tags.s = '{w.suffix}'"
        found(w, "/registered-models/search", {"filter": both, "max_results": "100"}, names, method="GET", instead=CRASH if text == "tags.t IS NULL" else None)
    for order in ([], ["name"], ["name DESC"], ["timestamp"], ["timestamp DESC"], ["last_updated_timestamp DESC", "name"], ["timestamp ASC", "name DESC"],
                  ["creation_timestamp"], ["nope"], ["tags.t"], ["name SIDEWAYS"]):
        found(w, "/registered-models/search", [("filter", f"tags.s = '{w.suffix}'"), *[("order_by", o) for o in order]], names, method="GET")
    page = w.get("/registered-models/search", {"filter": f"tags.s = '{w.suffix}'", "max_results": "3"}, record=False)
    more = w.get("/registered-models/search", {"filter": f"tags.s = '{w.suffix}'", "max_results": "3", "page_token": page["next_page_token"]}, record=False)
    assert len(names(page.json)) == 3 and len(names(more.json)) == 1 and "next_page_token" not in more.json


def search_model_versions(w):
    e = w.experiment()
    r = w.run(e)
    for name in ("a", "b"):
        w.post("/registered-models/create", {"name": w.name(name)}, record=False)
        for i in range(3):
            w.post("/model-versions/create", {"name": w.name(name), "source": f"s3://bucket/{name}{i}", **({"run_id": r} if i == 1 else {}),
                                              "tags": [{"key": "t", "value": f"{name}{i}"}, {"key": "s", "value": w.suffix}]}, record=False)
            time.sleep(0.003)
    w.delete("/model-versions/delete", {"name": w.name("a"), "version": "3"}, record=False)
    n = w.name

    def names(answer):
        return [f"{v['name']}/{v['version']}" for v in answer.get("model_versions", [])]

    for text in ("", f"name = '{n('a')}'", f"name != '{n('a')}'", "name LIKE 'a%'", "name ILIKE 'A%'", f"run_id = '{r}'", f"run_id IN ('{r}')", f"run_id IN ('{r}', 'x')",
                 f"run_id != '{r}'", "source_path = 's3://bucket/a1'", "source_path LIKE 's3://bucket/b%'", "version_number = 1", "version_number > 1",
                 "version_number >= 2", "version_number != 2", "version_number < 2", "version_number <= 2", "tags.t = 'a1'", "tag.t != 'a1'", "tags.t LIKE 'b%'",
                 "tags.t ILIKE 'B%'", f"name = '{n('b')}' AND version_number > 1", "tags.t = 'a1' AND tags.s != 'x'", "run_id IN ()", "name IN ('a')", "run_id IN ('a', 2)",
                 "version_number = 'x'", "version_number LIKE '1'", "nope = 'x'", "name > 'a'", "name = a", "name = 'a' OR name = 'b'", "creation_timestamp > 0",
                 "attribute.name = 'x'", "stage = 'None'", "source = 'x'"):
        both = f"{text} AND tags.s = '{w.suffix}'" if text else f"tags.s = '{w.suffix}'"
        found(w, "/model-versions/search", {"filter": both, "max_results": "100"}, names, method="GET")
    for order in ([], ["name"], ["name DESC"], ["version_number"], ["version_number ASC", "name DESC"], ["creation_timestamp"], ["creation_timestamp DESC"],
                  ["last_updated_timestamp"], ["last_updated_timestamp DESC", "name"], ["nope"], ["tags.t"], ["run_id"], ["name SIDEWAYS"]):
        found(w, "/model-versions/search", [("filter", f"tags.s = '{w.suffix}'"), *[("order_by", o) for o in order]], names, method="GET")


NO_DIGEST = (200, "a data set without a digest means all of that name; MLflow's server then looks for the digest ''")
LOGGED_DIFFERS = {"status = 'READY'": FINDS, "status = 'PENDING'": FINDS, 'params."p.q" = "x"': FINDS, "nope = 'x'": CRASH, "metrics.acc > 'x'": CRASH,
                  "creation_timestamp > 'x'": CRASH}


def search_logged_models(w):
    e = w.experiment()
    r = w.run(e)
    w.post("/runs/log-inputs", {"run_id": r, "datasets": [{"dataset": {"name": d, "digest": "x", "source_type": "s", "source": "s"}} for d in ("d1", "d2")]}, record=False)
    for name, kind, params, tags, metrics in (("alpha", "A", {"p": "1", "p.q": "x"}, {"t": "a"}, [("acc", 0.5, "d1"), ("acc", 0.9, "d2")]),
                                              ("Alpha", "B", {"p": "2"}, {"t": "A"}, [("acc", 0.7, "d1")]),
                                              ("beta", "A", {}, {}, [("loss", 3, None)]), ("gamma", "", {}, {}, [])):
        m = w.post("/logged-models", {"experiment_id": e, "name": name, "model_type": kind, "source_run_id": r if name != "gamma" else "",
                                      "params": [{"key": k, "value": v} for k, v in params.items()], "tags": [{"key": k, "value": v} for k, v in tags.items()]},
                   record=False)["model"]["info"]["model_id"]
        for step, (key, value, dataset) in enumerate(metrics):
            w.post("/runs/log-metric", {"run_id": r, "key": key, "value": value, "timestamp": 1700000000000, "step": step, "model_id": m,
                                        **({"dataset_name": dataset, "dataset_digest": "x"} if dataset else {})}, record=False)
        if name == "alpha":
            w.patch(f"/logged-models/{m}", {"model_id": m, "status": 2}, record=False)
        time.sleep(0.003)

    def names(answer):
        return [m["info"]["name"] for m in answer.get("models", [])]

    for text in ("", "name = 'alpha'", "attributes.name = 'alpha'", "name != 'alpha'", "name LIKE 'al%'", "name ILIKE 'al%'", "name IN ('alpha', 'beta')",
                 "name NOT IN ('alpha')", "model_type = 'A'", "model_type != 'A'", "status = 'READY'", "status = 'PENDING'", f"source_run_id = '{r}'", "model_id = 'm-x'",
                 "creation_timestamp > 0", "creation_time > 0", "last_updated_timestamp >= 1600000000000", "creation_timestamp < 5", "metrics.acc > 0.6", "metrics.acc < 0.6",
                 "metrics.acc = 0.7", "metrics.acc != 0.7", "metrics.loss >= 3", "metrics.none > 0", "params.p = '1'", "params.p != '1'", "params.`p.q` = 'x'",
                 'params."p.q" = "x"', "params.p LIKE '%'", "params.p ILIKE '1'", "tags.t = 'a'", "tags.t != 'a'", "tags.t LIKE 'a%'", "tags.t ILIKE 'a%'",
                 "name = 'alpha' AND metrics.acc > 0.6", "params.p IN ('1', '3')", "tags.t NOT IN ('a')",
                 "metric.acc > 1", "param.p = '1'", "tag.t = 'a'", "attribute.name = 'x'", "nope = 'x'", "nope.x = 1", "metrics.acc LIKE '1'", "metrics.acc > 'x'",
                 "name > 'a'", "name = a", "name = 'a' OR name = 'b'", "creation_timestamp > 'x'", "creation_timestamp LIKE 'x'", "params.p > '1'", "params.p = 1"):
        found(w, "/logged-models/search", {"experiment_ids": [e], "filter": text, "order_by": [{"field_name": "creation_timestamp"}]}, names,
              instead=LOGGED_DIFFERS.get(text))
    for datasets in ([{"dataset_name": "d1"}], [{"dataset_name": "d2"}], [{"dataset_name": "d1", "dataset_digest": "x"}], [{"dataset_name": "d1", "dataset_digest": "y"}],
                     [{"dataset_name": "d1"}, {"dataset_name": "d2"}], [{"dataset_name": "no"}]):
        for text in ("", "metrics.acc > 0.6", "metrics.acc < 0.6"):
            nothing = datasets[0]["dataset_name"] == "no" or (datasets == [{"dataset_name": "d2"}] and "<" in text)
            found(w, "/logged-models/search", {"experiment_ids": [e], "filter": text, "datasets": datasets, "order_by": [{"field_name": "creation_timestamp"}]}, names,
                  instead=None if nothing or "dataset_digest" in datasets[0] else NO_DIGEST)
    for order in ([], [{"field_name": "name"}], [{"field_name": "name", "ascending": False}], [{"field_name": "creation_timestamp", "ascending": False}],
                  [{"field_name": "attributes.creation_timestamp"}], [{"field_name": "creation_time"}], [{"field_name": "metrics.acc"}],
                  [{"field_name": "metrics.acc", "ascending": False}], [{"field_name": "metrics.acc", "dataset_name": "d1"}],
                  [{"field_name": "metrics.acc", "dataset_name": "d1", "dataset_digest": "x", "ascending": False}], [{"field_name": "metrics.loss"}, {"field_name": "name"}],
                  [{"field_name": "params.p"}], [{"field_name": "nope"}], [{"field_name": ""}], [{}]):
        found(w, "/logged-models/search", {"experiment_ids": [e], "order_by": order}, names,
              instead=FINDS if order == [{"field_name": "attributes.creation_timestamp"}] else None)
    page = w.post("/logged-models/search", {"experiment_ids": [e], "max_results": 3}, record=False)
    token = page["next_page_token"]
    rest = w.post("/logged-models/search", {"experiment_ids": [e], "max_results": 3, "page_token": token}, record=False)
    assert names(page.json) + names(rest.json) == ["gamma", "beta", "Alpha", "alpha"]
    for other in ({"filter": "name = 'alpha'"}, {"experiment_ids": ["0"]}, {"order_by": [{"field_name": "name"}]}, {"page_token": "nonsense"}):
        found(w, "/logged-models/search", {"experiment_ids": [e], "max_results": 3, "page_token": token, **other}, names, hidden=[token],
              instead=CRASH if other.get("page_token") else None)


ALL = [search_runs, search_experiments, search_registered_models, search_model_versions, search_logged_models]
