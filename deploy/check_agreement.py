"""Holds what is written in deploy/ against what the service says of itself: names of metrics, labels, alerts, variables.

Started by deploy/check. Prints each disagreement and ends with 1 if there is one. With `--promql DIR` it also writes the
dashboard's queries as recording rules into DIR, where promtool can look at their grammar.
"""

import json
import pathlib
import re
import sys

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent
ROOT = DEPLOY.parent
faults = []


def fault(where, what):
    faults.append(f"{where}: {what}")


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


# --- what the service says ---


def metrics():
    """Each metric's name in Prometheus, as the collector makes it, with its kind: counter, histogram, gauge."""
    source = text("src/telemetry/names.rs")
    # The comment above a constant says what kind it is: `/// Counter, by [`VERDICT`].`
    pattern = re.compile(
        r"/// (Counter|Histogram|Gauge|Up-down counter)[^\n]*\n(?:///[^\n]*\n)*"
        r"pub const \w+: MetricName =\s*metric\(\s*\"([^\"]+)\",\s*\"([^\"]+)\""
    )
    found = {}
    for kind, name, unit in pattern.findall(source):
        # https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/translator/prometheus
        out = re.sub(r"[^a-zA-Z0-9:]+", "_", name).strip("_")
        if not unit.startswith("{"):
            suffix = {"s": "seconds", "ms": "milliseconds", "By": "bytes"}[unit]
            out = out if out.endswith(suffix) else f"{out}_{suffix}"
        if kind == "Counter" and not out.endswith("_total"):
            out += "_total"
        found[out] = kind
    declared = re.search(r"pub const ALL: \[MetricName; (\d+)\]", source)
    if not declared or int(declared.group(1)) != len(found):
        fault("src/telemetry/names.rs", f"{len(found)} metrics were understood, ALL has {declared and declared.group(1)}")
    return found


def attributes():
    source = text("src/telemetry/names.rs")
    names = re.findall(r"/// Attribute:[^\n]*\n(?:///[^\n]*\n)*pub const \w+: &str = \"([^\"]+)\"", source)
    return {re.sub(r"[^a-zA-Z0-9]", "_", name) for name in names}


def series(known):
    """The series that come of the metrics."""
    out = set()
    for name, kind in known.items():
        out |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "Histogram" else {name}
    return out


def anchors(path):
    headings = re.findall(r"^#+ (.+)$", text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


# --- what is written here ---

OURS = {"job", "instance", "le", "alertname", "alertstate", "severity"}
OTHERS = re.compile(r"^(up|ALERTS|redis_\w+)$")
REDIS_LABELS = {"maxmemory_policy"}


def check_promql(where, expr, known, labels):
    # A string may hold what looks like a name.
    bare = re.sub(r"\"[^\"]*\"", '""', expr)
    names = re.findall(r"([a-zA-Z_:][\w:]*)\s*\{", bare)
    names = [name for name in names if name not in ("by", "without", "on", "ignoring")]
    if not names:
        fault(where, f"names no metric: {expr}")
    for name in names:
        if name not in known and not OTHERS.match(name):
            fault(where, f"there is no metric {name}")
    used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", bare))
    for group in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", bare):
        used |= {label.strip() for label in group.split(",") if label.strip()}
    for label in used - labels:
        fault(where, f"there is no label {label}")
    for name, selector in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expr):
        # rpc.server.call.duration is everybody's name; without the job, alerts fire for other people's services.
        if name in known and 'job="surety"' not in selector:
            fault(where, f'{name} is asked for without job="surety"')


