//! What a server's metrics said at one time: the text format of Prometheus, version 0.0.4.

use std::collections::BTreeMap;
use std::time::Instant;

/// The samples whose names begin with these are kept.
const PREFIXES: [&str; 2] = ["speicher_", "process_"];

/// More samples than any server of ours has.
const SAMPLES_MAX: usize = 10_000;

/// The samples of one reading.
pub(super) struct Reading {
    pub(super) taken: Instant,
    samples: BTreeMap<String, Vec<Sample>>,
}

/// A value and its labels, each a name and a value.
#[derive(Debug, PartialEq)]
struct Sample {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Reading {
    /// Reads the text. The error is a sentence if it is not the metrics of a speicher server.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        let mut count = 0;
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, sample) = parse_line(line)
                .ok_or_else(|| format!("line {} of its answer is no metric", index + 1))?;
            if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                samples.entry(name.to_owned()).or_default().push(sample);
                count += 1;
            }
            if count > SAMPLES_MAX {
                return Err(format!("it has more than {SAMPLES_MAX} metrics"));
            }
        }
        match samples.contains_key("speicher_info") {
            true => Ok(Self {
                taken: Instant::now(),
                samples,
            }),
            false => Err("it has metrics, but not those of a speicher server".to_owned()),
        }
    }

    /// The sum of the samples with this name and these labels; `None` if the server has no such
    /// metric.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let samples = self.samples.get(name)?;
        let fits = |sample: &&Sample| labels.iter().all(|wanted| sample.has(wanted));
        Some(samples.iter().filter(fits).map(|sample| sample.value).sum())
    }

    /// What the buckets of the histogram have counted, by their upper bounds as they were written.
    pub(super) fn buckets(&self, name: &str) -> BTreeMap<&str, f64> {
        let mut buckets = BTreeMap::new();
        for sample in self.samples.get(name).into_iter().flatten() {
            if let Some((_, bound)) = sample.labels.iter().find(|(label, _)| label == "le") {
                *buckets.entry(bound.as_str()).or_default() += sample.value;
            }
        }
        buckets
    }

    /// Whether this reading and an earlier one are of two runs of the server: something has
    /// fallen that only grows.
    pub(super) fn is_of_another_run(&self, before: &Self) -> bool {
        let started = |reading: &Self| reading.sum("process_start_time_seconds", &[]);
        let is_later = match (started(self), started(before)) {
            (Some(now), Some(then)) => (now - then).abs() > 1.5,
            _ => false,
        };
        let grows = |name: &&String| name.ends_with("_total") || name.ends_with("_count");
        let mut growing = self.samples.keys().filter(grows);
        is_later || growing.any(|name| self.sum(name, &[]) < before.sum(name, &[]))
    }
}

impl Sample {
    fn has(&self, (name, value): &(&str, &str)) -> bool {
        self.labels
            .iter()
            .any(|(label, other)| label == name && other == value)
    }
}

/// `name{label="value",...} value`, and maybe a time stamp.
fn parse_line(line: &str) -> Option<(&str, Sample)> {
    let (name, rest) = split_name(line)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    let is_stamped = words
        .next()
        .is_none_or(|stamp| stamp.parse::<f64>().is_ok());
    (is_stamped && words.next().is_none()).then_some((name, Sample { labels, value }))
}

/// Up to the closing brace; what comes after it.
fn parse_labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = split_name(rest)?;
        let value = value.trim_start().strip_prefix('=')?;
        let (value, after) = parse_quoted(value.trim_start().strip_prefix('"')?)?;
        labels.push((name.to_owned(), value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(after) => after,
            None => after.starts_with('}').then_some(after)?,
        };
    }
}

fn split_name(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let is_name = text.starts_with(|c: char| is_part(c) && !c.is_ascii_digit());
    is_name.then(|| text.split_at(end))
}

/// Up to the closing quote; what comes after it.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    const INFO: &str = "speicher_info{version=\"1\",model=\"epoll\"} 1\n";

    pub(in super::super) fn reading(text: &str) -> Reading {
        Reading::parse(&format!("{INFO}{text}")).expect("metrics")
    }

    #[test]
    fn samples_are_added_up_by_name_and_labels() {
        let reading = reading(
            "# HELP speicher_x_total a \\n comment\n\
             speicher_x_total{a=\"1\",b=\"2\"} 3\n\
             speicher_x_total{ b = \"2\" } 1\n\
             speicher_x_total{b=\"2\", a=\"2\",} 4e0 1700000000000\n\
             other_x_total 5\n\n\
             speicher_y +Inf\n",
        );
        assert_eq!(reading.sum("speicher_x_total", &[("b", "2")]), Some(8.0));
        assert_eq!(
            reading.sum("speicher_x_total", &[("a", "2"), ("b", "2")]),
            Some(4.0)
        );
        assert_eq!(reading.sum("speicher_x_total", &[("a", "3")]), Some(0.0));
        assert_eq!(reading.sum("speicher_y", &[]), Some(f64::INFINITY));
        assert_eq!(reading.sum("other_x_total", &[]), None);
    }

    #[test]
    fn what_is_no_metric_is_refused_with_its_line() {
        for wrong in [
            "1 1",
            "a",
            "a b",
            "a{b} 1",
            "a{b=\"c} 1",
            "a{b=\"c\" d=\"e\"} 1",
            "a{b=\"c\"",
            "a 1 b",
            "a 1 2 3",
            "<html>",
            "\u{1b}[2J",
        ] {
            let error = Reading::parse(&format!("{INFO}{wrong}\n")).err();
            let error = error.expect(wrong);
            assert!(error.contains("line 2"), "{wrong}: {error}");
        }
        assert!(Reading::parse("up 1\n").is_err(), "of somebody else");
        let many = "speicher_x 1\n".repeat(SAMPLES_MAX + 1);
        assert!(Reading::parse(&many).is_err());
    }

    #[test]
    fn a_counter_that_fell_or_a_later_start_is_another_run() {
        let before = reading("speicher_a_total 5\nprocess_start_time_seconds 100.4\n");
        for (after, is_other) in [
            (
                "speicher_a_total 5\nprocess_start_time_seconds 100.9\n",
                false,
            ),
            (
                "speicher_a_total 4\nprocess_start_time_seconds 100.4\n",
                true,
            ),
            (
                "speicher_a_total 6\nprocess_start_time_seconds 102.4\n",
                true,
            ),
            ("speicher_a_total 6\n", false),
        ] {
            assert_eq!(
                reading(after).is_of_another_run(&before),
                is_other,
                "{after}"
            );
        }
    }

    fn escaped(value: &str) -> String {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        value.replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            labels in prop::collection::vec(("[a-z_][a-z0-9_]{0,8}", any::<String>()), 0..4),
            value in any::<f64>().prop_filter("equal to itself", |value| !value.is_nan()),
        ) {
            // A carriage return ends a line for `lines` only before a line feed, which is escaped.
            let written: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
                .collect();
            let line = format!("speicher_x{{{}}} {value}", written.join(","));
            let expected = Sample { labels, value };
            prop_assert_eq!(parse_line(&line), Some(("speicher_x", expected)));
        }

        #[test]
        fn no_text_is_too_odd(text in "(speicher_info|[a-z_]{1,3}|[{}=,\" \\\\\n#]|[0-9.e+-]{1,4}|\\PC){0,40}") {
            let _ = Reading::parse(&text);
        }
    }
}
