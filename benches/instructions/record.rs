//! The record: what was counted when somebody last looked at it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/instructions/record.json"
);

/// A figure may grow by so much.
const GROWTH_MAX: f64 = 0.05;

/// What writes the record.
const RENEW: &str = "make instructions-record";

/// Figures, and what they were counted with.
pub struct Record {
    pub conditions: Conditions,
    /// Instructions of a request, by what is done with it.
    pub figures: BTreeMap<String, f64>,
}

/// What figures depend on beside the source.
#[derive(PartialEq, Eq)]
pub struct Conditions {
    pub machine: String,
    pub rustc: String,
    pub valgrind: String,
    pub libc: String,
}

impl Conditions {
    fn all(&self) -> [(&'static str, &str); 4] {
        [
            ("machine", &self.machine),
            ("rustc", &self.rustc),
            ("valgrind", &self.valgrind),
            ("libc", &self.libc),
        ]
    }
}

impl Record {
    /// The one that is checked in. Fails with a sentence.
    pub fn read() -> Result<Self, String> {
        let broken = |cause: &dyn std::fmt::Display| {
            format!("{PATH} can't be read ({cause}); `{RENEW}` writes it")
        };
        let text = fs::read_to_string(PATH).map_err(|error| broken(&error))?;
        let json: Value = serde_json::from_str(&text).map_err(|error| broken(&error))?;
        let word = |name: &str| json[name].as_str().unwrap_or("unknown").to_owned();
        let figures = json["instructions"].as_object();
        let figures = figures.ok_or_else(|| broken(&"it has no instructions"))?;
        let figures = figures
            .iter()
            .filter_map(|(name, figure)| Some((name.clone(), figure.as_f64()?)));
        Ok(Self {
            conditions: Conditions {
                machine: word("machine"),
                rustc: word("rustc"),
                valgrind: word("valgrind"),
                libc: word("libc"),
            },
            figures: figures.collect(),
        })
    }

    /// Writes it, and says so.
    pub fn write(&self) -> Result<String, String> {
        let figures = self.figures.iter();
        let rounded = figures.map(|(name, figure)| (name, (figure * 10.0).round() / 10.0));
        let mut json = json!({
            "written_by": RENEW,
            "instructions": rounded.collect::<BTreeMap<_, _>>(),
        });
        for (name, word) in self.conditions.all() {
            json[name] = word.into();
        }
        let written = fs::write(PATH, format!("{json:#}\n"));
        written.map_err(|error| format!("{PATH} can't be written ({error})"))?;
        Ok(format!("Written: {PATH}"))
    }

    /// A table of what was counted beside the record. Fails with it, and a sentence, when
    /// something has grown too much.
    pub fn compare(&self, counted: &Self) -> Result<String, String> {
        if self.conditions.machine != counted.conditions.machine {
            return Ok(format!(
                "SKIPPED: the record of instructions is of {}, and this is {}.",
                self.conditions.machine, counted.conditions.machine
            ));
        }
        let mut lines = vec!["Instructions of a request, the record's, and the change:".to_owned()];
        let mut grown = Vec::new();
        let mut has_shrunk = false;
        for (name, now) in &counted.figures {
            let Some(before) = self.figures.get(name) else {
                grown.push(format!("{name} is not in the record"));
                continue;
            };
            let change = now / before - 1.0;
            lines.push(format!(
                "{name:38} {now:9.1} {before:9.1} {:+6.1} %",
                change * 100.0
            ));
            has_shrunk |= change < -GROWTH_MAX;
            if change > GROWTH_MAX {
                let percent = change * 100.0;
                grown.push(format!("{name} takes {percent:.1} % more instructions"));
            }
        }
        if has_shrunk {
            lines.push(format!("Less than before: `{RENEW}` keeps it so."));
        }
        if grown.is_empty() {
            return Ok(lines.join("\n"));
        }
        lines.push(format!(
            "{}. More than {} % over the record is a failure: make it cheaper, or, if it is worth that, \
             renew the record with `{RENEW}`.{}",
            grown.join("; "),
            GROWTH_MAX * 100.0,
            self.other_conditions(&counted.conditions)
        ));
        Err(lines.join("\n"))
    }

    /// That the source may not be the cause.
    fn other_conditions(&self, now: &Conditions) -> String {
        let pairs = self.conditions.all().into_iter().zip(now.all());
        let others = pairs
            .filter(|(before, now)| before != now)
            .map(|((_, before), (name, now))| {
                format!(
                    " The record is of another {name}, which alone may be the cause: {before}, and this is {now}."
                )
            });
        others.collect()
    }
}
