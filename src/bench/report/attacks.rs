//! What attackers took from good clients: a table and sentences.

use maud::{Markup, html};

use crate::bench::compare::Comparison;
use crate::bench::compare::attack::{Attack, Row, rows};
use crate::bench::figures;
use crate::bench::generator::REPLY_TIMEOUT;

pub(super) const HEADER: [&str; 11] = [
    "attack",
    "target",
    "good rate",
    "median wait, ms (alone)",
    "longest (alone)",
    "sent",
    "read",
    "attackers' CPU",
    "memory peak (before)",
    "new client",
    "afterwards",
];

/// A row for each attack on each target; none if nobody was attacked.
pub(super) fn table(comparison: &Comparison) -> Vec<[String; 11]> {
    let name = |row: &Row| comparison.targets[row.target].name.clone();
    rows(comparison)
        .iter()
        .map(|row| cells(row, name(row)))
        .collect()
}

fn cells(row: &Row, target: String) -> [String; 11] {
    let bytes = |bytes: Option<u64>| {
        bytes.map_or("unknown".to_owned(), |bytes| figures::bytes(bytes as f64))
    };
    let beside = |beside: f64, alone: f64| {
        let (beside, alone) = (figures::three_digits(beside), figures::three_digits(alone));
        format!("{beside} ({alone})")
    };
    [
        row.attack.name().to_owned(),
        target,
        match row.good_errors {
            0 => percent(row.good_share),
            errors => format!("{}, {errors} errors", percent(row.good_share)),
        },
        beside(row.wait_ms, row.wait_alone_ms),
        beside(row.wait_max_ms, row.wait_max_alone_ms),
        figures::bytes(row.bytes_sent),
        figures::bytes(row.bytes_received),
        percent(row.attackers_cpu),
        format!(
            "{} ({})",
            bytes(row.memory_peak_bytes),
            bytes(row.memory_before_bytes)
        ),
        match row.newcomer_ms {
            Some(ms) => figures::time(ms * 1e6),
            None => format!("not in {} s", REPLY_TIMEOUT.as_secs()),
        },
        match (row.answered_after, row.rounds) {
            (answered, rounds) if answered == rounds => "answers".to_owned(),
            (0, _) => "no answer".to_owned(),
            (answered, rounds) => format!("answers in {answered} of {rounds}"),
        },
    ]
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// What was seen, a sentence for each attack, and what was left out.
pub(super) fn sentences(comparison: &Comparison) -> Vec<String> {
    let rows = rows(comparison);
    let name = |row: &Row| comparison.targets[row.target].name.as_str();
    let mut sentences = Vec::new();
    for attack in Attack::ALL {
        let of_attack = rows.iter().filter(|row| row.attack == attack);
        let each: Vec<_> = of_attack
            .map(|row| format!("{} {}", name(row), percent(row.good_share)))
            .collect();
        if !each.is_empty() {
            sentences.push(format!(
                "Beside {} the good clients keep of their rate: {}.",
                attack.name(),
                each.join(", ")
            ));
        }
    }
    let seconds = REPLY_TIMEOUT.as_secs();
    let answers = |row: &&Row| row.answered_after == row.rounds;
    if !rows.is_empty() && rows.iter().all(|row| answers(&row)) {
        sentences.push(format!(
            "After each attack each server answered a new connection within {seconds} s."
        ));
    }
    let shut_out = rows.iter().filter(|row| row.newcomer_ms.is_none());
    sentences.extend(shut_out.map(|row| {
        let (name, attack) = (name(row), row.attack.name());
        format!(
            "{name} did not answer a connection that was made amid {attack} within {seconds} s."
        )
    }));
    let erroneous = rows.iter().filter(|row| row.good_errors > 0);
    sentences.extend(erroneous.map(|row| {
        format!(
            "Beside {} the good clients of {} had {} errors.",
            row.attack.name(),
            name(row),
            row.good_errors
        )
    }));
    let divisor = comparison.plan.strength.divisor;
    if !rows.is_empty() && divisor != 1 {
        sentences.push(format!(
            "The connections and the long values of the attackers were divided by {divisor}."
        ));
    }
    let left_out = comparison.left_out.iter();
    sentences.extend(left_out.map(|sentence| format!("{sentence}.")));
    sentences
}

/// The table as a section of the page; nothing if nobody was attacked.
pub(super) fn section(comparison: &Comparison) -> Markup {
    let rows = table(comparison);
    html! {
        @if !rows.is_empty() {
            h2 { "What attackers take" }
            p {
                "8 good clients and a prober, which sends 250 requests a second, were measured for "
                (format!("{:.1}", comparison.plan.strength.time.as_secs_f64()))
                " s alone and as long beside attackers, who came when the measuring began. Servers, good "
                "clients and attackers share the machine, so a part of what good clients lose is the "
                "processor time of the attackers' one thread, which is told. The rate is a share of that "
                "alone. Figures are medians over rounds; the longest wait and the memory are the most of all rounds. "
                "A new client came in the middle of the attack, and another after it. Attackers read what "
                "the column says; what they left unread is not in it."
            }
            div.scroll {
                table {
                    tr { @for name in HEADER { th { (name) } } }
                    @for row in &rows { tr { @for cell in row { td { (cell) } } } }
                }
            }
            ul {
                @for attack in Attack::ALL { li { b { (attack.name()) } ": " (attack.title()) "." } }
            }
        }
    }
}