def check_alerts(known, labels):
    alerts = {}
    for path in sorted((DEPLOY / "prometheus").glob("*alerts.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                name = rule["alert"]
                where = f"{path.name}: {name}"
                if name in alerts:
                    fault(where, "is there twice")
                alerts[name] = rule
                check_promql(where, rule["expr"], known, labels)
                if rule["labels"].get("severity") not in ("page", "ticket"):
                    fault(where, "severity is page or ticket")
                annotations = rule.get("annotations", {})
                for needed in ("summary", "description", "runbook_url"):
                    if not annotations.get(needed):
                        fault(where, f"has no {needed}")
                document, _, anchor = annotations.get("runbook_url", "").partition("#")
                if not (ROOT / document).is_file():
                    fault(where, f"there is no {document}")
                elif anchor not in anchors(document):
                    fault(where, f"{document} has no heading #{anchor}")
    tests = text("deploy/prometheus/alerts_test.yaml")
    for name in alerts:
        if f'alertname="{name}"' not in tests:
            fault("alerts_test.yaml", f"{name} is not tested")
    # Those that the runbook speaks of.
    for name in sorted(set(re.findall(r"\bSurety[A-Z]\w+", text("docs/running.md")))):
        if name not in alerts:
            fault("docs/running.md", f"speaks of an alert {name} that is not in deploy/prometheus")
    return alerts


def check_metrics_page(known):
    rows = re.findall(r"^\| `([a-z_.]+)` \| `([a-z_]+)` \| (counter|histogram|gauge|up-down)", text("docs/metrics.md"), re.M)
    for _, name, _ in rows:
        if name not in known:
            fault("docs/metrics.md", f"{name} is not what the collector makes of a metric in names.rs")
    for name in set(known) - {name for _, name, _ in rows}:
        fault("docs/metrics.md", f"does not have {name}")


def check_dashboard(known, labels, promql):
    path = DEPLOY / "grafana/dashboards/surety.json"
    board = json.loads(path.read_text(encoding="utf-8"))
    ids, places, rules, shown = set(), {}, [], ""
    for panel in board["panels"]:
        where = f"{path.name}: {panel['title']}"
        if panel["id"] in ids:
            fault(where, "has another panel's id")
        ids.add(panel["id"])
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            fault(where, "is wider than the page")
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if (x, y) in places:
                    fault(where, f"lies on {places[x, y]}")
                places[x, y] = panel["title"]
        for target in panel.get("targets", []):
            if target["datasource"]["uid"] != "${datasource}":
                fault(where, "names a datasource of its own")
            shown += target["expr"] + "\n"
            expr = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            check_promql(where, expr, known, labels)
            rules.append({"record": f"panel:{panel['id']}:{target['refId'].lower()}", "expr": expr})
    for name, kind in metrics().items():
        if name not in shown and not name.startswith("otel_"):
            fault(path.name, f"shows nothing of {name} ({kind})")
    if promql:
        out = {"groups": [{"name": "dashboard", "rules": rules}]}
        (pathlib.Path(promql) / "dashboard.yaml").write_text(yaml.safe_dump(out), encoding="utf-8")


def check_variables():
    """Every SURETY_... variable that is set here is one that the program reads."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.rs"))
    if "SURETY_REDIS_PASSWORD_FILE" not in source:
        print("!! SKIPPED: variables of the Redis store: this version of the program has no Redis store")
        return
    # Those of compose.yaml and two-servers themselves: what to run.
    known = set(re.findall(r"\bSURETY_[A-Z_]+", source)) | {"SURETY_IMAGE", "SURETY_PROGRAM"}
    for path in [DEPLOY / name for name in ("Dockerfile", "compose.yaml", "helm/surety/templates/deployment.yaml", "two-servers")]:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
        for name in sorted(set(re.findall(r"\bSURETY_[A-Z_]+", "\n".join(lines))) - known):
            fault(path.name, f"sets {name}, which the program does not read")


def check_links():
    """Links of the page on deploying, to files and headings of this project."""
    page = pathlib.Path("docs/deploying.md")
    for target in re.findall(r"\]\(([^)]+)\)", text(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page.parent / path).resolve() if path else ROOT / page
        if not file.exists():
            fault(page, f"links to {target}, which is not there")
        elif anchor and anchor not in anchors(file.relative_to(ROOT)):
            fault(page, f"links to {target}, which has no such heading")


def check_compose():
    compose = yaml.safe_load(text("deploy/compose.yaml"))
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                fault("compose.yaml", f"{name} publishes {port} to more than loopback")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not (DEPLOY / source).exists():
                fault("compose.yaml", f"{name} mounts {source}, which is not there")
            if not source.startswith(".") and source not in compose["volumes"]:
                fault("compose.yaml", f"{name} mounts a volume {source} that is not declared")
        for secret in service.get("secrets", []):
            if secret not in compose["secrets"]:
                fault("compose.yaml", f"{name} has a secret {secret} that is not declared")
        if not service.get("cap_drop") or not service.get("security_opt"):
            fault("compose.yaml", f"{name} keeps capabilities that it does not need")
        default = service["image"].rpartition(":-")[2].rstrip("}")
        if ":" not in default or default.endswith(":latest"):
            fault("compose.yaml", f"{name} has an image without a version")


def main():
    promql = sys.argv[sys.argv.index("--promql") + 1] if "--promql" in sys.argv else None
    kinds = metrics()
    known = series(kinds)
    labels = OURS | REDIS_LABELS | attributes()
    alerts = check_alerts(known, labels)
    check_metrics_page(kinds)
    check_dashboard(known, labels, promql)
    check_variables()
    check_compose()
    check_links()
    for line in faults:
        print(line)
    print(f"{len(kinds)} metrics, {len(alerts)} alerts: {len(faults)} disagreements")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
