//! What is written about metrics agrees with what the server tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;

fn path(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    path.to_str().expect("UTF-8").to_owned()
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).expect("the file is there")
}

/// Names with their types and labels.
type Names = BTreeMap<String, (String, BTreeSet<String>)>;

/// What docs/operating.md says that there is.
fn documented() -> Names {
    let document = read("docs/operating.md");
    let (_, section) = document.split_once("\n## Metrics\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let (name, kind, labels) = (cells.next()?, cells.next()?, cells.next()?);
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned);
        let name = name.strip_suffix('`')?.to_owned();
        (name.contains('_')).then(|| (name, (kind.to_owned(), labels.collect())))
    });
    rows.collect()
}

/// What a server tells.
pub fn exposed(address: SocketAddr) -> Names {
    let text = get_path(address, "/metrics").body;
    let types = text.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let own = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let labels = text.lines().filter(own).flat_map(|line| {
            let parts = line.split('"').step_by(2);
            parts.filter_map(|part| part.strip_suffix('=')?.rsplit(['{', ',']).next())
        });
        let labels = labels.map(str::to_owned).collect();
        Some((name.to_owned(), (kind.to_owned(), labels)))
    });
    types.collect()
}

#[test]
fn the_list_of_metrics_is_what_servers_tell() {
    let mut all = remote::exposed_with_a_store();
    for model in Model::ALL.into_iter().filter(|model| model.is_built()) {
        let (_server, address) = process_with_metrics(&["--model", model.name()]);
        all.extend(exposed(address));
    }
    let documented = documented();
    assert!(documented.len() > 25, "{documented:?}");
    let is_built = |(name, _): &(&String, _)| {
        (cfg!(feature = "cluster") || !name.starts_with("speicher_store_"))
            || *name == "speicher_store_wait_seconds"
    };
    let expected: Names = documented
        .iter()
        .filter(is_built)
        .map(|(name, what)| (name.clone(), what.clone()))
        .collect();
    assert_eq!(all, expected);
}

/// Every metric has a sentence, and so has what it is in the text itself.
#[test]
fn every_metric_has_help() {
    let (_server, address) = process_with_metrics(&[]);
    let text = get_path(address, "/metrics").body;
    for name in exposed(address).keys() {
        let help = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("# HELP {name} ")));
        assert!(
            help.is_some_and(|help| help.ends_with('.')),
            "{name}: {help:?}"
        );
    }
}

/// The names of metrics in an expression of Prometheus.
fn names_in(expression: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_word(c));
    words
        .filter(|word| word.starts_with("speicher_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

fn assert_documented(expressions: &[String]) {
    let documented = documented();
    for expression in expressions {
        for name in names_in(expression) {
            let of_histogram = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .any(|name| {
                    documented
                        .get(name)
                        .is_some_and(|(kind, _)| kind == "histogram")
                });
            let is_plain = documented
                .get(&name)
                .is_some_and(|(kind, _)| kind != "histogram");
            assert!(is_plain || of_histogram, "there is no {name}: {expression}");
        }
    }
}

/// All that Grafana is to ask Prometheus.
fn asked_by(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let expressions = targets.flatten().map(|target| {
        let expression = target["expr"].as_str().expect("an expression");
        expression.to_owned()
    });
    expressions.collect()
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: Value =
        serde_json::from_str(&read("contrib/grafana/speicher.json")).expect("JSON");
    let expressions = asked_by(&dashboard);
    assert!(expressions.len() > 20);
    assert_documented(&expressions);
    let asked: BTreeSet<String> = expressions.iter().flat_map(|it| names_in(it)).collect();
    assert!(asked.len() > 25, "it shows most of them: {asked:?}");

    // Prometheus can read them, with Grafana's variables replaced.
    let rules = expressions.iter().enumerate().map(|(number, expression)| {
        let expression = expression
            .replace("$__rate_interval", "1m")
            .replace(['$'], "");
        format!("  - record: dashboard:{number}\n    expr: '{expression}'\n")
    });
    let rules = rules.collect::<String>();
    let file = folder("dashboard").join("rules.yml");
    fs::write(
        &file,
        format!("groups:\n- name: dashboard\n  rules:\n{rules}"),
    )
    .expect("a file");
    assert_accepted(&["check", "rules", file.to_str().expect("UTF-8")]);
}

#[test]
fn the_alert_rules_ask_for_metrics_that_there_are() {
    let rules = read("contrib/prometheus/speicher.rules.yml");
    let expressions = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert!(expressions.len() >= 4);
    assert_documented(&expressions);
    assert_accepted(&[
        "check",
        "rules",
        &path("contrib/prometheus/speicher.rules.yml"),
    ]);
    assert_accepted(&[
        "check",
        "config",
        &path("contrib/prometheus/prometheus.yml"),
    ]);
}

fn assert_accepted(args: &[&str]) {
    let Some(output) = run_tool("promtool", args, "") else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("SUCCESS"),
        "{said}"
    );
}
